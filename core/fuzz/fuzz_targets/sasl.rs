//! Responses of an exchange, a line each; the first octet chooses the mechanism and whether the first is an initial one.
#![no_main]

use zproxy_protocol::sasl::{Credential, Credentials, Exchange, Mechanism, Progress, Refused, TokenMechanism, plain};

/// LOGIN asks twice, the others once.
const MAX_RESPONSES: usize = 2;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Some((&choice, lines)) = data.split_first() else { return };
    let mechanism = match choice & 3 {
        0 => Mechanism::Login,
        1 => Mechanism::Plain,
        2 => Mechanism::Token(TokenMechanism::OauthBearer),
        _ => Mechanism::Token(TokenMechanism::Xoauth2),
    };
    let mut exchange = Exchange::begin(mechanism);
    for (count, line) in lines.split(|&octet| octet == b'\n').enumerate() {
        let progress = if count == 0 && choice & 4 == 0 { exchange.initial(line) } else { exchange.respond(line) };
        match progress {
            Ok(Progress::Challenge(next)) => exchange = next,
            Ok(Progress::Done(credentials)) => return check(mechanism, &credentials),
            Err(Refused::Malformed) => return assert_eq!(mechanism, Mechanism::Plain),
            Err(_) => return,
        }
        assert!(count < MAX_RESPONSES, "the exchange does not end");
    }
});

/// Whatever a client said can be said to a backend, by a mechanism of its own kind.
fn check(mechanism: Mechanism, said: &Credentials) {
    assert_ne!(said.authzid.as_ref(), Some(&said.name));
    let response = match &said.credential {
        Credential::Password(password) => {
            assert!(!password.expose().is_empty() && !password.expose().contains(&0));
            assert!(matches!(mechanism, Mechanism::Login | Mechanism::Plain));
            plain(said.authzid.as_ref(), &said.name, password)
        }
        Credential::Token(token) => {
            assert_eq!(mechanism, Mechanism::Token(token.mechanism()));
            token.response(&said.name)
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
            assert_eq!(token.response(&read.name).expose(), response.expose());
        }
        _ => panic!("a token became a password, or a password a token"),
    }
}
