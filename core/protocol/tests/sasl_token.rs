//! The messages of XOAUTH2 and OAUTHBEARER, good and bad.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;
use zproxy_protocol::Name;
use zproxy_protocol::name::BadName;
use zproxy_protocol::sasl::{Credential, Credentials, Exchange, Mechanism, Progress, Refused, Token, TokenMechanism};

fn read(mechanism: TokenMechanism, message: &[u8]) -> Result<(Option<Name>, Token), Refused> {
    let exchange = Exchange::begin(Mechanism::Token(mechanism));
    assert_eq!(exchange.challenge(), "");
    match exchange.respond(STANDARD.encode(message).as_bytes())? {
        Progress::Done(Credentials { authzid: None, name, credential: Credential::Token(token) }) => {
            assert_eq!(token.mechanism(), mechanism);
            Ok((name, token))
        }
        other => panic!("no token: {other:?}"),
    }
}

/// What would be said to the backend.
fn told(mechanism: TokenMechanism, message: &[u8]) -> Result<Vec<u8>, Refused> {
    let nobody = || Name::new(b"(nobody)").unwrap();
    let response = |(name, token): (Option<Name>, Token)| token.response(&name.unwrap_or_else(nobody));
    read(mechanism, message).map(|said| STANDARD.decode(response(said).expose()).unwrap())
}

#[test]
fn xoauth2_is_a_name_and_a_token_and_nothing_else() {
    type Row = (&'static [u8], Result<&'static [u8], Refused>);
    const MALFORMED: Result<&[u8], Refused> = Err(Refused::MalformedXoauth2);
    let table: &[Row] = &[
        (b"user=siti\x01auth=Bearer t.-_~+/9==\x01\x01", Ok(b"user=siti\x01auth=Bearer t.-_~+/9==\x01\x01")),
        (b"user=a=b,c\x01auth=bEARER t\x01\x01", Ok(b"user=a=b,c\x01auth=Bearer t\x01\x01")),
        (b"user=\x01auth=Bearer t\x01\x01", Err(Refused::Nameless)),
        (b"user=a\tb\x01auth=Bearer t\x01\x01", Err(Refused::Name(BadName::Control))),
        (b"user=\xff\x01auth=Bearer t\x01\x01", Err(Refused::Name(BadName::Utf8))),
        (b"user=siti\x01auth=Bearer \x01\x01", Err(Refused::Token)),
        (b"user=siti\x01auth=Bearer ==\x01\x01", Err(Refused::Token)),
        (b"user=siti\x01auth=Bearer t=t\x01\x01", Err(Refused::Token)),
        (b"user=siti\x01auth=Bearer  t\x01\x01", Err(Refused::Token)),
        (b"user=siti\x01auth=Bearer t \x01\x01", Err(Refused::Token)),
        (b"user=siti\x01auth=Bearer t\r\n\x01\x01", Err(Refused::Token)),
        (b"user=siti\x01auth=Bearer t\0\x01\x01", Err(Refused::Token)),
        (b"user=siti\x01auth=Bearer t\x01user=budi\x01\x01", Err(Refused::Token)),
        (b"user=siti\x01auth=Basic t\x01\x01", Err(Refused::Token)),
        (b"user=siti\x01auth=\x01\x01", Err(Refused::Token)),
        (b"user=siti\x01auth=Bearer t\x01\x01\x01", Err(Refused::Token)),
        (b"", MALFORMED),
        (b"\x01", MALFORMED),
        (b"user=siti", MALFORMED),
        (b"user=siti\x01\x01", MALFORMED),
        (b"user=siti\x01auth=Bearer t\x01", MALFORMED),
        (b"user=siti\x01auth=Bearer t\x01\x01x", MALFORMED),
        (b"USER=siti\x01auth=Bearer t\x01\x01", MALFORMED),
        (b"user=siti\x01host=h\x01auth=Bearer t\x01\x01", MALFORMED),
        (b"n,a=siti,\x01auth=Bearer t\x01\x01", MALFORMED),
    ];
    for (message, expected) in table {
        let told = told(TokenMechanism::Xoauth2, message);
        assert_eq!(told.as_deref(), expected.as_ref().map(|&message| message), "{}", message.escape_ascii());
    }
}

