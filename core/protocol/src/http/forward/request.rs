//! The head of a request on its way to a backend.

use std::fmt::Write as _;
use std::net::IpAddr;

use http::Version;
use http::header::{CONNECTION, COOKIE, EXPECT, FORWARDED, HOST, HeaderMap, HeaderName, HeaderValue, SET_COOKIE, TE};
use http::request::Parts;
use http::uri::{PathAndQuery, Uri};

use super::origin::{Origin, X_FORWARDED_FOR, X_FORWARDED_PROTO};
use super::strip_hop;
use crate::http::{Authority, cookies, list};

/// Times that a request may have come by a zproxy before: an edge before an edge of another site is sensible, more is
/// not.
const MAX_PASSES: usize = 4;
/// Longest id that is taken from a trusted hop.
const MAX_REQUEST_ID: usize = 128;

const CDN_LOOP: HeaderName = HeaderName::from_static("cdn-loop");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");
const X_REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");
const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What we call ourselves in `CDN-Loop` (RFC 8586).
///
/// It stands in for `Via`, which RFC 9110 asks of gateways and neither nginx, HAProxy nor Apache sends unasked: to
/// nginx as a backend a request with Via is one that must not be compressed for (`gzip_proxied off`), so it would cost
/// every webmail its compression. A Via that came goes on, and so does one of a backend.
const PSEUDONYM: HeaderValue = HeaderValue::from_static("zproxy");

/// What a client may not tell a backend, `-` for any `_`: CGI and WSGI make one of both. Beside what we say ourselves
/// these are other spellings of "who I am", and `Proxy`, by which CGI programs are made to use one (CVE-2016-5385).
/// Those of users are what SOGo and Radicale let in where they are told that a proxy has proved somebody, as we never do.
const OURS: [&str; 16] = [
    "client-ip",
    "forwarded",
    "proxy",
    "remote-user",
    "true-client-ip",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-original-forwarded-for",
    "x-originating-ip",
    "x-real-ip",
    "x-remote-addr",
    "x-remote-ip",
    "x-remote-user",
    "x-request-id",
    "x-webobjects-remote-host",
    "x-webobjects-remote-user",
];
/// And whatever begins so.
const OURS_PREFIX: &str = "x-forwarded";

/// What a backend is told of a request beside what the client says.
#[derive(Clone, Copy, Debug)]
pub struct Onward<'a> {
    /// Where it came from.
    pub origin: &'a Origin,
    /// The host the client asked for; none: an HTTP/1.0 client did not say.
    pub authority: Option<&'a Authority>,
    /// The host the backend is asked for: where it knows itself by another name.
    pub host: Option<&'a HeaderValue>,
    /// The id of the request.
    pub request_id: &'a HeaderValue,
}

/// The request has been here too often: a backend's address leads back to us.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("request came through too many proxies: is the backend a proxy that leads back here?")]
pub struct Loop;

/// Makes a request the backend's: HTTP/1.1 in origin form, whatever it was.
///
/// Expect is answered by the edge, when the backend takes the body, and goes no further. Lengths stay: the body is
/// framed anew by what is sent.
///
/// # Errors
/// [`Loop`]; answer it with 508.
pub fn request(head: &mut Parts, onward: &Onward<'_>) -> Result<(), Loop> {
    let passes = list::members(&head.headers, &CDN_LOOP).filter(|hop| is_ours(hop)).count();
    if passes >= MAX_PASSES {
        return Err(Loop);
    }
    let headers = &mut head.headers;
    strip_hop(headers);
    strip_strangers(headers);
    headers.remove(EXPECT);
    cookies::forward(headers);
    headers.append(CDN_LOOP, PSEUDONYM);
    headers.insert(X_REQUEST_ID, onward.request_id.clone());
    name_host(headers, onward);
    name_client(headers, onward);
    head.uri = origin_form(&head.uri);
    head.version = Version::HTTP_11;
    Ok(())
}

/// Takes out of a message's trailers what its head may not say either: there are servers that make one of both.
pub fn trailers(fields: &mut HeaderMap) {
    strip_hop(fields);
    strip_strangers(fields);
    for name in [CONNECTION, TE, COOKIE, SET_COOKIE] {
        fields.remove(name);
    }
}

