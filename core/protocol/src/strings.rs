//! Strings as IMAP and ManageSieve write them: quoted, or as literals whose size stands at the end of a line.

use zeroize::Zeroizing;

use crate::text::is_printable;

/// How a line ends.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Ending {
    /// In LF alone.
    BareLf,
    /// In a literal's header: so many octets follow the line. A size past `u64` is its greatest value.
    Literal {
        size: u64,
        /// `{n}`, and not `{n+}` (RFC 7888): where literals wait at all, the sender waits for leave.
        waits: bool,
    },
    /// In CR LF and nothing else of note.
    Plain,
    /// In what looks like the header of a literal that does not wait and is none: nobody can tell where the next
    /// command begins.
    Unreadable,
}

/// How `line`, up to and including its LF, ends.
pub(crate) fn ending(line: &[u8]) -> Ending {
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

/// What a quoted string at the start says, and what follows it; none: there is none. Octets beyond ASCII are let in, as
/// RFC 9051 does: names and passwords have them, and clients quote them.
pub(crate) fn quoted(octets: &[u8]) -> Option<(Zeroizing<Vec<u8>>, &[u8])> {
    let mut rest = octets.strip_prefix(b"\"")?;
    // So large that it never moves: a copy left behind would not be wiped.
    let mut text = Zeroizing::new(Vec::with_capacity(rest.len()));
    loop {
        rest = match rest {
            [b'"', rest @ ..] => return Some((text, rest)),
            [b'\\', special @ (b'"' | b'\\'), rest @ ..] => {
                text.push(*special);
                rest
            }
            [b'\\' | b'\r' | b'\n', ..] | [] => return None,
            [octet, rest @ ..] => {
                text.push(*octet);
                rest
            }
        };
    }
}

/// What a literal at the start says, and what follows it; none: there is none, or not all of it.
pub(crate) fn literal(octets: &[u8]) -> Option<(&[u8], &[u8])> {
    let line = octets.iter().position(|&octet| octet == b'\n')?.checked_add(1)?;
    let (header, rest) = octets.split_at_checked(line)?;
    // Only the header may stand here: its `{` is where we are, and there is no other.
    if !header.starts_with(b"{") || header.iter().filter(|&&octet| octet == b'{').count() != 1 {
        return None;
    }
    let Ending::Literal { size, .. } = ending(header) else { return None };
    rest.split_at_checked(usize::try_from(size).ok()?)
}

/// Writes an ASCII text as a quoted string; what cannot stand in one becomes `?`.
pub(crate) fn quote(text: &[u8], out: &mut Vec<u8>) {
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
pub(crate) fn is_quotable(text: &[u8]) -> bool {
    text.iter().copied().all(is_printable)
}

#[cfg(test)]
mod tests {
    use super::*;

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

    /// A string and what follows it.
    type Parts<'a> = Option<(&'a [u8], &'a [u8])>;

    #[test]
    fn a_string_is_read_to_its_end_and_no_further() {
        let table: &[(&[u8], Parts<'_>)] = &[
            (b"\"\" x", Some((b"", b" x"))),
            (b"\"a\\\"b\\\\\"\r\n", Some((b"a\"b\\", b"\r\n"))),
            (b"\"{3}\xff\"", Some((b"{3}\xff", b""))),
            (b"\"a\\b\"", None),
            (b"\"a\r\n\"", None),
            (b"\"a", None),
            (b"\"a\\", None),
            (b"a\"", None),
            (b"", None),
        ];
        for (octets, expected) in table {
            let read = quoted(octets);
            assert_eq!(read.as_ref().map(|(text, rest)| (&text[..], *rest)), *expected, "{}", octets.escape_ascii());
        }
        let table: &[(&[u8], Parts<'_>)] = &[
            (b"{3+}\r\na\"b x", Some((b"a\"b", b" x"))),
            (b"{0}\r\n", Some((b"", b""))),
            (b"{3}\r\nab", None),
            (b"{3}\nabc", None),
            (b"{1}{3}\r\nabc", None),
            (b"x {3}\r\nabc", None),
            (b"{18446744073709551617}\r\na", None),
            (b"{3}", None),
        ];
        for (octets, expected) in table {
            assert_eq!(literal(octets), *expected, "{}", octets.escape_ascii());
        }
    }
}
