//! SMTP backends, good and bad, before the client machine.

#[path = "harness/backend.rs"]
mod harness;

use harness::{bounded, login, siti, slowly, talk};
use proptest::prelude::*;
use zproxy_protocol::smtp::Submission;
use zproxy_protocol::{
    Client, ClientSetting, ClientStep, Error, Forward, Goal, Input, LoginAtBackend, Name, Protocol as _,
};

fn client(login: LoginAtBackend) -> Box<dyn Client> {
    Submission.client(ClientSetting { starttls: false, goal: Goal::Login(Box::new(login)) })
}

fn xclient(login: LoginAtBackend) -> Box<dyn Client> {
    client(LoginAtBackend { forward: Forward::Xclient, ..login })
}

const HI: &str = "220 mx ESMTP\r\n";
const NEVER: &str = "501 syntactically invalid argument\r\n";
const PLAIN: &str = "250-mx\r\n250 AUTH LOGIN PLAIN\r\n";
const LOGIN: &str = "250-mx\r\n250 AUTH LOGIN CRAM-MD5\r\n";
const STARTTLS: &str = "250-mx\r\n250-AUTH PLAIN\r\n250 STARTTLS\r\n";
const POSTFIX: &str = "250-mx\r\n250-AUTH PLAIN\r\n250 XCLIENT NAME ADDR PROTO HELO PORT LOGIN DESTADDR DESTPORT\r\n";

#[test]
fn plain_is_said_where_the_backend_lists_it_under_the_clients_own_name() {
    let talk = talk(&mut *client(siti()), &[HI, PLAIN, "235 2.7.0 Hello.\r\n"]);
    let said = "EHLO laptop;/AUTH PLAIN AHNpdGkAZGVtbw==;//";
    assert_eq!(talk, (said.into(), Ok("success 2.7.0 Hello.".into())));
}

#[test]
fn a_client_without_a_name_is_called_by_its_address() {
    let table = [
        ("192.0.2.7:1", "[192.0.2.7]"),
        ("[::ffff:192.0.2.7]:1", "[192.0.2.7]"),
        ("[2001:db8::7]:1", "[IPv6:2001:db8::7]"),
    ];
    for (address, name) in table {
        let mut login = siti();
        login.replay.ehlo = None;
        login.client.address = address.parse().unwrap();
        assert_eq!(talk(&mut *client(login), &[HI]).0, format!("EHLO {name};/"));
    }
}

#[test]
fn a_name_that_the_backend_does_not_take_is_left_out() {
    let (said, end) = talk(&mut *client(siti()), &[HI, NEVER, PLAIN, "235 in\r\n"]);
    assert_eq!(said, "EHLO laptop;/EHLO [192.0.2.7];/AUTH PLAIN AHNpdGkAZGVtbw==;//");
    assert_eq!(end, Ok("success in".into()));
    let (said, _) = talk(&mut *xclient(siti()), &[HI, NEVER, POSTFIX, HI, PLAIN]);
    let said: Vec<&str> = said.split('/').collect();
    assert!(said[2].starts_with("XCLIENT ") && said[3] == "EHLO [192.0.2.7];", "{said:?}");
}

#[test]
fn a_backend_that_overlooks_the_initial_response_may_ask_for_it_once() {
    let (said, end) = talk(&mut *client(siti()), &[HI, PLAIN, "334 \r\n", "235 in\r\n"]);
    assert_eq!(said, "EHLO laptop;/AUTH PLAIN AHNpdGkAZGVtbw==;/AHNpdGkAZGVtbw==;//");
    assert_eq!(end, Ok("success in".into()));
    let (_, end) = talk(&mut *client(siti()), &[HI, PLAIN, "334\r\n", "334\r\n"]);
    assert_eq!(end, Err(Error::BackendProtocol("auth")));
}

#[test]
fn a_response_that_makes_the_line_too_long_waits_for_the_challenge() {
    let command = |password: usize| {
        let mut client = client(login("siti", &"x".repeat(password)));
        talk(&mut *client, &[HI, PLAIN]).0.len() - "EHLO laptop;//".len() - ";".len()
    };
    // A message of 372 octets makes 496 of base64, 509 in all; one more makes 513.
    assert_eq!(command(366), "AUTH PLAIN ".len() + 496);
    assert_eq!(command(367), "AUTH PLAIN".len());
    let mut long = client(login("siti", &"x".repeat(367)));
    let (said, end) = talk(&mut *long, &[HI, PLAIN, "334 \r\n", "235 in\r\n"]);
    assert!(said.starts_with("EHLO laptop;/AUTH PLAIN;/AHNpdGkAeHh4"), "{said}");
    assert_eq!(end, Ok("success in".into()));
    let (_, end) = talk(&mut *client(login("siti", &"x".repeat(367))), &[HI, PLAIN, "235 in\r\n"]);
    assert_eq!(end, Err(Error::BackendProtocol("auth")));
}

