//! Each question and its answer; the documents are read by real programs' readers in the tests of the product.

mod acme;
mod outlook;

use http::Request;

use super::*;
use crate::config::Config;
use crate::wire;

const OUTLOOK: &str = "http://schemas.microsoft.com/exchange/autodiscover/outlook/responseschema/2006a";

fn listener(name: &str, protocol: wire::Protocol, port: u16, tls: wire::ListenerTls) -> wire::Listener {
    wire::Listener {
        name: name.to_owned(),
        protocol: protocol as i32,
        address: format!("0.0.0.0:{port}"),
        tls: tls as i32,
        plaintext_ok: true,
        ..wire::Listener::default()
    }
}

fn listeners() -> Vec<wire::Listener> {
    use wire::ListenerTls::{Implicit, Off, StarttlsRequired};
    use wire::Protocol::{Http, Imap, Pop3, Submission};
    vec![
        listener("imap", Imap, 143, StarttlsRequired),
        listener("imaps", Imap, 993, Implicit),
        listener("clear", Imap, 1143, Off),
        listener("pop3s", Pop3, 995, Implicit),
        listener("submission", Submission, 587, StarttlsRequired),
        listener("web", Http, 443, Implicit),
        listener("plain", Http, 80, Off),
    ]
}

fn autoconfig() -> wire::Autoconfig {
    wire::Autoconfig {
        name: "TGG & <friends>".to_owned(),
        domains: vec!["tgg.net.id".to_owned(), "GEC-course.com".to_owned()],
        active_sync: true,
        dav: true,
        ..wire::Autoconfig::default()
    }
}

fn checked(http: wire::Http, listeners: Vec<wire::Listener>) -> (Config, Vec<String>) {
    let message = wire::Config {
        hostname: "mail.tgg.net.id".to_owned(),
        state_directory: "/nonexistent".to_owned(),
        listeners,
        certificate_directories: vec![wire::CertificateDirectory { path: "/".to_owned() }],
        http: Some(http),
        ..wire::Config::default()
    };
    let (config, faults) = Config::check(message);
    (config, faults.iter().map(ToString::to_string).collect())
}

fn config() -> Config {
    let (config, faults) = checked(wire::Http { autoconfig: Some(autoconfig()), ..wire::Http::default() }, listeners());
    assert_eq!(faults, [""; 0]);
    config
}

/// Status, headers and body of what is answered; none: it is a backend's to answer.
async fn ask(http: &Http, is_secure: bool, request: Request<&str>) -> Option<Response<String>> {
    let (head, body) = request.into_parts();
    let question = Question::of(&head, is_secure, http)?;
    let body = if question.needs_body().is_some() { body } else { "" };
    Some(question.answer(body.as_bytes()).await.map(|body| String::from_utf8(body.to_vec()).unwrap()))
}

async fn get(http: &Http, path: &str) -> Option<(u16, String)> {
    let answer = ask(http, true, Request::get(path).body("").unwrap()).await?;
    Some((answer.status().as_u16(), answer.into_body()))
}

async fn post(http: &Http, address: &str, schema: &str) -> (u16, String) {
    let body = format!(
        "<Autodiscover><Request><EMailAddress>{address}</EMailAddress><AcceptableResponseSchema>{schema}\
         </AcceptableResponseSchema></Request></Autodiscover>"
    );
    let request = Request::post("/Autodiscover/Autodiscover.xml").body(body.as_str()).unwrap();
    let answer = ask(http, true, request).await.unwrap();
    (answer.status().as_u16(), answer.into_body())
}

#[tokio::test]
async fn what_is_not_ours_is_a_backends() {
    let config = config();
    let (nothing, _) = checked(wire::Http::default(), listeners());
    for path in ["/email.mobileconfig", "/mail/config-v1.1.xml", "/autodiscover/autodiscover.xml"] {
        assert!(get(&config.http, path).await.is_some(), "{path}");
        assert_eq!(get(&nothing.http, path).await, None, "{path}");
    }
    let others = [
        "/",
        "/Mail/config-v1.1.xml",
        "/autodiscover/autodiscover.json",
        "//mail/config-v1.1.xml",
        "/mail/config-v1.1.xml/",
        "/mail%2fconfig-v1.1.xml",
        "/.well-known/acme-challenge/x",
        "*",
    ];
    for path in others {
        assert_eq!(get(&config.http, path).await, None, "{path}");
    }
}

