//! `multipart/form-data` (RFC 7578, RFC 2046 section 5.1), as browsers write it: no preamble, CRLF line ends, and parts
//! that say their names. What a server might read in another way is not read at all.

use super::fields::{Field, MAX_FIELDS};
use crate::http::list::{split_once, trim};

/// Longest boundary (RFC 2046, section 5.1.1).
const MAX_BOUNDARY: usize = 70;

/// The boundary among the parameters of a Content-Type.
pub(super) fn boundary(parameters: &[u8]) -> Option<Vec<u8>> {
    let mut boundaries = parameters.split(|&octet| octet == b';').filter_map(|parameter| {
        let (name, value) = split_once(trim(parameter), b'=');
        value.filter(|_| trim(name).eq_ignore_ascii_case(b"boundary")).map(trim)
    });
    let said = boundaries.next()?;
    let boundary = said.strip_prefix(b"\"").and_then(|said| said.strip_suffix(b"\"")).unwrap_or(said);
    let is_boundary = |octet: &u8| octet.is_ascii_alphanumeric() || b"'()+_,-./:=? ".contains(octet);
    let fits = (1..=MAX_BOUNDARY).contains(&boundary.len()) && boundary.iter().all(is_boundary);
    (fits && !boundary.ends_with(b" ") && boundaries.next().is_none()).then(|| boundary.to_vec())
}

/// The fields, in order. A file is none.
pub(super) fn fields(body: &[u8], boundary: &[u8]) -> Option<Vec<Field>> {
    let delimiter = [b"\r\n--", boundary].concat();
    // The first delimiter has no line end before it.
    let mut at = body.strip_prefix(delimiter.get(2..)?).map(|rest| body.len().saturating_sub(rest.len()))?;
    let (mut fields, mut parts) = (Vec::new(), 0_usize);
    loop {
        let rest = body.get(at..)?;
        if let Some(epilogue) = rest.strip_prefix(b"--") {
            return matches!(epilogue, [] | b"\r\n").then_some(fields);
        }
        parts = parts.checked_add(1).filter(|&parts| parts <= MAX_FIELDS)?;
        let part = rest.strip_prefix(b"\r\n")?;
        let length = find(part, &delimiter)?;
        let start = at.checked_add(2)?;
        let (name, value) = read(part.get(..length)?)?;
        let end = start.checked_add(length)?;
        if let Some(name) = name {
            fields.push(Field { name, value: start.checked_add(value)?..end });
        }
        at = end.checked_add(delimiter.len())?;
    }
}

/// The name of a part, none of a file's, and where its value begins.
fn read(part: &[u8]) -> Option<(Option<Vec<u8>>, usize)> {
    let head = find(part, b"\r\n\r\n")?;
    let mut disposition = None;
    for line in part.get(..head)?.split(|&octet| octet == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let (field, value) = split_once(line, b':');
        if line.contains(&b'\r') || !field.iter().all(u8::is_ascii_graphic) {
            return None;
        }
        if field.eq_ignore_ascii_case(b"Content-Disposition") && disposition.replace(value?).is_some() {
            return None;
        }
        // Deprecated (RFC 7578, section 4.7): some decode it and some do not.
        if field.eq_ignore_ascii_case(b"Content-Transfer-Encoding") {
            return None;
        }
    }
    Some((name(trim(disposition?))?, head.checked_add(4)?))
}

/// The name of `form-data; name="…"`, none where a file name stands behind it.
fn name(disposition: &[u8]) -> Option<Option<Vec<u8>>> {
    let (kind, mut rest) = split_once(disposition, b';');
    if !trim(kind).eq_ignore_ascii_case(b"form-data") {
        return None;
    }
    let (mut name, mut file) = (None, false);
    while let Some(parameters) = rest {
        let (parameter, value) = split_once(parameters, b'=');
        let (value, behind) = quoted(trim(value?))?;
        match trim(parameter) {
            known if known.eq_ignore_ascii_case(b"name") && name.replace(value.to_vec()).is_some() => return None,
            known if known.eq_ignore_ascii_case(b"name") => {}
            known if known.to_ascii_lowercase().starts_with(b"filename") => file = true,
            _ => return None,
        }
        rest = match trim(behind) {
            b"" => None,
            behind => Some(behind.strip_prefix(b";")?),
        };
    }
    Some(name.filter(|_| !file))
}

