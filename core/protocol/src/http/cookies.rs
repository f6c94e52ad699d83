//! Cookies of a request: read from every Cookie field, joined into one, our own taken out.
//!
//! Browsers over HTTP/2 send a field for each cookie (RFC 9113, section 8.2.3), and whoever can set a cookie on a
//! domain above can put two of one name before us. So all fields count, and a cookie of ours that comes twice is none.

use http::HeaderMap;
use http::header::{COOKIE, HeaderValue};

use super::list::{split_once, trim};

/// The cookie that remembers where a user lives. Browsers take `__Host-` only from us over TLS, and for this host only.
pub const ROUTE_COOKIE: &str = "__Host-zproxy";

/// Name and value of each cookie, in order. One without `=` has a value only, as browsers have it.
pub fn pairs(headers: &HeaderMap) -> impl Iterator<Item = (&[u8], &[u8])> {
    segments(headers).map(trim).filter(|cookie| !cookie.is_empty()).map(|cookie| match split_once(cookie, b'=') {
        (value, None) => (&b""[..], value),
        (name, Some(value)) => (trim(name), trim(value)),
    })
}

/// The values of all cookies of a name.
pub fn values<'a>(headers: &'a HeaderMap, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
    pairs(headers).filter(move |&(cookie, _)| cookie == name.as_bytes()).map(|(_, value)| value)
}

/// The value of our own cookie, unread; none: it is not there, or more than once.
#[must_use]
pub fn route_cookie(headers: &HeaderMap) -> Option<&[u8]> {
    let mut ours = values(headers, ROUTE_COOKIE);
    let value = ours.next()?;
    ours.next().is_none().then_some(value)
}

/// Makes one field of all and takes our own cookie out of it. Of the others no octet changes.
pub fn forward(headers: &mut HeaderMap) {
    let mut joined = Vec::new();
    for field in headers.get_all(COOKIE) {
        let others = field.as_bytes().split(|&octet| octet == b';').filter(|cookie| !is_ours(cookie));
        let kept = others.collect::<Vec<_>>().join(&b';');
        let kept = trim(&kept);
        if !kept.is_empty() {
            joined.extend_from_slice(if joined.is_empty() { b"" } else { b"; " });
            joined.extend_from_slice(kept);
        }
    }
    headers.remove(COOKIE);
    if let Some(value) = sensitive(&joined) {
        headers.insert(COOKIE, value);
    }
}

/// A Cookie field, which HTTP/2 shall not index and nobody shall print; none: there is nothing in it.
pub(super) fn sensitive(cookies: &[u8]) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_bytes(cookies).ok().filter(|value| !value.is_empty())?;
    value.set_sensitive(true);
    Some(value)
}

fn segments(headers: &HeaderMap) -> impl Iterator<Item = &[u8]> {
    headers.get_all(COOKIE).iter().flat_map(|field| field.as_bytes().split(|&octet| octet == b';'))
}

/// Whether the text of a cookie, or of Set-Cookie up to its attributes, is our own cookie's.
pub(super) fn is_ours(cookie: &[u8]) -> bool {
    trim(split_once(cookie, b'=').0) == ROUTE_COOKIE.as_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn headers(fields: &[&str]) -> HeaderMap {
        fields.iter().map(|field| (COOKIE, HeaderValue::from_bytes(field.as_bytes()).unwrap())).collect()
    }

    fn forwarded(fields: &[&str]) -> Option<String> {
        let mut headers = headers(fields);
        forward(&mut headers);
        assert!(headers.get_all(COOKIE).iter().count() <= 1);
        headers.get(COOKIE).map(|value| value.to_str().unwrap().to_owned())
    }

    #[test]
    fn cookies_are_read_from_every_field() {
        let headers = headers(&["a=1; b=2", "", ";;", " c = x=y ;d=\"q\"", "bare", "a=3"]);
        let read: Vec<_> = pairs(&headers).map(|(name, value)| (name.escape_ascii().to_string(), value)).collect();
        let expected: [(&str, &[u8]); 6] =
            [("a", b"1"), ("b", b"2"), ("c", b"x=y"), ("d", b"\"q\""), ("", b"bare"), ("a", b"3")];
        assert_eq!(read, expected.map(|(name, value)| (name.to_owned(), value)));
        assert_eq!(values(&headers, "a").collect::<Vec<_>>(), [b"1", b"3"]);
    }

    #[test]
    fn our_cookie_counts_where_it_is_there_once() {
        let table: [(&[&str], Option<&str>); 8] = [
            (&["__Host-zproxy=v"], Some("v")),
            (&["a=1; __Host-zproxy=v; b=2"], Some("v")),
            (&["a=1", "b=2;__Host-zproxy=v"], Some("v")),
            (&["__Host-zproxy=v; __Host-zproxy=v"], None),
            (&["__Host-zproxy=v", "__Host-zproxy=w"], None),
            (&["__host-zproxy=v; x__Host-zproxy=v; __Host-zproxyx=v; a=__Host-zproxy=v"], None),
            (&["__Host-zproxy"], None),
            (&[], None),
        ];
        for (fields, expected) in table {
            assert_eq!(route_cookie(&headers(fields)), expected.map(str::as_bytes), "{fields:?}");
        }
    }

    #[test]
    fn one_field_goes_on_without_our_cookie() {
        let table: [(&[&str], Option<&str>); 10] = [
            (&["a=1", "b=2", "c=3"], Some("a=1; b=2; c=3")),
            (&["a=1;b=2;  c=\"3\""], Some("a=1;b=2;  c=\"3\"")),
            (&["__Host-zproxy=v"], None),
            (&["a=1; __Host-zproxy=v; b=2"], Some("a=1; b=2")),
            (&["a=1;__Host-zproxy=v;b=2"], Some("a=1;b=2")),
            (&["__Host-zproxy=v; a=1"], Some("a=1")),
            (&["a=1; __Host-zproxy=v"], Some("a=1")),
            (&["a=1", "__Host-zproxy=v", "__Host-zproxy =w", "__Host-zproxy", "b"], Some("a=1; b")),
            (&["a=\"x;__Host-zproxy=v;y\""], Some("a=\"x;y\"")),
            (&[], None),
        ];
        for (fields, expected) in table {
            assert_eq!(forwarded(fields).as_deref(), expected, "{fields:?}");
        }
    }

    fn others(headers: &HeaderMap) -> Vec<Vec<u8>> {
        let others = segments(headers).map(trim).filter(|cookie| !cookie.is_empty() && !is_ours(cookie));
        others.map(<[u8]>::to_vec).collect()
    }

    proptest! {
        #[test]
        fn ours_never_goes_on_and_the_others_do(
            fields in prop::collection::vec("[a=;_ ]{0,9}(__Host-zproxy)?[a=; ]{0,9}", 0..5),
        ) {
            let before = headers(&fields.iter().map(String::as_str).collect::<Vec<_>>());
            let mut after = before.clone();
            forward(&mut after);
            prop_assert!(!segments(&after).any(is_ours));
            prop_assert_eq!(others(&after), others(&before));
        }
    }
}
