//! What requests are let on, by their heads.

use http::request::Parts;
use http::{HeaderValue, Request, StatusCode, Version};
use zproxy_protocol::http::target::{Refused, check};
use zproxy_protocol::http::{Kind, Target};

const H1: Version = Version::HTTP_11;
const H2: Version = Version::HTTP_2;

/// A head as hyper would have it: `GET /path`, and a field a line.
fn head(version: Version, request: &str) -> Parts {
    let mut lines = request.split('\n');
    let (method, uri) = lines.next().unwrap().split_once(' ').unwrap();
    let mut head = Request::builder().version(version).method(method).uri(uri).body(()).unwrap().into_parts().0;
    for line in lines {
        let (name, value) = line.split_once(':').unwrap();
        let value = value.strip_prefix(' ').unwrap_or(value);
        head.headers.append(
            http::HeaderName::from_bytes(name.as_bytes()).unwrap(),
            HeaderValue::from_bytes(value.as_bytes()).unwrap(),
        );
    }
    head
}

fn judge(version: Version, request: &str, protocol: Option<&str>) -> Result<Target, Refused> {
    check(&head(version, request), protocol, |authority| authority.host.as_str() == "mail.tgg.net.id")
}

fn authority(version: Version, request: &str) -> Result<String, Refused> {
    let target = judge(version, request, None)?;
    Ok(target.authority.map_or("-".into(), |authority| authority.to_string()))
}

#[test]
fn http1_says_its_host_once() {
    let table = [
        ("GET /\nHost: mail.tgg.net.id", Ok("mail.tgg.net.id")),
        ("GET /\nHost: MAIL.tgg.net.id.:8443", Ok("mail.tgg.net.id:8443")),
        ("GET /\nHost: [2001:DB8::7]:443", Ok("[2001:db8::7]:443")),
        ("GET /\nHost: unknown.example", Ok("unknown.example")),
        ("GET http://mail.tgg.net.id/\nHost: mail.tgg.net.id", Ok("mail.tgg.net.id")),
        ("GET https://mail.tgg.net.id:8443/a\nHost: evil.example", Ok("mail.tgg.net.id:8443")),
        ("GET http://mail.tgg.net.id\nHost: mail.tgg.net.id", Ok("mail.tgg.net.id")),
        ("GET http://evil.example/\nHost: mail.tgg.net.id", Err(Refused::Foreign)),
        ("GET http://mail.tgg.net.id/", Err(Refused::NoHost)),
        ("GET http://mail.tgg.net.id/\nHost: a\nHost: a", Err(Refused::ManyHosts)),
        ("GET http://u@mail.tgg.net.id/\nHost: mail.tgg.net.id", Err(Refused::BadHost)),
        ("GET ftp://mail.tgg.net.id/\nHost: mail.tgg.net.id", Err(Refused::BadScheme)),
        ("GET /", Err(Refused::NoHost)),
        ("GET /\nHost: mail.tgg.net.id\nHost: mail.tgg.net.id", Err(Refused::ManyHosts)),
        ("GET /\nHost: ", Err(Refused::BadHost)),
        ("GET /\nHost: mail.tgg.net.id, evil.example", Err(Refused::BadHost)),
        ("GET /\nHost: mail.tgg.net.id/x", Err(Refused::BadHost)),
        ("GET /\nHost: mail.tgg.net.id:99999", Err(Refused::BadHost)),
        ("GET /\nHost: mail.tgg.net.id:80@evil.example", Err(Refused::BadHost)),
        ("GET /\nHost: mail.tgg.net.id\t", Err(Refused::BadHost)),
        ("GET /\nHost: \u{e9}", Err(Refused::BadHost)),
    ];
    for (request, expected) in table {
        assert_eq!(authority(H1, request), expected.map(str::to_owned), "{request:?}");
    }
    assert_eq!(authority(Version::HTTP_10, "GET /").as_deref(), Ok("-"));
    assert_eq!(authority(Version::HTTP_10, "GET /\nHost: a\nHost: a"), Err(Refused::ManyHosts));
}

