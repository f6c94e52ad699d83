//! Keys that control gives to all edges and rotates, so that what one has sealed another opens. In memory only.
//!
//! Each text has an AES-256-GCM key to itself, derived from the key in force, from what it is for, and from a salt: so it
//! opens for the same only, and edges need no common count of nonces.

#[cfg(test)]
pub(crate) mod tests;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, Prk};
use zeroize::Zeroize as _;

use crate::wire;

const NAME: usize = 16;
const SECRET: usize = 32;
const SALT: usize = 16;
/// Before and behind what is sealed: the key's name, the salt; the tag.
pub(crate) const AROUND: usize = NAME + SALT + 16;
/// Those of a cookie, if they rotate each day, and some that nobody asked for.
const MOST_KEYS: usize = 64;

/// The keys in force for one purpose.
pub(crate) struct RotatingKeys {
    ring: ArcSwap<Ring>,
    purpose: &'static [u8],
}

/// For how long keys are good.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    /// A key seals for so long.
    pub(crate) rotation: Duration,
    /// What it sealed last opens for so long after that.
    pub(crate) opens_for: Duration,
}

/// Keys from the oldest to the newest; each seals for one rotation, and opens before its time, too: clocks differ.
#[derive(Clone)]
struct Ring {
    keys: Vec<Arc<Key>>,
    pace: Pace,
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

impl RotatingKeys {
    /// None yet: nothing is sealed, and nothing opens.
    pub(crate) fn new(purpose: &'static [u8], pace: Pace) -> Self {
        Self { ring: ArcSwap::from_pointee(Ring { keys: Vec::new(), pace }), purpose }
    }

    /// Takes control's keys into force instead of all others; wipes the message. Those of before stay where they cannot
    /// be used.
    pub(crate) fn take(&self, mut message: wire::RotatingKeys) -> Result<(), BadKeys> {
        let taken = Ring::read(&message);
        message.keys.iter_mut().for_each(|key| key.secret.zeroize());
        self.ring.store(Arc::new(taken?));
        Ok(())
    }

    /// Sees to it that one may seal now: where all have had their time, that is one of our own. None: there are no
    /// random numbers.
    pub(crate) fn draw_when_outlived(&self, now: SystemTime) -> Option<()> {
        let ring = self.ring.load_full();
        if ring.seals_at(now) {
            return Some(());
        }
        let mut next = Ring::clone(&ring);
        next.keys.retain(|key| key.opens(now, next.pace));
        next.keys.push(Arc::new(Key::draw(now)?));
        // Another core may have been first: then all seal by its key.
        self.ring.compare_and_swap(&ring, Arc::new(next));
        Some(())
    }

    /// For how long after a key begins what it seals opens.
    pub(crate) fn life(&self) -> Duration {
        self.ring.load().pace.life()
    }

    /// Seals a text that opens with the same context only; it grows by [`AROUND`]. None: there is no key.
    pub(crate) fn seal(&self, context: &[u8], plain: &[u8], now: SystemTime) -> Option<Vec<u8>> {
        let ring = self.ring.load();
        let key = ring.sealing(now)?;
        let mut salt = [0; SALT];
        aws_lc_rs::rand::fill(&mut salt).ok()?;
        let mut text = plain.to_vec();
        self.derive(key, context, &salt)?.seal_in_place_append_tag(once(), Aad::empty(), &mut text).ok()?;
        Some([&key.name, &salt, &*text].concat())
    }

    /// What was sealed; none: not by us, not for this, or too long ago.
    pub(crate) fn open(&self, context: &[u8], sealed: &[u8], now: SystemTime) -> Option<Vec<u8>> {
        let (name, sealed) = sealed.split_at_checked(NAME)?;
        let (salt, sealed) = sealed.split_at_checked(SALT)?;
        let ring = self.ring.load();
        let key = ring.keys.iter().find(|key| key.name == name && key.opens(now, ring.pace))?;
        let mut opened = sealed.to_vec();
        let length = self.derive(key, context, salt)?.open_in_place(once(), Aad::empty(), &mut opened).ok()?.len();
        opened.truncate(length);
        Some(opened)
    }

    fn derive(&self, key: &Key, context: &[u8], salt: &[u8]) -> Option<LessSafeKey> {
        let info = [self.purpose, context, salt];
        let derived = key.secret.expand(&info, &AES_256_GCM);
        derived.map(|okm| LessSafeKey::new(UnboundKey::from(okm))).ok()
    }
}

impl Pace {
    fn life(self) -> Duration {
        self.rotation.saturating_add(self.opens_for)
    }
}

impl Ring {
    fn read(message: &wire::RotatingKeys) -> Result<Self, BadKeys> {
        if !(1..=MOST_KEYS).contains(&message.keys.len()) {
            return Err(BadKeys::Count(message.keys.len()));
        }
        let time = |it: Option<prost_types::Duration>| it.and_then(|it| Duration::try_from(it).ok());
        let rotation = time(message.rotation).filter(|it| !it.is_zero());
        let mut keys = message.keys.iter().map(Key::read).collect::<Option<Vec<_>>>().ok_or(BadKeys::Kind)?;
        keys.sort_by_key(|key| key.not_before);
        let rotation = rotation.ok_or(BadKeys::Rotation)?;
        Ok(Self { keys, pace: Pace { rotation, opens_for: time(message.opens_for).unwrap_or(rotation) } })
    }

    /// Whether the newest key has not had its time.
    fn seals_at(&self, now: SystemTime) -> bool {
        let until = |key: &Arc<Key>| key.not_before.checked_add(self.pace.rotation);
        self.keys.last().is_some_and(|key| until(key).is_none_or(|until| now < until))
    }

    /// The newest whose time has come; where our clock is behind, the first.
    fn sealing(&self, now: SystemTime) -> Option<&Key> {
        let begun = self.keys.iter().rev().find(|key| key.not_before <= now);
        begun.or(self.keys.first()).map(AsRef::as_ref)
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

    fn read(message: &wire::RotatingKey) -> Option<Arc<Self>> {
        let secret = Some(message.secret.as_slice()).filter(|secret| secret.len() == SECRET)?;
        Some(Arc::new(Self {
            name: message.name.as_slice().try_into().ok()?,
            secret: Prk::new_less_safe(HKDF_SHA256, secret),
            not_before: message.not_before?.try_into().ok()?,
        }))
    }

    fn opens(&self, now: SystemTime, pace: Pace) -> bool {
        self.not_before.checked_add(pace.life()).is_none_or(|until| now < until)
    }
}

/// Each key seals one text.
fn once() -> Nonce {
    Nonce::assume_unique_for_key([0; 12])
}
