//! What a client of mail says, from the greeting to its leave.

use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::connection::Connection;

/// A protocol's words.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Script {
    Imap,
    Pop3,
    Submission,
}

impl FromStr for Script {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        match name {
            "imap" => Ok(Self::Imap),
            "pop3" => Ok(Self::Pop3),
            "submission" => Ok(Self::Submission),
            _ => Err("imap, pop3 or submission".to_owned()),
        }
    }
}

impl Script {
    /// Hears the greeting.
    pub(crate) async fn greeting(self, from: &mut Connection) -> Result<(), String> {
        let answer = from.line("greeting", |line| match self {
            Self::Imap => line.strip_prefix("* ").map(str::to_owned),
            Self::Pop3 | Self::Submission => self.answer(line),
        });
        self.judge("greeting", &answer.await?)
    }

    /// Asks for TLS, which begins with the next octet.
    pub(crate) async fn starttls(self, to: &mut Connection) -> Result<(), String> {
        match self {
            Self::Imap => self.say(to, "STARTTLS").await,
            Self::Pop3 => self.say(to, "STLS").await,
            Self::Submission => {
                self.say(to, EHLO).await?;
                self.say(to, "STARTTLS").await
            }
        }
    }

    /// Logs in.
    pub(crate) async fn log_in(self, to: &mut Connection, (account, password): (&str, &str)) -> Result<(), String> {
        match self {
            Self::Imap => self.say(to, &format!("LOGIN {} {}", quoted(account), quoted(password))).await,
            Self::Pop3 => {
                self.say(to, &format!("USER {account}")).await?;
                self.say(to, &format!("PASS {password}")).await
            }
            Self::Submission => {
                self.say(to, EHLO).await?;
                self.say(to, &format!("AUTH PLAIN {}", STANDARD.encode(format!("\0{account}\0{password}")))).await
            }
        }
    }

    /// A polite end.
    pub(crate) async fn leave(self, to: &mut Connection) -> Result<(), String> {
        match self {
            Self::Imap => self.say(to, "LOGOUT").await,
            Self::Pop3 | Self::Submission => self.say(to, "QUIT").await,
        }
    }

    /// Rests as programs do: in IDLE where the protocol has it.
    pub(crate) async fn idle(self, to: &mut Connection) -> Result<(), String> {
        if self == Self::Imap {
            self.say(to, "SELECT INBOX").await?;
            to.send("IDLE", b"a IDLE\r\n").await?;
            to.line("IDLE", |line| line.starts_with('+').then_some(())).await?;
        }
        Ok(())
    }

    /// One command and its answer, which must be a good one.
    pub(crate) async fn say(self, to: &mut Connection, command: &str) -> Result<(), String> {
        let verb = command.split(' ').next().unwrap_or_default();
        let tag = if self == Self::Imap { TAG } else { "" };
        to.send(verb, format!("{tag}{command}\r\n").as_bytes()).await?;
        self.hear(to, verb).await
    }

    /// The answer to a command, which must be a good one.
    pub(crate) async fn hear(self, from: &mut Connection, verb: &str) -> Result<(), String> {
        let answer = from.line(verb, |line| self.answer(line)).await?;
        self.judge(verb, &answer)
    }

    /// The line that ends an answer, without its tag.
    fn answer(self, line: &str) -> Option<String> {
        let answer = match self {
            Self::Imap => line.strip_prefix(TAG)?,
            Self::Pop3 => line,
            Self::Submission => Some(line).filter(|line| line.as_bytes().get(3) != Some(&b'-'))?,
        };
        Some(answer.to_owned())
    }

    fn judge(self, verb: &str, answer: &str) -> Result<(), String> {
        let good = match self {
            Self::Imap => answer.starts_with("OK"),
            Self::Pop3 => answer.starts_with("+OK"),
            Self::Submission => answer.starts_with(['2', '3']),
        };
        if good { Ok(()) } else { Err(format!("{verb}: {answer}")) }
    }
}

/// A quoted string of IMAP.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// The one tag of a client that waits for each answer.
pub(crate) const TAG: &str = "a ";
const EHLO: &str = "EHLO load.example";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_what_would_end_a_string() {
        assert_eq!(quoted(r#"a"b\c d"#), r#""a\"b\\c d""#);
    }

    #[test]
    fn an_answer_ends_with_the_line_that_says_so() {
        for (script, line, answer) in [
            (Script::Imap, "* OK still here", None),
            (Script::Imap, "a NO [UNAVAILABLE] later", Some("NO [UNAVAILABLE] later")),
            (Script::Pop3, "-ERR no", Some("-ERR no")),
            (Script::Submission, "250-PIPELINING", None),
            (Script::Submission, "250 AUTH PLAIN", Some("250 AUTH PLAIN")),
        ] {
            assert_eq!(script.answer(line).as_deref(), answer, "{line}");
        }
    }

    #[test]
    fn only_a_good_answer_is_one() {
        for (script, good, bad) in [
            (Script::Imap, "OK in", "NO in"),
            (Script::Pop3, "+OK", "-ERR"),
            (Script::Submission, "235 in", "535 not in"),
        ] {
            assert_eq!(script.judge("LOGIN", good), Ok(()));
            assert_eq!(script.judge("LOGIN", bad), Err(format!("LOGIN: {bad}")));
        }
    }
}