/// The text up to the next quote, or up to a semicolon, and what is behind. Browsers write `%22` for a quote, so that
/// none is escaped; where a backslash is, servers do not agree.
fn quoted(text: &[u8]) -> Option<(&[u8], &[u8])> {
    match text.strip_prefix(b"\"") {
        Some(text) => {
            let (value, behind) = split_once(text, b'"');
            (!value.contains(&b'\\')).then_some((value, behind?))
        }
        None => Some(text.split_at_checked(text.iter().position(|&octet| octet == b';').unwrap_or(text.len()))?),
    }
}

fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    text.windows(what.len()).position(|window| window == what)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &str) -> Option<Vec<String>> {
        let fields = fields(body.as_bytes(), b"x")?.into_iter();
        Some(
            fields.map(|field| format!("{}|{}", field.name.escape_ascii(), body[field.value].escape_debug())).collect(),
        )
    }

    fn part(head: &str) -> String {
        format!("--x\r\n{head}\r\n\r\nv\r\n--x--\r\n")
    }

    #[test]
    fn fields_are_parts_with_a_name() {
        let body = "--x\r\nContent-Disposition: form-data; name=\"_user\"\r\n\r\nsiti\r\n--x\r\n\
                    content-disposition:form-data;name=note\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n\
                    a\r\n--xy\r\nb\r\n--x\r\nContent-Disposition: form-data; name=\"f\"; filename=\"a;\"\r\n\r\n\r\n--x--\r\n";
        assert!(read(body).is_none(), "another boundary that begins as ours does");
        assert_eq!(read(&body.replace("--xy", "-x")).unwrap(), ["_user|siti", "note|a\\r\\n-x\\r\\nb"]);
        assert_eq!(read("--x--").unwrap(), [""; 0]);
        assert_eq!(read(&part("Content-Disposition: form-data; name=\"\"")).unwrap(), ["|v"]);
    }

    #[test]
    fn what_servers_may_read_in_two_ways_is_not_read() {
        for head in [
            "",
            "Content-Disposition: form-data; name=\"a\"; name=\"b\"",
            "Content-Disposition: form-data; name=\"a\\\"b\"",
            "Content-Disposition: form-data; name=\"a",
            "Content-Disposition: form-data; name",
            "Content-Disposition: form-data; x=y; name=\"a\"",
            "Content-Disposition: attachment; name=\"a\"",
            "Content-Disposition: form-data; name=\"a\"\r\nContent-Disposition: form-data; name=\"b\"",
            "Content-Disposition: form-data; name=\"a\"\r\nContent-Transfer-Encoding: base64",
            "Content-Disposition: form-data;\r\n name=\"a\"",
            "Content-Disposition : form-data; name=\"a\"",
            "Content-Disposition: form-data; name=\"a\"\rX: y",
        ] {
            assert_eq!(read(&part(head)), None, "{head:?}");
        }
        for body in ["", "--", "--x", "--x\r\n", "x--x--", "\r\n--x--", "--x--x", "--x\n--x--", "--x \r\n--x--"] {
            assert_eq!(read(body), None, "{body:?}");
        }
        let good = part("Content-Disposition: form-data; name=\"a\"");
        for end in 0..good.len() - 2 {
            assert_eq!(read(&good[..end]), None, "{end} octets of {}", good.len());
        }
    }

    #[test]
    fn parts_are_counted() {
        let parts =
            |count| format!("{}--x--", "--x\r\nContent-Disposition: form-data; name=a\r\n\r\n\r\n".repeat(count));
        assert_eq!(read(&parts(MAX_FIELDS)).map(|fields| fields.len()), Some(MAX_FIELDS));
        assert_eq!(read(&parts(MAX_FIELDS + 1)), None);
    }

    #[test]
    fn a_boundary_is_said_once() {
        let long = "b".repeat(MAX_BOUNDARY);
        let table = [
            (" boundary=x", Some("x")),
            ("charset=utf-8 ; BOUNDARY = \"a:b\" ", Some("a:b")),
            (&format!("boundary={long}"), Some(long.as_str())),
            (&format!("boundary={long}b"), None),
            ("boundary=", None),
            ("boundary=\"\"", None),
            ("boundary=\"a ", None),
            ("boundary=\"a \"", None),
            ("boundary=a;boundary=a", None),
            ("boundary=a\r\nb", None),
            ("", None),
        ];
        for (parameters, expected) in table {
            assert_eq!(boundary(parameters.as_bytes()).as_deref(), expected.map(str::as_bytes), "{parameters:?}");
        }
    }
}
