//! A request as a backend gets it, and an answer as its client gets it.
//!
//! What belongs to one connection stays there. Who the client is and how it came is said by us alone: a client's own
//! words on that go nowhere, and of a trusted hop's those do that lead to the client.

mod bound;
mod location;
mod origin;
mod request;
mod response;
mod websocket;

use http::HeaderMap;
use http::header::{CONNECTION, HeaderName, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRANSFER_ENCODING, UPGRADE};

use super::list;

pub use bound::binds_connection;
pub use location::{Backend, Front};
pub use origin::{Chain, Hops, Origin, origin};
pub use request::{Loop, Onward, request, request_id, trailers};
pub use response::{Added, AnswerRules, CookieDomain, answer};
pub use websocket::{accept, open};

/// Fields that are about a connection of HTTP/1, and that HTTP/2 does not know (RFC 9113, section 8.2.2).
pub(super) const CONNECTION_FIELDS: [HeaderName; 5] = [
    CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    TRANSFER_ENCODING,
    UPGRADE,
];

/// Fields that are about one hop without being named by Connection (RFC 9110, section 7.6.1). Trailer is none: whoever
/// gets the trailers wants to know.
const HOP_FIELDS: [HeaderName; 3] =
    [HeaderName::from_static("http2-settings"), PROXY_AUTHENTICATE, PROXY_AUTHORIZATION];

/// Takes out what is about the connection a message came by, and what its Connection names. `TE: trailers` stays: we do
/// pass trailers on.
fn strip_hop(headers: &mut HeaderMap) {
    let trailers = list::has(headers, &TE, "trailers");
    let named: Vec<_> =
        list::members(headers, &CONNECTION).filter_map(|name| HeaderName::from_bytes(name).ok()).collect();
    for name in named.iter().chain(&CONNECTION_FIELDS).chain(&HOP_FIELDS).chain([&TE]) {
        headers.remove(name);
    }
    if trailers {
        headers.insert(TE, http::HeaderValue::from_static("trailers"));
        // RFC 9110, section 10.1.4: so that the next hop does not pass it on.
        headers.insert(CONNECTION, http::HeaderValue::from_static("TE"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_belongs_to_a_connection_stays_there() {
        type Row = (&'static [(&'static str, &'static str)], &'static [&'static str]);
        let table: [Row; 6] = [
            (&[("connection", "close"), ("keep-alive", "timeout=5"), ("accept", "*/*")], &["accept: */*"]),
            (&[("connection", "X-Secret , accept"), ("x-secret", "1"), ("accept", "*/*")], &[]),
            (&[("connection", "a"), ("connection", "b, (?"), ("a", "1"), ("b", "2"), ("c", "3")], &["c: 3"]),
            (&[("te", "gzip, Trailers"), ("trailer", "x")], &["connection: TE", "te: trailers", "trailer: x"]),
            (&[("te", "gzip"), ("upgrade", "h2c"), ("http2-settings", "AAMAAABk")], &[]),
            (
                &[("proxy-authorization", "Basic x"), ("proxy-connection", "close"), ("transfer-encoding", "chunked")],
                &[],
            ),
        ];
        for (fields, expected) in table {
            let mut headers = HeaderMap::new();
            for (name, value) in fields {
                headers.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), value.parse().unwrap());
            }
            strip_hop(&mut headers);
            let mut left: Vec<_> =
                headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
            left.sort();
            assert_eq!(left, expected, "{fields:?}");
        }
    }
}