#[test]
fn login_is_said_where_plain_is_not_listed() {
    let (said, end) =
        talk(&mut *client(login("siti", "de\r\nmo")), &[HI, LOGIN, "334 x\r\n", "334 y\r\n", "235 in\r\n"]);
    assert_eq!((said.as_str(), end), ("EHLO laptop;/AUTH LOGIN;/c2l0aQ==;/ZGUNCm1v;//", Ok("success in".into())));
    for early in [&[HI, LOGIN, "235 in\r\n"][..], &[HI, LOGIN, "334 x\r\n", "235 in\r\n"]] {
        assert_eq!(talk(&mut *client(siti()), early).1, Err(Error::BackendProtocol("auth")));
    }
}

#[test]
fn a_login_that_the_backend_cannot_take_is_an_error() {
    let boss = || LoginAtBackend { authzid: Some(Name::new(b"boss").unwrap()), ..siti() };
    let (said, _) = talk(&mut *client(boss()), &[HI, PLAIN]);
    assert_eq!(said, "EHLO laptop;/AUTH PLAIN Ym9zcwBzaXRpAGRlbW8=;/");
    assert_eq!(talk(&mut *client(boss()), &[HI, LOGIN]).1, Err(Error::BackendLacks("AUTH PLAIN")));
    assert_eq!(talk(&mut *client(siti()), &[HI, "250 mx\r\n"]).1, Err(Error::BackendLacks("AUTH PLAIN or LOGIN")));
    assert_eq!(talk(&mut *client(siti()), &[HI, "450 later\r\n"]).1, Err(Error::BackendLacks("EHLO")));
    assert_eq!(talk(&mut *client(siti()), &[HI, NEVER, NEVER]).1, Err(Error::BackendLacks("EHLO")));
}

#[test]
fn capabilities_are_those_inside_tls() {
    let mut client = Submission.client(ClientSetting { starttls: true, goal: Goal::Login(Box::new(siti())) });
    let (said, end) = talk(&mut *client, &[HI, STARTTLS, "220 go\r\n", "", PLAIN, "235 in\r\n"]);
    assert_eq!(said, "EHLO laptop;/STARTTLS;//EHLO laptop;/AUTH PLAIN AHNpdGkAZGVtbw==;//");
    assert_eq!(end, Ok("success in".into()));
}

#[test]
fn there_is_no_way_round_tls() {
    let starttls = || Submission.client(ClientSetting { starttls: true, goal: Goal::Login(Box::new(siti())) });
    let table: &[(&[&str], Error)] = &[
        (&[HI, PLAIN], Error::BackendLacks("STARTTLS")),
        (&[HI, STARTTLS, "454 4.7.0 not now\r\n"], Error::BackendLacks("STARTTLS")),
        (&[HI, STARTTLS, "220 go\r\n250 mx\r\n"], Error::BytesBehindBackendStarttls),
        (&[HI, STARTTLS, "220 go\r\n2"], Error::BytesBehindBackendStarttls),
        (&[HI, STARTTLS, "220 go\r\n", "220 mx\r\n"], Error::BackendProtocol("a reply before it was asked for")),
    ];
    for (backend, expected) in table {
        let (said, end) = talk(&mut *starttls(), backend);
        assert_eq!(end, Err(*expected), "{backend:?}");
        assert!(!said.contains("AUTH"), "{said}");
    }
}

#[test]
fn the_client_is_told_by_xclient_and_what_the_backend_can_do_is_asked_again() {
    let (said, end) = talk(&mut *xclient(siti()), &[HI, POSTFIX, HI, LOGIN, "334 x\r\n", "334 x\r\n", "235 in\r\n"]);
    let line = "XCLIENT PROTO=ESMTP HELO=laptop PORT=50123 DESTADDR=IPV6:2001:db8::1 DESTPORT=995 NAME=[UNAVAILABLE] \
        ADDR=192.0.2.7";
    assert_eq!(said, format!("EHLO laptop;/{line};/EHLO laptop;/AUTH LOGIN;/c2l0aQ==;/ZGVtbw==;//"));
    assert_eq!(end, Ok("success in".into()));
}

