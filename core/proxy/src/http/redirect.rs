//! From http to https.

use bytes::Bytes;
use http::header::{HeaderValue, LOCATION};
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{Method, Response, StatusCode};
use zproxy_protocol::http::Host;

/// Sends a request to the same place by TLS. A method other than GET must stay what it is (308).
pub(super) fn response(head: &Parts, host: &Host, port: u16) -> Response<Bytes> {
    let path = head.uri.path_and_query().map(PathAndQuery::as_str).filter(|path| path.starts_with('/')).unwrap_or("/");
    let port = if port == 443 { String::new() } else { format!(":{port}") };
    let location = format!("https://{host}{port}{path}");
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = match head.method {
        Method::GET | Method::HEAD => StatusCode::MOVED_PERMANENTLY,
        _ => StatusCode::PERMANENT_REDIRECT,
    };
    if let Ok(location) = HeaderValue::try_from(location) {
        response.headers_mut().insert(LOCATION, location);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Request;

    #[test]
    fn the_place_stays_the_same() {
        let host = Host::parse(b"mail.tgg.net.id").unwrap();
        let table = [
            ("GET", "/mail?_task=login&x=%0d", 443, 301, "https://mail.tgg.net.id/mail?_task=login&x=%0d"),
            ("POST", "/", 8443, 308, "https://mail.tgg.net.id:8443/"),
            ("HEAD", "//evil.example/", 443, 301, "https://mail.tgg.net.id//evil.example/"),
            ("OPTIONS", "*", 443, 308, "https://mail.tgg.net.id/"),
        ];
        for (method, target, port, status, location) in table {
            let (head, ()) = Request::builder().method(method).uri(target).body(()).unwrap().into_parts();
            let response = response(&head, &host, port);
            assert_eq!(
                (response.status().as_u16(), response.headers()[LOCATION].to_str().unwrap()),
                (status, location)
            );
        }
    }
}
