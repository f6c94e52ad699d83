//! Header values that are lists (RFC 9110, section 5.6.1).

use http::HeaderMap;
use http::header::HeaderName;

/// The members of all fields of a name, in order, without white space around and without empty ones.
pub(super) fn members<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl DoubleEndedIterator<Item = &'a [u8]> {
    let fields = headers.get_all(name).iter();
    fields
        .flat_map(|value| value.as_bytes().split(|&octet| octet == b','))
        .map(trim)
        .filter(|member| !member.is_empty())
}

/// Whether one of the members is a word, in any case.
pub(super) fn has(headers: &HeaderMap, name: &HeaderName, word: &str) -> bool {
    members(headers, name).any(|member| member.eq_ignore_ascii_case(word.as_bytes()))
}

/// A text without spaces and tabs around it (RFC 9110, OWS).
pub(super) fn trim(mut text: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = text {
        text = rest;
    }
    text
}

/// Both sides of the first `separator`; none there: all of it, and nothing.
pub(super) fn split_once(text: &[u8], separator: u8) -> (&[u8], Option<&[u8]>) {
    let mut parts = text.splitn(2, |&octet| octet == separator);
    (parts.next().unwrap_or_default(), parts.next())
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn members_are_those_of_every_field() {
        let mut headers = HeaderMap::new();
        for value in [" a ,,b", ", ", "C\t"] {
            headers.append("te", HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        assert_eq!(members(&headers, &http::header::TE).collect::<Vec<_>>(), [b"a", b"b", b"C"]);
        assert!(has(&headers, &http::header::TE, "c") && !has(&headers, &http::header::TE, "d"));
    }

    #[test]
    fn only_what_is_around_is_trimmed() {
        assert_eq!(trim(b" \ta b\t "), b"a b");
        assert_eq!(trim(b" \t "), b"");
        assert_eq!(split_once(b"a=b=c", b'='), (&b"a"[..], Some(&b"b=c"[..])));
        assert_eq!(split_once(b"a", b'='), (&b"a"[..], None));
    }
}
