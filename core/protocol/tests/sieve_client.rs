//! ManageSieve backends, good and bad, before the client machine.

#[path = "harness/backend.rs"]
mod harness;

use harness::{End, bounded, login, siti, slowly, talk};
use proptest::prelude::*;
use zproxy_protocol::sieve::Sieve;
use zproxy_protocol::{
    Client, ClientSetting, ClientStep, Error, Forward, Goal, Input, LoginAtBackend, Name, Protocol as _,
};

fn client(login: LoginAtBackend) -> Box<dyn Client> {
    Sieve.client(ClientSetting { starttls: false, goal: Goal::Login(Box::new(login)) })
}

fn starttls() -> Box<dyn Client> {
    Sieve.client(ClientSetting { starttls: true, goal: Goal::Login(Box::new(siti())) })
}

fn xclient() -> LoginAtBackend {
    LoginAtBackend { forward: Forward::Xclient, ..siti() }
}

const PLAIN: &str =
    "\"IMPLEMENTATION\" \"x\"\r\n\"SASL\" \"LOGIN PLAIN\"\r\n\"SIEVE\" {8}\r\nfileinto\r\nOK \"hi\"\r\n";
const TLS: &str = "\"SASL\" \"\"\r\n\"STARTTLS\"\r\nOK\r\n";
const XCLIENT: &str = "\"SASL\" \"PLAIN\"\r\n\"XCLIENT\"\r\nOK\r\n";
const NOTHING: &str = "\"SASL\" \"LOGIN\"\r\nOK\r\n";
const AUTHENTICATE: &str = "AUTHENTICATE \"PLAIN\" \"AHNpdGkAZGVtbw==\";/";

fn talks(client: Box<dyn Client>, backend: &[&str]) -> (String, End) {
    let mut client = client;
    talk(&mut *client, backend)
}

#[test]
fn plain_is_said_at_once_where_the_backend_lists_it() {
    let (said, end) = talks(client(siti()), &[PLAIN, "OK \"Logged \\\"in\\\".\"\r\n"]);
    assert_eq!(said, format!("{AUTHENTICATE}/"));
    assert_eq!(end, Ok("success Logged \\\"in\\\".".into()));
}

#[test]
fn a_response_too_long_for_quotes_is_sent_as_a_literal() {
    // The message is six octets longer; 768 of them make 1024 of base64, and one more 1028.
    for (octets, opening) in [(762, "\""), (763, "{1028+};")] {
        let (said, end) = talks(client(login("siti", &"x".repeat(octets))), &[PLAIN, "OK\r\n"]);
        assert!(said.starts_with(&format!("AUTHENTICATE \"PLAIN\" {opening}AHNpdGkAeHh4")), "{octets} {said}");
        assert_eq!(end, Ok("success ".into()));
    }
}

#[test]
fn a_backend_that_overlooks_the_initial_response_may_ask_for_it_once() {
    for asks in ["\"\"\r\n", "{0}\r\n\r\n"] {
        let (said, end) = talks(client(siti()), &[PLAIN, asks, "OK\r\n"]);
        assert_eq!(said, format!("{AUTHENTICATE}\"AHNpdGkAZGVtbw==\";//"));
        assert_eq!(end, Ok("success ".into()));
    }
    let (_, end) = talks(client(siti()), &[PLAIN, "\"\"\r\n", "\"\"\r\n"]);
    assert_eq!(end, Err(Error::BackendProtocol("auth")));
}

#[test]
fn a_login_needs_plain() {
    let boss = LoginAtBackend { authzid: Some(Name::new(b"boss").unwrap()), ..siti() };
    assert_eq!(talks(client(siti()), &[NOTHING]), ("/".into(), Err(Error::BackendLacks("SASL PLAIN"))));
    assert_eq!(talks(client(boss), &[PLAIN]).0, "AUTHENTICATE \"PLAIN\" \"Ym9zcwBzaXRpAGRlbW8=\";/");
}

#[test]
fn the_client_is_told_to_dovecot_by_xclient_before_its_login() {
    let line = "XCLIENT ADDR=192.0.2.7 PORT=50123 DESTADDR=2001:db8::1 DESTPORT=995 SESSION=a1b2 TTL=3 DESTNAME=mail.tgg.net.id";
    let (said, end) = talks(client(xclient()), &[XCLIENT, "OK \"Updated\"\r\n", "OK\r\n"]);
    assert_eq!((said, end), (format!("{line};/{AUTHENTICATE}/"), Ok("success ".into())));
}

#[test]
fn a_backend_that_must_know_the_client_takes_xclient() {
    let lacks = || Err(Error::BackendLacks("XCLIENT"));
    assert_eq!(talks(client(xclient()), &[PLAIN]), ("/".into(), lacks()));
    assert_eq!(talks(client(xclient()), &[XCLIENT, "NO \"untrusted\"\r\n"]).1, lacks());
}

#[test]
fn capabilities_count_inside_tls_only() {
    let (said, end) = talks(starttls(), &[TLS, "OK \"Begin\"\r\n", PLAIN, "OK\r\n"]);
    assert_eq!((said, end), (format!("STARTTLS;//{AUTHENTICATE}/"), Ok("success ".into())));
    let (said, end) = talks(starttls(), &[&format!("\"SASL\" \"PLAIN\"\r\n{TLS}"), "OK\r\n", NOTHING]);
    assert_eq!((said.as_str(), end), ("STARTTLS;///", Err(Error::BackendLacks("SASL PLAIN"))));
}

