//! What backends are told of a request, and clients of an answer.

use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::request::Parts;
use http::{Method, Request, Response, StatusCode, Version};
use zproxy_protocol::http::forward::{
    Added, AnswerRules, Backend, Chain, CookieDomain, Front, Hops, Loop, Onward, Origin, accept, answer, open, origin,
    request, request_id, trailers,
};
use zproxy_protocol::http::{Authority, Host};

fn head(request: &str) -> Parts {
    let mut lines = request.split('\n');
    let (method, uri) = lines.next().unwrap().split_once(' ').unwrap();
    let mut head = Request::builder().method(method).uri(uri).version(Version::HTTP_2).body(()).unwrap().into_parts().0;
    head.headers = fields(&lines.collect::<Vec<_>>());
    head
}

fn fields(lines: &[&str]) -> HeaderMap {
    let pairs = lines.iter().map(|line| {
        let (name, value) = line.split_once(": ").unwrap();
        (HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_bytes(value.as_bytes()).unwrap())
    });
    pairs.collect()
}

fn text(headers: &HeaderMap) -> Vec<String> {
    let mut lines: Vec<_> =
        headers.iter().map(|(name, value)| format!("{name}: {}", String::from_utf8_lossy(value.as_bytes()))).collect();
    lines.sort();
    lines
}

/// What a backend is told, from a client over TLS that may have come through others.
fn told(head: &mut Parts, client: &str, through: &[&str], host: Option<&str>) -> Result<(), Loop> {
    let address = |address: &str| address.parse().unwrap();
    let through = through.iter().map(|hop| address(hop)).collect();
    let authority = Authority::parse(b"mail.tgg.net.id").unwrap();
    let host = host.map(|host| host.parse().unwrap());
    let onward = Onward {
        origin: &Origin { client: address(client), through, https: true },
        authority: Some(&authority),
        host: host.as_ref(),
        request_id: &HeaderValue::from_static("r1"),
    };
    request(head, &onward)
}

const SAID: [&str; 9] = [
    "cdn-loop: zproxy",
    "forwarded: for=192.0.2.7;host=mail.tgg.net.id;proto=https",
    "host: mail.tgg.net.id",
    "x-forwarded-for: 192.0.2.7",
    "x-forwarded-host: mail.tgg.net.id",
    "x-forwarded-port: 443",
    "x-forwarded-proto: https",
    "x-real-ip: 192.0.2.7",
    "x-request-id: r1",
];

#[test]
fn a_request_is_made_the_backends() {
    let mut head = head(
        "POST https://mail.tgg.net.id/a%20b?c\naccept: */*\ncookie: a=1\ncookie: __Host-zproxy=v\ncookie: b=2\n\
         expect: 100-continue\ncontent-length: 5\nte: trailers\nkeep-alive: 5\nvia: 1.1 theirs",
    );
    told(&mut head, "192.0.2.7", &[], None).unwrap();
    assert_eq!((head.uri.to_string().as_str(), head.version), ("/a%20b?c", Version::HTTP_11));
    let own =
        ["accept: */*", "connection: TE", "content-length: 5", "cookie: a=1; b=2", "te: trailers", "via: 1.1 theirs"];
    let mut expected: Vec<_> = own.iter().chain(&SAID).map(ToString::to_string).collect();
    expected.sort();
    assert_eq!(text(&head.headers), expected);
}

#[test]
fn a_clients_word_on_itself_goes_nowhere() {
    let spoofed = [
        "x-forwarded-for: 127.0.0.1",
        "X-Forwarded-For: 127.0.0.1",
        "x_forwarded_for: 127.0.0.1",
        "x-forwarded_proto: https",
        "x-forwarded-server: evil",
        "x-forwarded: for=evil",
        "x-original-forwarded-for: evil",
        "forwarded: for=evil",
        "x-real-ip: 127.0.0.1",
        "x_real_ip: 127.0.0.1",
        "x-request-id: evil\u{e9}",
        "client-ip: 127.0.0.1",
        "x-client-ip: 127.0.0.1",
        "true-client-ip: 127.0.0.1",
        "x-cluster-client-ip: 127.0.0.1",
        "proxy: http://evil.example/",
        "remote_user: budi",
        "x-remote-user: budi",
        "x-webobjects-remote-user: budi",
        "host: evil.example",
        "connection: x-forwarded-for, x-real-ip, x-request-id, host, cdn-loop",
    ];
    for line in spoofed {
        let mut head = head(&format!("GET /\n{line}\n{line}"));
        told(&mut head, "192.0.2.7", &[], None).unwrap();
        assert_eq!(text(&head.headers), SAID, "{line}");
    }
}

