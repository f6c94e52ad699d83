//! Session tickets that resume at every edge: sealed by keys that control gives to all of them and rotates.
//!
//! Until control has spoken, and when it is gone for longer than its keys last, an edge seals by keys of its own. Keys
//! live in memory only. Each ticket has an AES-256-GCM key to itself, derived from the key in force, from what the
//! listener's handshakes run under, and from a salt: so a ticket opens under the same settings only, and edges need no
//! common count of nonces.

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::hkdf::{HKDF_SHA256, Prk};
use rustls::server::ProducesTickets;
use zeroize::Zeroize as _;

use crate::config::Listener;
use crate::wire;

/// How long a key of our own seals.
const ROTATION: Duration = Duration::from_secs(12 * 3600);
/// RFC 8446, 4.6.1: no ticket lives longer than a week.
const LONGEST_LIFE: Duration = Duration::from_secs(7 * 24 * 3600);
const NAME: usize = 16;
const SECRET: usize = 32;
const SALT: usize = 16;
/// Before and behind what is sealed: the key's name, the salt; the tag.
const AROUND: usize = NAME + SALT + 16;
/// What is sealed holds a host name and a secret, and never a client's certificate.
const LONGEST: usize = 1024;
/// Previous, current, next, and some that nobody asked for.
const MOST_KEYS: usize = 16;

/// The ticket keys in force.
pub struct Tickets(ArcSwap<Keys>);

/// Keys from the oldest to the newest; each seals for one rotation, and opens for two, or before its time: clocks
/// differ.
#[derive(Clone)]
struct Keys {
    ring: Vec<Arc<Key>>,
    rotation: Duration,
}

struct Key {
    name: [u8; NAME],
    secret: Prk,
    not_before: SystemTime,
}

/// Why keys of control cannot be used.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum BadKeys {
    /// There are none, or too many.
    #[error("{0} keys")]
    Count(usize),
    /// A name or a secret has another length than ours.
    #[error("a key of another kind: upgrade this edge")]
    Kind,
    /// No rotation, or one that is no time.
    #[error("no rotation")]
    Rotation,
}

impl Tickets {
    /// Draws a key of our own.
    ///
    /// # Errors
    /// The operating system gives no random numbers.
    pub fn new() -> Result<Self, rustls::Error> {
        let ring = vec![Arc::new(Key::draw(SystemTime::now()).ok_or(rustls::Error::FailedToGetRandomBytes)?)];
        Ok(Self(ArcSwap::from_pointee(Keys { ring, rotation: ROTATION })))
    }

    /// Takes control's keys into force instead of all others; wipes the message.
    ///
    /// # Errors
    /// They cannot be used; those of before stay.
    pub fn take(&self, mut message: wire::TicketKeys) -> Result<(), BadKeys> {
        let taken = Keys::read(&message);
        message.keys.iter_mut().for_each(|key| key.secret.zeroize());
        self.0.store(Arc::new(taken?));
        Ok(())
    }

    /// What seals and opens tickets of a listener.
    #[must_use]
    pub fn of(self: &Arc<Self>, listener: &Listener) -> Arc<dyn ProducesTickets> {
        Arc::new(Ticketer { tickets: Arc::clone(self), settings: settings(listener) })
    }

    /// The keys with one that may seal now; where control's have all had their time, that is one of our own.
    fn at(&self, now: SystemTime) -> Option<Arc<Keys>> {
        let keys = self.0.load_full();
        if keys.newest_until().is_none_or(|until| now < until) {
            return Some(keys);
        }
        let mut next = Keys::clone(&keys);
        next.ring.retain(|key| key.opens(now, keys.rotation));
        next.ring.push(Arc::new(Key::draw(now)?));
        let next = Arc::new(next);
        // Another core may have been first: then all seal by its key.
        let before = self.0.compare_and_swap(&keys, Arc::clone(&next));
        if Arc::ptr_eq(&before, &keys) { Some(next) } else { Some(self.0.load_full()) }
    }

    fn seal(&self, settings: &[u8], plain: &[u8], now: SystemTime) -> Option<Vec<u8>> {
        let keys = self.at(now)?;
        let key = keys.sealing(now)?;
        let mut salt = [0; SALT];
        aws_lc_rs::rand::fill(&mut salt).ok()?;
        let mut ticket = Vec::with_capacity(plain.len() + AROUND);
        ticket.extend_from_slice(&key.name);
        ticket.extend_from_slice(&salt);
        let mut sealed = plain.to_vec();
        key.derive(settings, &salt)?.seal_in_place_append_tag(once(), Aad::empty(), &mut sealed).ok()?;
        ticket.append(&mut sealed);
        (ticket.len() <= LONGEST).then_some(ticket)
    }

