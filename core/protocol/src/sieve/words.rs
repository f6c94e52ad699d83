//! The words and strings of ManageSieve (RFC 5804, section 4), read and written.

use zeroize::Zeroizing;

use crate::strings;

/// Octets of a quoted string; a longer one goes as a literal.
const MAX_QUOTED: usize = 1024;

/// What of a command or response is not yet read.
pub(super) struct Words<'a>(pub(super) &'a [u8]);

impl<'a> Words<'a> {
    /// Up to a space, a parenthesis, the beginning of a string, or the end of the line; may be empty.
    pub(super) fn atom(&mut self) -> &'a [u8] {
        let end = self.0.iter().position(|octet| b" ()\"{\r\n".contains(octet)).unwrap_or(self.0.len());
        let (word, rest) = self.0.split_at_checked(end).unwrap_or((self.0, &[]));
        self.0 = rest;
        word
    }

    /// A string; none: there is none.
    pub(super) fn string(&mut self) -> Option<Zeroizing<Vec<u8>>> {
        let quoted = strings::quoted(self.0);
        let string = quoted.or_else(|| strings::literal(self.0).map(|(text, rest)| (text.to_vec().into(), rest)));
        let (text, rest) = string?;
        self.0 = rest;
        Some(text)
    }

    /// Takes an octet, if it is the next.
    pub(super) fn octet(&mut self, expected: u8) -> bool {
        match self.0.split_first() {
            Some((&octet, rest)) if octet == expected => {
                self.0 = rest;
                true
            }
            _ => false,
        }
    }

    /// Whether nothing but the end of the line is left.
    pub(super) fn is_at_end(&self) -> bool {
        self.0 == b"\r\n"
    }
}

/// Whether a string may be a quoted one.
pub(super) fn is_quotable(text: &[u8]) -> bool {
    text.len() <= MAX_QUOTED && !text.iter().any(|octet| b"\r\n\0".contains(octet))
}

/// Writes a string for a client: quoted, or as a literal where it must be one.
pub(super) fn write_string(text: &[u8], out: &mut Vec<u8>) {
    if !is_quotable(text) {
        out.extend_from_slice(format!("{{{}}}\r\n", text.len()).as_bytes());
        out.extend_from_slice(text);
        return;
    }
    out.push(b'"');
    for &octet in text {
        if matches!(octet, b'"' | b'\\') {
            out.push(b'\\');
        }
        out.push(octet);
    }
    out.push(b'"');
}

/// Writes `OK`, `NO` or `BYE`, a response code unless it is empty, and a text.
pub(super) fn write_status(condition: &str, code: &str, text: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(condition.as_bytes());
    if !code.is_empty() {
        out.extend_from_slice(format!(" ({code})").as_bytes());
    }
    out.push(b' ');
    write_string(text, out);
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let long = vec![b'x'; MAX_QUOTED];
        let longer = vec![b'x'; MAX_QUOTED + 1];
        for text in [&b""[..], b"a b", b"a\"b\\c", b"{3}", b"a\r\nb", b"\xc3\xa9", &long, &longer] {
            let mut out = Vec::new();
            write_string(text, &mut out);
            out.extend_from_slice(b"\r\n");
            let mut words = Words(&out);
            assert_eq!(words.string().as_deref().map(Vec::as_slice), Some(text), "{}", out.escape_ascii());
            assert!(words.is_at_end());
            assert_eq!(out.starts_with(b"\""), is_quotable(text));
        }
    }

    #[test]
    fn a_status_has_a_code_where_there_is_one() {
        let written = |code, text: &str| {
            let mut out = Vec::new();
            write_status("NO", code, text.as_bytes(), &mut out);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(written("", "say \"a\""), "NO \"say \\\"a\\\"\"\r\n");
        assert_eq!(written("TRYLATER", "later"), "NO (TRYLATER) \"later\"\r\n");
    }
}
