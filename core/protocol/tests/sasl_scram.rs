//! The messages of SCRAM, good and bad, and the vectors of its RFCs.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;
use zproxy_protocol::name::BadName;
use zproxy_protocol::sasl::{
    Challenge, Credential, Credentials, Exchange, Mechanism, Progress, Refused, ScramFirst, ScramMechanism, Terms,
};

const MALFORMED: Refused = Refused::MalformedScram;

fn read(mechanism: ScramMechanism, message: &[u8]) -> Result<(Credentials, ScramFirst), Refused> {
    let exchange = Exchange::begin(Mechanism::Scram(mechanism));
    assert_eq!(exchange.challenge(), "");
    match exchange.respond(STANDARD.encode(message).as_bytes())? {
        Progress::Done(said) => match &said.credential {
            Credential::Scram(first) => {
                let first = first.clone();
                assert_eq!(STANDARD.decode(first.response().expose()).unwrap(), message, "it is sent on as it is");
                Ok((said, first))
            }
            other => panic!("no SCRAM: {other:?}"),
        },
        other => panic!("not done: {other:?}"),
    }
}

fn first(mechanism: ScramMechanism, message: &[u8]) -> ScramFirst {
    read(mechanism, message).unwrap().1
}

fn terms(nonce: &[u8], salt: &str, iterations: u32) -> Terms {
    Terms { nonce: nonce.into(), salt: STANDARD.decode(salt).unwrap().into(), iterations }
}

fn text(challenge: &Challenge) -> String {
    String::from_utf8(STANDARD.decode(challenge.base64()).unwrap()).unwrap()
}

/// What a client that was asked may say: what goes on to the backend.
fn answer(challenge: &Challenge, message: &[u8]) -> Result<Vec<u8>, Refused> {
    let exchange = Exchange::relayed(challenge.clone());
    assert!(exchange.is_relayed() && exchange.challenge() == challenge.base64());
    match exchange.respond(STANDARD.encode(message).as_bytes())? {
        Progress::Response(response) => Ok(STANDARD.decode(response.expose()).unwrap()),
        other => panic!("no response: {other:?}"),
    }
}

#[test]
fn the_exchanges_of_the_rfcs_pass() {
    let table = [
        (
            ScramMechanism::Sha1,
            "n,,n=user,r=fyko+d2lbbFgONRv9qkxdawL",
            terms(b"3rfcNHYJY1ZVvWVs7j", "QSXCR+Q6sek8bf92", 4096),
            "r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096",
            "c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=",
        ),
        (
            ScramMechanism::Sha256,
            "n,,n=user,r=rOprNGfwEbeRWgbNEkqO",
            terms(b"%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0", "W22ZaJ0SNY7soEsUEjb6gQ==", 4096),
            "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
            "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
        ),
    ];
    for (mechanism, message, terms, asked, last) in table {
        let (said, first) = read(mechanism, message.as_bytes()).unwrap();
        assert_eq!((said.name.as_ref().unwrap().as_str(), said.authzid), ("user", None));
        assert_eq!(first.mechanism(), mechanism);
        let challenge = first.ask(terms.clone());
        assert_eq!(text(&challenge), asked);
        assert_eq!(challenge.terms(), Some(&terms));
        assert_eq!(answer(&challenge, last.as_bytes()), Ok(last.as_bytes().to_vec()));
    }
}