#[test]
fn xclient_comes_inside_tls_and_in_as_many_lines_as_it_needs() {
    let mut long = LoginAtBackend { forward: Forward::Xclient, ..siti() };
    long.replay.ehlo = Some("+".repeat(80));
    long.client.server_name = Some("x".repeat(250));
    let list = "250-mx\r\n250-AUTH PLAIN\r\n250 XCLIENT ADDR HELO DESTNAME\r\n";
    let mut client = Submission.client(ClientSetting { starttls: true, goal: Goal::Login(Box::new(long)) });
    let (said, end) = talk(&mut *client, &[HI, STARTTLS, "220 go\r\n", "", list, HI, HI, PLAIN]);
    let said: Vec<&str> = said.split('/').collect();
    assert!(said[1] == "STARTTLS;" && said[4].starts_with("XCLIENT HELO=+2B"), "{said:?}");
    assert!(said[5] == "XCLIENT ADDR=192.0.2.7;" || said[5].starts_with("XCLIENT DESTNAME=xxx"), "{said:?}");
    assert!(said[6].starts_with("EHLO ++") && said[7].starts_with("AUTH PLAIN "), "{said:?}");
    assert_eq!(end, Ok("more".into()));
}

#[test]
fn a_backend_that_does_not_believe_us_gets_no_password() {
    let table: &[(&[&str], Error)] = &[
        (&[HI, PLAIN], Error::BackendLacks("XCLIENT")),
        (&[HI, "250-mx\r\n250-XCLIENT NAME HELO\r\n250 AUTH PLAIN\r\n"], Error::BackendLacks("XCLIENT")),
        (&[HI, POSTFIX, "550 5.7.0 insufficient authorization\r\n"], Error::BackendLacks("XCLIENT")),
        (&[HI, POSTFIX, "421 4.7.0 too many connections\r\n"], Error::BackendQuit("xclient")),
        (&[HI, POSTFIX, "250 Ok\r\n"], Error::BackendProtocol("xclient")),
    ];
    for (backend, expected) in table {
        let (said, end) = talk(&mut *xclient(siti()), backend);
        assert_eq!(end, Err(*expected), "{backend:?}");
        assert!(!said.contains("AUTH"), "{said}");
    }
}

#[test]
fn a_backend_that_still_listens_to_proxies_is_guarded() {
    let table = [
        ("250-XCLIENT ADDR\r\n250 DSN\r\n", "success in guarded"),
        ("250-DSN\r\n250 xforward NAME\r\n", "success in guarded"),
        ("250-CHUNKING\r\n250 XCLIENT\r\n", "success in guarded with chunks"),
        ("250 CHUNKING\r\n", "success in"),
    ];
    for (listed, end) in table {
        let list = format!("250-mx\r\n250-AUTH PLAIN\r\n{listed}");
        assert_eq!(talk(&mut *client(siti()), &[HI, &list, "235 in\r\n"]).1, Ok(end.into()));
        let (_, told) = talk(&mut *xclient(siti()), &[HI, POSTFIX, HI, &list, "235 in\r\n"]);
        assert_eq!(told, Ok(end.into()), "the last list counts");
    }
}

#[test]
fn a_probe_learns_the_lines_and_says_goodbye() {
    let mut client = Submission.client(ClientSetting { starttls: true, goal: Goal::Probe });
    let list = "250-mx Hello\r\n250-Size 10240000\r\n250-AUTH PLAIN\r\n250 DSN\r\n";
    let (said, end) = talk(&mut *client, &[HI, STARTTLS, "220 go\r\n", "", list]);
    assert_eq!(said, "EHLO [127.0.0.1];/STARTTLS;//EHLO [127.0.0.1];/QUIT;/");
    assert_eq!(end, Ok("probed SIZE 10240000,DSN,AUTH=PLAIN".into()));
}