#[test]
fn a_chain_of_trusted_hops_is_written_out() {
    let mut v6 = head("GET /");
    told(&mut v6, "2001:db8::7", &["10.0.0.2", "2001:db8::1"], Some("webmail.internal")).unwrap();
    let expected = [
        "forwarded: for=\"[2001:db8::7]\";host=mail.tgg.net.id;proto=https, for=10.0.0.2, for=\"[2001:db8::1]\"",
        "host: webmail.internal",
        "x-forwarded-for: 2001:db8::7, 10.0.0.2, 2001:db8::1",
        "x-forwarded-host: mail.tgg.net.id",
        "x-real-ip: 2001:db8::7",
    ];
    let said = text(&v6.headers);
    for line in expected {
        assert!(said.iter().any(|said| said == line), "{line} in {said:?}");
    }
    // What we write is what we would read.
    let ours = Hops { is_trusted: &|_| true, chain: Chain::Forwarded, scheme: true };
    let read = origin(&v6.headers, "127.0.0.1".parse().unwrap(), false, &ours);
    assert_eq!((read.client.to_string().as_str(), read.through.len(), read.https), ("2001:db8::7", 3, true));
}

#[test]
fn targets_have_the_form_of_the_origin() {
    for (uri, expected) in
        [("http://mail.tgg.net.id", "/"), ("http://mail.tgg.net.id?q", "/?q"), ("*", "*"), ("//x", "//x")]
    {
        let mut head = head(&format!("OPTIONS {uri}"));
        told(&mut head, "192.0.2.7", &[], None).unwrap();
        assert_eq!(head.uri.to_string(), expected);
        assert!(head.uri.authority().is_none(), "{uri}");
    }
}

#[test]
fn a_request_that_goes_round_is_stopped() {
    let mut head = head("GET /\ncdn-loop: other; zproxy, ZPROXY; v=1\ncdn-loop: zproxy2");
    for _ in 0..3 {
        assert_eq!(told(&mut head, "192.0.2.7", &[], None), Ok(()));
    }
    assert_eq!(told(&mut head, "192.0.2.7", &[], None), Err(Loop));
}

#[test]
fn an_id_is_taken_where_it_can_be_written_everywhere() {
    let table: [(&[&str], bool); 6] = [
        (&["x-request-id: 7b1e-4f_a:1/2.3+4=@"], true),
        (&["x-request-id: a", "x-request-id: a"], false),
        (&["x-request-id: a b"], false),
        (&["x-request-id: a\"}"], false),
        (&["x-request-id: "], false),
        (&[], false),
    ];
    for (lines, taken) in table {
        assert_eq!(request_id(&fields(lines)).is_some(), taken, "{lines:?}");
    }
    let long = format!("x-request-id: {}", "a".repeat(129));
    assert!(request_id(&fields(&[&long])).is_none() && request_id(&fields(&[&long[..long.len() - 1]])).is_some());
}

fn answered(headers: &mut HeaderMap, https: bool, rules: &AnswerRules) {
    let authority = Authority::parse(b"mail.tgg.net.id").unwrap();
    let backend = Backend { host: "mbox-1.tgg.net.id", port: 8080 };
    answer(headers, Front { authority: &authority, https }, backend, rules);
}

#[test]
fn an_answer_is_made_the_clients() {
    let added = |name: &'static str, value: &'static str, replaces| Added {
        name: HeaderName::from_static(name),
        value: HeaderValue::from_static(value),
        replaces,
    };
    let rules = AnswerRules {
        added: vec![added("x-frame-options", "DENY", false), added("server", "mail", true), added("x-new", "1", false)],
        hsts: Some(HeaderValue::from_static("max-age=31536000")),
        ..AnswerRules::default()
    };
    let lines = [
        "connection: close, x-hop",
        "x-hop: 1",
        "transfer-encoding: chunked",
        "alt-svc: h3=\":443\"",
        "strict-transport-security: max-age=0",
        "location: http://mbox-1.tgg.net.id:8080/mail",
        "content-location: /mail",
        "server: Apache",
        "x-frame-options: SAMEORIGIN",
        "trailer: x",
        "content-type: text/html",
    ];
    let mut headers = fields(&lines);
    answered(&mut headers, true, &rules);
    let expected = [
        "content-location: /mail",
        "content-type: text/html",
        "location: https://mail.tgg.net.id/mail",
        "server: mail",
        "strict-transport-security: max-age=31536000",
        "trailer: x",
        "x-frame-options: SAMEORIGIN",
        "x-new: 1",
    ];
    assert_eq!(text(&headers), expected);

    let mut plain = HeaderMap::new();
    answered(&mut plain, false, &rules);
    assert!(!plain.contains_key("strict-transport-security"));
}

