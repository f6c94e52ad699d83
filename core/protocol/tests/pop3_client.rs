//! POP3 backends, good and bad, before the client machine.

#[path = "harness/backend.rs"]
mod harness;

use harness::{bounded, login, siti, slowly, talk};
use proptest::prelude::*;
use zproxy_protocol::pop3::Pop3;
use zproxy_protocol::{
    Client, ClientSetting, ClientStep, Error, Forward, Goal, Input, LoginAtBackend, Name, Protocol as _,
};

fn client(login: LoginAtBackend) -> Box<dyn Client> {
    Pop3.client(ClientSetting { starttls: false, goal: Goal::Login(Box::new(login)) })
}

const PLAIN: &str = "+OK\r\nSASL PLAIN\r\n.\r\n";
const NOTHING: &str = "+OK\r\n.\r\n";
const PIPELINING: &str = "+OK\r\nPIPELINING\r\n.\r\n";

#[test]
fn auth_plain_is_said_where_the_backend_lists_it() {
    let talk = talk(&mut *client(siti()), &["+OK ready\r\n", PLAIN, "+OK Logged in.\r\n"]);
    assert_eq!(talk, ("CAPA;/AUTH PLAIN AHNpdGkAZGVtbw==;//".into(), Ok("success Logged in.".into())));
}

#[test]
fn a_backend_that_overlooks_the_initial_response_may_ask_for_it_once() {
    let (said, end) = talk(&mut *client(siti()), &["+OK\r\n", PLAIN, "+ \r\n", "+OK\r\n"]);
    assert_eq!(said, "CAPA;/AUTH PLAIN AHNpdGkAZGVtbw==;/AHNpdGkAZGVtbw==;//");
    assert_eq!(end, Ok("success ".into()));
    let (_, end) = talk(&mut *client(siti()), &["+OK\r\n", PLAIN, "+\r\n", "+\r\n"]);
    assert_eq!(end, Err(Error::BackendProtocol("auth")));
}

#[test]
fn a_response_that_makes_the_line_too_long_waits_for_the_challenge() {
    let command = |password: usize| {
        let mut client = client(login("siti", &"x".repeat(password)));
        talk(&mut *client, &["+OK\r\n", PLAIN]).0.len() - "CAPA;//".len() - ";".len()
    };
    // A message of 180 octets makes 240 of base64, 253 in all; one more makes 257.
    assert_eq!(command(174), "AUTH PLAIN ".len() + 240);
    assert_eq!(command(175), "AUTH PLAIN".len());
    let mut client = client(login("siti", &"x".repeat(175)));
    let (said, end) = talk(&mut *client, &["+OK\r\n", PLAIN, "+ \r\n", "+OK\r\n"]);
    assert!(said.starts_with("CAPA;/AUTH PLAIN;/AHNpdGkAeHh4"), "{said}");
    assert_eq!(end, Ok("success ".into()));
}

#[test]
fn user_and_pass_are_said_where_plain_is_not_listed() {
    let (said, end) = talk(&mut *client(login("a b", " de mo ")), &["+OK\r\n", NOTHING, "+OK\r\n", "+OK in\r\n"]);
    assert_eq!((said.as_str(), end), ("CAPA;/USER a b;/PASS  de mo ;//", Ok("success in".into())));
    let (said, _) = talk(&mut *client(siti()), &["+OK\r\n", "-ERR what?\r\n"]);
    assert_eq!(said, "CAPA;/USER siti;/");
}

