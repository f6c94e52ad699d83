//! Who a client is, and how it came, where there may be trusted proxies before us.

use std::net::{IpAddr, SocketAddr};

use http::HeaderMap;
use http::header::{FORWARDED, HeaderName};

use crate::http::list::{self, split_once, trim};

/// Trusted proxies between a client and us, at most: more are a loop.
const MAX_HOPS: usize = 16;

pub(super) const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
pub(super) const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// Where a request came from.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Origin {
    /// The client: limits, records and backends go by it.
    pub client: IpAddr,
    /// The trusted proxies it came through, the one before us last.
    pub through: Vec<IpAddr>,
    /// Whether the client itself spoke TLS.
    pub https: bool,
}

/// Which field the trusted proxies keep. The other one is whatever the client made of it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Chain {
    /// RFC 7239.
    Forwarded,
    /// What most keep.
    XForwardedFor,
}

/// The proxies that are believed.
pub struct Hops<'a> {
    /// Who they are.
    pub is_trusted: &'a dyn Fn(IpAddr) -> bool,
    /// What they keep.
    pub chain: Chain,
    /// Whether they also say the scheme: in X-Forwarded-Proto, or as `proto` of Forwarded. A balancer that ends TLS
    /// does; one that does not would pass on what the client says.
    pub scheme: bool,
}

/// Says where a request came from that `peer` sent. From there the chain is followed for as long as whoever added to it
/// is trusted, and no further: what stands before that is a stranger's word.
#[must_use]
pub fn origin(headers: &HeaderMap, peer: IpAddr, https: bool, hops: &Hops<'_>) -> Origin {
    let mut origin = Origin { client: peer.to_canonical(), through: Vec::new(), https };
    if !(hops.is_trusted)(origin.client) {
        return origin;
    }
    match hops.chain {
        Chain::Forwarded => {
            for element in list::members(headers, &FORWARDED).rev() {
                origin.say(parameter(element, "proto").filter(|_| hops.scheme));
                if !origin.follow(parameter(element, "for"), hops) {
                    break;
                }
            }
        }
        Chain::XForwardedFor => {
            origin.say(list::members(headers, &X_FORWARDED_PROTO).next_back().filter(|_| hops.scheme));
            for address in list::members(headers, &X_FORWARDED_FOR).rev() {
                if !origin.follow(Some(address), hops) {
                    break;
                }
            }
        }
    }
    origin
}

impl Origin {
    /// Takes a trusted word on the scheme.
    fn say(&mut self, scheme: Option<&[u8]>) {
        match scheme.map(<[u8]>::to_ascii_lowercase).as_deref() {
            Some(b"https") => self.https = true,
            Some(b"http") => self.https = false,
            _ => {}
        }
    }

    /// Goes a hop nearer to the client; false: there is none, or whoever is there is not trusted for the next.
    fn follow(&mut self, before: Option<&[u8]>, hops: &Hops<'_>) -> bool {
        let Some(before) = before.and_then(node).filter(|_| self.through.len() < MAX_HOPS) else { return false };
        self.through.insert(0, std::mem::replace(&mut self.client, before));
        (hops.is_trusted)(self.client)
    }
}

/// A parameter of an element of Forwarded. A comma or semicolon in quotes would cut it short, and what is cut is no
/// address.
fn parameter<'a>(element: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let mut pairs = element.split(|&octet| octet == b';').map(|pair| split_once(trim(pair), b'='));
    let (_, value) = pairs.find(|(parameter, _)| parameter.eq_ignore_ascii_case(name.as_bytes()))?;
    let value = value?;
    Some(value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\"")).unwrap_or(value))
}