#[tokio::test]
async fn an_address_is_one_of_our_domains_or_there_is_nothing() {
    let config = config();
    let table = [
        ("/mail/config-v1.1.xml?emailaddress=siti@tgg.net.id", 200),
        ("/mail/config-v1.1.xml?emailaddress=siti%40TGG.net.id", 200),
        ("/mail/config-v1.1.xml?emailaddress=nobody-at-all@gec-course.com", 200),
        ("/mail/config-v1.1.xml", 200),
        ("/mail/config-v1.1.xml?emailaddress=siti@evil.example", 404),
        ("/mail/config-v1.1.xml?emailaddress=siti@sub.tgg.net.id", 404),
        ("/mail/config-v1.1.xml?emailaddress=", 400),
        ("/mail/config-v1.1.xml?emailaddress=%3Cscript%3E", 400),
        ("/mail/config-v1.1.xml?emailaddress=a@tgg.net.id%0d%0aX:y", 400),
        ("/mail/config-v1.1.xml?emailaddress=a@tgg.net.id&emailaddress=b@tgg.net.id", 400),
        ("/email.mobileconfig?email=siti@tgg.net.id", 200),
        ("/email.mobileconfig", 400),
        ("/email.mobileconfig?emailaddress=siti@tgg.net.id", 400),
        ("/email.mobileconfig?email=siti", 400),
        ("/email.mobileconfig?email=siti@evil.example", 404),
    ];
    for (path, status) in table {
        let (answered, body) = get(&config.http, path).await.unwrap();
        assert_eq!(answered, status, "{path}");
        assert!(status == 200 || !body.contains(['<', '@']), "{path}: {body}");
    }
    assert_eq!(post(&config.http, "siti@evil.example", OUTLOOK).await.0, 404);
}

#[tokio::test]
async fn servers_are_told_in_the_order_of_preference() {
    let config = config();
    let (_, body) = get(&config.http, "/mail/config-v1.1.xml?emailaddress=siti@TGG.net.id").await.unwrap();
    let told: Vec<_> = body.lines().filter(|line| line.starts_with("<port>") || line.starts_with("<socket")).collect();
    let expected = [
        "<port>993</port>",
        "<socketType>SSL</socketType>",
        "<port>143</port>",
        "<socketType>STARTTLS</socketType>",
        "<port>995</port>",
        "<socketType>SSL</socketType>",
        "<port>587</port>",
        "<socketType>STARTTLS</socketType>",
    ];
    assert_eq!(told, expected);
    assert!(body.contains("<domain>tgg.net.id</domain>") && body.contains("<hostname>mail.tgg.net.id</hostname>"));
    assert!(body.contains("<displayName>TGG &amp; &lt;friends&gt;</displayName>"));
}

#[tokio::test]
async fn without_an_address_the_domain_is_the_hosts() {
    let config = config();
    let table = [
        ("autoconfig.tgg.net.id", "tgg.net.id"),
        ("gec-course.com:443", "gec-course.com"),
        ("evil.example", "mail.tgg.net.id"),
        ("a b", "mail.tgg.net.id"),
    ];
    for (host, domain) in table {
        let request = Request::get("/.well-known/autoconfig/mail/config-v1.1.xml").header(HOST, host).body("");
        let answer = ask(&config.http, true, request.unwrap()).await.unwrap();
        assert!(answer.body().contains(&format!("<domain>{domain}</domain>")), "{host}");
    }
    let request = Request::get("https://gec-course.com/mail/config-v1.1.xml").header(HOST, "tgg.net.id").body("");
    let answer = ask(&config.http, true, request.unwrap()).await.unwrap();
    assert!(answer.body().contains("<domain>gec-course.com</domain>"));
}

