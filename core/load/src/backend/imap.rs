//! IMAP as far as a login and a look into an empty INBOX need it.

use super::{Conversation, Turn, plain_account, text};

const CAPABILITY: &str = "IMAP4rev1 SASL-IR LITERAL+ ID IDLE ENABLE NAMESPACE AUTH=PLAIN";

/// One connection.
#[derive(Default)]
pub(super) struct Imap {
    /// Octets of the command so far whose lines are complete; a literal may go on behind them.
    complete: usize,
    /// The tag of an AUTHENTICATE whose response comes next.
    authenticating: Option<String>,
    /// The tag of an IDLE that waits for its DONE.
    idling: Option<String>,
}

impl Conversation for Imap {
    const GREETING: &'static [u8] =
        b"* OK [CAPABILITY IMAP4rev1 SASL-IR LITERAL+ ID IDLE ENABLE NAMESPACE AUTH=PLAIN] fake backend\r\n";

    fn advance(&mut self, input: &mut Vec<u8>, out: &mut Vec<u8>) -> Turn {
        while let Some(length) = self.command_length(input, out) {
            let command: Vec<u8> = input.drain(..length).collect();
            match self.answer(command.strip_suffix(b"\r\n").unwrap_or(&command), out) {
                Turn::More => {}
                turn => return turn,
            }
        }
        Turn::More
    }
}

impl Imap {
    /// The length of the first command if it is all there, its literals included; asks for a literal once.
    fn command_length(&mut self, input: &[u8], out: &mut Vec<u8>) -> Option<usize> {
        loop {
            let rest = input.get(self.complete..)?;
            let end = self.complete + rest.windows(2).position(|pair| pair == b"\r\n")? + 2;
            match literal(&input[self.complete..end - 2]) {
                None => {
                    self.complete = 0;
                    return Some(end);
                }
                Some((length, synchronizing)) => {
                    if synchronizing {
                        out.extend_from_slice(b"+ go on\r\n");
                    }
                    self.complete = end + length;
                }
            }
        }
    }

    fn answer(&mut self, command: &[u8], out: &mut Vec<u8>) -> Turn {
        if let Some(tag) = self.authenticating.take() {
            return logged_in(&tag, plain_account(command), out);
        }
        if let Some(tag) = self.idling.take() {
            reply(out, &tag, "OK idled");
            return Turn::More;
        }
        let words = words(command);
        let mut words = words.iter().map(Vec::as_slice);
        let tag = text(words.next().unwrap_or(b"*"));
        match words.next().unwrap_or_default().to_ascii_uppercase().as_slice() {
            b"LOGIN" => return logged_in(&tag, words.next().map(text), out),
            b"AUTHENTICATE" => match words.nth(1) {
                Some(response) => return logged_in(&tag, plain_account(response), out),
                None => {
                    out.extend_from_slice(b"+ \r\n");
                    self.authenticating = Some(tag);
                }
            },
            b"CAPABILITY" => {
                reply(out, "*", &format!("CAPABILITY {CAPABILITY}"));
                reply(out, &tag, "OK these");
            }
            b"ID" => {
                reply(out, "*", "ID NIL");
                reply(out, &tag, "OK known");
            }
            b"IDLE" => {
                out.extend_from_slice(b"+ idling\r\n");
                self.idling = Some(tag);
            }
            b"SELECT" | b"EXAMINE" => {
                reply(out, "*", "FLAGS ()\r\n* 0 EXISTS\r\n* 0 RECENT\r\n* OK [UIDVALIDITY 1] empty");
                reply(out, &tag, "OK selected");
            }
            b"LOGOUT" => {
                reply(out, "*", "BYE");
                reply(out, &tag, "OK bye");
                return Turn::Close;
            }
            _ => reply(out, &tag, "OK done"),
        }
        Turn::More
    }
}

fn logged_in(tag: &str, account: Option<String>, out: &mut Vec<u8>) -> Turn {
    let Some(account) = account else {
        reply(out, tag, "BAD who?");
        return Turn::More;
    };
    reply(out, tag, &format!("OK [CAPABILITY {CAPABILITY}] logged in"));
    Turn::LoggedIn(account)
}

fn reply(out: &mut Vec<u8>, tag: &str, words: &str) {
    out.extend_from_slice(format!("{tag} {words}\r\n").as_bytes());
}

