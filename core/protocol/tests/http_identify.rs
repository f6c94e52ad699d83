//! Whose requests are, and which way outranks which.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http::HeaderName;
use http::request::{Parts, Request};
use proptest::prelude::*;
use zproxy_protocol::http::identify::{Claim, Prefix, Says, remembered};
use zproxy_protocol::http::{LoginForm, Rules, Service, Way, Who, identify};

/// Method and target, and a field a line.
fn head(request: &str) -> Parts {
    let mut lines = request.split('\n');
    let (method, uri) = lines.next().unwrap().split_once(' ').unwrap();
    let mut head = Request::builder().method(method).uri(uri).body(()).unwrap().into_parts().0;
    for line in lines {
        let (name, value) = line.split_once(": ").unwrap();
        head.headers.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), value.parse().unwrap());
    }
    head
}

fn rules() -> Rules {
    let claim = |name: &str, says| Claim { name: name.into(), says };
    Rules {
        bearer: vec![claim("email", Says::Name)],
        forms: vec![LoginForm::roundcube("/"), LoginForm::sogo("/SOGo/")],
        ..Rules::default()
    }
}

/// `way who`.
fn told(request: &str, rules: &Rules) -> String {
    let head = head(request);
    let identity = identify(&head, rules);
    let who = match identity.who {
        Who::AccountId(id) => format!("#{}", id.as_str()),
        Who::Cookie(sealed) => sealed.escape_ascii().to_string(),
        Who::Form(form) => form.field.to_string(),
        Who::Name(name) => name.as_str().to_owned(),
        Who::Nobody => "-".into(),
    };
    format!("{} {who}", identity.way.word())
}

fn token(id: &str) -> String {
    let hex: String = format!("id={}:{id};exp=1:1;", id.len()).bytes().map(|octet| format!("{octet:02x}")).collect();
    format!("0_ab_{hex}")
}

fn jwt(payload: &str) -> String {
    format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(payload))
}

fn basic(credentials: &str) -> String {
    format!("Authorization: Basic {}", STANDARD.encode(credentials))
}

const FORM: &str = "Content-Type: application/x-www-form-urlencoded";
const COOKIE: &str = "Cookie: __Host-zproxy=sealed";

