//! WebSockets: an upgrade of HTTP/1.1 (RFC 6455) before the backend, and before the client that or an extended CONNECT
//! of HTTP/2 (RFC 8441).

use http::header::{
    CONNECTION, HeaderMap, HeaderName, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION,
    UPGRADE,
};
use http::request::Parts;
use http::{Method, StatusCode, response};

const UPGRADES: HeaderValue = HeaderValue::from_static("upgrade");
const WEBSOCKET: HeaderValue = HeaderValue::from_static("websocket");

/// Makes a request that [`request`](super::request) has made the backend's ask for a WebSocket. HTTP/2 has no key of
/// its own; `key` is what to send in its place: base64 of 16 random octets.
pub fn open(head: &mut Parts, key: &HeaderValue) {
    if head.method == Method::CONNECT {
        head.method = Method::GET;
        head.headers.insert(SEC_WEBSOCKET_KEY, key.clone());
        head.headers.entry(SEC_WEBSOCKET_VERSION).or_insert(HeaderValue::from_static("13"));
    }
    upgrade(&mut head.headers);
}

/// Makes a backend's 101, which [`answer`](super::answer) has made the client's, an answer of the client's protocol.
pub fn accept(head: &mut response::Parts, http2: bool) {
    const HTTP1_ONLY: [HeaderName; 3] = [CONNECTION, SEC_WEBSOCKET_ACCEPT, UPGRADE];
    if http2 {
        head.status = StatusCode::OK;
        for name in HTTP1_ONLY {
            head.headers.remove(name);
        }
    } else {
        upgrade(&mut head.headers);
    }
}

fn upgrade(headers: &mut HeaderMap) {
    headers.insert(CONNECTION, UPGRADES);
    headers.insert(UPGRADE, WEBSOCKET);
}