#[test]
fn a_first_message_says_who_it_is() {
    type Row = (&'static [u8], Result<(&'static str, Option<&'static str>), Refused>);
    let table: &[Row] = &[
        (b"n,,n=siti,r=abc", Ok(("siti", None))),
        (b"y,,n=siti,r=abc", Ok(("siti", None))),
        (b"n,,n=a=3Db=2Cc,r=abc", Ok(("a=b,c", None))),
        (b"n,a=budi,n=siti,r=abc", Ok(("siti", Some("budi")))),
        (b"n,a=bu=2Cdi,n=siti,r=abc", Ok(("siti", Some("bu,di")))),
        (b"n,a=siti,n=siti,r=abc", Ok(("siti", None))),
        (b"n,,n=s\xc3\xadti,r=abc", Ok(("s\u{ed}ti", None))),
        (b"n,,n=siti,r=abc,x=1,y=2=3", Ok(("siti", None))),
        (b"p=tls-unique,,n=siti,r=abc", Err(Refused::ChannelBinding)),
        (b"p=tls-server-end-point,a=budi,n=siti,r=abc", Err(Refused::ChannelBinding)),
        (b"n,,n=,r=abc", Err(Refused::Name(BadName::Empty))),
        (b"n,,n=a\tb,r=abc", Err(Refused::Name(BadName::Control))),
        (b"n,,n=\xff,r=abc", Err(Refused::Name(BadName::Utf8))),
        (b"n,,n=a\0b,r=abc", Err(Refused::Name(BadName::Control))),
        (b"n,a=\x01,n=siti,r=abc", Err(Refused::Name(BadName::Control))),
        (b"", Err(MALFORMED)),
        (b"n", Err(MALFORMED)),
        (b"n,", Err(MALFORMED)),
        (b"n,,", Err(MALFORMED)),
        (b"n,,n=siti", Err(MALFORMED)),
        (b"n,,n=siti,r=", Err(MALFORMED)),
        (b"n,,n=siti,r=a b", Err(MALFORMED)),
        (b"n,,n=siti,r=a\x7f", Err(MALFORMED)),
        (b"n,,r=abc,n=siti", Err(MALFORMED)),
        (b"n,,n=siti,r=abc,", Err(MALFORMED)),
        (b"n,,n=siti,r=abc,x", Err(MALFORMED)),
        (b"n,,n=siti,r=abc,x=", Err(MALFORMED)),
        (b"n,,n=siti,r=abc,x=\0", Err(MALFORMED)),
        (b"n,,n=siti,r=abc,n=budi", Err(MALFORMED)),
        (b"n,,n=siti,r=abc,m=1", Err(MALFORMED)),
        (b"n,,m=1,n=siti,r=abc", Err(MALFORMED)),
        (b"n,,n=si=ti,r=abc", Err(MALFORMED)),
        (b"n,,n=siti=2,r=abc", Err(MALFORMED)),
        (b"n,,N=siti,r=abc", Err(MALFORMED)),
        (b"n,a=,n=siti,r=abc", Err(MALFORMED)),
        (b"n,b=budi,n=siti,r=abc", Err(MALFORMED)),
        (b"n,budi,n=siti,r=abc", Err(MALFORMED)),
        (b"N,,n=siti,r=abc", Err(MALFORMED)),
        (b"n=siti,r=abc", Err(MALFORMED)),
        (b"x,,n=siti,r=abc", Err(MALFORMED)),
        (b"\0siti\0demo", Err(MALFORMED)),
    ];
    for (message, expected) in table {
        let said = read(ScramMechanism::Sha256, message).map(|(said, _)| said);
        let said = said
            .as_ref()
            .map(|said| (said.name.as_ref().unwrap().as_str(), said.authzid.as_ref().map(|name| name.as_str())));
        assert_eq!(said, expected.as_ref().map(|&it| it), "{}", message.escape_ascii());
    }
    let nonce = |octets: usize| read(ScramMechanism::Sha1, format!("n,,n=a,r={}", "x".repeat(octets)).as_bytes()).err();
    assert_eq!((nonce(512), nonce(513)), (None, Some(MALFORMED)));
}

#[test]
fn a_message_that_no_backend_would_hear_is_refused_whoever_it_names() {
    let of = |begin: &str, end: &str, octets: usize| {
        format!("{begin},x={}{end}", "x".repeat(octets - begin.len() - end.len() - ",x=".len()))
    };
    let first = |octets| read(ScramMechanism::Sha1, of("n,,n=siti,r=abc", "", octets).as_bytes());
    assert_eq!((first(6144).err(), first(6145).err()), (None, Some(MALFORMED)));
    let (_, asked) = first(6144).unwrap();
    let challenge = asked.ask(terms(b"def", "AAAA", 4096));
    let proof = format!(",p={}", STANDARD.encode([7; 20]));
    let last = |octets| answer(&challenge, of("c=biws,r=abcdef", &proof, octets).as_bytes());
    assert_eq!((last(6144).err(), last(6145).err()), (None, Some(MALFORMED)));
}

#[test]
fn a_last_message_is_of_the_same_exchange_and_has_a_whole_proof() {
    let proof = STANDARD.encode([7; 20]);
    let table = [
        ("n,,n=siti,r=abc", format!("c=biws,r=abcdef,p={proof}"), true),
        ("y,,n=siti,r=abc", format!("c=eSws,r=abcdef,p={proof}"), true),
        ("n,a=budi,n=siti,r=abc", format!("c=bixhPWJ1ZGks,r=abcdef,p={proof}"), true),
        ("n,,n=siti,r=abc", format!("c=biws,r=abcdef,x=1,p={proof}"), true),
        ("y,,n=siti,r=abc", format!("c=biws,r=abcdef,p={proof}"), false),
        ("n,,n=siti,r=abc", format!("c=eSws,r=abcdef,p={proof}"), false),
        ("n,,n=siti,r=abc", format!("c=biws,r=abc,p={proof}"), false),
        ("n,,n=siti,r=abc", format!("c=biws,r=abcdefg,p={proof}"), false),
        ("n,,n=siti,r=abc", format!("c=biws,r=abcdef,p={proof},x=1"), false),
        ("n,,n=siti,r=abc", format!("c=biws,r=abcdef,p={proof},p={proof}"), false),
        ("n,,n=siti,r=abc", format!("c=biws,r=abcdef,p={}", STANDARD.encode([7; 32])), false),
        ("n,,n=siti,r=abc", "c=biws,r=abcdef,p=".to_owned(), false),
        ("n,,n=siti,r=abc", "c=biws,r=abcdef,p=?".to_owned(), false),
        ("n,,n=siti,r=abc", "c=biws,r=abcdef".to_owned(), false),
        ("n,,n=siti,r=abc", String::new(), false),
    ];
    for (message, last, good) in table {
        let challenge = first(ScramMechanism::Sha1, message.as_bytes()).ask(terms(b"def", "AAAA", 4096));
        let expected = if good { Ok(last.clone().into_bytes()) } else { Err(MALFORMED) };
        assert_eq!(answer(&challenge, last.as_bytes()), expected, "{message} {last}");
    }
}

#[test]
fn what_is_printed_holds_neither_message_nor_proof() {
    let (said, first) = read(ScramMechanism::Sha1, b"n,,n=siti,r=abcdefgh").unwrap();
    for shown in [format!("{said:?}"), format!("{first:?}")] {
        assert!(!shown.contains("n,,n=siti"), "{shown}");
    }
}

fn piece() -> impl Strategy<Value = Vec<u8>> {
    let known = prop::sample::select(vec![
        &b"n,,"[..],
        b"y,",
        b"a=budi",
        b",",
        b"n=siti",
        b"r=abc",
        b"def",
        b"c=biws",
        b"p=",
        b"x=1",
        b"=2C",
        b"=",
        b"\0",
        b"BwcHBwcHBwcHBwcHBwcHBwcHBwc=",
    ]);
    prop_oneof![4 => known.prop_map(<[u8]>::to_vec), 1 => prop::collection::vec(any::<u8>(), 0..4)]
}

proptest! {
    #[test]
    fn any_first_message_is_refused_or_says_a_name_that_can_be_written_the_same(
        pieces in prop::collection::vec(piece(), 0..10),
    ) {
        if let Ok((said, _)) = read(ScramMechanism::Sha256, &pieces.concat()) {
            let escaped = said.name.as_ref().unwrap().as_str().replace('=', "=3D").replace(',', "=2C");
            let again = read(ScramMechanism::Sha256, format!("n,,n={escaped},r=x").as_bytes()).unwrap().0;
            prop_assert_eq!(again.name, said.name);
        }
    }

    #[test]
    fn any_last_message_is_refused_or_sent_on_as_it_is(pieces in prop::collection::vec(piece(), 0..10)) {
        let challenge = first(ScramMechanism::Sha1, b"n,,n=siti,r=abc").ask(terms(b"def", "AAAA", 4096));
        let message = pieces.concat();
        prop_assert!(matches!(answer(&challenge, &message), Err(MALFORMED) | Ok(_)));
        if let Ok(sent) = answer(&challenge, &message) {
            prop_assert!(sent == message && message.starts_with(b"c=biws,r=abcdef,"));
        }
    }
}
