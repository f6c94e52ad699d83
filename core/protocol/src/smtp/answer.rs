//! What a client is told: one reply of one line.

use super::response::{Reply, split_enhanced};
use crate::text::printable;

/// Octets of a text that is not ours: one line of 512 with all before it.
const MAX_TEXT: usize = 400;
/// A server that says it goes away; from us it would say that we do.
const CLOSING: u16 = 421;
/// What it is to a client of ours: a local error.
const LOCAL_ERROR: u16 = 451;
/// TLS or a login is asked of us: the endpoint is set up wrong, and nobody's mail shall bounce for it.
const ASKED_OF_US: &[u16] = &[530, 535, 538];

/// A reply of one line.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Answer {
    code: u16,
    text: String,
}

impl Answer {
    /// One of ours; `text` begins with its enhanced status code.
    #[must_use]
    pub fn new(code: u16, text: &str) -> Self {
        Self { code, text: printable(text.as_bytes(), MAX_TEXT) }
    }

    /// A backend's own: its code and text, its lines made one.
    pub(super) fn of(reply: &Reply) -> Self {
        if ASKED_OF_US.contains(&reply.code) {
            return Self::new(
                LOCAL_ERROR,
                "4.3.5 The server of this mailbox does not take our mail, please try again later.",
            );
        }
        let mut enhanced = None;
        let mut texts = Vec::with_capacity(reply.lines.len());
        for line in &reply.lines {
            let (status, text) = split_enhanced(line);
            enhanced = enhanced.or(status);
            texts.push(text);
        }
        let text = printable(&texts.join(&b' '), MAX_TEXT);
        let text = match (enhanced, text.trim()) {
            (None, "") => "As the server says.".to_owned(),
            (None, text) => text.to_owned(),
            (Some(enhanced), text) => format!("{enhanced} {text}").trim_end().to_owned(),
        };
        Self { code: if reply.code == CLOSING { LOCAL_ERROR } else { reply.code }, text }
    }

    /// Whether what was asked for is done.
    #[must_use]
    pub fn is_positive(&self) -> bool {
        matches!(self.code, 200..300)
    }

    /// The reply code.
    #[must_use]
    pub fn code(&self) -> u16 {
        self.code
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        say(out, &self.to_string());
    }
}

impl std::fmt::Display for Answer {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(to, "{} {}", self.code, self.text)
    }
}

/// Writes a line.
pub(super) fn say(out: &mut Vec<u8>, line: &str) {
    out.extend_from_slice(line.as_bytes());
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backend_s_reply_is_told_in_one_printable_line() {
        let table: &[(u16, &[&[u8]], &str)] = &[
            (250, &[b"2.1.5 Ok"], "250 2.1.5 Ok"),
            (250, &[b"Ok"], "250 Ok"),
            (250, &[b""], "250 As the server says."),
            (550, &[b"5.1.1 <a@b>:", b"5.1.1 unknown"], "550 5.1.1 <a@b>: unknown"),
            (550, &[b"no", b"5.7.1 spam"], "550 5.7.1 no spam"),
            (452, &[b"4.2.2 d\xc3\xa9lai\t\x1b!"], "452 4.2.2 dlai!"),
            (421, &[b"4.3.2 going down"], "451 4.3.2 going down"),
            (
                530,
                &[b"5.7.0 Must issue a STARTTLS command first"],
                "451 4.3.5 The server of this mailbox does not take our mail, please try again later.",
            ),
        ];
        for (code, lines, expected) in table {
            let reply = Reply { code: *code, lines: lines.iter().map(|line| line.to_vec()).collect() };
            assert_eq!(Answer::of(&reply).to_string(), *expected);
        }
        let long = Reply { code: 250, lines: vec![vec![b'x'; 1000]; 3] };
        assert_eq!(Answer::of(&long).to_string().len(), "250 ".len() + MAX_TEXT);
    }
}
