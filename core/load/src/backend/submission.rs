//! Submission: takes who logs in by AUTH PLAIN or is named by XCLIENT, and every message, which it counts and forgets.

use memchr::memmem;

use super::{Conversation, Out, Turn, line, plain_account, text};

/// One connection.
#[derive(Default)]
pub(super) struct Submission(State);

/// What comes next.
#[derive(Default)]
enum State {
    #[default]
    Command,
    /// The response to AUTH PLAIN.
    Authenticating,
    /// So many octets of a BDAT's chunk, of which those before had so many.
    Chunk { left: usize, before: usize, last: bool },
    /// Another BDAT, after chunks of so many octets.
    Chunks(usize),
    /// The rest of a message, of which so many octets have come.
    Data(usize),
}

impl Conversation for Submission {
    const GREETING: &'static [u8] = b"220 fake.backend ESMTP\r\n";

    fn advance(&mut self, input: &mut Vec<u8>, out: &mut Out) -> Turn {
        loop {
            match self.0 {
                State::Chunk { left, before, last } => {
                    let taken = left.min(input.len());
                    input.drain(..taken);
                    if taken < left {
                        self.0 = State::Chunk { left: left - taken, before: before + taken, last };
                        return Turn::More;
                    }
                    self.0 = State::Chunks(before + taken);
                    if last {
                        self.taken(before + taken, out);
                    } else {
                        out.say(b"250 2.0.0 go on\r\n");
                    }
                }
                State::Data(before) => match end_of_data(before, input) {
                    Some((octets, end)) => {
                        input.drain(..end);
                        self.taken(before + octets, out);
                    }
                    None => {
                        let done = input.len().saturating_sub(END.len() - 1);
                        input.drain(..done);
                        self.0 = State::Data(before + done);
                        return Turn::More;
                    }
                },
                State::Authenticating | State::Chunks(_) | State::Command => {
                    let Some(line) = line(input) else { return Turn::More };
                    if let Turn::Close = self.answer(&line, out) {
                        return Turn::Close;
                    }
                }
            }
        }
    }
}

impl Submission {
    fn answer(&mut self, line: &[u8], out: &mut Out) -> Turn {
        let before = match std::mem::take(&mut self.0) {
            State::Authenticating => {
                logged_in(plain_account(line), out);
                return Turn::More;
            }
            State::Chunks(before) => before,
            _ => 0,
        };
        let mut words = line.split(|octet| *octet == b' ');
        match words.next().unwrap_or_default().to_ascii_uppercase().as_slice() {
            b"EHLO" => out.say(CAPABILITIES),
            b"AUTH" => match words.nth(1) {
                Some(response) => logged_in(plain_account(response), out),
                None => {
                    out.say(b"334 \r\n");
                    self.0 = State::Authenticating;
                }
            },
            b"XCLIENT" => {
                out.say(Self::GREETING);
                if let Some(account) = words.find_map(xclient_login) {
                    out.logged_in(account);
                }
            }
            b"DATA" => {
                out.say(b"354 go on\r\n");
                self.0 = State::Data(0);
            }
            b"BDAT" => {
                let size = words.next().and_then(|size| text(size).parse::<u32>().ok());
                let Some(size) = size else {
                    out.say(b"501 5.5.4 how much?\r\n");
                    return Turn::More;
                };
                let last = words.next().is_some_and(|word| word.eq_ignore_ascii_case(b"LAST"));
                self.0 = State::Chunk { left: size as usize, before, last };
            }
            b"QUIT" => {
                out.say(b"221 2.0.0 bye\r\n");
                return Turn::Close;
            }
            _ => out.say(b"250 2.0.0 fine\r\n"),
        }
        Turn::More
    }

    fn taken(&mut self, octets: usize, out: &mut Out) {
        self.0 = State::Command;
        out.moved(octets);
        out.say(b"250 2.0.0 taken\r\n");
    }
}

const CAPABILITIES: &[u8] =
    b"250-fake.backend\r\n250-PIPELINING\r\n250-SIZE 100000000\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n\
    250-CHUNKING\r\n250-ENHANCEDSTATUSCODES\r\n250-XCLIENT NAME ADDR PORT PROTO HELO LOGIN\r\n250 AUTH PLAIN\r\n";
const END: &[u8] = b"\r\n.\r\n";

/// How much of the rest of a message there is, and where what follows it begins. The CRLF of a message's first line may
/// be DATA's own.
fn end_of_data(before: usize, input: &[u8]) -> Option<(usize, usize)> {
    if before == 0 && input.starts_with(&END[2..]) {
        return Some((0, END.len() - 2));
    }
    memmem::find(input, END).map(|end| (end + 2, end + END.len()))
}

fn logged_in(account: Option<String>, out: &mut Out) {
    let Some(account) = account else { return out.say(b"501 5.5.2 who?\r\n") };
    out.say(b"235 2.7.0 logged in\r\n");
    out.logged_in(account);
}

/// Whom an attribute of XCLIENT says the client is; its value is xtext.
fn xclient_login(attribute: &[u8]) -> Option<String> {
    let mut value = attribute.strip_prefix(b"LOGIN=").filter(|value| *value != b"[UNAVAILABLE]")?;
    let mut account = Vec::new();
    while let Some((octet, rest)) = value.split_first() {
        value = rest;
        let escaped = || u8::from_str_radix(std::str::from_utf8(rest.get(..2)?).ok()?, 16).ok();
        match (octet, escaped()) {
            (b'+', Some(escaped)) => {
                account.push(escaped);
                value = &rest[2..];
            }
            _ => account.push(*octet),
        }
    }
    Some(text(&account))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::link::converse;
    use super::*;

    #[test]
    fn logs_in_by_auth_and_by_xclient() {
        for login in [
            &b"AUTH PLAIN AHNpdGlAdGdnLm5ldC5pZABkZW1v\r\n"[..],
            b"auth plain\r\nAHNpdGlAdGdnLm5ldC5pZABkZW1v\r\n",
            b"XCLIENT ADDR=192.0.2.1 LOGIN=siti+40tgg.net.id\r\n",
        ] {
            assert_eq!(converse::<Submission>(login).1["accounts"], json!({"siti@tgg.net.id": 1}));
        }
        assert_eq!(converse::<Submission>(b"XCLIENT LOGIN=[UNAVAILABLE]\r\nAUTH PLAIN !\r\n").1["logins"], json!(0));
    }

    #[test]
    fn counts_messages_of_data_and_of_chunks_and_their_octets() {
        for (message, octets) in [
            (&b"DATA\r\n.\r\nQUIT\r\n"[..], 0),
            (b"DATA\r\nSubject: a\r\n\r\n.\r\nb\r\n.\r\n", 14),
            (b"DATA\r\nSubject: a\r\n\r\n..\r\nb\r\n.\r\nNOOP\r\n", 21),
            (b"BDAT 5\r\n\r\n.\r\nBDAT 2 LAST\r\nab", 7),
            (b"BDAT 3\r\nabcRSET\r\nBDAT 2 LAST\r\nab", 2),
        ] {
            let counts = converse::<Submission>(message).1;
            assert_eq!((&counts["messages"], &counts["octets"]), (&json!(1), &json!(octets)), "{}", text(message));
        }
    }
}
