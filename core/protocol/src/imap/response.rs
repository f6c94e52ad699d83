//! What a backend says: its lines cut out of the input, and each read into a [`Response`].
//!
//! Only lines that matter before the login are looked into. Literals can only be in untagged data, which the login does
//! not need: they are skipped as they come in and never held.

use crate::strings::{Ending, ending};
use crate::{Error, Input};

/// Longest line. Capabilities of a few thousand octets are the longest that honest backends send.
pub const MAX_LINE: usize = 16_384;
/// Octets before the login is done, literals included.
const MAX_OCTETS: usize = 65_536;
/// Lines before the login is done.
const MAX_LINES: u32 = 256;

/// One line, understood as far as a login needs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Response<'a> {
    /// The words behind `* CAPABILITY `.
    Capability(&'a [u8]),
    /// `+`: go on. In a SASL exchange the challenge follows.
    Continue(&'a [u8]),
    /// Other untagged data.
    Data,
    /// OK, NO, BAD, BYE or PREAUTH.
    Status {
        /// None: untagged.
        tag: Option<&'a [u8]>,
        /// Which of them.
        condition: Condition,
        /// What follows.
        text: Text<'a>,
    },
}

/// The condition of a status response.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Condition {
    /// Not understood.
    Bad,
    /// Goodbye.
    Bye,
    /// No.
    No,
    /// Done.
    Ok,
    /// Logged in by other means.
    Preauth,
}

/// The text of a status response.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Text<'a> {
    /// All of it.
    pub whole: &'a [u8],
    /// What stands in brackets before it: the code and its arguments.
    pub code: Option<(&'a [u8], &'a [u8])>,
    /// What is for people.
    pub human: &'a [u8],
}

impl<'a> Response<'a> {
    /// Reads a line; none: it is not IMAP.
    #[must_use]
    pub fn new(line: &'a [u8]) -> Option<Self> {
        let line = line.strip_suffix(b"\r\n")?;
        if line.iter().any(|octet| b"\0\r\n".contains(octet)) {
            return None;
        }
        let (tag, rest) = word(line);
        match tag {
            b"+" => Some(Self::Continue(rest.unwrap_or_default())),
            b"*" => Some(Self::untagged(rest?)),
            b"" => None,
            tag => Self::status(Some(tag), rest?),
        }
    }

    /// Whether it answers a command of ours.
    #[must_use]
    pub fn is_answer(&self) -> bool {
        matches!(self, Self::Continue(_) | Self::Status { tag: Some(_), .. })
    }

    /// Whether it holds the code.
    #[must_use]
    pub fn has_code(&self, name: &str) -> bool {
        matches!(self, Self::Status { text, .. } if text.has_code(name))
    }

    fn untagged(rest: &'a [u8]) -> Self {
        let (name, words) = word(rest);
        if name.eq_ignore_ascii_case(b"CAPABILITY") {
            return Self::Capability(words.unwrap_or_default());
        }
        Self::status(None, rest).unwrap_or(Self::Data)
    }

    fn status(tag: Option<&'a [u8]>, rest: &'a [u8]) -> Option<Self> {
        let (name, text) = word(rest);
        let condition = match name.to_ascii_uppercase().as_slice() {
            b"BAD" => Condition::Bad,
            b"BYE" => Condition::Bye,
            b"NO" => Condition::No,
            b"OK" => Condition::Ok,
            b"PREAUTH" => Condition::Preauth,
            _ => return None,
        };
        Some(Self::Status { tag, condition, text: Text::new(text.unwrap_or_default()) })
    }
}

impl<'a> Text<'a> {
    fn new(whole: &'a [u8]) -> Self {
        let bracketed = whole.strip_prefix(b"[").and_then(|rest| {
            let end = rest.iter().position(|&octet| octet == b']')?;
            let (code, human) = rest.split_at_checked(end)?;
            Some((code, human.strip_prefix(b"]")?))
        });
        match bracketed {
            Some((code, human)) => {
                let (name, arguments) = word(code);
                let human = human.strip_prefix(b" ").unwrap_or(human);
                Self { whole, code: Some((name, arguments.unwrap_or_default())), human }
            }
            None => Self { whole, code: None, human: whole },
        }
    }