#[test]
fn oauthbearer_is_a_header_with_a_name_and_keys_said_once() {
    const MALFORMED: Refused = Refused::MalformedOauthBearer;
    type Row = (&'static [u8], Result<&'static [u8], Refused>);
    let table: &[Row] = &[
        (b"n,a=siti,\x01auth=Bearer t\x01\x01", Ok(b"n,a=siti,\x01auth=Bearer t\x01\x01")),
        (b"y,a=siti,\x01auth=bearer t==\x01\x01", Ok(b"n,a=siti,\x01auth=Bearer t==\x01\x01")),
        (b"n,a=a=3Db=2cc=3d,\x01auth=Bearer t\x01\x01", Ok(b"n,a=a=3Db=2Cc=3D,\x01auth=Bearer t\x01\x01")),
        (
            b"n,a=siti,\x01host=mail.tgg.net.id\x01port=993\x01auth=Bearer t\x01\x01",
            Ok(b"n,a=siti,\x01auth=Bearer t\x01\x01"),
        ),
        (b"n,a=siti,\x01auth=Bearer t\x01qs=a=b c\r\n\x01\x01", Ok(b"n,a=siti,\x01auth=Bearer t\x01\x01")),
        (b"n,,\x01auth=Bearer t\x01\x01", Ok(b"n,a=(nobody),\x01auth=Bearer t\x01\x01")),
        (b"n,a=,\x01auth=Bearer t\x01\x01", Ok(b"n,a=(nobody),\x01auth=Bearer t\x01\x01")),
        (b"n,a=a\nb,\x01auth=Bearer t\x01\x01", Err(Refused::Name(BadName::Control))),
        (b"n,a=\xff,\x01auth=Bearer t\x01\x01", Err(Refused::Name(BadName::Utf8))),
        (b"n,a=siti,\x01auth=Bearer \x01\x01", Err(Refused::Token)),
        (b"n,a=siti,\x01auth=Basic t\x01\x01", Err(Refused::Token)),
        (b"", Err(MALFORMED)),
        (b"\x01", Err(MALFORMED)),
        (b"\x01\x01", Err(MALFORMED)),
        (b"n,a=siti,\x01\x01", Err(MALFORMED)),
        (b"n,a=siti,\x01auth=Bearer t\x01", Err(MALFORMED)),
        (b"n,a=siti,\x01auth=Bearer t\x01\x01x", Err(MALFORMED)),
        (b"n,a=siti,\x01auth=Bearer t\x01\x01\x01", Err(MALFORMED)),
        (b"n,a=siti\x01auth=Bearer t\x01\x01", Err(MALFORMED)),
        (b"n,a=si,ti,\x01auth=Bearer t\x01\x01", Err(MALFORMED)),
        (b"n,a=si=ti,\x01auth=Bearer t\x01\x01", Err(MALFORMED)),
        (b"n,a=siti=,\x01auth=Bearer t\x01\x01", Err(MALFORMED)),
        (b"n,a=siti=2,\x01auth=Bearer t\x01\x01", Err(MALFORMED)),
        (b"n,a=siti=41,\x01auth=Bearer t\x01\x01", Err(MALFORMED)),
        (b"n,siti,\x01auth=Bearer t\x01\x01", Err(MALFORMED)),
        (b"p=tls-unique,a=siti,\x01auth=Bearer t\x01\x01", Err(MALFORMED)),
        (b"F,n,a=siti,\x01auth=Bearer t\x01\x01", Err(MALFORMED)),
        (b"n,a=siti,\x01auth=Bearer t\x01auth=Bearer u\x01\x01", Err(MALFORMED)),
        (b"n,a=siti,\x01host=a\x01host=b\x01auth=Bearer t\x01\x01", Err(MALFORMED)),
        (b"n,a=siti,\x01host=\x01auth=Bearer t\x01\x01", Err(MALFORMED)),
        (b"n,a=siti,\x01host=a b\x01auth=Bearer t\x01\x01", Err(MALFORMED)),
        (b"n,a=siti,\x01port=\x01auth=Bearer t\x01\x01", Err(MALFORMED)),
        (b"n,a=siti,\x01port=0\x01auth=Bearer t\x01\x01", Err(MALFORMED)),
        (b"n,a=siti,\x01port=65536\x01auth=Bearer t\x01\x01", Err(MALFORMED)),
        (b"n,a=siti,\x01port=+1\x01auth=Bearer t\x01\x01", Err(MALFORMED)),
        (b"n,a=siti,\x01au1h=x\x01auth=Bearer t\x01\x01", Err(MALFORMED)),
        (b"n,a=siti,\x01=x\x01auth=Bearer t\x01\x01", Err(MALFORMED)),
        (b"n,a=siti,\x01qs=\0\x01auth=Bearer t\x01\x01", Err(MALFORMED)),
        (b"user=siti\x01auth=Bearer t\x01\x01", Err(MALFORMED)),
    ];
    for (message, expected) in table {
        let told = told(TokenMechanism::OauthBearer, message);
        assert_eq!(told.as_deref(), expected.as_ref().map(|&message| message), "{}", message.escape_ascii());
    }
}