#[test]
fn refusals_are_wrong_passwords_only_where_the_backend_means_it() {
    let table = [
        ("535 5.7.8 Error: authentication failed\r\n", "Credentials"),
        ("535-5.7.8 Username and Password\r\n535 5.7.8 not accepted\r\n", "Credentials"),
        ("525 5.7.13 Account disabled\r\n", "Credentials"),
        ("530 5.7.0 Must issue a STARTTLS command first\r\n", "Temporary"),
        ("454 4.7.0 later\r\n", r#"Told { code: "454 4.7.0", text: "later" }"#),
        ("534 5.7.9 weak\r\n", r#"Told { code: "534 5.7.9", text: "weak" }"#),
    ];
    for (line, expected) in table {
        for backend in [&[HI, PLAIN, line][..], &[HI, LOGIN, line], &[HI, LOGIN, "334 \r\n", "334 \r\n", line]] {
            assert_eq!(talk(&mut *client(siti()), backend).1, Ok(expected.into()));
        }
    }
}

#[test]
fn what_comes_behind_the_success_belongs_to_the_client() {
    let mut client = client(siti());
    assert_eq!(talk(&mut *client, &[HI, PLAIN]).1, Ok("more".into()));
    let (mut input, mut out) = (Input::new(), Vec::new());
    input.extend(b"235-2.7.0 You are\r\n235 2.7.0 in\r\n421 4.3.2 bye\r\n");
    match client.advance(&mut input, &mut out) {
        Ok(ClientStep::Success(success)) => assert_eq!(success.text, b"2.7.0 in"),
        other => panic!("{other:?}"),
    }
    assert!(matches!(client.advance(&mut input, &mut out), Ok(ClientStep::More)));
    assert_eq!(input.bytes(), b"421 4.3.2 bye\r\n");
}

#[test]
fn a_backend_that_is_none_is_an_error() {
    let endless = "250-x\r\n".repeat(65);
    let early = Error::BackendProtocol("a reply before it was asked for");
    let table: &[(&[&str], Error)] = &[
        (&["554 5.3.2 no service\r\n"], Error::BackendQuit("greeting")),
        (&["421 4.3.2 later\r\n"], Error::BackendQuit("greeting")),
        (&["+OK POP3\r\n"], Error::BackendProtocol("greeting")),
        (&["250 mx\r\n"], Error::BackendProtocol("greeting")),
        (&["220 mx\n"], Error::BackendProtocol("the end of a line")),
        (&["220-mx\r\n221 mx\r\n"], Error::BackendProtocol("greeting")),
        (&["220 a\r\n250 b\r\n"], early),
        (&[HI, "250-mx\r\n250 AUTH PLAIN\r\n235 in\r\n"], early),
        (&[HI, "421 4.3.2 later\r\n"], Error::BackendQuit("ehlo")),
        (&[HI, "220 mx\r\n"], Error::BackendProtocol("ehlo")),
        (&[HI, &endless], Error::BackendOverflow),
        (&[HI, PLAIN, "junk\r\n"], Error::BackendProtocol("auth")),
        (&[HI, PLAIN, "250 Ok\r\n"], Error::BackendProtocol("auth")),
        (&[HI, PLAIN, "421 4.7.0 too many errors\r\n"], Error::BackendQuit("auth")),
        (&[HI, LOGIN, "334 x\r\n334 y\r\n"], early),
        (&[&"2".repeat(1024)], Error::BackendOverflow),
    ];
    for (backend, expected) in table {
        assert_eq!(talk(&mut *client(siti()), backend).1, Err(*expected), "{backend:?}");
    }
}

#[test]
fn a_login_that_went_in_circles_is_an_error() {
    let mut login = siti();
    login.client.ttl = 0;
    assert_eq!(talk(&mut *client(login), &[HI]), ("/".into(), Err(Error::TooManyHops)));
}

#[test]
fn what_is_awaited_has_a_name() {
    let mut client = xclient(siti());
    assert_eq!(client.phase(), "greeting");
    for (line, phase) in [(HI, "ehlo"), (POSTFIX, "xclient"), (HI, "ehlo"), (PLAIN, "auth"), ("235 in\r\n", "auth")] {
        assert!(talk(&mut *client, &[line]).1.is_ok());
        assert_eq!(client.phase(), phase);
    }
}

#[test]
fn an_answer_is_the_same_however_it_is_split() {
    let plain = [HI, POSTFIX, "220-again\r\n220 mx\r\n", PLAIN, "235-you are\r\n235 in\r\n"];
    let login = [HI, POSTFIX, HI, LOGIN, "334 x\r\n", "334 y\r\n", "535 5.7.8 no\r\n"];
    for (backend, end) in [(&plain[..], "success in"), (&login, "Credentials")] {
        assert_eq!(slowly(|| xclient(siti()), backend), Ok(end.into()));
    }
}

proptest! {
    #[test]
    fn any_octets_are_answered_within_bounds(
        octets in prop::collection::vec(any::<u8>(), 0..3000),
        start in 0..5_usize,
    ) {
        let mut client = xclient(siti());
        prop_assert!(talk(&mut *client, &[HI, POSTFIX, HI, LOGIN][..start.min(4)]).1.is_ok());
        bounded(&mut *client, &octets, 600, 1023);
    }
}
