//! SASL exchanges as clients hold them, good and bad.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;
use zproxy_protocol::name::BadName;
use zproxy_protocol::sasl::{self, Credential, Credentials, Exchange, Mechanism, Progress, Refused};
use zproxy_protocol::{Name, Secret};

fn plain(message: &[u8]) -> Result<(Option<String>, String, Vec<u8>), Refused> {
    let line = STANDARD.encode(message);
    done(Exchange::begin(Mechanism::Plain).respond(line.as_bytes())?)
}

fn done(progress: Progress) -> Result<(Option<String>, String, Vec<u8>), Refused> {
    match progress {
        Progress::Done(Credentials { authzid, name, credential: Credential::Password(password) }) => {
            let name = name.unwrap();
            Ok((authzid.map(|name| name.as_str().into()), name.as_str().into(), password.expose().to_vec()))
        }
        other => panic!("no password: {other:?}"),
    }
}

fn next(progress: Result<Progress, Refused>) -> Exchange {
    match progress {
        Ok(Progress::Challenge(exchange)) => exchange,
        other => panic!("no challenge: {other:?}"),
    }
}

#[test]
fn plain_takes_exactly_two_nuls_a_name_and_a_password() {
    type Row = (&'static [u8], Result<(Option<&'static str>, &'static str, &'static [u8]), Refused>);
    let table: &[Row] = &[
        (b"\0siti\0demo", Ok((None, "siti", b"demo"))),
        (b"siti\0siti\0demo", Ok((None, "siti", b"demo"))),
        (b"boss\0siti\0demo", Ok((Some("boss"), "siti", b"demo"))),
        ("\0élise\0dé\r\nmo".as_bytes(), Ok((None, "élise", "dé\r\nmo".as_bytes()))),
        (b"\0siti\0\xff", Ok((None, "siti", b"\xff"))),
        (b"", Err(Refused::Malformed)),
        (b"siti", Err(Refused::Malformed)),
        (b"siti\0demo", Err(Refused::Malformed)),
        (b"\0siti\0de\0mo", Err(Refused::Malformed)),
        (b"\0siti\0demo\0", Err(Refused::Malformed)),
        (b"\0siti\0", Err(Refused::EmptyPassword)),
        (b"\0\0demo", Err(Refused::Name(BadName::Empty))),
        (b"\0si\r\nti\0demo", Err(Refused::Name(BadName::Control))),
        (b"bo\nss\0siti\0demo", Err(Refused::Name(BadName::Control))),
        (b"\0\xff\0demo", Err(Refused::Name(BadName::Utf8))),
    ];
    for (message, expected) in table {
        let expected =
            expected.map(|(authzid, name, password)| (authzid.map(Into::into), name.into(), password.into()));
        assert_eq!(plain(message), expected, "{}", message.escape_ascii());
    }
}

#[test]
fn login_asks_for_the_name_and_then_for_the_password() {
    let exchange = Exchange::begin(Mechanism::Login);
    assert_eq!(exchange.challenge(), "VXNlcm5hbWU6");
    let exchange = next(exchange.respond(b"c2l0aQ=="));
    assert_eq!(exchange.challenge(), "UGFzc3dvcmQ6");
    assert_eq!(done(exchange.respond(b"ZGVtbw==").unwrap()), Ok((None, "siti".into(), b"demo".to_vec())));
}

#[test]
fn the_initial_response_of_login_is_the_name() {
    let exchange = next(Exchange::begin(Mechanism::Login).initial(b"c2l0aQ=="));
    assert_eq!(exchange.challenge(), "UGFzc3dvcmQ6");
    assert_eq!(exchange.respond(b"").unwrap_err(), Refused::EmptyPassword);
}

#[test]
fn a_nul_in_the_password_of_login_is_refused() {
    let exchange = next(Exchange::begin(Mechanism::Login).initial(b"c2l0aQ=="));
    assert_eq!(exchange.respond(STANDARD.encode("de\0mo").as_bytes()).unwrap_err(), Refused::NulInPassword);
}

#[test]
fn an_equals_sign_is_an_empty_initial_response_only() {
    assert_eq!(Exchange::begin(Mechanism::Plain).initial(b"=").unwrap_err(), Refused::Malformed);
    assert_eq!(Exchange::begin(Mechanism::Login).initial(b"=").unwrap_err(), Refused::Name(BadName::Empty));
    assert_eq!(Exchange::begin(Mechanism::Plain).respond(b"=").unwrap_err(), Refused::Base64);
}

#[test]
fn a_star_cancels_every_step_but_is_no_initial_response() {
    assert_eq!(Exchange::begin(Mechanism::Plain).respond(b"*").unwrap_err(), Refused::Cancelled);
    assert_eq!(Exchange::begin(Mechanism::Login).respond(b"*").unwrap_err(), Refused::Cancelled);
    let exchange = next(Exchange::begin(Mechanism::Login).respond(b"c2l0aQ=="));
    assert_eq!(exchange.respond(b"*").unwrap_err(), Refused::Cancelled);
    assert_eq!(Exchange::begin(Mechanism::Plain).initial(b"*").unwrap_err(), Refused::Base64);
}

#[test]
fn what_is_printed_holds_no_password() {
    let progress = Exchange::begin(Mechanism::Plain).respond(STANDARD.encode("\0siti\0geheim").as_bytes());
    assert!(!format!("{progress:?}").contains("geheim"));
}

proptest! {
    #[test]
    fn what_we_write_we_read_back(
        authzid in proptest::option::of("[^\\p{Cc}]{1,40}"),
        name in "[^\\p{Cc}]{1,200}",
        password in proptest::collection::vec(1..=255_u8, 1..200),
    ) {
        let name = Name::new(name.as_bytes()).unwrap();
        let authzid = authzid.map(|octets| Name::new(octets.as_bytes()).unwrap());
        let line = sasl::plain(authzid.as_ref(), &name, &Secret::new(&password));
        let read = done(Exchange::begin(Mechanism::Plain).respond(line.expose()).unwrap()).unwrap();
        let other = authzid.filter(|authzid| *authzid != name).map(|authzid| authzid.as_str().to_owned());
        prop_assert_eq!(read, (other, name.as_str().to_owned(), password));
    }

    #[test]
    fn any_octets_are_refused_or_make_credentials_that_can_be_replayed(
        line in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        for mechanism in [Mechanism::Plain, Mechanism::Login] {
            if let Ok(Progress::Done(credentials)) = Exchange::begin(mechanism).respond(&line) {
                let Credential::Password(password) = credentials.credential else { panic!("no password") };
                prop_assert!(!password.expose().is_empty());
                prop_assert!(!password.expose().contains(&0));
            }
        }
    }
}