#[tokio::test]
async fn a_profile_is_the_same_when_it_is_asked_for_again() {
    let config = config();
    let profile = async |path| {
        let (_, body) = get(&config.http, path).await.unwrap();
        let uuids: Vec<_> = body.lines().map(str::to_owned).collect();
        let of = |key: &str| uuids.iter().position(|line| line.contains(key)).map(|at| uuids[at + 1].clone()).unwrap();
        (of("PayloadUUID"), of("PayloadIdentifier"), body)
    };
    let siti = profile("/email.mobileconfig?email=siti@tgg.net.id").await;
    assert_eq!(siti, profile("/email.mobileconfig?email=siti%40tgg.net.id").await);
    let budi = profile("/email.mobileconfig?email=budi@tgg.net.id").await;
    assert!(siti.0 != budi.0 && siti.1 != budi.1);
    assert_eq!(siti.2.matches("<key>PayloadUUID</key>").count(), 4);
    let uuid = siti.0.trim_start_matches("<string>").trim_end_matches("</string>").to_owned();
    assert_eq!((uuid.len(), &uuid[14..15]), (36, "8"), "{uuid}");
    assert!(siti.1.contains("id.net.tgg.mail."));
}

#[tokio::test]
async fn answers_are_kept_by_nobody_and_sniffed_by_nobody() {
    let config = config();
    let table = [
        ("GET", "/email.mobileconfig?email=siti@tgg.net.id", "application/x-apple-aspen-config"),
        ("GET", "/mail/config-v1.1.xml", "text/xml; charset=utf-8"),
        ("GET", "/mail/config-v1.1.xml?emailaddress=x", "text/plain"),
        ("DELETE", "/mail/config-v1.1.xml", "text/plain"),
    ];
    for (method, path, media_type) in table {
        let request = Request::builder().method(method).uri(path).body("").unwrap();
        let answer = ask(&config.http, true, request).await.unwrap();
        assert_eq!(answer.headers()[CONTENT_TYPE], media_type, "{path}");
        assert_eq!(answer.headers()[CACHE_CONTROL], "no-store");
        assert_eq!(answer.headers()[X_CONTENT_TYPE_OPTIONS], "nosniff");
    }
}

#[tokio::test]
async fn a_method_that_says_nothing_is_refused() {
    let config = config();
    let table = [
        ("POST", "/mail/config-v1.1.xml", "GET, HEAD"),
        ("PUT", "/email.mobileconfig", "GET, HEAD"),
        ("OPTIONS", "/autodiscover/autodiscover.xml", "GET, HEAD, POST"),
    ];
    for (method, path, allowed) in table {
        for is_secure in [true, false] {
            let request = Request::builder().method(method).uri(path).body("").unwrap();
            let answer = ask(&config.http, is_secure, request).await.unwrap();
            assert_eq!((answer.status().as_u16(), &answer.headers()[ALLOW]), (405, &HeaderValue::from_static(allowed)));
        }
    }
    let head = Request::head("/mail/config-v1.1.xml").body("").unwrap();
    let answer = ask(&config.http, true, head).await.unwrap();
    let (_, whole) = get(&config.http, "/mail/config-v1.1.xml").await.unwrap();
    assert_eq!((answer.headers()[CONTENT_LENGTH].to_str().unwrap(), &**answer.body()), (&*whole.len().to_string(), ""));
}