/// The literal that a line announces at its end: its length, and whether it must be asked for.
fn literal(line: &[u8]) -> Option<(usize, bool)> {
    let inner = line.strip_suffix(b"}")?;
    let start = inner.iter().rposition(|octet| *octet == b'{')?;
    let (digits, synchronizing) = match inner[start + 1..].strip_suffix(b"+") {
        Some(digits) => (digits, false),
        None => (&inner[start + 1..], true),
    };
    Some((std::str::from_utf8(digits).ok()?.parse().ok()?, synchronizing))
}

/// The words of a command: atoms, quoted strings and literals alike.
fn words(mut command: &[u8]) -> Vec<Vec<u8>> {
    let mut words = Vec::new();
    while let Some(first) = command.first() {
        let (word, rest) = match first {
            b' ' => {
                command = &command[1..];
                continue;
            }
            b'"' => quoted(&command[1..]),
            b'{' => literal_word(command),
            _ => {
                let end = command.iter().position(|octet| *octet == b' ').unwrap_or(command.len());
                (command[..end].to_vec(), &command[end..])
            }
        };
        words.push(word);
        command = rest;
    }
    words
}

fn quoted(mut rest: &[u8]) -> (Vec<u8>, &[u8]) {
    let mut word = Vec::new();
    while let [octet, tail @ ..] = rest {
        rest = tail;
        match octet {
            b'"' => break,
            b'\\' => {
                word.extend(rest.first());
                rest = rest.get(1..).unwrap_or_default();
            }
            _ => word.push(*octet),
        }
    }
    (word, rest)
}

fn literal_word(command: &[u8]) -> (Vec<u8>, &[u8]) {
    let line = command.windows(2).position(|pair| pair == b"\r\n").unwrap_or(command.len());
    let length = literal(&command[..line]).map_or(0, |(length, _)| length);
    let rest = command.get(line + 2..).unwrap_or_default();
    let (word, rest) = rest.split_at(length.min(rest.len()));
    (word.to_vec(), rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds a conversation one octet at a time; returns what it said and who logged in.
    fn converse(input: &[u8]) -> (String, Vec<String>) {
        let (mut imap, mut pending, mut out, mut accounts) = (Imap::default(), Vec::new(), Vec::new(), Vec::new());
        for octet in input {
            pending.push(*octet);
            while let Turn::LoggedIn(account) = imap.advance(&mut pending, &mut out) {
                accounts.push(account);
            }
        }
        (String::from_utf8(out).unwrap(), accounts)
    }

    #[test]
    fn logs_in_by_every_form_of_string() {
        for login in [
            &b"a LOGIN siti@tgg.net.id demo\r\n"[..],
            b"a login \"siti@tgg.net.id\" \"de\\\"mo\"\r\n",
            b"a LOGIN {15}\r\nsiti@tgg.net.id {4}\r\ndemo\r\n",
            b"a LOGIN {15+}\r\nsiti@tgg.net.id {4+}\r\ndemo\r\n",
            b"a AUTHENTICATE PLAIN AHNpdGlAdGdnLm5ldC5pZABkZW1v\r\n",
            b"a AUTHENTICATE PLAIN\r\nAHNpdGlAdGdnLm5ldC5pZABkZW1v\r\n",
        ] {
            let (said, accounts) = converse(login);
            assert_eq!(accounts, ["siti@tgg.net.id"], "{said}");
            assert!(said.contains("a OK ["), "{said}");
        }
    }

    #[test]
    fn asks_once_for_a_literal_unless_it_comes_unasked() {
        assert_eq!(converse(b"a LOGIN {1}\r\ns {1+}\r\nd\r\n").0.matches("+ go on").count(), 1);
    }

    #[test]
    fn answers_pipelined_commands_in_order() {
        let (said, accounts) = converse(b"1 ID NIL\r\n2 LOGIN a b\r\n3 SELECT INBOX\r\n4 IDLE\r\nDONE\r\n5 LOGOUT\r\n");
        let tagged: Vec<&str> = said.lines().filter(|line| !line.starts_with(['*', '+'])).collect();
        assert_eq!(tagged.iter().map(|line| &line[..4]).collect::<Vec<_>>(), ["1 OK", "2 OK", "3 OK", "4 OK", "5 OK"]);
        assert_eq!(accounts, ["a"]);
    }
}