#[test]
fn cookies_get_our_domain_and_never_our_name() {
    let host = |name: &str| Host::parse(name.as_bytes()).unwrap();
    let domain = |from: &str, to: Option<&str>| CookieDomain { from: host(from), to: to.map(host) };
    let cookie_domains = vec![domain("mbox-1.tgg.net.id", None), domain("internal", Some("tgg.net.id"))];
    let rules = AnswerRules { cookie_domains, ..AnswerRules::default() };
    let table = [
        ("a=1; Path=/; HttpOnly", Some("a=1; Path=/; HttpOnly")),
        ("a=1; Domain=mbox-1.tgg.net.id; Path=/", Some("a=1; Path=/")),
        ("a=1;domain = .MBOX-1.tgg.net.id", Some("a=1")),
        ("a=1; Path=/; Domain=internal; Secure", Some("a=1; Path=/; Domain=tgg.net.id; Secure")),
        ("a=1; Domain=other.example", Some("a=1; Domain=other.example")),
        ("domain=internal; Path=/", Some("domain=internal; Path=/")),
        ("a=\u{e9}; Domain=", Some("a=\u{e9}; Domain=")),
        ("__Host-zproxy=v; Path=/; Secure", None),
        (" __Host-zproxy =v", None),
    ];
    for (cookie, expected) in table {
        let mut headers = HeaderMap::new();
        headers.append("set-cookie", HeaderValue::from_bytes(cookie.as_bytes()).unwrap());
        answered(&mut headers, true, &rules);
        let left = headers.get("set-cookie").map(HeaderValue::as_bytes);
        assert_eq!(left, expected.map(str::as_bytes), "{cookie}");
    }
}

#[test]
fn a_websocket_is_an_upgrade_before_the_backend() {
    let key = HeaderValue::from_static("bm9uY2Vub25jZW5vbmNlIQ==");
    let mut http2 = head("CONNECT https://mail.tgg.net.id/ws\nsec-websocket-version: 13");
    told(&mut http2, "192.0.2.7", &[], None).unwrap();
    open(&mut http2, &key);
    assert_eq!((&http2.method, http2.headers.get("sec-websocket-key")), (&Method::GET, Some(&key)));
    let mut http1 = head("GET /ws\nconnection: upgrade\nupgrade: websocket\nsec-websocket-key: theirs");
    told(&mut http1, "192.0.2.7", &[], None).unwrap();
    open(&mut http1, &key);
    assert_eq!(http1.headers["sec-websocket-key"], "theirs");
    for head in [&http1, &http2] {
        assert_eq!(
            (&head.headers["connection"], &head.headers["upgrade"]),
            (&"upgrade".parse().unwrap(), &"websocket".parse().unwrap())
        );
    }

    for (is_http2, status, fields) in [(true, 200, 0), (false, 101, 3)] {
        let mut head = Response::builder().status(101).body(()).unwrap().into_parts().0;
        head.headers = self::fields(&["connection: upgrade", "upgrade: websocket", "sec-websocket-accept: x"]);
        answered(&mut head.headers, true, &AnswerRules::default());
        accept(&mut head, is_http2);
        assert_eq!((head.status, head.headers.len()), (StatusCode::from_u16(status).unwrap(), fields));
    }
}

#[test]
fn trailers_say_nothing_that_a_head_may_not() {
    let mut said = fields(&[
        "connection: x-hop",
        "cookie: __Host-zproxy=v",
        "set-cookie: __Host-zproxy=v",
        "te: trailers",
        "x-forwarded-for: 127.0.0.1",
        "x-hop: 1",
        "x-remote-user: budi",
        "x-sum: 5",
        "x_real_ip: 127.0.0.1",
    ]);
    trailers(&mut said);
    assert_eq!(text(&said), ["x-sum: 5"]);
}
