//! Random clients before the machine that faces them.

use std::sync::Arc;

use zproxy_protocol::sasl::{Terms, external};
use zproxy_protocol::{
    Credential, Error, Input, LoginOffer, Protocol, Refusal, Secret, Server, ServerSetting, Step, Then,
};

/// Small, so that the fuzzer finds the limit.
const MAX_COMMAND: usize = 512;
/// The same.
const MAX_RESPONSE: usize = 2048;
/// What SMTP allows, whatever is configured.
const MAX_LINE: usize = 12_288;
/// Octets sent for one octet read, at most: CAPA, six octets, is answered with all that can be done.
const MAX_ANSWER: usize = 64;
/// Octets sent to whoever says nothing: the greeting, or a last word.
const MAX_UNASKED: usize = 1024;

/// Feeds `data` to a server machine: one octet for the setting, one for the size of the pieces, then what is said.
///
/// # Panics
/// The machine is wrong.
pub fn hear_client(protocol: &dyn Protocol, data: &[u8]) {
    let &[choice, size, ref said @ ..] = data else { return };
    let whole = talk(protocol, choice, &mut std::iter::once(said));
    assert!(whole.sent.len() <= said.len() * MAX_ANSWER + MAX_UNASKED, "{} octets sent", whole.sent.len());
    // What follows STARTTLS in the same piece is an error, and in the next one it is TLS: there the split must matter.
    if !whole.secured && whole.end != Some(Error::BytesBehindStarttls) {
        let split = talk(protocol, choice, &mut said.chunks(usize::from(size).max(1)));
        assert_eq!(split, whole, "in pieces of {size}, and whole");
    }
}

/// What a conversation came to.
#[derive(Debug, Default, PartialEq)]
struct Talk {
    sent: String,
    logins: Vec<String>,
    secured: bool,
    end: Option<Error>,
}

fn talk(protocol: &dyn Protocol, choice: u8, pieces: &mut dyn Iterator<Item = &[u8]>) -> Talk {
    let mut server = protocol.server(setting(protocol, choice));
    let (mut input, mut out, mut talk) = (Input::new(), Vec::new(), Talk::default());
    server.greet(&mut out);
    for piece in pieces {
        input.extend(piece);
        while step(&mut *server, &mut input, &mut out, &mut talk) {}
        assert!(talk.end.is_some() || input.len() <= MAX_LINE + MAX_COMMAND, "{} octets held", input.len());
    }
    talk.sent = out.escape_ascii().to_string();
    assert!(!out.contains(&0), "NUL sent: {}", talk.sent);
    talk
}

/// Takes one step; true: there may be another.
fn step(server: &mut dyn Server, input: &mut Input, out: &mut Vec<u8>, talk: &mut Talk) -> bool {
    if talk.end.is_some() {
        return false;
    }
    match server.advance(input, out) {
        Ok(Step::More) => return false,
        Ok(Step::Goodbye) => talk.logins.push("goodbye".into()),
        Ok(Step::Login(login)) => {
            let secret = match &login.credential {
                Credential::Certificate => Secret::new(b"shown"),
                Credential::Password(password) => password.clone(),
                Credential::Scram(first) => first.response(),
                Credential::Token(token) => token.secret().clone(),
            };
            assert!(!secret.expose().is_empty() && !secret.expose().contains(&0));
            assert!(login.authzid.is_none() || login.authzid != login.name);
            talk.logins.push(format!("{login:?} {}", secret.expose().escape_ascii()));
            match &login.credential {
                Credential::Scram(first) => server.challenge(first.ask(terms()), out),
                _ => server.refuse(&Refusal::Credentials, Then::TryAgain, out),
            }
        }
        Ok(Step::Response(response)) => {
            talk.logins.push(response.expose().escape_ascii().to_string());
            server.refuse(&Refusal::Credentials, Then::TryAgain, out);
        }
        Ok(Step::Abandoned) => talk.logins.push("abandoned".into()),
        Ok(Step::StartTls) => {
            assert!(input.is_empty(), "octets behind STARTTLS");
            talk.secured = true;
            server.secured(false);
        }
        Err(error) => talk.end = Some(error),
    }
    true
}

/// What a client is asked to make its proof from: short, so that the fuzzer finds a good one.
fn terms() -> Terms {
    Terms { nonce: b"x".as_slice().into(), salt: b"s".as_slice().into(), iterations: 1 }
}

fn setting(protocol: &dyn Protocol, choice: u8) -> ServerSetting {
    let words = protocol.offerable().iter().filter(|_| choice & 4 != 0).chain(&[external::CAPABILITY]);
    ServerSetting {
        hostname: Arc::from("mail.tgg.net.id"),
        login: match choice & 3 {
            0 => LoginOffer::OnlyAfterTls,
            1 => LoginOffer::NowOrAfterTls,
            _ => LoginOffer::Now,
        },
        shared: words.map(|&word| word.to_owned()).collect(),
        passwords: choice & 8 == 0,
        certificate: choice & 16 != 0,
        bad_commands: 5,
        max_command: MAX_COMMAND,
        max_response: MAX_RESPONSE,
    }
}
