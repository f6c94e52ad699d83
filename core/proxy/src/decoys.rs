//! What a client is asked in a SCRAM exchange whom no backend would ask: so that an unknown user cannot be told from a
//! known one who has the wrong password.
//!
//! The salt is a keyed hash of the name, for a real user's does not change from one login to the next. All else is like
//! what backends did lately: the count of iterations, the nonce, the time that it takes.

mod key;
mod nonces;
mod salts;

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use aws_lc_rs::hmac;
use zproxy_protocol::Name;
use zproxy_protocol::sasl::{ScramFirst, ScramMechanism, Terms};

use crate::service::Service;
use nonces::Nonces;
use salts::Salts;

pub(crate) use key::key;

/// How backends ask, and the key of the salts.
#[derive(Debug)]
pub struct Decoys {
    key: hmac::Key,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    /// A user has one password, by whatever service he comes.
    salts: HashMap<ScramMechanism, Salts>,
    manners: HashMap<(Service, ScramMechanism), Manner>,
}

/// How the backends of a service ask.
#[derive(Debug, Default)]
struct Manner {
    nonces: Nonces,
    /// How long it took them lately, from the client's first message on.
    took: Vec<Duration>,
}

/// Times of which one is drawn.
const MAX_TIMES: usize = 16;

impl Decoys {
    /// Nothing was seen yet.
    #[must_use]
    pub fn new(key: &[u8]) -> Self {
        Self { key: hmac::Key::new(hmac::HMAC_SHA256, key), seen: Mutex::default() }
    }

    /// A backend asked for the proof of `name`, so long after the client's first message.
    pub(crate) fn saw(&self, service: Service, first: &ScramFirst, (name, terms): (&Name, &Terms), took: Duration) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.salts.entry(first.mechanism()).or_default().saw(name, terms);
        let manner = seen.manners.entry((service, first.mechanism())).or_default();
        manner.nonces.saw(&terms.nonce);
        if manner.took.len() >= MAX_TIMES {
            manner.took.remove(0);
        }
        manner.took.push(took);
    }

    /// What a backend might ask for the proof of a login's name, and how long it would take.
    ///
    /// Whom the client wants to act as is part of it: of a user who exists we say so, and not his backend, only where he
    /// may not, and were his salt then another than else while an unknown user's is not, it would tell them apart.
    pub(crate) fn terms(
        &self,
        service: Service,
        first: &ScramFirst,
        login: (&Name, Option<&Name>),
    ) -> (Terms, Duration) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let mechanism = first.mechanism();
        let (salt, iterations) = seen.salts.entry(mechanism).or_default().draw(&self.key, mechanism, login);
        let manner = seen.manners.entry((service, mechanism)).or_default();
        let took = manner.took.get(random(manner.took.len())).copied().unwrap_or_default();
        (Terms { nonce: manner.nonces.draw(), salt, iterations }, took)
    }
}

/// A number below `end`; 0 where there is none.
fn random(end: usize) -> usize {
    let mut octets = [0; 4];
    fill(&mut octets);
    usize::try_from(u32::from_le_bytes(octets)).unwrap_or(0).checked_rem(end).unwrap_or(0)
}

/// Random octets; should there ever be none, zeros: what is made of them proves nothing to anybody.
fn fill(octets: &mut [u8]) {
    let _ = aws_lc_rs::rand::fill(octets);
}

#[cfg(test)]
mod tests;