#[test]
fn every_way_is_known() {
    let (zimbra, admin) = (token("25a1"), token("admin"));
    let (zjwt, bearer) = (jwt(r#"{"sub":"25a1"}"#), jwt(r#"{"email":"siti"}"#));
    let table = [
        ("GET /home/~siti/inbox.rss".into(), "path siti"),
        ("PROPFIND /dav/siti@tgg.net.id/Calendar/".into(), "path siti@tgg.net.id"),
        ("POST /Microsoft-Server-ActiveSync?Cmd=Ping&User=TGG%5Csiti".into(), "activesync TGG\\siti"),
        (format!("GET /\nCookie: a=1\nCookie: b=2; ZM_AUTH_TOKEN={zimbra}"), "zm_auth_token #25a1"),
        (format!("GET /\nCookie: ZM_ADMIN_AUTH_TOKEN={admin}"), "none -"),
        (format!("GET /?zauthtoken={zimbra}"), "zauthtoken #25a1"),
        (format!("GET /service/soap?x=1&zjwt={zjwt}"), "zjwt #25a1"),
        (format!("PROPFIND /\n{}", basic("siti:demo")), "basic siti"),
        (format!("GET /jmap\nAuthorization: bearer  {bearer}"), "bearer siti"),
        (format!("POST /?_task=login\n{FORM}"), "form _user"),
        ("POST /SOGo/connect\nContent-Type: application/json;charset=utf-8".into(), "form userName"),
        (format!("GET /\n{COOKIE}"), "cookie sealed"),
        ("GET /".into(), "none -"),
    ];
    for (request, expected) in table {
        assert_eq!(told(&request, &rules()), expected, "{request}");
    }
    let console = Rules { zimbra_cookie: Some("ZM_ADMIN_AUTH_TOKEN".into()), ..rules() };
    assert_eq!(told(&format!("GET /\nCookie: ZM_ADMIN_AUTH_TOKEN={admin}"), &console), "zm_auth_token #admin");
}

#[test]
fn what_is_said_outranks_what_is_remembered() {
    // From the last way to the first: each is found before all that stand below it.
    let (zimbra, zjwt) = (token("25a1"), jwt(r#"{"sub":"25a1"}"#));
    let mut fields = vec![COOKIE.to_owned()];
    assert_eq!(told(&format!("POST /\n{}", fields.join("\n")), &rules()), "cookie sealed");
    fields.push(FORM.into());
    assert_eq!(told(&format!("POST /\n{}", fields.join("\n")), &rules()), "form _user");
    fields.push(basic("budi:demo"));
    assert_eq!(told(&format!("POST /\n{}", fields.join("\n")), &rules()), "basic budi");
    assert_eq!(told(&format!("POST /?zjwt={zjwt}\n{}", fields.join("\n")), &rules()), "zjwt #25a1");
    let both = format!("POST /?zjwt={zjwt}&zauthtoken={}\n{}", token("25a2"), fields.join("\n"));
    assert_eq!(told(&both, &rules()), "zauthtoken #25a2");
    fields.push(format!("Cookie: ZM_AUTH_TOKEN={zimbra}"));
    assert_eq!(told(&both.replace("\n", &format!("\n{}\n", fields[3])), &rules()), "zm_auth_token #25a1");
    assert_eq!(told(&format!("POST /home/siti/\n{}", fields.join("\n")), &rules()), "path siti");
    let sync = "POST /Microsoft-Server-ActiveSync?User=siti";
    assert_eq!(told(&format!("{sync}\n{}", fields.join("\n")), &rules()), "activesync siti");
}

#[test]
fn every_way_can_be_switched_off() {
    let (zimbra, zjwt) = (token("25a1"), jwt(r#"{"sub":"25a1","email":"siti"}"#));
    type Switch = fn(&mut Rules);
    let table: [(String, Switch); 9] = [
        ("GET /home/siti/".into(), |rules| rules.paths = vec![Prefix::new("/dav/").unwrap()]),
        ("GET /Microsoft-Server-ActiveSync?User=siti".into(), |rules| rules.active_sync = false),
        (format!("GET /\nCookie: ZM_AUTH_TOKEN={zimbra}"), |rules| rules.zimbra_cookie = None),
        (format!("GET /?zauthtoken={zimbra}"), |rules| rules.zimbra_parameter = false),
        (format!("GET /?zjwt={zjwt}"), |rules| rules.jwt_parameter.clear()),
        (format!("GET /\n{}", basic("siti:demo")), |rules| rules.basic = false),
        (format!("GET /\nAuthorization: Bearer {zjwt}"), |rules| rules.bearer.clear()),
        (format!("POST /\n{FORM}"), |rules| rules.forms.clear()),
        (format!("GET /\n{COOKIE}"), |rules| rules.route_cookie = false),
    ];
    for (request, switch) in table {
        assert_ne!(told(&request, &rules()), "none -", "{request}");
        let mut rules = rules();
        switch(&mut rules);
        assert_eq!(told(&request, &rules), "none -", "{request}");
    }
}

#[test]
fn what_is_ambiguous_says_nothing() {
    let (siti, budi) = (basic("siti:demo"), basic("budi:demo"));
    let table = [
        format!("GET /\n{siti}\n{budi}"),
        format!("GET /\n{siti}\n{siti}"),
        format!("GET /\nCookie: ZM_AUTH_TOKEN={}\nCookie: ZM_AUTH_TOKEN={}", token("1"), token("2")),
        format!("GET /?zauthtoken={}&zauthtoken={}", token("1"), token("1")),
        format!("GET /\n{COOKIE}\n{COOKIE}"),
        "GET /Microsoft-Server-ActiveSync?User=siti&User=budi".into(),
        "GET /\nAuthorization: Basic".into(),
        "GET /\nAuthorization: Basicc2l0aTpkZW1v".into(),
        format!("GET /\n{}", basic("a\r\nb:demo")),
        format!("GET /\nAuthorization: Digest {}", STANDARD.encode("siti:demo")),
        "POST /".into(),
        format!("POST /\n{FORM}\n{FORM}"),
        format!("POST /\n{FORM}\nContent-Encoding: gzip"),
        format!("POST /\n{FORM}\nContent-Length: 65537"),
        format!("POST /\n{FORM}\nContent-Length: x"),
        format!("GET /\n{FORM}"),
        format!("POST /x\n{FORM}"),
        "POST /\nContent-Type: application/json".into(),
    ];
    for request in table {
        assert_eq!(told(&request, &rules()), "none -", "{request}");
    }
}

#[test]
fn a_service_is_marked_whoever_asks() {
    let table = [
        ("GET /.well-known/caldav", Some(Service::CalDav)),
        ("PROPFIND /.well-known/carddav/", Some(Service::CardDav)),
        ("OPTIONS /microsoft-server-activesync", Some(Service::ActiveSync)),
        ("GET /.well-known/caldavx", None),
        ("GET /.well-known/jmap", None),
        ("OPTIONS *", None),
    ];
    for (request, expected) in table {
        let head = head(request);
        let rules = rules();
        let identity = identify(&head, &rules);
        assert_eq!((identity.service, identity.way), (expected, Way::None), "{request}");
    }
}

#[test]
fn a_form_without_a_name_is_the_cookies() {
    let head = head(&format!("POST /\n{FORM}\n{COOKIE}"));
    let rules = rules();
    let Who::Form(form) = identify(&head, &rules).who else { panic!("no form") };
    assert!(form.name(&head.headers, b"_task=mail&_user=siti").is_err());
    assert!(matches!(remembered(&head.headers, &rules), (Who::Cookie(b"sealed"), Way::Cookie)));
}

proptest! {
    #[test]
    fn a_name_comes_back_however_it_is_written(name in "[^\\pC/~.:][^\\pC/:]{0,40}") {
        let escaped: String = name.bytes().map(|octet| format!("%{octet:02X}")).collect();
        let requests = [
            ("path", format!("GET /home/{escaped}/x")),
            ("activesync", format!("GET /Microsoft-Server-ActiveSync?User={escaped}")),
            ("basic", format!("GET /\n{}", basic(&format!("{name}:a:b")))),
        ];
        for (way, request) in requests {
            prop_assert_eq!(told(&request, &rules()), format!("{way} {name}"));
        }
    }
}
