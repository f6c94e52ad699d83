//! What a backend says: replies of one line or many, and what a refused login means.

use crate::text::printable;
use crate::{Error, Input, Refusal};

/// Octets of one line, CRLF included; RFC 5321 allows 512.
const MAX_LINE: usize = 1024;
/// Lines of one reply.
const MAX_LINES: usize = 64;
/// Octets of all replies before the login.
const MAX_ALL: usize = 65_536;
/// Octets of a refusal's text that the client is told.
const MAX_TEXT: usize = 256;

/// A reply.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Reply {
    pub(super) code: u16,
    /// What follows the code in each line; there is one at least.
    pub(super) lines: Vec<Vec<u8>>,
}

/// Puts lines together, and counts them against [`MAX_ALL`].
#[derive(Debug, Default)]
pub(super) struct Replies {
    octets: usize,
    /// Its last line has not come.
    unfinished: Option<Reply>,
}

impl Replies {
    /// The next reply; none: it is not complete. `phase` is what an error says it broke.
    pub(super) fn next(&mut self, input: &mut Input, phase: &'static str) -> Result<Option<Reply>, Error> {
        loop {
            let Some(length) = input.line_len() else {
                return if input.len() >= MAX_LINE { Err(Error::BackendOverflow) } else { Ok(None) };
            };
            self.octets = self.octets.saturating_add(length);
            if length > MAX_LINE || self.octets > MAX_ALL {
                return Err(Error::BackendOverflow);
            }
            let line = match input.bytes().get(..length) {
                Some([line @ .., b'\r', b'\n']) if !line.iter().any(|octet| b"\r\0".contains(octet)) => line,
                _ => return Err(Error::BackendProtocol("the end of a line")),
            };
            let Line { code, last, text } = Line::parse(line).ok_or(Error::BackendProtocol(phase))?;
            let mut reply = self.unfinished.take().unwrap_or(Reply { code, lines: Vec::new() });
            if reply.code != code {
                return Err(Error::BackendProtocol(phase));
            }
            if reply.lines.len() >= MAX_LINES {
                return Err(Error::BackendOverflow);
            }
            reply.lines.push(text.to_vec());
            input.consume(length);
            if last {
                return Ok(Some(reply));
            }
            self.unfinished = Some(reply);
        }
    }
}

/// One line of a reply.
struct Line<'a> {
    code: u16,
    last: bool,
    text: &'a [u8],
}

impl<'a> Line<'a> {
    /// RFC 5321, section 4.2; old servers leave the space out where no text follows.
    fn parse(line: &'a [u8]) -> Option<Self> {
        let (digits, rest) = line.split_at_checked(3)?;
        let [b'2'..=b'5', b'0'..=b'5', b'0'..=b'9'] = digits else { return None };
        let code = std::str::from_utf8(digits).ok()?.parse().ok()?;
        let (last, text) = match rest {
            [] => (true, rest),
            [b' ', text @ ..] => (true, text),
            [b'-', text @ ..] => (false, text),
            _ => return None,
        };
        Some(Self { code, last, text })
    }
}

impl Reply {
    /// The last line, which says what the others lead to.
    pub(super) fn text(&self) -> &[u8] {
        self.lines.last().map_or(&[], Vec::as_slice)
    }

    /// What a 4yz or 5yz reply to AUTH means for the client.
    ///
    /// | reply | meaning |
    /// |---|---|
    /// | 4yz: 454 4.7.0 temporary failure, 432 4.7.12 password transition … | told |
    /// | 535 credentials invalid, 525 5.7.13 account disabled | one text of ours |
    /// | 500 to 504: the backend does not know what it listed | temporary |
    /// | 530, 538 5.7.11 TLS required: the backend's endpoint is set up wrong | temporary |
    /// | other 5yz: 534 5.7.9 mechanism too weak (or app password needed), 550, 554 policy … | told |
    pub(super) fn refusal(&self) -> Refusal {
        match self.code {
            525 | 535 => Refusal::Credentials,
            500..=504 | 530 | 538 => Refusal::Temporary,
            code => self.told(code),
        }
    }

    fn told(&self, code: u16) -> Refusal {
        let class = if code < 500 { b'4' } else { b'5' };
        let mut status = None;
        let mut texts = Vec::with_capacity(self.lines.len());
        for line in &self.lines {
            let (enhanced, text) = split_enhanced(line);
            status = status.or(enhanced.filter(|enhanced| enhanced.as_bytes().first() == Some(&class)));
            texts.push(text);
        }
        let fallback = if class == b'4' { "4.7.0" } else { "5.7.0" };
        let text = printable(&texts.join(&b' '), MAX_TEXT);
        let text = if text.trim().is_empty() { "Login refused.".to_owned() } else { text };
        Refusal::Told { code: format!("{code} {}", status.unwrap_or(fallback)), text }
    }
}

