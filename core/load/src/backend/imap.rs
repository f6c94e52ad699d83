//! IMAP as far as a login, a look into a mailbox and big messages need it.
//!
//! A mailbox whose name is a size (`20000000`, `20m`) has one message of so many octets; any other is empty. What is
//! appended must be a [`Body`].

mod words;

use memchr::memmem;

use super::{Conversation, Out, Turn, plain_account, text};
use crate::body::{Body, Damage};
use words::{literal, words};

/// One connection.
#[derive(Default)]
pub(super) struct Imap {
    /// Octets of the command so far whose lines are complete; a literal may go on behind them.
    complete: usize,
    state: State,
    /// The message of the mailbox that is selected.
    selected: Option<Body>,
}

/// What the next line is.
#[derive(Default)]
enum State {
    #[default]
    Command,
    /// The end of APPEND's, whose tag and verdict these are.
    Appended(String, Result<(), Damage>),
    /// The response to AUTHENTICATE.
    Authenticating(String),
    /// DONE.
    Idling(String),
}

impl Conversation for Imap {
    const GREETING: &'static [u8] =
        b"* OK [CAPABILITY IMAP4rev1 SASL-IR LITERAL+ ID IDLE ENABLE NAMESPACE AUTH=PLAIN] fake backend\r\n";

    fn advance(&mut self, input: &mut Vec<u8>, out: &mut Out) -> Turn {
        while let Some(whole) = self.next(input, out) {
            let turn = match whole {
                Whole::Command(command) => self.answer(&command, out),
                Whole::Message(tag, body) => {
                    // What has come by the end of the body replaces this.
                    self.state = State::Appended(tag, Ok(()));
                    Turn::Take(body)
                }
            };
            if !matches!(turn, Turn::More) {
                return turn;
            }
        }
        Turn::More
    }

    fn taken(&mut self, verdict: Result<(), Damage>, _: &mut Out) {
        if let State::Appended(_, appended) = &mut self.state {
            *appended = verdict;
        }
    }
}

/// What can be worked on.
enum Whole {
    Command(Vec<u8>),
    /// The tag of an APPEND, and the message that comes next.
    Message(String, Body),
}

impl Imap {
    /// The first command, if it is all there, its literals included; asks for a literal once. It is consumed.
    fn next(&mut self, input: &mut Vec<u8>, out: &mut Out) -> Option<Whole> {
        loop {
            let rest = input.get(self.complete..)?;
            let end = self.complete + memmem::find(rest, b"\r\n")?;
            let announced = literal(&input[self.complete..end]);
            if let Some((_, true)) = announced {
                out.say(b"+ go on\r\n");
            }
            match announced {
                Some((length, _)) if is_append(input) => {
                    self.complete = 0;
                    let line: Vec<u8> = input.drain(..end + 2).collect();
                    let tag = text(words(&line).first()?);
                    return Some(Whole::Message(tag, Body::from(length)));
                }
                Some((length, _)) => self.complete = end + 2 + length,
                None => {
                    self.complete = 0;
                    return Some(Whole::Command(input.drain(..end + 2).take(end).collect()));
                }
            }
        }
    }

    fn answer(&mut self, line: &[u8], out: &mut Out) -> Turn {
        match std::mem::take(&mut self.state) {
            State::Appended(tag, Ok(())) => reply(out, &tag, "OK appended"),
            State::Appended(tag, Err(damage)) => reply(out, &tag, &format!("NO {damage}")),
            State::Authenticating(tag) => logged_in(&tag, plain_account(line), out),
            State::Command => return self.command(line, out),
            State::Idling(tag) => reply(out, &tag, "OK idled"),
        }
        Turn::More
    }