#[test]
fn http2_has_one_authority() {
    let table = [
        ("GET https://mail.tgg.net.id/", Ok("mail.tgg.net.id")),
        ("GET https://mail.tgg.net.id/\nhost: MAIL.tgg.net.id:443", Ok("mail.tgg.net.id")),
        ("GET /\nhost: mail.tgg.net.id", Ok("mail.tgg.net.id")),
        ("GET https://unknown.example/", Ok("unknown.example")),
        ("GET https://mail.tgg.net.id/\nhost: evil.example", Err(Refused::HostDiffers)),
        ("GET https://mail.tgg.net.id/\nhost: mail.tgg.net.id:8443", Err(Refused::HostDiffers)),
        ("GET http://mail.tgg.net.id/\nhost: mail.tgg.net.id:443", Err(Refused::HostDiffers)),
        ("GET https://mail.tgg.net.id/\nhost: a\nhost: mail.tgg.net.id", Err(Refused::ManyHosts)),
        ("GET https://mail.tgg.net.id/\nhost: ", Err(Refused::BadHost)),
        ("GET ws://mail.tgg.net.id/", Err(Refused::BadScheme)),
        ("GET /", Err(Refused::NoHost)),
    ];
    for (request, expected) in table {
        assert_eq!(authority(H2, request), expected.map(str::to_owned), "{request:?}");
    }
}

#[test]
fn fields_that_servers_read_in_two_ways_are_refused() {
    let table = [
        (H1, "Content-Length: 5", None),
        (H1, "Transfer-Encoding: Chunked", None),
        (H1, "Expect: 100-Continue", None),
        (H1, "TE: gzip, trailers", None),
        (H1, "Content-Length: 5\nContent-Length: 5", Some(Refused::AmbiguousLength)),
        (H1, "Content-Length: 5\nTransfer-Encoding: chunked", Some(Refused::AmbiguousLength)),
        (H1, "Transfer-Encoding: gzip, chunked", Some(Refused::TransferCoding)),
        (H1, "Transfer-Encoding: chunked\nTransfer-Encoding: chunked", Some(Refused::TransferCoding)),
        (H1, "Transfer-Encoding: chunked, identity", Some(Refused::TransferCoding)),
        (H1, "Transfer-Encoding: xchunked", Some(Refused::TransferCoding)),
        (H1, "Transfer-Encoding: ", Some(Refused::TransferCoding)),
        (Version::HTTP_10, "Transfer-Encoding: chunked", Some(Refused::TransferCoding)),
        (H1, "Expect: 200-ok", Some(Refused::Expectation)),
        (H1, "Expect: 100-continue, x", Some(Refused::Expectation)),
        (H2, "te: trailers", None),
        (H2, "te: gzip", Some(Refused::ConnectionField)),
        (H2, "connection: close", Some(Refused::ConnectionField)),
        (H2, "keep-alive: x", Some(Refused::ConnectionField)),
        (H2, "proxy-connection: x", Some(Refused::ConnectionField)),
        (H2, "transfer-encoding: chunked", Some(Refused::ConnectionField)),
        (H2, "upgrade: websocket", Some(Refused::ConnectionField)),
        (H2, "x-a:  b", Some(Refused::Padded)),
        (H2, "x-a: b\t", Some(Refused::Padded)),
    ];
    for (version, fields, expected) in table {
        let request = format!("POST https://mail.tgg.net.id/\nHost: mail.tgg.net.id\n{fields}");
        assert_eq!(judge(version, &request, None).err(), expected, "{version:?} {fields:?}");
    }
}

#[test]
fn paths_have_no_control_however_it_is_written() {
    let table = [
        ("GET /a%20b/%C3%A9?x=%0d%0a", None),
        ("GET /a%2520%250a", None),
        ("GET /?a|b{c}", None),
        ("OPTIONS *", None),
        ("GET *", Some(Refused::BadPath)),
        ("GET /home/a%0ab", Some(Refused::BadPath)),
        ("GET /home/a%0Db", Some(Refused::BadPath)),
        ("GET /%00", Some(Refused::BadPath)),
        ("GET /%7f", Some(Refused::BadPath)),
        ("GET /%", Some(Refused::BadPath)),
        ("GET /%zz", Some(Refused::BadPath)),
        ("GET /é", Some(Refused::BadPath)),
        ("GET /?é", Some(Refused::BadPath)),
        ("GET mail.tgg.net.id", Some(Refused::BadPath)),
    ];
    for (line, expected) in table {
        let request = format!("{line}\nHost: mail.tgg.net.id");
        assert_eq!(judge(H1, &request, None).err(), expected, "{line}");
    }
}