#[test]
fn what_is_printed_holds_no_token() {
    let read = read(TokenMechanism::Xoauth2, b"user=siti\x01auth=Bearer geheim\x01\x01").unwrap();
    let shown = format!("{read:?}");
    assert!(shown.contains("siti") && !shown.contains("geheim"), "{shown}");
}

fn mechanism() -> impl Strategy<Value = TokenMechanism> {
    prop::sample::select(TokenMechanism::ALL.to_vec())
}

proptest! {
    #[test]
    fn what_we_write_we_read_back(
        mechanism in mechanism(),
        name in "[^\\p{Cc}]{1,200}|[a=,23CD]{1,20}",
        token in "[-._~+/a-zA-Z0-9]{1,300}={0,2}",
    ) {
        let escaped = name.replace('=', "=3D").replace(',', "=2C");
        let message = match mechanism {
            TokenMechanism::OauthBearer => format!("n,a={escaped},\x01auth=Bearer {token}\x01\x01"),
            TokenMechanism::Xoauth2 => format!("user={name}\x01auth=Bearer {token}\x01\x01"),
        };
        let (read, kept) = read(mechanism, message.as_bytes()).unwrap();
        let read = read.unwrap();
        prop_assert_eq!(read.as_str(), name);
        prop_assert_eq!(STANDARD.decode(kept.response(&read).expose()).unwrap(), message.into_bytes());
    }

    #[test]
    fn any_octets_are_refused_or_make_a_message_that_is_read_the_same(
        mechanism in mechanism(),
        parts in prop::collection::vec(
            prop_oneof![
                prop::sample::select(vec![
                    &b"user="[..], b"siti", b"n,a=", b"y,", b",", b"=2C", b"=", b"\x01", b"\x01\x01", b"auth=", b"Bearer ",
                    b"t", b"host=h", b"port=1", b" ", b"\0", b"\r\n",
                ]).prop_map(<[u8]>::to_vec),
                prop::collection::vec(any::<u8>(), 0..4),
            ],
            0..12,
        ),
    ) {
        let message = parts.concat();
        if let Ok((Some(name), token)) = read(mechanism, &message) {
            let told = STANDARD.decode(token.response(&name).expose()).unwrap();
            let (name_again, token_again) = read(mechanism, &told).unwrap();
            prop_assert_eq!(name_again.as_ref(), Some(&name));
            let told_again = token_again.response(&name);
            prop_assert_eq!(STANDARD.decode(told_again.expose()).unwrap(), told);
        }
    }
}