    /// The arguments of the code, if it is this one.
    #[must_use]
    pub fn code(&self, name: &str) -> Option<&'a [u8]> {
        self.code.filter(|(code, _)| code.eq_ignore_ascii_case(name.as_bytes())).map(|(_, arguments)| arguments)
    }

    /// Whether it is this code.
    #[must_use]
    pub fn has_code(&self, name: &str) -> bool {
        self.code(name).is_some()
    }
}

/// The first word, and what follows the space behind it, if there is one.
fn word(line: &[u8]) -> (&[u8], Option<&[u8]>) {
    let end = line.iter().position(|&octet| octet == b' ').unwrap_or(line.len());
    let (word, rest) = line.split_at_checked(end).unwrap_or((line, &[]));
    (word, rest.strip_prefix(b" "))
}

/// Cuts lines and skips literals; knows what was there before the question.
#[derive(Debug)]
pub struct Lines {
    /// Octets of the input that came before the last question.
    early: usize,
    /// Within untagged data, behind a literal.
    inside: bool,
    /// Octets of a literal still to skip.
    literal: usize,
    /// Octets that may still come.
    octets: usize,
    /// Lines that may still come.
    lines: u32,
}

/// A line with its CR LF.
#[derive(Debug)]
pub struct Line {
    /// The line.
    pub bytes: Vec<u8>,
    /// It began to arrive before the last question was asked.
    pub early: bool,
}

impl Default for Lines {
    fn default() -> Self {
        Self { early: 0, inside: false, literal: 0, octets: MAX_OCTETS, lines: MAX_LINES }
    }
}

impl Lines {
    /// A question is asked now: what the input holds was said before it.
    pub fn asked(&mut self, input: &Input) {
        self.early = input.len();
    }

    /// The next line that begins a response; none: more bytes are needed.
    ///
    /// # Errors
    /// [`Error::BackendOverflow`], past any of the bounds.
    pub fn next(&mut self, input: &mut Input) -> Result<Option<Line>, Error> {
        loop {
            let skipped = self.literal.min(input.len());
            input.consume(skipped);
            self.early = self.early.saturating_sub(skipped);
            self.literal = self.literal.saturating_sub(skipped);
            if self.literal > 0 {
                return Ok(None);
            }
            let Some(length) = input.line_len() else {
                return if input.len() > MAX_LINE { Err(Error::BackendOverflow) } else { Ok(None) };
            };
            if length > MAX_LINE {
                return Err(Error::BackendOverflow);
            }
            self.octets = self.octets.checked_sub(length).ok_or(Error::BackendOverflow)?;
            self.lines = self.lines.checked_sub(1).ok_or(Error::BackendOverflow)?;
            let bytes = input.bytes().get(..length).unwrap_or_default().to_vec();
            input.consume(length);
            let early = self.early > 0;
            self.early = self.early.saturating_sub(length);
            let begins = !self.inside;
            self.inside = self.literal_follows(&bytes)?;
            if begins {
                return Ok(Some(Line { bytes, early }));
            }
        }
    }

    fn literal_follows(&mut self, line: &[u8]) -> Result<bool, Error> {
        let data = self.inside || matches!(Response::new(line), Some(Response::Data));
        let Ending::Literal { size, .. } = ending(line) else { return Ok(false) };
        if data {
            self.literal = usize::try_from(size).map_err(|_| Error::BackendOverflow)?;
            self.octets = self.octets.checked_sub(self.literal).ok_or(Error::BackendOverflow)?;
        }
        Ok(data)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(whole: &[u8]) -> Text<'_> {
        Text::new(whole)
    }

