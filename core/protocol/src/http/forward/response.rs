//! The head of an answer on its way to its client.

use http::header::{
    ALT_SVC, CONTENT_LOCATION, HeaderMap, HeaderName, HeaderValue, LOCATION, SET_COOKIE, STRICT_TRANSPORT_SECURITY,
};

use super::location::{Backend, Front, rewrite};
use super::strip_hop;
use crate::http::Host;
use crate::http::cookies;
use crate::http::list::{split_once, trim};

/// What is done to a virtual host's answers.
#[derive(Clone, Debug, Default)]
pub struct AnswerRules {
    /// What happens to the domains of cookies.
    pub cookie_domains: Vec<CookieDomain>,
    /// Fields of our own.
    pub added: Vec<Added>,
    /// Strict-Transport-Security, in place of the backend's. It is said over TLS only (RFC 6797, section 7.2).
    pub hsts: Option<HeaderValue>,
}

/// A domain that a backend gives cookies, and what clients get.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CookieDomain {
    /// The backend's.
    pub from: Host,
    /// Ours; none: the cookie is the host's alone.
    pub to: Option<Host>,
}

/// A field of our own.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Added {
    /// Its name.
    pub name: HeaderName,
    /// Its value.
    pub value: HeaderValue,
    /// Whether it takes the place of the backend's, or is said only where the backend says none.
    pub replaces: bool,
}

/// Makes an answer the client's.
///
/// A backend's Alt-Svc goes no further: it would lead clients past us. Nor does a cookie by our own name.
pub fn answer(headers: &mut HeaderMap, front: Front<'_>, backend: Backend<'_>, rules: &AnswerRules) {
    strip_hop(headers);
    // Who passes trailers says so in requests.
    headers.remove(http::header::TE);
    headers.remove(http::header::CONNECTION);
    headers.remove(ALT_SVC);
    for name in [LOCATION, CONTENT_LOCATION] {
        if let Some(url) = headers.get(&name).and_then(|url| rewrite(url.as_bytes(), front, backend)) {
            headers.insert(name, url);
        }
    }
    rewrite_cookies(headers, &rules.cookie_domains);
    for Added { name, value, replaces } in &rules.added {
        if *replaces || !headers.contains_key(name) {
            headers.insert(name, value.clone());
        }
    }
    if let Some(value) = rules.hsts.as_ref().filter(|_| front.https) {
        headers.insert(STRICT_TRANSPORT_SECURITY, value.clone());
    }
}

fn rewrite_cookies(headers: &mut HeaderMap, rules: &[CookieDomain]) {
    let cookies: Vec<_> = headers.get_all(SET_COOKIE).iter().cloned().collect();
    headers.remove(SET_COOKIE);
    for cookie in cookies {
        if !cookies::is_ours(split_once(cookie.as_bytes(), b';').0) {
            let rewritten = with_domain(cookie.as_bytes(), rules);
            headers.append(SET_COOKIE, rewritten.unwrap_or(cookie));
        }
    }
}

/// A cookie with its domain as the rules have it, every other octet as it was; none: nothing changes.
fn with_domain(cookie: &[u8], rules: &[CookieDomain]) -> Option<HeaderValue> {
    let mut changed = false;
    let attributes = cookie.split(|&octet| octet == b';').enumerate().filter_map(|(nth, attribute)| {
        let (name, value) = split_once(attribute, b'=');
        let is_domain = nth > 0 && trim(name).eq_ignore_ascii_case(b"domain");
        let domain = value.filter(|_| is_domain).map(trim);
        let host = domain.and_then(|domain| Host::parse(domain.strip_prefix(b".").unwrap_or(domain)));
        let Some(rule) = rules.iter().find(|rule| host.as_ref() == Some(&rule.from)) else {
            return Some(attribute.to_vec());
        };
        changed = true;
        rule.to.as_ref().map(|to| [name, b"=", to.as_str().as_bytes()].concat())
    });
    let rewritten = attributes.collect::<Vec<_>>().join(&b';');
    HeaderValue::from_bytes(&rewritten).ok().filter(|_| changed)
}
