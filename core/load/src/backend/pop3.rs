//! POP3 as far as a login and a look into an empty mailbox need it.

use super::{Conversation, Turn, plain_account, text};

/// One connection.
#[derive(Default)]
pub(super) struct Pop3 {
    user: String,
    /// The response of an AUTH PLAIN comes next.
    authenticating: bool,
}

impl Conversation for Pop3 {
    const GREETING: &'static [u8] = b"+OK fake backend\r\n";

    fn advance(&mut self, input: &mut Vec<u8>, out: &mut Vec<u8>) -> Turn {
        while let Some(end) = input.windows(2).position(|pair| pair == b"\r\n") {
            let line: Vec<u8> = input.drain(..end + 2).collect();
            match self.answer(&line[..end], out) {
                Turn::More => {}
                turn => return turn,
            }
        }
        Turn::More
    }
}

impl Pop3 {
    fn answer(&mut self, line: &[u8], out: &mut Vec<u8>) -> Turn {
        if std::mem::take(&mut self.authenticating) {
            return logged_in(plain_account(line), out);
        }
        let mut words = line.split(|octet| *octet == b' ');
        match words.next().unwrap_or_default().to_ascii_uppercase().as_slice() {
            b"USER" => {
                self.user = words.next().map(text).unwrap_or_default();
                out.extend_from_slice(b"+OK\r\n");
            }
            b"PASS" => return logged_in(Some(std::mem::take(&mut self.user)), out),
            b"AUTH" => match words.nth(1) {
                Some(response) => return logged_in(plain_account(response), out),
                None => {
                    self.authenticating = true;
                    out.extend_from_slice(b"+ \r\n");
                }
            },
            b"CAPA" => {
                out.extend_from_slice(
                    b"+OK\r\nUSER\r\nSASL PLAIN\r\nTOP\r\nUIDL\r\nUTF8\r\nPIPELINING\r\nRESP-CODES\r\n.\r\n",
                );
            }
            b"LIST" | b"UIDL" => out.extend_from_slice(b"+OK\r\n.\r\n"),
            b"STAT" => out.extend_from_slice(b"+OK 0 0\r\n"),
            b"QUIT" => {
                out.extend_from_slice(b"+OK bye\r\n");
                return Turn::Close;
            }
            _ => out.extend_from_slice(b"+OK\r\n"),
        }
        Turn::More
    }
}

fn logged_in(account: Option<String>, out: &mut Vec<u8>) -> Turn {
    let Some(account) = account.filter(|account| !account.is_empty()) else {
        out.extend_from_slice(b"-ERR who?\r\n");
        return Turn::More;
    };
    out.extend_from_slice(b"+OK logged in\r\n");
    Turn::LoggedIn(account)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn converse(input: &[u8]) -> (String, Vec<String>) {
        let (mut pop3, mut pending, mut out, mut accounts) = (Pop3::default(), Vec::new(), Vec::new(), Vec::new());
        for octet in input {
            pending.push(*octet);
            while let Turn::LoggedIn(account) = pop3.advance(&mut pending, &mut out) {
                accounts.push(account);
            }
        }
        (String::from_utf8(out).unwrap(), accounts)
    }

    #[test]
    fn logs_in_by_user_and_by_auth() {
        for login in [
            &b"USER siti@tgg.net.id\r\nPASS de mo\r\n"[..],
            b"AUTH PLAIN AHNpdGlAdGdnLm5ldC5pZABkZW1v\r\n",
            b"auth plain\r\nAHNpdGlAdGdnLm5ldC5pZABkZW1v\r\n",
        ] {
            assert_eq!(converse(login).1, ["siti@tgg.net.id"]);
        }
    }

    #[test]
    fn refuses_a_password_without_a_user() {
        assert_eq!(converse(b"PASS demo\r\n"), ("-ERR who?\r\n".to_owned(), vec![]));
    }
}