    #[test]
    fn reads_each_kind_of_line() {
        let status = |tag, condition, whole| Some(Response::Status { tag, condition, text: text(whole) });
        for (line, expected) in [
            (&b"* OK hello\r\n"[..], status(None, Condition::Ok, b"hello")),
            (b"* preauth\r\n", status(None, Condition::Preauth, b"")),
            (b"* BYE [X] b\r\n", status(None, Condition::Bye, b"[X] b")),
            (b"z1 NO [ALERT] a b\r\n", status(Some(b"z1"), Condition::No, b"[ALERT] a b")),
            (b"z1 bad\r\n", status(Some(b"z1"), Condition::Bad, b"")),
            (b"* CAPABILITY A B\r\n", Some(Response::Capability(b"A B"))),
            (b"* ID NIL\r\n", Some(Response::Data)),
            (b"+\r\n", Some(Response::Continue(b""))),
            (b"+ \r\n", Some(Response::Continue(b""))),
            (b"+ VXNlcg==\r\n", Some(Response::Continue(b"VXNlcg=="))),
            (b"\r\n", None),
            (b"z1\r\n", None),
            (b"*\r\n", None),
            (b"z1 FETCH\r\n", None),
            (b"HTTP/1.1 400 Bad Request\r\n", None),
            (b"* OK a\n", None),
            (b"* OK a\0b\r\n", None),
            (b"* OK a\rb\r\n", None),
        ] {
            assert_eq!(Response::new(line), expected, "{}", line.escape_ascii());
        }
    }

    #[test]
    fn takes_the_code_from_the_text() {
        assert_eq!(text(b"[CAPABILITY A B] hi").code("capability"), Some(&b"A B"[..]));
        assert_eq!(text(b"[ALERT] hi").human, b"hi");
        assert!(text(b"[ALERT]").has_code("ALERT"));
        assert_eq!(text(b"[ALERT hi").code, None);
        assert_eq!(text(b"hi [ALERT]").code, None);
    }

    fn lines(input: &mut Input, lines: &mut Lines) -> Vec<Vec<u8>> {
        std::iter::from_fn(|| lines.next(input).unwrap().map(|line| line.bytes)).collect()
    }

    #[test]
    fn skips_literals_of_untagged_data_wherever_it_is_cut() {
        let bytes = b"* ID (\"a\" {7}\r\nx OK\r\n! {2}\r\n{9 NIL)\r\n* OK {3}\r\nz1 OK {4}\r\n";
        let expected = [&b"* ID (\"a\" {7}\r\n"[..], b"* OK {3}\r\n", b"z1 OK {4}\r\n"];
        for cut in 0..=bytes.len() {
            let (mut input, mut reader) = (Input::new(), Lines::default());
            let (before, after) = bytes.split_at(cut);
            input.extend(before);
            let mut read = lines(&mut input, &mut reader);
            input.extend(after);
            read.extend(lines(&mut input, &mut reader));
            assert_eq!(read, expected, "cut at {cut}");
        }
    }

    #[test]
    fn everything_has_an_end() {
        for endless in [
            [&b"* OK "[..], &[b'x'; MAX_LINE]].concat(),
            [&b"* OK "[..], &[b'x'; MAX_LINE], b"\r\n"].concat(),
            b"* ID {65537}\r\n".to_vec(),
            b"* ID {99999999999999999999}\r\n".to_vec(),
            b"* OK\r\n".repeat(257),
            [b"* OK ".to_vec(), vec![b'x'; 16_000], b"\r\n".to_vec()].concat().repeat(5),
        ] {
            let (mut input, mut reader) = (Input::new(), Lines::default());
            input.extend(&endless);
            let end = loop {
                match reader.next(&mut input) {
                    Ok(Some(_)) => {}
                    other => break other.map(|line| line.is_some()),
                }
            };
            assert_eq!(end, Err(Error::BackendOverflow));
        }
    }

    #[test]
    fn knows_what_was_said_before_the_question() {
        let (mut input, mut reader) = (Input::new(), Lines::default());
        input.extend(b"* OK hi\r\nz1 O");
        reader.next(&mut input).unwrap();
        reader.asked(&input);
        input.extend(b"K\r\nz1 OK\r\n");
        assert!(reader.next(&mut input).unwrap().unwrap().early);
        assert!(!reader.next(&mut input).unwrap().unwrap().early);
    }
}
