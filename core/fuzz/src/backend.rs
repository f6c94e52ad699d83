//! Random backends before the machine that faces them.

use zproxy_protocol::sasl::{Credential, Exchange, Mechanism, Progress, ScramMechanism, TokenMechanism};
use zproxy_protocol::{
    Client, ClientInfo, ClientSetting, ClientStep, Forward, Goal, Input, LoginAtBackend, Name, Protocol, Replay, Secret,
};

/// Octets a login may need, ID or XCLIENT included.
const MAX_SENT: usize = 4096;
/// Octets that a machine may wait for more with.
const MAX_HELD: usize = 65_536;

/// Feeds `data` to a client machine: an octet for the setting and one for the credential, then what the backend says.
///
/// A reply that comes before it was asked for is an error, so the split does matter; but a backend that says line after
/// line gets the same answers however slowly it says them.
///
/// # Panics
/// The machine is wrong.
pub fn hear_backend(protocol: &dyn Protocol, data: &[u8]) {
    let &[choice, credential, ref said @ ..] = data else { return };
    let setting = || setting(choice, credential);
    // At once: nothing but the bounds.
    talk(protocol, setting(), &mut std::iter::once(said));
    let by_line = talk(protocol, setting(), &mut said.split_inclusive(|&octet| octet == b'\n'));
    let by_octet = talk(protocol, setting(), &mut said.chunks(1));
    assert_eq!(by_octet, by_line, "by octet, and by line");
}

/// What was sent, and how it ended.
fn talk(protocol: &dyn Protocol, setting: ClientSetting, pieces: &mut dyn Iterator<Item = &[u8]>) -> (String, String) {
    let mut client = protocol.client(setting);
    let (mut input, mut out) = (Input::new(), Vec::new());
    let mut end = String::from("more");
    for piece in pieces {
        input.extend(piece);
        end = advance(&mut *client, &mut input, &mut out);
        assert!(out.len() <= MAX_SENT, "{} octets sent", out.len());
        if end != "more" {
            break;
        }
        assert!(input.len() <= MAX_HELD, "{} octets held", input.len());
    }
    (out.escape_ascii().to_string(), end)
}

fn advance(client: &mut dyn Client, input: &mut Input, out: &mut Vec<u8>) -> String {
    loop {
        match client.advance(input, out) {
            Ok(ClientStep::More) => return "more".into(),
            Ok(ClientStep::StartTls) => {
                assert!(input.is_empty(), "octets behind the answer to STARTTLS");
                client.secured();
            }
            Ok(ClientStep::Success(success)) => {
                assert!(!success.text.iter().any(|octet| b"\r\n\0".contains(octet)), "{success:?}");
                return format!("{success:?}");
            }
            Ok(ClientStep::Challenge(challenge)) => {
                assert!(input.is_empty(), "octets behind a challenge");
                let answer = if challenge.terms().is_some() { PROOF } else { b"" };
                client.respond(&Secret::new(answer), out);
            }
            Ok(step) => return format!("{step:?}"),
            Err(error) => return format!("{error:?} at {}", client.phase()),
        }
    }
}

fn setting(choice: u8, credential: u8) -> ClientSetting {
    let goal = if choice & 2 == 0 { Goal::Login(Box::new(login(choice, credential))) } else { Goal::Probe };
    ClientSetting { starttls: choice & 1 == 1, goal }
}

fn login(choice: u8, credential: u8) -> LoginAtBackend {
    let name = |text: &str| Name::new(text.as_bytes()).expect("a name");
    LoginAtBackend {
        name: name("siti@tgg.net.id"),
        authzid: (choice & 4 != 0).then(|| name("budi@tgg.net.id")),
        credential: Some(match credential % 5 {
            0 => Credential::Password(Secret::new(b"demo")),
            1 => Credential::Password(Secret::new(b"de\r\n \"\\\xe9mo")),
            2 => token(TokenMechanism::OauthBearer, b"bixhPXNpdGksAWF1dGg9QmVhcmVyIHQBAQ=="),
            4 => scram(),
            _ => token(TokenMechanism::Xoauth2, b"dXNlcj1zaXRpAWF1dGg9QmVhcmVyIHQBAQ=="),
        })
        .filter(|_| credential & 8 == 0),
        forward: match choice >> 6 {
            0 => Forward::None,
            1 => Forward::Id,
            2 => Forward::Xclient,
            _ => Forward::Xoip,
        },
        client: ClientInfo {
            address: ([192, 0, 2, 7], 50123).into(),
            local: ([192, 0, 2, 1], 993).into(),
            server_name: Some("mail.tgg.net.id".into()),
            session_id: "a1b2".into(),
            ttl: 5,
        },
        replay: Replay {
            id: if choice & 16 == 0 { Vec::new() } else { vec![("name".into(), Some("\"fuzz\\".into()))] },
            utf8: choice & 32 != 0,
            ehlo: (choice & 16 != 0).then(|| "fuzz+box".into()),
            ..Replay::default()
        },
    }
}

/// What is said to any challenge.
const PROOF: &[u8] = b"Yz1iaXdzLHI9YWJjZCxwPUJ3Y0g=";

/// The first message of an exchange: `n,,n=siti,r=abc`.
fn scram() -> Credential {
    match Exchange::begin(Mechanism::Scram(ScramMechanism::Sha1)).respond(b"biwsbj1zaXRpLHI9YWJj") {
        Ok(Progress::Done(said)) => said.credential,
        other => panic!("no first message: {other:?}"),
    }
}

/// A token as its client said it.
fn token(mechanism: TokenMechanism, response: &[u8]) -> Credential {
    match Exchange::begin(Mechanism::Token(mechanism)).respond(response) {
        Ok(Progress::Done(said)) => said.credential,
        other => panic!("no token: {other:?}"),
    }
}