/// The id that a trusted hop gave a request, where it is one that can be written everywhere.
#[must_use]
pub fn request_id(headers: &HeaderMap) -> Option<&HeaderValue> {
    let mut ids = headers.get_all(X_REQUEST_ID).iter();
    let id = ids.next().filter(|_| ids.next().is_none())?;
    let is_id = |octet: &u8| octet.is_ascii_alphanumeric() || b"-_.:/+=@".contains(octet);
    ((1..=MAX_REQUEST_ID).contains(&id.len()) && id.as_bytes().iter().all(is_id)).then_some(id)
}

fn strip_strangers(headers: &mut HeaderMap) {
    let is_strange = |name: &&HeaderName| {
        let octets = || name.as_str().bytes().map(|octet| if octet == b'_' { b'-' } else { octet });
        octets().take(OURS_PREFIX.len()).eq(OURS_PREFIX.bytes()) || OURS.iter().any(|ours| octets().eq(ours.bytes()))
    };
    let strange: Vec<_> = headers.keys().filter(is_strange).cloned().collect();
    for name in strange {
        headers.remove(name);
    }
}

fn name_host(headers: &mut HeaderMap, onward: &Onward<'_>) {
    let authority = onward.authority.and_then(|authority| HeaderValue::try_from(authority.to_string()).ok());
    headers.remove(HOST);
    if let Some(host) = onward.host.or(authority.as_ref()) {
        headers.insert(HOST, host.clone());
    }
    if let Some(authority) = authority {
        headers.insert(X_FORWARDED_HOST, authority);
    }
}

fn name_client(headers: &mut HeaderMap, onward: &Onward<'_>) {
    let Origin { client, through, https } = onward.origin;
    let scheme = if *https { "https" } else { "http" };
    let port = onward.authority.map_or(if *https { 443 } else { 80 }, |authority| authority.port(*https));
    let (mut chain, mut forwarded) = (client.to_string(), node(client));
    headers.insert(X_REAL_IP, value(&chain));
    // What the client said and how is in the first element, the client's.
    if let Some(authority) = onward.authority {
        let _ = write!(forwarded, ";host={}", quoted(authority.to_string()));
    }
    let _ = write!(forwarded, ";proto={scheme}");
    for address in through {
        let _ = write!(chain, ", {address}");
        let _ = write!(forwarded, ", {}", node(address));
    }
    headers.insert(FORWARDED, value(&forwarded));
    headers.insert(X_FORWARDED_FOR, value(&chain));
    headers.insert(X_FORWARDED_PORT, HeaderValue::from(port));
    headers.insert(X_FORWARDED_PROTO, HeaderValue::from_static(scheme));
}

/// Addresses and hosts are visible ASCII.
fn value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static(""))
}

/// An element of Forwarded: an IPv6 address is in brackets (RFC 7239, section 6).
fn node(address: &IpAddr) -> String {
    match address {
        IpAddr::V4(address) => format!("for={address}"),
        IpAddr::V6(address) => format!("for={}", quoted(format!("[{address}]"))),
    }
}

/// A value that is no token for its brackets or its colon.
fn quoted(value: String) -> String {
    if value.contains(':') { format!("\"{value}\"") } else { value }
}

/// `/path?query`, or `*`.
fn origin_form(uri: &Uri) -> Uri {
    let Some(path) = uri.path_and_query() else { return Uri::default() };
    match path.as_str().split_at_checked(1) {
        // `http://host?query` has no path of its own, and `http://host` nothing at all.
        Some(("?", _)) => PathAndQuery::try_from(format!("/{}", path.as_str())).map(Uri::from).unwrap_or_default(),
        Some(("/", "")) => Uri::default(),
        _ => Uri::from(path.clone()),
    }
}

/// Whether a member of CDN-Loop is ours: the name, and whatever parameters.
fn is_ours(hop: &[u8]) -> bool {
    list::trim(list::split_once(hop, b';').0).eq_ignore_ascii_case(PSEUDONYM.as_bytes())
}