    fn command(&mut self, command: &[u8], out: &mut Out) -> Turn {
        let words = words(command);
        let mut words = words.iter().map(Vec::as_slice);
        let tag = text(words.next().unwrap_or(b"*"));
        match words.next().unwrap_or_default().to_ascii_uppercase().as_slice() {
            b"LOGIN" => logged_in(&tag, words.next().map(text), out),
            b"AUTHENTICATE" => match words.nth(1) {
                Some(response) => logged_in(&tag, plain_account(response), out),
                None => {
                    out.say(b"+ \r\n");
                    self.state = State::Authenticating(tag);
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
                out.say(b"+ idling\r\n");
                self.state = State::Idling(tag);
            }
            b"SELECT" | b"EXAMINE" => self.select(&tag, words.next().unwrap_or_default(), out),
            b"FETCH" => self.fetch(&tag, command, out),
            b"LOGOUT" => {
                reply(out, "*", "BYE");
                reply(out, &tag, "OK bye");
                return Turn::Close;
            }
            _ => reply(out, &tag, "OK done"),
        }
        Turn::More
    }

    fn select(&mut self, tag: &str, mailbox: &[u8], out: &mut Out) {
        self.selected = text(mailbox).parse().ok();
        let exist = u8::from(self.selected.is_some());
        reply(out, "*", &format!("FLAGS ()\r\n* {exist} EXISTS\r\n* 0 RECENT\r\n* OK [UIDVALIDITY 1] unchanging"));
        reply(out, tag, "OK selected");
    }

    /// The one message, whatever its number, where its body is asked for.
    fn fetch(&self, tag: &str, command: &[u8], out: &mut Out) {
        match self.selected {
            None => return reply(out, tag, "NO there is no message"),
            Some(body) if memmem::find(command, b"BODY").is_some() => {
                out.say(format!("* 1 FETCH (BODY[] {{{}}}\r\n", body.len()).as_bytes());
                out.body(body);
                out.say(b")\r\n");
            }
            Some(body) => reply(out, "*", &format!("1 FETCH (RFC822.SIZE {})", body.len())),
        }
        reply(out, tag, "OK fetched");
    }
}

const CAPABILITY: &str = "IMAP4rev1 SASL-IR LITERAL+ ID IDLE ENABLE NAMESPACE AUTH=PLAIN";

fn is_append(input: &[u8]) -> bool {
    let verb = input.splitn(3, |octet| *octet == b' ').nth(1);
    verb.is_some_and(|verb| verb.eq_ignore_ascii_case(b"APPEND"))
}

fn logged_in(tag: &str, account: Option<String>, out: &mut Out) {
    let Some(account) = account else { return reply(out, tag, "BAD who?") };
    reply(out, tag, &format!("OK [CAPABILITY {CAPABILITY}] logged in"));
    out.logged_in(account);
}

fn reply(out: &mut Out, tag: &str, words: &str) {
    out.say(format!("{tag} {words}\r\n").as_bytes());
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::link::converse;
    use super::*;

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
            let (said, counts) = converse::<Imap>(login);
            assert_eq!(counts["accounts"], json!({"siti@tgg.net.id": 1}), "{said}");
            assert!(said.contains("a OK ["), "{said}");
        }
    }

    #[test]
    fn asks_once_for_a_literal_unless_it_comes_unasked() {
        assert_eq!(converse::<Imap>(b"a LOGIN {1}\r\ns {1+}\r\nd\r\n").0.matches("+ go on").count(), 1);
    }

    #[test]
    fn answers_pipelined_commands_in_order() {
        let commands = b"1 ID NIL\r\n2 LOGIN a b\r\n3 SELECT INBOX\r\n4 IDLE\r\nDONE\r\n5 LOGOUT\r\n";
        let (said, counts) = converse::<Imap>(commands);
        let tagged: Vec<&str> = said.lines().filter(|line| !line.starts_with(['*', '+'])).collect();
        assert_eq!(tagged.iter().map(|line| &line[..4]).collect::<Vec<_>>(), ["1 OK", "2 OK", "3 OK", "4 OK", "5 OK"]);
        assert_eq!(counts["accounts"], json!({"a": 1}));
    }

    #[test]
    fn a_mailbox_named_for_a_size_has_a_message_of_that_size() {
        let (said, counts) = converse::<Imap>(b"a SELECT \"20k\"\r\nb FETCH 1 BODY[]\r\n");
        let body = said.split_once("BODY[] {20000}\r\n").unwrap().1.split_once(")\r\nb OK").unwrap().0;
        assert_eq!(crc32fast::hash(body.as_bytes()), Body::from(20_000).checksum());
        assert_eq!((&counts["messages"], &counts["octets"]), (&json!(1), &json!(20_000)));
    }

    #[test]
    fn an_empty_mailbox_has_no_message() {
        assert!(
            converse::<Imap>(b"a SELECT INBOX\r\nb FETCH 1 BODY[]\r\n").0.ends_with("b NO there is no message\r\n")
        );
    }

    #[test]
    fn takes_an_appended_message_that_is_intact() {
        let body = Body::from(1000);
        let append = [b"a APPEND INBOX {1000}\r\n", body.at(0), b"\r\nb NOOP\r\n"].concat();
        let (said, counts) = converse::<Imap>(&append);
        assert_eq!(said, "+ go on\r\na OK appended\r\nb OK done\r\n");
        assert_eq!((&counts["messages"], &counts["octets"], &counts["errors"]), (&json!(1), &json!(1000), &json!({})));
    }

    #[test]
    fn refuses_and_counts_an_appended_message_that_is_damaged() {
        let mut append = [b"a APPEND INBOX {1000+}\r\n", Body::from(1000).at(0), b"\r\n"].concat();
        append[24 + 500] ^= 1;
        let (said, counts) = converse::<Imap>(&append);
        assert_eq!(said, "a NO octet 500 of 1000 is wrong\r\n");
        assert_eq!(counts["errors"], json!({"octet 500 of 1000 is wrong": 1}));
        let (said, counts) = converse::<Imap>(&append[..200]);
        assert_eq!((said.as_str(), &counts["errors"]), ("", &json!({"ended after 176 of 1000 octets": 1})));
    }
}