#[test]
fn nobody_is_tunnelled_but_websockets() {
    let websocket = "GET /ws\nHost: a\nConnection: keep-alive, Upgrade\nUpgrade: WebSocket\nSec-WebSocket-Key: x";
    let kind = |version, request: &str, protocol| judge(version, request, protocol).map(|target| target.kind);
    assert_eq!(kind(H1, websocket, None), Ok(Kind::WebSocket));
    assert_eq!(kind(H1, &websocket.replace("WebSocket\n", "h2c\n"), None), Ok(Kind::Exchange));
    assert_eq!(kind(H1, &websocket.replace("WebSocket\n", "websocket, h2c\n"), None), Ok(Kind::Exchange));
    assert_eq!(kind(H1, &websocket.replace(", Upgrade", ""), None), Ok(Kind::Exchange));
    assert_eq!(kind(H1, &websocket.replace("GET", "POST"), None), Ok(Kind::Exchange));
    assert_eq!(kind(H1, &format!("{websocket}\nSec-WebSocket-Key: y"), None), Ok(Kind::Exchange));
    assert_eq!(kind(H1, &format!("{websocket}\nContent-Length: 0"), None), Ok(Kind::WebSocket));
    assert_eq!(kind(H1, &format!("{websocket}\nContent-Length: 5"), None), Ok(Kind::Exchange));
    assert_eq!(kind(H1, &format!("{websocket}\nTransfer-Encoding: chunked"), None), Ok(Kind::Exchange));
    assert_eq!(kind(H1, "OPTIONS *\nHost: a", None), Ok(Kind::Asterisk));

    let connect = "CONNECT https://mail.tgg.net.id/ws";
    assert_eq!(kind(H2, connect, Some("websocket")), Ok(Kind::WebSocket));
    assert_eq!(
        kind(H2, &format!("{connect}\nContent-Length: 5"), Some("websocket")),
        Err(Refused::AmbiguousLength),
        "a backend would wait for five octets of the next request"
    );
    assert_eq!(kind(H2, connect, Some("connect-udp")), Err(Refused::Protocol));
    assert_eq!(kind(H2, "CONNECT mail.tgg.net.id:25", None), Err(Refused::Connect));
    assert_eq!(kind(H1, "CONNECT mail.tgg.net.id:25\nHost: mail.tgg.net.id:25", None), Err(Refused::Connect));
    assert_eq!(
        kind(H1, "CONNECT mail.tgg.net.id:25\nHost: mail.tgg.net.id:25", Some("websocket")),
        Err(Refused::Connect)
    );
    assert_eq!(kind(H2, "CONNECT https://mail.tgg.net.id/%0a", Some("websocket")), Err(Refused::BadPath));
    assert_eq!(kind(H1, "TRACE /\nHost: mail.tgg.net.id", None), Err(Refused::Trace));
}

#[test]
fn a_refusal_has_the_status_of_its_cause() {
    let table = [
        (Refused::AmbiguousLength, 400),
        (Refused::BadHost, 400),
        (Refused::BadPath, 400),
        (Refused::BadScheme, 400),
        (Refused::Connect, 405),
        (Refused::ConnectionField, 400),
        (Refused::Expectation, 417),
        (Refused::Foreign, 421),
        (Refused::HostDiffers, 400),
        (Refused::ManyHosts, 400),
        (Refused::NoHost, 400),
        (Refused::Padded, 400),
        (Refused::Protocol, 501),
        (Refused::Trace, 405),
        (Refused::TransferCoding, 400),
    ];
    for (refused, status) in table {
        assert_eq!(refused.status(), StatusCode::from_u16(status).unwrap(), "{refused:?}");
    }
}