    fn open(&self, settings: &[u8], ticket: &[u8], now: SystemTime) -> Option<Vec<u8>> {
        if ticket.len() > LONGEST {
            return None;
        }
        let (name, ticket) = ticket.split_at_checked(NAME)?;
        let (salt, sealed) = ticket.split_at_checked(SALT)?;
        let keys = self.0.load();
        let key = keys.ring.iter().find(|key| key.name == name && key.opens(now, keys.rotation))?;
        let mut opened = sealed.to_vec();
        let length = key.derive(settings, salt)?.open_in_place(once(), Aad::empty(), &mut opened).ok()?.len();
        opened.truncate(length);
        Some(opened)
    }
}

impl std::fmt::Debug for Tickets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tickets")
    }
}

impl Keys {
    fn read(message: &wire::TicketKeys) -> Result<Self, BadKeys> {
        if !(1..=MOST_KEYS).contains(&message.keys.len()) {
            return Err(BadKeys::Count(message.keys.len()));
        }
        let rotation = message.rotation.and_then(|it| Duration::try_from(it).ok()).filter(|it| !it.is_zero());
        let mut ring = message.keys.iter().map(Key::read).collect::<Option<Vec<_>>>().ok_or(BadKeys::Kind)?;
        ring.sort_by_key(|key| key.not_before);
        Ok(Self { ring, rotation: rotation.ok_or(BadKeys::Rotation)? })
    }

    /// When the newest key has had its time; none: never.
    fn newest_until(&self) -> Option<SystemTime> {
        self.ring.last()?.not_before.checked_add(self.rotation)
    }

    /// The newest whose time has come; where our clock is behind, the first.
    fn sealing(&self, now: SystemTime) -> Option<&Key> {
        let begun = self.ring.iter().rev().find(|key| key.not_before <= now);
        begun.or(self.ring.first()).map(AsRef::as_ref)
    }
}

impl Key {
    fn draw(not_before: SystemTime) -> Option<Self> {
        let (mut name, mut secret) = ([0; NAME], [0; SECRET]);
        aws_lc_rs::rand::fill(&mut name).ok()?;
        aws_lc_rs::rand::fill(&mut secret).ok()?;
        let key = Self { name, secret: Prk::new_less_safe(HKDF_SHA256, &secret), not_before };
        secret.zeroize();
        Some(key)
    }

    fn read(message: &wire::TicketKey) -> Option<Arc<Self>> {
        let secret = Some(message.secret.as_slice()).filter(|secret| secret.len() == SECRET)?;
        Some(Arc::new(Self {
            name: message.name.as_slice().try_into().ok()?,
            secret: Prk::new_less_safe(HKDF_SHA256, secret),
            not_before: message.not_before?.try_into().ok()?,
        }))
    }

    fn opens(&self, now: SystemTime, rotation: Duration) -> bool {
        self.not_before.checked_add(rotation.saturating_mul(2)).is_none_or(|until| now < until)
    }

    fn derive(&self, settings: &[u8], salt: &[u8]) -> Option<LessSafeKey> {
        let info = [b"zproxy ticket", settings, salt];
        let derived = self.secret.expand(&info, &AES_256_GCM);
        derived.map(|okm| LessSafeKey::new(UnboundKey::from(okm))).ok()
    }
}

/// Each key seals one ticket.
fn once() -> Nonce {
    Nonce::assume_unique_for_key([0; 12])
}

/// What must be alike where a ticket is sealed and where it is opened. Listeners that ask for clients' certificates have
/// none, and the host name is in the ticket, where rustls compares it.
fn settings(listener: &Listener) -> [u8; 32] {
    let text = format!("{} {:?} {}", listener.service.name(), listener.tls_min_version, listener.alpn_strict);
    let mut hash = [0; 32];
    hash.copy_from_slice(digest(&SHA256, text.as_bytes()).as_ref());
    hash
}

/// Seals and opens the tickets of handshakes under the same settings.
#[derive(Debug)]
struct Ticketer {
    tickets: Arc<Tickets>,
    settings: [u8; 32],
}

impl ProducesTickets for Ticketer {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        // Of the first ticket that a key seals; a later one may be tried in vain, which costs a full handshake.
        let life = self.tickets.0.load().rotation.saturating_mul(2).min(LONGEST_LIFE);
        u32::try_from(life.as_secs()).unwrap_or(u32::MAX)
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        self.tickets.seal(&self.settings, plain, SystemTime::now())
    }

    fn decrypt(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        self.tickets.open(&self.settings, ticket, SystemTime::now())
    }
}
