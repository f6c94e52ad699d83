//! What a backend says: lines, and the replies in them.

use crate::sasl::Mechanism;
use crate::{Error, Input, Refusal};

/// Octets of one line, CRLF included; RFC 2449 allows 512.
const MAX_LINE: usize = 1024;
/// Octets of all lines before the login.
const MAX_ALL: usize = 65_536;
/// Lines of one answer to CAPA.
const MAX_CAPABILITIES: usize = 64;
/// Octets of a refusal's text that the client is told.
const MAX_TEXT: usize = 256;

/// A reply of one line.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Reply<'a> {
    /// `+` and a challenge: the backend asks for a response (RFC 5034).
    Continue(&'a [u8]),
    /// `-ERR`, and what it means for a login.
    Err(Refusal),
    /// `+OK`, and its text.
    Ok(&'a [u8]),
}

/// Cuts lines, and counts them against [`MAX_ALL`].
#[derive(Debug, Default)]
pub(super) struct Lines {
    octets: usize,
}

impl Lines {
    /// The next line, without its CRLF; none: it is not complete.
    pub(super) fn next(&mut self, input: &mut Input) -> Result<Option<Vec<u8>>, Error> {
        let Some(length) = input.line_len() else {
            return if input.len() >= MAX_LINE { Err(Error::BackendOverflow) } else { Ok(None) };
        };
        self.octets = self.octets.saturating_add(length);
        if length > MAX_LINE || self.octets > MAX_ALL {
            return Err(Error::BackendOverflow);
        }
        let line = match input.bytes().get(..length) {
            Some([line @ .., b'\r', b'\n']) if !line.iter().any(|octet| b"\r\0".contains(octet)) => line.to_vec(),
            _ => return Err(Error::BackendProtocol("the end of a line")),
        };
        input.consume(length);
        Ok(Some(line))
    }
}

impl<'a> Reply<'a> {
    /// Reads a line; none: it is no reply.
    pub(super) fn parse(line: &'a [u8]) -> Option<Self> {
        let (status, text) = match line.iter().position(|&octet| octet == b' ') {
            Some(space) => (line.get(..space)?, line.get(space.saturating_add(1)..)?),
            None => (line, &b""[..]),
        };
        match status {
            b"+OK" => Some(Self::Ok(text)),
            b"-ERR" => Some(Self::Err(refusal(text))),
            b"+" => Some(Self::Continue(text)),
            _ => None,
        }
    }
}

/// What the text behind `-ERR` means for a login (RFC 2449, section 8; RFC 3206).
fn refusal(text: &[u8]) -> Refusal {
    let Some((code, text)) = split_code(text) else {
        return Refusal::Credentials;
    };
    if code == "IN-USE" || code == "LOGIN-DELAY" || code.starts_with("SYS/") {
        Refusal::Told { code, text: printable(text) }
    } else if code.starts_with("REFERRAL/") {
        // Dovecot's, for where the user lives: our routes say otherwise, and it is never the client's business.
        Refusal::Temporary
    } else {
        // AUTH, or a code that RFC 2449 says to overlook.
        Refusal::Credentials
    }
}

fn split_code(text: &[u8]) -> Option<(String, &[u8])> {
    let inside = text.strip_prefix(b"[")?;
    let end = inside.iter().position(|&octet| octet == b']')?;
    let code = inside.get(..end)?;
    if code.is_empty() || !code.iter().all(u8::is_ascii_graphic) {
        return None;
    }
    let rest = inside.get(end.saturating_add(1)..)?;
    Some((printable(&code.to_ascii_uppercase()), rest.strip_prefix(b" ").unwrap_or(rest)))
}

fn printable(text: &[u8]) -> String {
    let shown = |&octet: &u8| if matches!(octet, b' '..=b'~') { char::from(octet) } else { '?' };
    text.iter().take(MAX_TEXT).map(shown).collect()
}

/// What a backend's CAPA lists.
#[derive(Debug, Default)]
pub(super) struct Capabilities {
    words: Vec<String>,
    /// What SASL lists, upper case.
    mechanisms: Vec<String>,
}

impl Capabilities {
    /// Takes one line of the answer; true: it was the last.
    pub(super) fn line(&mut self, line: &[u8]) -> Result<bool, Error> {
        if line == b"." {
            return Ok(true);
        }
        if self.words.len() >= MAX_CAPABILITIES {
            return Err(Error::BackendOverflow);
        }
        let mut words = line.split(|&octet| octet == b' ');
        let word = words.next().unwrap_or_default().to_ascii_uppercase();
        if word.is_empty() || !word.iter().all(u8::is_ascii_graphic) {
            return Err(Error::BackendProtocol("CAPA"));
        }
        if word == b"SASL" {
            self.mechanisms = words.map(|mechanism| printable(&mechanism.to_ascii_uppercase())).collect();
        }
        self.words.push(printable(&word));
        Ok(false)
    }

    /// Whether AUTH takes a mechanism.
    pub(super) fn takes(&self, mechanism: Mechanism) -> bool {
        mechanism.is_among(self.mechanisms.iter().map(String::as_str))
    }

    /// Whether commands may be sent before the answers to those before them.
    pub(super) fn pipelining(&self) -> bool {
        self.words.iter().any(|word| word == "PIPELINING")
    }

    /// The words; a mechanism is one too, written as in IMAP.
    pub(super) fn into_words(mut self) -> Vec<String> {
        self.words.extend(self.mechanisms.iter().map(|mechanism| format!("AUTH={mechanism}")));
        self.words
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(code: &str, text: &str) -> Reply<'static> {
        Reply::Err(Refusal::Told { code: code.into(), text: text.into() })
    }

    #[test]
    fn replies_mean_what_the_rfcs_say() {
        let table: &[(&[u8], Option<Reply<'_>>)] = &[
            (b"+OK", Some(Reply::Ok(b""))),
            (b"+OK ", Some(Reply::Ok(b""))),
            (b"+OK Logged in.", Some(Reply::Ok(b"Logged in."))),
            (b"+", Some(Reply::Continue(b""))),
            (b"+ ", Some(Reply::Continue(b""))),
            (b"+ VXNlcm5hbWU6", Some(Reply::Continue(b"VXNlcm5hbWU6"))),
            (b"-ERR", Some(Reply::Err(Refusal::Credentials))),
            (b"-ERR no such user", Some(Reply::Err(Refusal::Credentials))),
            (b"-ERR [AUTH] wrong", Some(Reply::Err(Refusal::Credentials))),
            (b"-ERR [auth]", Some(Reply::Err(Refusal::Credentials))),
            (b"-ERR [X-NEW] what", Some(Reply::Err(Refusal::Credentials))),
            (b"-ERR [] what", Some(Reply::Err(Refusal::Credentials))),
            (b"-ERR [SYS/TEMP what", Some(Reply::Err(Refusal::Credentials))),
            (b"-ERR [REFERRAL/siti@192.0.2.1] go", Some(Reply::Err(Refusal::Temporary))),
            (b"-ERR [SYS/TEMP] Down.", Some(told("SYS/TEMP", "Down."))),
            (b"-ERR [sys/perm]Gone.", Some(told("SYS/PERM", "Gone."))),
            (b"-ERR [IN-USE] Mailbox is locked.", Some(told("IN-USE", "Mailbox is locked."))),
            (b"-ERR [LOGIN-DELAY] d\xc3\xa9lai\t!", Some(told("LOGIN-DELAY", "d??lai?!"))),
            (b"", None),
            (b"+ok", None),
            (b"+OKAY", None),
            (b"-ERROR", None),
            (b"* OK IMAP4rev1", None),
            (b"220 smtp", None),
            (b"\x15\x03\x01", None),
        ];
        for (line, expected) in table {
            assert_eq!(Reply::parse(line), *expected, "{}", line.escape_ascii());
        }
    }

    #[test]
    fn a_line_ends_with_crlf_and_nothing_else() {
        let mut input = Input::new();
        input.extend(b"+OK a\r\n+OK b\r");
        assert_eq!(Lines::default().next(&mut input), Ok(Some(b"+OK a".to_vec())));
        assert_eq!(Lines::default().next(&mut input), Ok(None));
        for bad in [&b"+OK\n"[..], b"+O\rK\r\n", b"+O\0K\r\n", b"\n"] {
            let mut input = Input::new();
            input.extend(bad);
            assert_eq!(Lines::default().next(&mut input), Err(Error::BackendProtocol("the end of a line")));
        }
    }

    #[test]
    fn a_line_and_all_of_them_are_bounded() {
        let mut input = Input::new();
        input.extend(&[b'x'; MAX_LINE - 1]);
        assert_eq!(Lines::default().next(&mut input), Ok(None));
        input.extend(b"x");
        assert_eq!(Lines::default().next(&mut input), Err(Error::BackendOverflow));

        let mut lines = Lines::default();
        let mut input = Input::new();
        input.extend(&b"+OK\r\n".repeat(MAX_ALL / 5 + 1));
        for _ in 0..MAX_ALL / 5 {
            assert_eq!(lines.next(&mut input), Ok(Some(b"+OK".to_vec())));
        }
        assert_eq!(lines.next(&mut input), Err(Error::BackendOverflow));
    }

    #[test]
    fn capabilities_are_words_and_bounded() {
        let mut capabilities = Capabilities::default();
        for line in [&b"top"[..], b"SASL LOGIN plain", b"EXPIRE 31", b"PIPELINING"] {
            assert_eq!(capabilities.line(line), Ok(false));
        }
        assert_eq!(capabilities.line(b"."), Ok(true));
        assert!(capabilities.takes(Mechanism::Plain) && capabilities.pipelining());
        let words = ["TOP", "SASL", "EXPIRE", "PIPELINING", "AUTH=LOGIN", "AUTH=PLAIN"];
        assert_eq!(capabilities.into_words(), words);

        let mut capabilities = Capabilities::default();
        assert_eq!(capabilities.line(b""), Err(Error::BackendProtocol("CAPA")));
        assert_eq!(capabilities.line(b"\xff"), Err(Error::BackendProtocol("CAPA")));
        for _ in 0..MAX_CAPABILITIES {
            assert_eq!(capabilities.line(b"SASL CRAM-MD5"), Ok(false));
        }
        assert!(!capabilities.takes(Mechanism::Plain) && !capabilities.pipelining());
        assert_eq!(capabilities.line(b"TOP"), Err(Error::BackendOverflow));
    }
}