#[test]
fn there_is_no_way_round_tls() {
    assert_eq!(talks(starttls(), &[PLAIN]), ("/".into(), Err(Error::BackendLacks("STARTTLS"))));
    assert_eq!(talks(starttls(), &[TLS, "NO\r\n"]), ("STARTTLS;//".into(), Err(Error::BackendLacks("STARTTLS"))));
    assert_eq!(talks(starttls(), &[TLS, &format!("OK\r\n{PLAIN}")]).1, Err(Error::BytesBehindBackendStarttls));
}

#[test]
fn a_probe_learns_the_capabilities_and_says_goodbye() {
    let mut probe = Sieve.client(ClientSetting { starttls: true, goal: Goal::Probe });
    let (said, end) = talk(&mut *probe, &[TLS, "OK\r\n", "\"sieve\" \"fileinto\"\r\n\"Sasl\" \"plain\"\r\nOK\r\n"]);
    assert_eq!((said.as_str(), end), ("STARTTLS;//LOGOUT;/", Ok("probed SIEVE fileinto,SASL plain,AUTH=PLAIN".into())));
}

#[test]
fn refusals_are_wrong_passwords_only_where_the_backend_means_it() {
    let table = [
        ("NO\r\n", Ok("Credentials")),
        ("NO \"Authentication failed.\"\r\n", Ok("Credentials")),
        ("NO (TRYLATER) \"later\"\r\n", Ok(r#"Told { code: "TRYLATER", text: "later" }"#)),
        ("NO (REFERRAL \"sieve://192.0.2.9\") \"go\"\r\n", Ok("Temporary")),
        ("NO (ENCRYPT-NEEDED) \"TLS\"\r\n", Ok("Temporary")),
        ("BYE (REFERRAL \"sieve://192.0.2.9\") \"go\"\r\n", Err(Error::BackendQuit("auth"))),
        ("BYE \"down\"\r\n", Err(Error::BackendQuit("auth"))),
    ];
    for (line, expected) in table {
        let (said, end) = talks(client(siti()), &[PLAIN, line]);
        assert_eq!((said, end), (format!("{AUTHENTICATE}/"), expected.map(str::to_owned)), "{line}");
    }
}

#[test]
fn what_comes_behind_the_success_belongs_to_the_client() {
    let mut client = client(siti());
    assert_eq!(talk(&mut *client, &[PLAIN]).1, Ok("more".into()));
    let (mut input, mut out) = (Input::new(), Vec::new());
    let behind = b"\"OWNER\" \"siti\"\r\nOK \"capabilities\"\r\n";
    input.extend(&[b"OK (REFERRAL sieve://192.0.2.9) {2}\r\nin\r\n", &behind[..]].concat());
    match client.advance(&mut input, &mut out) {
        Ok(ClientStep::Success(success)) => assert_eq!((success.text, success.before), (b"in".to_vec(), Vec::new())),
        other => panic!("{other:?}"),
    }
    assert!(matches!(client.advance(&mut input, &mut out), Ok(ClientStep::More)));
    assert_eq!(input.bytes(), behind);
}

#[test]
fn a_backend_that_is_none_is_an_error() {
    let (endless, long) = ("\"A\"\r\n".repeat(65), format!("\"{}", "x".repeat(16_384)));
    let table: &[(&[&str], Error)] = &[
        (&["NO \"go away\"\r\n"], Error::BackendQuit("greeting")),
        (&["BYE (TRYLATER) \"busy\"\r\n"], Error::BackendQuit("greeting")),
        (&["* OK IMAP4rev1\r\n"], Error::BackendProtocol("greeting")),
        (&["+OK\r\n"], Error::BackendProtocol("greeting")),
        (&["OK\n"], Error::BackendProtocol("the end of a line")),
        (&["\"\" \"\"\r\n"], Error::BackendProtocol("capability")),
        (&[&endless], Error::BackendOverflow),
        (&[&long], Error::BackendOverflow),
        (&["\"SIEVE\" {4294967296}\r\n"], Error::BackendOverflow),
        (&[&format!("{PLAIN}OK\r\n")], Error::BackendProtocol("a reply before it was asked for")),
        (&[PLAIN, "\"SIEVE\" \"x\"\r\n"], Error::BackendProtocol("auth")),
        (&[PLAIN, "* junk\r\n"], Error::BackendProtocol("auth")),
    ];
    for (backend, expected) in table {
        assert_eq!(talks(client(siti()), backend).1, Err(*expected), "{backend:?}");
    }
}

#[test]
fn a_login_that_went_in_circles_is_an_error() {
    let mut login = siti();
    login.client.ttl = 0;
    assert_eq!(talks(client(login), &[PLAIN]), ("/".into(), Err(Error::TooManyHops)));
}

#[test]
fn what_is_awaited_has_a_name() {
    let mut client = Sieve.client(ClientSetting { starttls: true, goal: Goal::Login(Box::new(xclient())) });
    assert_eq!(client.phase(), "greeting");
    for (line, phase) in [(TLS, "starttls"), ("OK\r\n", "capability"), (XCLIENT, "xclient"), ("OK\r\n", "auth")] {
        assert!(talk(&mut *client, &[line]).1.is_ok());
        assert_eq!(client.phase(), phase);
    }
}

#[test]
fn an_answer_is_the_same_however_it_is_split() {
    let backend = [XCLIENT, "OK (A \"b\") {2}\r\nup\r\n", "\"\"\r\n", "OK \"in\"\r\n"];
    assert_eq!(slowly(|| client(xclient()), &backend), Ok("success in".into()));
}

proptest! {
    #[test]
    fn any_octets_are_answered_within_bounds(
        octets in prop::collection::vec(any::<u8>(), 0..3000),
        start in 0..3_usize,
    ) {
        let mut client = client(xclient());
        prop_assert!(talk(&mut *client, &[XCLIENT, "OK\r\n"][..start]).1.is_ok());
        bounded(&mut *client, &octets, 200, 16_384);
    }
}