/// An enhanced status code (RFC 2034, RFC 3463) at the start of a text, and what follows it.
pub(super) fn split_enhanced(text: &[u8]) -> (Option<&str>, &[u8]) {
    let end = text.iter().position(|&octet| octet == b' ').unwrap_or(text.len());
    let (word, rest) = text.split_at_checked(end).unwrap_or((text, b""));
    let mut parts = word.split(|&octet| octet == b'.');
    let class = parts.next().is_some_and(|class| matches!(class, b"2" | b"4" | b"5"));
    let number =
        |part: Option<&[u8]>| part.is_some_and(|it| matches!(it.len(), 1..=3) && it.iter().all(u8::is_ascii_digit));
    if class && number(parts.next()) && number(parts.next()) && parts.next().is_none() {
        return (std::str::from_utf8(word).ok(), rest.strip_prefix(b" ").unwrap_or(rest));
    }
    (None, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(text: &[u8]) -> Result<Option<Reply>, Error> {
        let mut input = Input::new();
        input.extend(text);
        Replies::default().next(&mut input, "auth")
    }

    fn lines(code: u16, lines: &[&[u8]]) -> Result<Option<Reply>, Error> {
        Ok(Some(Reply { code, lines: lines.iter().map(|line| line.to_vec()).collect() }))
    }

    #[test]
    fn a_reply_is_lines_of_one_code() {
        let broken = || Err(Error::BackendProtocol("auth"));
        let ending = || Err(Error::BackendProtocol("the end of a line"));
        type Row<'a> = (&'a [u8], Result<Option<Reply>, Error>);
        let table: &[Row<'_>] = &[
            (b"220 mx ESMTP\r\n", lines(220, &[b"mx ESMTP"])),
            (b"250\r\n", lines(250, &[b""])),
            (b"250-mx\r\n250-SIZE\r\n250 DSN\r\n", lines(250, &[b"mx", b"SIZE", b"DSN"])),
            (b"250-\r\n250\r\n", lines(250, &[b"", b""])),
            (b"250-mx\r\n250-SIZE\r\n", Ok(None)),
            (b"250-mx\r\n25", Ok(None)),
            (b"250-mx\r\n550 no\r\n", broken()),
            (b"\r\n", broken()),
            (b"25\r\n", broken()),
            (b"150 x\r\n", broken()),
            (b"600 x\r\n", broken()),
            (b"260 x\r\n", broken()),
            (b"250x\r\n", broken()),
            (b"+OK POP3\r\n", broken()),
            (b"* OK IMAP4\r\n", broken()),
            (b"250 a\n", ending()),
            (b"250 a\rb\r\n", ending()),
            (b"250 a\0b\r\n", ending()),
        ];
        for (text, expected) in table {
            assert_eq!(reply(text), *expected, "{}", text.escape_ascii());
        }
    }

    #[test]
    fn a_line_a_reply_and_all_of_them_are_bounded() {
        assert_eq!(reply(&[b'2'; MAX_LINE - 1]), Ok(None));
        assert_eq!(reply(&[b'2'; MAX_LINE]), Err(Error::BackendOverflow));
        assert_eq!(reply(&[b"250 ", &[b'x'; MAX_LINE][..], b"\r\n"].concat()), Err(Error::BackendOverflow));
        assert_eq!(reply(&b"250-x\r\n".repeat(MAX_LINES)), Ok(None));
        assert_eq!(reply(&b"250-x\r\n".repeat(MAX_LINES + 1)), Err(Error::BackendOverflow));

        let (mut replies, mut input) = (Replies::default(), Input::new());
        input.extend(&b"250 x\r\n".repeat(MAX_ALL / 7 + 1));
        for _ in 0..MAX_ALL / 7 {
            assert!(matches!(replies.next(&mut input, "auth"), Ok(Some(_))));
        }
        assert_eq!(replies.next(&mut input, "auth"), Err(Error::BackendOverflow));
    }

    #[test]
    fn refusals_mean_what_the_rfcs_say() {
        let told = |code: &str, text: &str| Refusal::Told { code: code.into(), text: text.into() };
        let table: &[(&[u8], Refusal)] = &[
            (b"535 5.7.8 Authentication failed\r\n", Refusal::Credentials),
            (b"535 no\r\n", Refusal::Credentials),
            (b"535\r\n", Refusal::Credentials),
            (b"535-5.7.8 Username and password\r\n535 5.7.8 not accepted\r\n", Refusal::Credentials),
            (b"525 5.7.13 User account disabled\r\n", Refusal::Credentials),
            (b"454 4.7.0 Temporary\r\n", told("454 4.7.0", "Temporary")),
            (b"454 down\r\n", told("454 4.7.0", "down")),
            (b"454 5.7.0 down\r\n", told("454 4.7.0", "down")),
            (b"432 4.7.12 Set a password first\r\n", told("432 4.7.12", "Set a password first")),
            (
                b"534-5.7.9 Application password\r\n534 5.7.9 required.\r\n",
                told("534 5.7.9", "Application password required."),
            ),
            (b"550 5.7.1\r\n", told("550 5.7.1", "Login refused.")),
            (b"554 d\xc3\xa9lai\t!\r\n", told("554 5.7.0", "dlai!")),
            (b"530 5.7.0 Must issue a STARTTLS command first\r\n", Refusal::Temporary),
            (b"538 5.7.11 Encryption required\r\n", Refusal::Temporary),
            (b"504 5.5.4 Unknown mechanism\r\n", Refusal::Temporary),
            (b"500 5.5.2 What?\r\n", Refusal::Temporary),
        ];
        for (text, expected) in table {
            let reply = reply(text).unwrap().unwrap();
            assert_eq!(reply.refusal(), *expected, "{}", text.escape_ascii());
        }
    }

    #[test]
    fn an_enhanced_code_is_three_numbers() {
        let table: &[(&[u8], Option<&str>, &[u8])] = &[
            (b"2.7.0 Hi", Some("2.7.0"), b"Hi"),
            (b"5.7.139 No", Some("5.7.139"), b"No"),
            (b"2.7.0", Some("2.7.0"), b""),
            (b"3.7.0 x", None, b"3.7.0 x"),
            (b"2.7 x", None, b"2.7 x"),
            (b"2.7.0.1 x", None, b"2.7.0.1 x"),
            (b"2.7.1000 x", None, b"2.7.1000 x"),
            (b"2..0 x", None, b"2..0 x"),
            (b"", None, b""),
        ];
        for (text, code, rest) in table {
            assert_eq!(split_enhanced(text), (*code, *rest));
        }
    }
}
