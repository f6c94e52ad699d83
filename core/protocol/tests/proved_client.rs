//! A client that is proved already, before the client machines: what a backend that believes us is told.

#[path = "harness/login.rs"]
mod login;

use login::siti;
use zproxy_protocol::imap::Imap;
use zproxy_protocol::pop3::Pop3;
use zproxy_protocol::smtp::{Guard, Submission};
use zproxy_protocol::{
    ClientSetting, ClientStep, Error, Forward, Goal, Input, LoginAtBackend, Name, Protocol, Refusal,
};

/// What the machine said to the backend's lines, and what came of it.
fn talk(protocol: &dyn Protocol, forward: Forward, backend: &[&str]) -> (String, Result<ClientStep, Error>) {
    let login = LoginAtBackend { name: Name::new(b"siti@tgg.net.id").unwrap(), credential: None, forward, ..siti() };
    let mut client = protocol.client(ClientSetting { starttls: false, goal: Goal::Login(Box::new(login)) });
    let (mut input, mut said) = (Input::new(), Vec::new());
    let mut end = Ok(ClientStep::More);
    for line in backend {
        input.extend(line.as_bytes());
        end = client.advance(&mut input, &mut said);
        if !matches!(end, Ok(ClientStep::More)) {
            break;
        }
    }
    (String::from_utf8(said).unwrap(), end)
}

const HI: &str = "220 mx ESMTP\r\n";
const POSTFIX: &str = "250-mx\r\n250-AUTH PLAIN\r\n250 XCLIENT NAME ADDR LOGIN\r\n";
const TOLD: &str = "EHLO laptop\r\nXCLIENT LOGIN=siti@tgg.net.id NAME=[UNAVAILABLE] ADDR=192.0.2.7\r\nEHLO laptop\r\n";

#[test]
fn a_backend_that_takes_login_by_xclient_is_asked_for_no_more() {
    for (list, guard) in [("250-mx\r\n250 AUTH PLAIN\r\n", None), (POSTFIX, Some(Guard::new(false)))] {
        let (said, end) = talk(&Submission, Forward::Xclient, &[HI, POSTFIX, HI, list]);
        assert_eq!(said, TOLD);
        let Ok(ClientStep::Success(success)) = end else { panic!("{end:?}") };
        assert_eq!((success.text, success.guard), (Vec::new(), guard));
    }
}

#[test]
fn a_backend_that_does_not_take_login_fails_before_it_is_told_anything() {
    let lists = [
        (Forward::Xclient, "250-mx\r\n250-AUTH PLAIN\r\n250 XCLIENT NAME ADDR\r\n", "XCLIENT LOGIN"),
        (Forward::Xclient, "250-mx\r\n250-AUTH PLAIN\r\n250 XCLIENT LOGIN\r\n", "XCLIENT"),
        (Forward::Xclient, "250-mx\r\n250 AUTH PLAIN\r\n", "XCLIENT"),
        (Forward::None, POSTFIX, "XCLIENT LOGIN"),
    ];
    for (forward, list, lacks) in lists {
        let (said, end) = talk(&Submission, forward, &[HI, list]);
        assert_eq!(said, "EHLO laptop\r\n");
        assert_eq!(end.unwrap_err(), Error::BackendLacks(lacks));
    }
}

#[test]
fn a_backend_that_does_not_believe_us_lets_nobody_in() {
    for answer in ["501 5.5.4 bad LOGIN\r\n", "550 5.7.0 insufficient authorization\r\n"] {
        let (_, end) = talk(&Submission, Forward::Xclient, &[HI, POSTFIX, answer]);
        assert_eq!(end.unwrap_err(), Error::BackendLacks("XCLIENT"));
    }
}

#[test]
fn imap_and_pop3_cannot_log_in_without_a_credential() {
    let table: [(&dyn Protocol, &[&str]); 2] = [
        (&Imap, &["* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=PLAIN] hi\r\n"]),
        (&Pop3, &["+OK hi\r\n", "+OK\r\nSASL PLAIN\r\n.\r\n"]),
    ];
    for (protocol, backend) in table {
        let (said, end) = talk(protocol, Forward::None, backend);
        assert!(matches!(end, Ok(ClientStep::Refused(Refusal::Cannot))), "{end:?}");
        assert!(!said.contains("siti"), "{said}");
    }
}
