//! POP3 as far as a login and a look into an empty mailbox need it.

use super::{Conversation, Out, Turn, line, plain_account, text};

/// One connection.
#[derive(Default)]
pub(super) struct Pop3 {
    user: String,
    /// The response of an AUTH PLAIN comes next.
    authenticating: bool,
}

impl Conversation for Pop3 {
    const GREETING: &'static [u8] = b"+OK fake backend\r\n";

    fn advance(&mut self, input: &mut Vec<u8>, out: &mut Out) -> Turn {
        while let Some(line) = line(input) {
            if let Turn::Close = self.answer(&line, out) {
                return Turn::Close;
            }
        }
        Turn::More
    }
}

impl Pop3 {
    fn answer(&mut self, line: &[u8], out: &mut Out) -> Turn {
        if std::mem::take(&mut self.authenticating) {
            logged_in(plain_account(line), out);
            return Turn::More;
        }
        let mut words = line.split(|octet| *octet == b' ');
        match words.next().unwrap_or_default().to_ascii_uppercase().as_slice() {
            b"USER" => {
                self.user = words.next().map(text).unwrap_or_default();
                out.say(b"+OK\r\n");
            }
            b"PASS" => logged_in(Some(std::mem::take(&mut self.user)), out),
            b"AUTH" => match words.nth(1) {
                Some(response) => logged_in(plain_account(response), out),
                None => {
                    self.authenticating = true;
                    out.say(b"+ \r\n");
                }
            },
            b"CAPA" => {
                out.say(b"+OK\r\nUSER\r\nSASL PLAIN\r\nTOP\r\nUIDL\r\nUTF8\r\nPIPELINING\r\nRESP-CODES\r\n.\r\n");
            }
            b"LIST" | b"UIDL" => out.say(b"+OK\r\n.\r\n"),
            b"STAT" => out.say(b"+OK 0 0\r\n"),
            b"QUIT" => {
                out.say(b"+OK bye\r\n");
                return Turn::Close;
            }
            _ => out.say(b"+OK\r\n"),
        }
        Turn::More
    }
}

fn logged_in(account: Option<String>, out: &mut Out) {
    let Some(account) = account.filter(|account| !account.is_empty()) else { return out.say(b"-ERR who?\r\n") };
    out.say(b"+OK logged in\r\n");
    out.logged_in(account);
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::link::converse;
    use super::*;

    #[test]
    fn logs_in_by_user_and_by_auth() {
        for login in [
            &b"USER siti@tgg.net.id\r\nPASS de mo\r\n"[..],
            b"AUTH PLAIN AHNpdGlAdGdnLm5ldC5pZABkZW1v\r\n",
            b"auth plain\r\nAHNpdGlAdGdnLm5ldC5pZABkZW1v\r\n",
        ] {
            assert_eq!(converse::<Pop3>(login).1["accounts"], json!({"siti@tgg.net.id": 1}));
        }
    }

    #[test]
    fn refuses_a_password_without_a_user() {
        let (said, counts) = converse::<Pop3>(b"PASS demo\r\n");
        assert_eq!((said.as_str(), &counts["logins"]), ("-ERR who?\r\n", &json!(0)));
    }
}
