//! Responses of an exchange, a line each; the first octet chooses the mechanism and whether the first is an initial one.
#![no_main]

use zproxy_protocol::sasl::{
    Credential, Credentials, Exchange, Mechanism, Progress, Refused, Terms, TokenMechanism, plain,
};

/// LOGIN and SCRAM ask twice, the others once.
const MAX_RESPONSES: usize = 2;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Some((&choice, lines)) = data.split_first() else { return };
    let mechanism = Mechanism::ALL[usize::from(choice >> 1) % Mechanism::ALL.len()];
    let mut exchange = Exchange::begin(mechanism);
    for (count, line) in lines.split(|&octet| octet == b'\n').enumerate() {
        let progress = if count == 0 && choice & 1 == 0 { exchange.initial(line) } else { exchange.respond(line) };
        match progress {
            Ok(Progress::Challenge(next)) => exchange = next,
            Ok(Progress::Done(Credentials { credential: Credential::Scram(first), .. })) => {
                assert_eq!(Mechanism::Scram(first.mechanism()), mechanism);
                exchange = Exchange::relayed(first.ask(terms()));
            }
            Ok(Progress::Done(credentials)) => return check(mechanism, &credentials),
            Ok(Progress::Response(response)) => return assert_eq!(response.expose(), line, "sent on as it is"),
            Err(Refused::Malformed) => return assert_eq!(mechanism, Mechanism::Plain),
            Err(_) => return,
        }
        assert!(count < MAX_RESPONSES, "the exchange does not end");
    }
});

/// Short, so that the fuzzer finds a proof.
fn terms() -> Terms {
    Terms { nonce: b"x".as_slice().into(), salt: b"s".as_slice().into(), iterations: 1 }
}

/// Whatever a client said can be said to a backend, by a mechanism of its own kind.
fn check(mechanism: Mechanism, said: &Credentials) {
    if let Credential::Token(token) = &said.credential {
        let _ = token.claim("email");
    }
    let Some(name) = &said.name else {
        return assert!(matches!(mechanism, Mechanism::External | Mechanism::Token(TokenMechanism::OauthBearer)));
    };
    assert_ne!(said.authzid.as_ref(), Some(name));
    let response = match &said.credential {
        Credential::Password(password) => {
            assert!(!password.expose().is_empty() && !password.expose().contains(&0));
            assert!(matches!(mechanism, Mechanism::Login | Mechanism::Plain));
            plain(said.authzid.as_ref(), name, password)
        }
        Credential::Certificate | Credential::Scram(_) => panic!("no backend can be told"),
        Credential::Token(token) => {
            assert_eq!(mechanism, Mechanism::Token(token.mechanism()));
            token.response(name)
        }
    };
    let mechanism = if mechanism == Mechanism::Login { Mechanism::Plain } else { mechanism };
    let Ok(Progress::Done(read)) = Exchange::begin(mechanism).respond(response.expose()) else {
        panic!("what we wrote is no response of {mechanism:?}");
    };
    assert_eq!((&read.authzid, &read.name), (&said.authzid, &said.name));
    match (&read.credential, &said.credential) {
        (Credential::Password(read), Credential::Password(said)) => assert_eq!(read.expose(), said.expose()),
        (Credential::Token(token), Credential::Token(_)) => {
            assert_eq!(token.response(name).expose(), response.expose());
        }
        _ => panic!("a token became a password, or a password a token"),
    }
}
