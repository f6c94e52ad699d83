//! The octets that IMAP's grammar names (RFC 3501, section 9), for both machines.

use crate::text::is_printable;

/// Longest tag. Clients count in a few digits; a longer one only serves to have us say it back.
pub(super) const MAX_TAG: usize = 64;

/// A tag that the grammar allows and that is short: the only words of a client's that are ever said back to it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Tag(Box<str>);

impl Tag {
    /// Checks octets: printable ASCII without specials and `+`, at most 64.
    #[must_use]
    pub fn new(octets: &[u8]) -> Option<Self> {
        let legal = |&octet: &u8| octet.is_ascii_graphic() && !b"(){%*\"\\+".contains(&octet);
        if octets.is_empty() || octets.len() > MAX_TAG || !octets.iter().all(legal) {
            return None;
        }
        std::str::from_utf8(octets).ok().map(|tag| Self(tag.into()))
    }

    /// The tag.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// How a line ends.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Ending {
    /// In LF alone.
    BareLf,
    /// In a literal's header: so many octets follow the line. A size past `u64` is its greatest value.
    Literal {
        size: u64,
        /// `{n}`: the sender waits for leave; `{n+}` (RFC 7888) does not.
        waits: bool,
    },
    /// In CR LF and nothing else of note.
    Plain,
    /// In what looks like the header of a literal that does not wait and is none: nobody can tell where the next
    /// command begins.
    Unreadable,
}

/// How `line`, up to and including its LF, ends.
pub(super) fn ending(line: &[u8]) -> Ending {
    let body = line.strip_suffix(b"\n").unwrap_or(line);
    let header = header(body.trim_ascii_end());
    match (body.strip_suffix(b"\r"), header) {
        (Some(body), Some(Header { size: Some(size), waits })) if body.ends_with(b"}") => {
            Ending::Literal { size, waits }
        }
        (_, Some(Header { waits: false, .. })) => Ending::Unreadable,
        (Some(_), _) => Ending::Plain,
        (None, _) => Ending::BareLf,
    }
}

struct Header {
    /// None: not a number.
    size: Option<u64>,
    waits: bool,
}

/// What stands between the last `{` and a `}` at the end.
fn header(body: &[u8]) -> Option<Header> {
    let body = body.strip_suffix(b"}")?;
    let (_, inner) = body.split_at_checked(body.iter().rposition(|&octet| octet == b'{')?)?;
    let inner = inner.strip_prefix(b"{")?;
    let (digits, waits) = inner.strip_suffix(b"+").map_or((inner, true), |digits| (digits, false));
    let number = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    let size = number.then(|| std::str::from_utf8(digits).ok()?.parse().ok()).map(|size| size.unwrap_or(u64::MAX));
    Some(Header { size, waits })
}

/// Writes an ASCII text as a quoted string; what cannot stand in one becomes `?`.
pub(super) fn quote(text: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    for &octet in text {
        if matches!(octet, b'"' | b'\\') {
            out.push(b'\\');
        }
        out.push(if is_printable(octet) { octet } else { b'?' });
    }
    out.push(b'"');
}

/// Whether every octet may stand in a quoted string as it is or behind a backslash.
pub(super) fn is_quotable(text: &[u8]) -> bool {
    text.iter().copied().all(is_printable)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_short_and_of_tag_characters() {
        for good in [&b"a"[..], b"A001", b"a]b", b"1.2", &[b'x'; MAX_TAG]] {
            assert!(Tag::new(good).is_some(), "{}", good.escape_ascii());
        }
        for bad in [&b""[..], b"a b", b"a+", b"*", b"a\0", b"a\x80", b"\"a\"", b"{1}", &[b'x'; MAX_TAG + 1]] {
            assert!(Tag::new(bad).is_none(), "{}", bad.escape_ascii());
        }
    }

    #[test]
    fn reads_the_header_of_a_literal_only_at_the_very_end() {
        let literal = |size, waits| Ending::Literal { size, waits };
        for (line, expected) in [
            (&b"a LOGIN {5}\r\n"[..], literal(5, true)),
            (b"{0+}\r\n", literal(0, false)),
            (b"{18446744073709551616}\r\n", literal(u64::MAX, true)),
            (b"{18446744073709551617+}\r\n", literal(u64::MAX, false)),
            (b"{}\r\n", Ending::Plain),
            (b"{-1}\r\n", Ending::Plain),
            (b"{0x10}\r\n", Ending::Plain),
            (b"{5} \r\n", Ending::Plain),
            (b"{5}\n", Ending::BareLf),
            (b"a b+}\r\n", Ending::Plain),
            (b"{+}\r\n", Ending::Unreadable),
            (b"{-1+}\r\n", Ending::Unreadable),
            (b"{5+}\n", Ending::Unreadable),
            (b"{5+} \r\n", Ending::Unreadable),
            (b"{5+}\r\r\n", Ending::Unreadable),
            (b"\r\n", Ending::Plain),
            (b"\n", Ending::BareLf),
        ] {
            assert_eq!(ending(line), expected, "{}", line.escape_ascii());
        }
    }

    #[test]
    fn quoting_leaves_no_way_out() {
        let mut out = Vec::new();
        quote(b"a\"b\\c\r\n\0\xffd", &mut out);
        assert_eq!(out, b"\"a\\\"b\\\\c????d\"");
    }
}