#[test]
fn user_and_pass_are_pipelined_where_the_backend_lists_it() {
    let (said, end) = talk(&mut *client(siti()), &["+OK\r\n", PIPELINING, "+OK\r\n+OK in\r\n"]);
    assert_eq!((said.as_str(), end), ("CAPA;/USER siti;PASS demo;//", Ok("success in".into())));
    let (_, end) = talk(&mut *client(siti()), &["+OK\r\n", PIPELINING, "-ERR [IN-USE] no\r\n-ERR\r\n"]);
    assert_eq!(end, Ok(r#"Told { code: "IN-USE", text: "no" }"#.into()));
}

#[test]
fn what_user_and_pass_cannot_say_needs_plain() {
    let mut boss = siti();
    boss.authzid = Some(Name::new(b"boss").unwrap());
    let (said, end) = talk(&mut *client(boss), &["+OK\r\n", NOTHING]);
    assert_eq!((said.as_str(), end), ("CAPA;//", Err(Error::BackendLacks("SASL PLAIN"))));
}

#[test]
fn a_password_that_pass_cannot_say_is_wrong_and_no_fault_of_the_backends() {
    for login in [login("siti", "de\r\nmo"), login("siti", "de\nmo")] {
        let (said, end) = talk(&mut *client(login), &["+OK\r\n", NOTHING]);
        assert_eq!((said.as_str(), end), ("CAPA;//", Ok("Credentials".into())));
    }
}

#[test]
fn the_client_is_told_to_dovecot_by_xclient_before_all_else() {
    let mut login = siti();
    login.forward = Forward::Xclient;
    login.client.address = "[::ffff:192.0.2.7]:50123".parse().unwrap();
    let (said, _) = talk(&mut *client(login), &["+OK [XCLIENT] ready\r\n", "+OK Updated\r\n"]);
    let line = "XCLIENT ADDR=192.0.2.7 PORT=50123 DESTADDR=2001:db8::1 DESTPORT=995 SESSION=a1b2 TTL=3 DESTNAME=mail.tgg.net.id";
    assert_eq!(said, format!("{line};/CAPA;/"));
}

#[test]
fn what_xclient_cannot_hold_is_left_out() {
    let mut login = siti();
    login.forward = Forward::Xclient;
    login.client.session_id = "a b".into();
    login.client.server_name = None;
    let (said, _) = talk(&mut *client(login), &["+OK\r\n"]);
    assert_eq!(said, "XCLIENT ADDR=192.0.2.7 PORT=50123 DESTADDR=2001:db8::1 DESTPORT=995 TTL=3;/");
}

#[test]
fn the_client_is_told_to_zimbra_by_xoip() {
    let mut login = siti();
    login.forward = Forward::Xoip;
    let (said, end) = talk(&mut *client(login), &["+OK\r\n", "-ERR\r\n"]);
    assert_eq!((said.as_str(), end), ("XOIP 192.0.2.7;//", Err(Error::BackendLacks("XOIP"))));
}

#[test]
fn utf8_is_said_again_before_the_login() {
    let utf8 = || {
        let mut login = siti();
        login.replay.utf8 = true;
        client(login)
    };
    let (said, _) = talk(&mut *utf8(), &["+OK\r\n", PLAIN, "+OK\r\n"]);
    assert_eq!(said, "CAPA;/UTF8;/AUTH PLAIN AHNpdGkAZGVtbw==;/");
    let (_, end) = talk(&mut *utf8(), &["+OK\r\n", PLAIN, "-ERR no\r\n"]);
    assert_eq!(end, Err(Error::BackendLacks("UTF8")));
}

#[test]
fn capabilities_are_asked_for_inside_tls_only() {
    let mut client = Pop3.client(ClientSetting { starttls: true, goal: Goal::Login(Box::new(siti())) });
    let (said, end) = talk(&mut *client, &["+OK\r\n", "+OK begin\r\n", "", PLAIN, "+OK\r\n"]);
    assert_eq!(said, "STLS;//CAPA;/AUTH PLAIN AHNpdGkAZGVtbw==;//");
    assert_eq!(end, Ok("success ".into()));
}

#[test]
fn a_probe_learns_the_words_and_says_goodbye() {
    let mut client = Pop3.client(ClientSetting { starttls: true, goal: Goal::Probe });
    let capabilities = "+OK\r\ntop\r\nSASL PLAIN LOGIN\r\nEXPIRE 31\r\nUTF8 USER\r\n.\r\n";
    let (said, end) = talk(&mut *client, &["+OK\r\n", "+OK\r\n", "", capabilities]);
    assert_eq!(
        (said.as_str(), end),
        ("STLS;//CAPA;/QUIT;/", Ok("probed TOP,SASL,EXPIRE,UTF8,AUTH=PLAIN,AUTH=LOGIN".into()))
    );
    let mut client = Pop3.client(ClientSetting { starttls: false, goal: Goal::Probe });
    assert_eq!(talk(&mut *client, &["+OK\r\n", "-ERR\r\n"]), ("CAPA;/QUIT;/".into(), Ok("probed ".into())));
}

#[test]
fn refusals_are_wrong_passwords_only_where_the_backend_means_it() {
    let table = [
        ("-ERR\r\n", "Credentials"),
        ("-ERR [AUTH] no\r\n", "Credentials"),
        ("-ERR [SYS/TEMP] later\r\n", r#"Told { code: "SYS/TEMP", text: "later" }"#),
        ("-ERR [REFERRAL/siti@192.0.2.9] go there\r\n", "Temporary"),
    ];
    for (line, expected) in table {
        assert_eq!(talk(&mut *client(siti()), &["+OK\r\n", PLAIN, line]).1, Ok(expected.into()));
        assert_eq!(talk(&mut *client(siti()), &["+OK\r\n", NOTHING, line]).1, Ok(expected.into()));
        assert_eq!(talk(&mut *client(siti()), &["+OK\r\n", NOTHING, "+OK\r\n", line]).1, Ok(expected.into()));
    }
}

#[test]
fn what_comes_behind_the_success_belongs_to_the_client() {
    let mut client = client(siti());
    assert_eq!(talk(&mut *client, &["+OK\r\n", PLAIN]).1, Ok("more".into()));
    let (mut input, mut out) = (Input::new(), Vec::new());
    input.extend(b"+OK in\r\n+OK 2 320\r\n");
    assert!(matches!(client.advance(&mut input, &mut out), Ok(ClientStep::Success(_))));
    assert!(matches!(client.advance(&mut input, &mut out), Ok(ClientStep::More)));
    assert_eq!(input.bytes(), b"+OK 2 320\r\n");
}

#[test]
fn a_backend_that_is_none_is_an_error() {
    let endless = format!("+OK\r\n{}", "TOP\r\n".repeat(65));
    let table: &[(&[&str], Error)] = &[
        (&["-ERR go away\r\n"], Error::BackendQuit("greeting")),
        (&["* OK IMAP4rev1\r\n"], Error::BackendProtocol("greeting")),
        (&["+ \r\n"], Error::BackendProtocol("greeting")),
        (&["+OK\n"], Error::BackendProtocol("the end of a line")),
        (&["+OK a\r\n+OK b\r\n"], Error::BackendProtocol("a reply before it was asked for")),
        (&["+OK\r\n", "+OK\r\n.\r\n+OK\r\n"], Error::BackendProtocol("a reply before it was asked for")),
        (&["+OK\r\n", "junk\r\n"], Error::BackendProtocol("capa")),
        (&["+OK\r\n", "+OK\r\n\r\n"], Error::BackendProtocol("CAPA")),
        (&["+OK\r\n", &endless], Error::BackendOverflow),
        (&["+OK\r\n", PLAIN, "* junk\r\n"], Error::BackendProtocol("auth")),
        (&["+OK\r\n", NOTHING, "+ \r\n"], Error::BackendProtocol("user")),
        (&["+OK\r\n", NOTHING, "+OK\r\n+OK\r\n"], Error::BackendProtocol("a reply before it was asked for")),
        (&["+OK\r\n", NOTHING, "+OK\r\n", "+ \r\n"], Error::BackendProtocol("pass")),
        (&[&"x".repeat(1024)], Error::BackendOverflow),
    ];
    for (backend, expected) in table {
        assert_eq!(talk(&mut *client(siti()), backend).1, Err(*expected), "{backend:?}");
    }
}

#[test]
fn there_is_no_way_round_tls() {
    let starttls = || Pop3.client(ClientSetting { starttls: true, goal: Goal::Login(Box::new(siti())) });
    let (said, end) = talk(&mut *starttls(), &["+OK\r\n", "-ERR\r\n"]);
    assert_eq!((said.as_str(), end), ("STLS;//", Err(Error::BackendLacks("STLS"))));
    let (_, end) = talk(&mut *starttls(), &["+OK\r\n", "+OK\r\n+OK\r\n"]);
    assert_eq!(end, Err(Error::BytesBehindBackendStarttls));
    let (_, end) = talk(&mut *starttls(), &["+OK\r\n", "+OK\r\n", "+OK\r\n"]);
    assert_eq!(end, Err(Error::BackendProtocol("a reply before it was asked for")));
}

#[test]
fn a_login_that_went_in_circles_is_an_error() {
    let mut login = siti();
    login.client.ttl = 0;
    assert_eq!(talk(&mut *client(login), &["+OK\r\n"]), ("/".into(), Err(Error::TooManyHops)));
}

#[test]
fn what_is_awaited_has_a_name() {
    let mut client = client(siti());
    assert_eq!(client.phase(), "greeting");
    for (line, phase) in [("+OK\r\n", "capa"), (NOTHING, "user"), ("+OK\r\n", "pass"), ("+OK\r\n", "pass")] {
        assert!(talk(&mut *client, &[line]).1.is_ok());
        assert_eq!(client.phase(), phase);
    }
}

#[test]
fn an_answer_is_the_same_however_it_is_split() {
    for (login, end) in [(PLAIN, "success "), (NOTHING, "success in")] {
        let backend = ["+OK ready\r\n", login, "+OK\r\n", "+OK in\r\n"];
        assert_eq!(slowly(|| client(siti()), &backend), Ok(end.into()));
    }
}

proptest! {
    #[test]
    fn any_octets_are_answered_within_bounds(
        octets in prop::collection::vec(any::<u8>(), 0..3000),
        start in 0..4_usize,
    ) {
        let mut client = client(siti());
        prop_assert!(talk(&mut *client, &["+OK\r\n", NOTHING, "+OK\r\n"][..start]).1.is_ok());
        bounded(&mut *client, &octets, 200, 1023);
    }
}
