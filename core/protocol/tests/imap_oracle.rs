//! imap-codec, which others wrote, reads what we write to clients and backends as we mean it.

use std::sync::Arc;

use imap_codec::decode::Decoder as _;
use imap_codec::imap_types::command::CommandBody;
use imap_codec::imap_types::response::{Capability, Code, GreetingKind};
use imap_codec::{CommandCodec, GreetingCodec, ResponseCodec};
use proptest::prelude::*;
use zproxy_protocol::imap::Imap;
use zproxy_protocol::{
    ClientInfo, ClientSetting, Credential, Forward, Goal, Input, Language as _, LoginAtBackend, LoginOffer, Name,
    Protocol as _, Replay, Secret, ServerSetting,
};

const IR: &[u8] = b"* OK [CAPABILITY SASL-IR ID AUTH=PLAIN] hi\r\n";
const LITERAL_PLUS: &[u8] = b"* OK [CAPABILITY LITERAL+ ID] hi\r\n";
const BARE: &[u8] = b"* OK [CAPABILITY IMAP4rev1 ID] hi\r\n";

fn setting(name: &str, password: &[u8], id: Vec<(String, Option<String>)>) -> ClientSetting {
    let client = ClientInfo {
        address: "192.0.2.7:4711".parse().unwrap(),
        local: "198.51.100.1:993".parse().unwrap(),
        server_name: None,
        session_id: "s1".to_owned(),
        ttl: 5,
    };
    let (name, credential) = (Name::new(name.as_bytes()).unwrap(), Some(Credential::Password(Secret::new(password))));
    let replay = Replay { id, ..Replay::default() };
    let login = LoginAtBackend { name, authzid: None, credential, forward: Forward::None, client, replay };
    ClientSetting { starttls: false, goal: Goal::Login(Box::new(login)) }
}

/// The name and password of the login that we write to a backend that greets so.
fn login_read_back(name: &str, password: &[u8], greeting: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let (mut client, mut input, mut out) = (Imap.client(setting(name, password, Vec::new())), Input::new(), Vec::new());
    input.extend(greeting);
    client.advance(&mut input, &mut out).unwrap();
    while CommandCodec::default().decode(&out).is_err() {
        input.extend(b"+ \r\n");
        client.advance(&mut input, &mut out).unwrap();
    }
    let (rest, command) = CommandCodec::default().decode(&out).unwrap();
    assert!(rest.is_empty());
    match command.body {
        CommandBody::Login { username, password } => {
            Some((username.as_ref().to_vec(), password.declassify().as_ref().to_vec()))
        }
        CommandBody::Authenticate { initial_response, .. } => {
            let message = initial_response?.declassify().to_vec();
            let mut parts = message.splitn(3, |&octet| octet == 0).skip(1).map(<[u8]>::to_vec);
            Some((parts.next()?, parts.next()?))
        }
        _ => None,
    }
}

/// The pairs of the ID that we write.
fn id_read_back(id: Vec<(String, Option<String>)>) -> Vec<(Vec<u8>, Option<Vec<u8>>)> {
    let (mut client, mut input, mut out) = (Imap.client(setting("siti", b"x", id)), Input::new(), Vec::new());
    input.extend(IR);
    client.advance(&mut input, &mut out).unwrap();
    let (rest, command) = CommandCodec::default().decode(&out).unwrap();
    assert!(rest.starts_with(b"zproxy1 AUTHENTICATE PLAIN "));
    let CommandBody::Id { parameters: Some(parameters) } = command.body else { panic!("no ID") };
    let octets = |value: &imap_codec::imap_types::core::IString| value.as_ref().to_vec();
    parameters.iter().map(|(field, value)| (octets(field), value.0.as_ref().map(octets))).collect()
}

#[test]
fn reads_our_greeting_and_our_answers() {
    let shared: Arc<[String]> = Imap.offerable().iter().map(|&word| word.to_owned()).collect();
    for login in [LoginOffer::Now, LoginOffer::NowOrAfterTls, LoginOffer::OnlyAfterTls] {
        let setting = ServerSetting {
            hostname: "mail.test".into(),
            login,
            shared: shared.clone(),
            passwords: true,
            certificate: false,
            bad_commands: 9,
            max_command: 99,
            max_response: 99,
        };
        let (mut server, mut input, mut out) = (Imap.server(setting), Input::new(), Vec::new());
        server.greet(&mut out);
        input.extend(b"a CAPABILITY\r\nb ID NIL\r\nc X\r\n d\r\ne LOGIN \"\" x\r\nf LOGIN {1}\r\n");
        server.advance(&mut input, &mut out).unwrap();
        server.goodbye("timeout", &mut out);
        let (mut rest, greeting) = GreetingCodec::default().decode(&out).unwrap();
        assert_eq!(greeting.kind, GreetingKind::Ok);
        let Some(Code::Capability(offered)) = greeting.code else { panic!("no capabilities") };
        assert_eq!(offered.as_ref().contains(&Capability::LoginDisabled), login == LoginOffer::OnlyAfterTls);
        while !rest.is_empty() {
            rest = ResponseCodec::default().decode(rest).expect("a response").0;
        }
    }
}

proptest! {
    #[test]
    fn reads_every_login_that_we_write(
        name in "[^\\p{C}]{1,20}",
        password in proptest::collection::vec(1..=255_u8, 1..20),
        way in 0..3_usize,
    ) {
        let greeting = [IR, LITERAL_PLUS, BARE][way];
        prop_assert_eq!(login_read_back(&name, &password, greeting), Some((name.into_bytes(), password)));
    }

    #[test]
    fn reads_every_id_that_we_write(pairs in proptest::collection::vec(("[a-w][ -~]{0,20}", proptest::option::of("[ -~]{0,40}")), 1..9)) {
        let mut expected = Vec::new();
        for (field, value) in &pairs {
            let known = |(known, _): &(Vec<u8>, Option<Vec<u8>>)| known.eq_ignore_ascii_case(field.as_bytes());
            if !expected.iter().any(known) {
                expected.push((field.clone().into_bytes(), value.clone().map(String::into_bytes)));
            }
        }
        prop_assert_eq!(id_read_back(pairs), expected);
    }

    #[test]
    fn no_id_breaks_out_of_its_strings(field in ".{1,9}", value in "(.|\r|\n|\"|\\\\){0,20}") {
        prop_assert!(id_read_back(vec![("a".to_owned(), None), (field, Some(value))]).len() <= 2);
    }
}