#[tokio::test]
async fn who_asks_without_tls_is_sent_to_our_own_host() {
    let config = config();
    let redirected = async |http: &Http, method: &str, path: &str| {
        let request = Request::builder().method(method).uri(path).header(HOST, "autodiscover.evil.example").body("");
        let answer = ask(http, false, request.unwrap()).await.unwrap();
        let location = answer.headers().get(LOCATION).map(|it| it.to_str().unwrap().to_owned());
        (answer.status().as_u16(), location.unwrap_or_default())
    };
    let to = |path: &str| format!("https://mail.tgg.net.id{path}");
    let path = "/mail/config-v1.1.xml?emailaddress=siti@tgg.net.id";
    assert_eq!(redirected(&config.http, "GET", path).await, (302, to(path)));
    let path = "/autodiscover/autodiscover.xml";
    assert_eq!(redirected(&config.http, "GET", path).await, (302, to(path)));
    assert_eq!(redirected(&config.http, "POST", path).await, (307, to(path)));

    let elsewhere =
        wire::Autoconfig { host: "mail.example".to_owned(), ports: [("web".to_owned(), 8443)].into(), ..autoconfig() };
    let (config, _) = checked(wire::Http { autoconfig: Some(elsewhere), ..wire::Http::default() }, listeners());
    let expected = (302, "https://mail.example:8443/mail/config-v1.1.xml".to_owned());
    assert_eq!(redirected(&config.http, "GET", "/mail/config-v1.1.xml").await, expected);

    let without: Vec<_> = listeners().into_iter().filter(|it| it.name != "web").collect();
    let plain = wire::Autoconfig { dav: false, active_sync: false, ..autoconfig() };
    let (config, faults) = checked(wire::Http { autoconfig: Some(plain), ..wire::Http::default() }, without);
    assert_eq!(faults, [""; 0]);
    assert_eq!(redirected(&config.http, "GET", "/mail/config-v1.1.xml").await, (200, String::new()));
}

#[test]
fn what_cannot_be_told_is_a_fault_of_the_config() {
    let loopback = |mut listener: wire::Listener| {
        listener.address = listener.address.replace("0.0.0.0", "127.0.0.1");
        listener
    };
    let usual = || wire::Autoconfig { name: "x".to_owned(), ..wire::Autoconfig::default() };
    let ports = |name: &str, port| wire::Autoconfig { ports: [(name.to_owned(), port)].into(), ..usual() };
    let all = || listeners();
    let without = |name: &str| listeners().into_iter().filter(|it| !it.name.starts_with(name)).collect::<Vec<_>>();
    let hidden = || listeners().into_iter().map(loopback).collect::<Vec<_>>();
    let free = || listeners().into_iter().map(|it| wire::Listener { address: "0.0.0.0:0".to_owned(), ..it }).collect();
    let table: Vec<(wire::Autoconfig, Vec<wire::Listener>, &[&str])> = vec![
        (usual(), all(), &[]),
        (wire::Autoconfig::default(), all(), &["http.autoconfig.name: is missing"]),
        (wire::Autoconfig { host: "a b".to_owned(), ..usual() }, all(), &["http.autoconfig.host: \"a b\" is no host"]),
        (
            wire::Autoconfig { domains: vec!["b@c".to_owned()], ..usual() },
            all(),
            &["http.autoconfig.domains[0]: \"b@c\" is no domain"],
        ),
        (ports("lost", 993), all(), &["http.autoconfig.ports: \"lost\" is no listener"]),
        (ports("imaps", 70000), all(), &["http.autoconfig.ports: 70000 is no port"]),
        (usual(), without("submission"), &["http.autoconfig: needs a listener of submission"]),
        (
            usual(),
            hidden(),
            &["http.autoconfig: needs a listener of imap or pop3", "http.autoconfig: needs a listener of submission"],
        ),
        (wire::Autoconfig { dav: true, ..usual() }, without("web"), &["http.autoconfig: needs a listener of http"]),
        (
            wire::Autoconfig { ports: [("imaps".to_owned(), 993), ("submission".to_owned(), 587)].into(), ..usual() },
            hidden(),
            &[],
        ),
        (
            ports("imaps", 993),
            free(),
            &["listener \"imap\"", "listener \"pop3s\"", "listener \"submission\"", "listener \"web\""],
        ),
    ];
    for (autoconfig, listeners, expected) in table {
        let (_, faults) = checked(wire::Http { autoconfig: Some(autoconfig), ..wire::Http::default() }, listeners);
        assert_eq!(faults.len(), expected.len(), "{faults:?}");
        for (fault, expected) in faults.iter().zip(expected) {
            assert!(fault.contains(expected), "{fault}");
        }
    }
}
