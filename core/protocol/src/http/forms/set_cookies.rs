//! The cookies of two answers, a login page's and a login's, for one client.

use http::HeaderMap;
use http::header::{HeaderValue, SET_COOKIE};

use crate::http::cookies::{self, sensitive};
use crate::http::list::{split_once, trim};

/// What makes a cookie another one (RFC 6265, section 5.3).
#[derive(Debug, Eq, PartialEq)]
struct Key<'a> {
    name: &'a [u8],
    domain: Vec<u8>,
    path: &'a [u8],
}

/// Puts the cookies of the page before those of the answer. One that the answer sets as well is the answer's.
pub fn merge(page: &HeaderMap, answer: &mut HeaderMap) {
    let kept = page.get_all(SET_COOKIE).iter().filter(|value| {
        let key = key(value.as_bytes());
        answer.get_all(SET_COOKIE).iter().all(|other| self::key(other.as_bytes()) != key)
    });
    let all: Vec<HeaderValue> = kept.chain(answer.get_all(SET_COOKIE)).cloned().collect();
    answer.remove(SET_COOKIE);
    for value in all {
        answer.append(SET_COOKIE, value);
    }
}

/// The Cookie field for a post to the server that gave the page: what the client sent, with the page's cookies in the
/// old ones' place. Those that the page deletes are not sent.
#[must_use]
pub fn request(sent: &HeaderMap, page: &HeaderMap) -> Option<HeaderValue> {
    let set: Vec<_> = page.get_all(SET_COOKIE).iter().map(|value| value.as_bytes()).collect();
    let is_set = |name: &[u8]| set.iter().any(|&value| pair(value).0 == name);
    let old = cookies::pairs(sent).filter(|&(name, _)| name != cookies::ROUTE_COOKIE.as_bytes() && !is_set(name));
    let fresh = set.iter().enumerate().filter(|&(at, &value)| {
        let last = set.iter().skip(at.saturating_add(1)).all(|&later| pair(later).0 != pair(value).0);
        last && !is_deletion(value)
    });
    let mut field = Vec::new();
    for (name, value) in old.chain(fresh.map(|(_, &value)| pair(value))) {
        field.extend_from_slice(if field.is_empty() { b"" } else { b"; " });
        field.extend_from_slice(name);
        field.extend_from_slice(if name.is_empty() { b"" } else { b"=" });
        field.extend_from_slice(value);
    }
    sensitive(&field)
}

fn key(set_cookie: &[u8]) -> Key<'_> {
    let domain = attribute(set_cookie, "domain").unwrap_or_default();
    Key {
        name: pair(set_cookie).0,
        domain: domain.strip_prefix(b".").unwrap_or(domain).to_ascii_lowercase(),
        path: attribute(set_cookie, "path").unwrap_or_default(),
    }
}

fn pair(set_cookie: &[u8]) -> (&[u8], &[u8]) {
    match split_once(split_once(set_cookie, b';').0, b'=') {
        (value, None) => (b"", trim(value)),
        (name, Some(value)) => (trim(name), trim(value)),
    }
}

/// The last attribute of a name, which is the one that holds.
fn attribute<'a>(set_cookie: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let attributes = set_cookie.split(|&octet| octet == b';').skip(1).map(|attribute| split_once(attribute, b'='));
    let found = attributes.filter(|(attribute, _)| trim(attribute).eq_ignore_ascii_case(name.as_bytes())).last()?;
    Some(trim(found.1.unwrap_or_default()))
}

/// Whether a cookie is set so that it goes: at once, or in 1970, which is how those do it who know no Max-Age.
fn is_deletion(set_cookie: &[u8]) -> bool {
    let at_once = |age: &[u8]| age == b"0" || age.starts_with(b"-");
    attribute(set_cookie, "max-age").is_some_and(at_once)
        || attribute(set_cookie, "expires").is_some_and(|date| date.windows(4).any(|year| year == b"1970"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::header::COOKIE;

    fn set(values: &[&str]) -> HeaderMap {
        values.iter().map(|value| (SET_COOKIE, HeaderValue::from_str(value).unwrap())).collect()
    }

    #[test]
    fn what_the_answer_sets_replaces_what_the_page_set() {
        let page = set(&["sid=page; Path=/; HttpOnly", "lang=id", "a=1; Path=/x"]);
        let mut answer = set(&["sid=answer; path=/", "a=2; Path=/y", "auth=1; Domain=.TGG.net.id"]);
        merge(&page, &mut answer);
        let merged: Vec<_> = answer.get_all(SET_COOKIE).iter().collect();
        let expected = ["lang=id", "a=1; Path=/x", "sid=answer; path=/", "a=2; Path=/y", "auth=1; Domain=.TGG.net.id"];
        assert_eq!(merged, expected);
        merge(&set(&["auth=0; domain=tgg.net.id"]), &mut answer);
        assert_eq!(answer.get_all(SET_COOKIE).iter().count(), 5);
    }

    #[test]
    fn a_post_has_the_cookies_of_the_page_in_place_of_the_old_ones() {
        let table: [(&str, &[&str], Option<&str>); 7] = [
            ("sid=old; lang=id", &["sid=new; Path=/"], Some("lang=id; sid=new")),
            ("sid=old; __Host-zproxy=v", &["sid=a", "sid=b; Secure"], Some("sid=b")),
            ("auth=1", &["sid=new", "auth=-del-; expires=Thu, 01-Jan-1970 00:00:01 GMT; Max-Age=0"], Some("sid=new")),
            ("auth=1", &["auth=; Max-Age=-1"], None),
            ("auth=1", &["auth=; Max-Age=60; Max-Age=0"], None),
            ("a=1", &[], Some("a=1")),
            ("", &[], None),
        ];
        for (sent, page, expected) in table {
            let sent: HeaderMap = [(COOKIE, HeaderValue::from_str(sent).unwrap())].into_iter().collect();
            let field = request(&sent, &set(page));
            assert_eq!(field.as_ref().map(|field| field.to_str().unwrap()), expected, "{page:?}");
        }
    }
}