/// An address, in brackets or not, with a port or not; `unknown` and what hides behind an underscore are none.
fn node(text: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(text).ok()?;
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let address = bare.parse().or_else(|_| text.parse().map(|address: SocketAddr| address.ip()));
    address.ok().map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(peer: &str, chain: Chain, fields: &[(&'static str, &str)]) -> String {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, value.parse().unwrap());
        }
        let is_trusted = |address: IpAddr| address.to_string().starts_with("10.");
        let hops = Hops { is_trusted: &is_trusted, chain, scheme: true };
        let origin = origin(&headers, peer.parse().unwrap(), false, &hops);
        let through: Vec<_> = origin.through.iter().map(IpAddr::to_string).collect();
        format!("{} {} {}", origin.client, through.join(","), if origin.https { "https" } else { "http" })
    }

    #[test]
    fn a_chain_is_followed_as_far_as_it_is_trusted() {
        type Row = (&'static str, &'static [(&'static str, &'static str)], &'static str);
        let table: [Row; 13] = [
            ("192.0.2.7", &[("x-forwarded-for", "198.51.100.1"), ("x-forwarded-proto", "https")], "192.0.2.7  http"),
            ("::ffff:192.0.2.7", &[], "192.0.2.7  http"),
            ("10.0.0.1", &[], "10.0.0.1  http"),
            ("10.0.0.1", &[("x-forwarded-for", "192.0.2.7")], "192.0.2.7 10.0.0.1 http"),
            ("10.0.0.1", &[("x-forwarded-for", "198.51.100.1, 192.0.2.7")], "192.0.2.7 10.0.0.1 http"),
            ("10.0.0.1", &[("x-forwarded-for", "192.0.2.7,10.0.0.2")], "192.0.2.7 10.0.0.2,10.0.0.1 http"),
            (
                "10.0.0.1",
                &[("x-forwarded-for", "6.6.6.6"), ("x-forwarded-for", "2001:db8::7")],
                "2001:db8::7 10.0.0.1 http",
            ),
            ("10.0.0.1", &[("x-forwarded-for", "192.0.2.7:50123")], "192.0.2.7 10.0.0.1 http"),
            ("10.0.0.1", &[("x-forwarded-for", "[2001:db8::7]:1")], "2001:db8::7 10.0.0.1 http"),
            ("10.0.0.1", &[("x-forwarded-for", "192.0.2.7, unknown")], "10.0.0.1  http"),
            ("10.0.0.1", &[("x-forwarded-for", "evil\u{e9}, 10.0.0.2")], "10.0.0.2 10.0.0.1 http"),
            ("10.0.0.1", &[("x-forwarded-proto", "http"), ("x-forwarded-proto", "HTTPS")], "10.0.0.1  https"),
            ("10.0.0.1", &[("forwarded", "for=192.0.2.7;proto=https")], "10.0.0.1  http"),
        ];
        for (peer, fields, expected) in table {
            assert_eq!(from(peer, Chain::XForwardedFor, fields), expected, "{peer} {fields:?}");
        }
    }

    #[test]
    fn forwarded_says_the_same_in_other_words() {
        let table: [(&[(&str, &str)], &str); 8] = [
            (&[("forwarded", "for=192.0.2.7;proto=https;host=x")], "192.0.2.7 10.0.0.1 https"),
            (&[("forwarded", "proto=HTTP; For=\"[2001:db8::7]:4711\"")], "2001:db8::7 10.0.0.1 http"),
            (
                &[("forwarded", "for=6.6.6.6, for=192.0.2.7"), ("forwarded", "for=10.0.0.2")],
                "192.0.2.7 10.0.0.2,10.0.0.1 http",
            ),
            (&[("forwarded", "for=_hidden;proto=https")], "10.0.0.1  https"),
            (&[("forwarded", "for=\"192.0.2.7,10.0.0.9\"")], "10.0.0.1  http"),
            (&[("forwarded", "by=192.0.2.7;proto=ftp")], "10.0.0.1  http"),
            (&[("forwarded", "for")], "10.0.0.1  http"),
            (&[("x-forwarded-for", "192.0.2.7"), ("x-forwarded-proto", "https")], "10.0.0.1  http"),
        ];
        for (fields, expected) in table {
            assert_eq!(from("10.0.0.1", Chain::Forwarded, fields), expected, "{fields:?}");
        }
    }

    #[test]
    fn a_chain_ends() {
        let chain = vec!["10.0.0.2"; 1000].join(",");
        let origin = from("10.0.0.1", Chain::XForwardedFor, &[("x-forwarded-for", &chain)]);
        assert_eq!(origin.matches("10.").count(), MAX_HOPS + 1);
    }
}
