//! Responses of an exchange, a line each; the first octet chooses the mechanism and whether the first is an initial one.
#![no_main]

use zproxy_protocol::sasl::{Credentials, Exchange, Mechanism, Progress, Refused, plain};

/// LOGIN asks twice, PLAIN once.
const MAX_RESPONSES: usize = 2;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Some((&choice, lines)) = data.split_first() else { return };
    let mechanism = if choice & 1 == 0 { Mechanism::Login } else { Mechanism::Plain };
    let mut exchange = Exchange::begin(mechanism);
    for (count, line) in lines.split(|&octet| octet == b'\n').enumerate() {
        let progress = if count == 0 && choice & 2 == 0 { exchange.initial(line) } else { exchange.respond(line) };
        match progress {
            Ok(Progress::Challenge(next)) => exchange = next,
            Ok(Progress::Done(credentials)) => return check(&credentials),
            Err(Refused::Malformed) => return assert_eq!(mechanism, Mechanism::Plain),
            Err(_) => return,
        }
        assert!(count < MAX_RESPONSES, "the exchange does not end");
    }
});

/// Whatever a client said can be said to a backend.
fn check(said: &Credentials) {
    assert!(!said.password.expose().is_empty() && !said.password.expose().contains(&0));
    assert_ne!(said.authzid.as_ref(), Some(&said.name));
    let response = plain(said.authzid.as_ref(), &said.name, &said.password);
    let Ok(Progress::Done(read)) = Exchange::begin(Mechanism::Plain).respond(response.expose()) else {
        panic!("what we wrote is no PLAIN response");
    };
    assert_eq!((&read.authzid, &read.name), (&said.authzid, &said.name));
    assert_eq!(read.password.expose(), said.password.expose());
}
