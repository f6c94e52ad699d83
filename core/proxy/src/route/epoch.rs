//! Epochs: which cached answers an invalidation has made misses.
//!
//! What an invalidation names is remembered as a keyed hash with the epoch, in two generations of bounded size. When the
//! older one is full of years it is forgotten, and everything cached before its last mark becomes a miss with it.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock};

/// Marks of one generation. A busy directory changes that many accounts in hours, and the soft TTL is minutes.
const GENERATION: usize = 32_768;

/// Something an invalidation may name.
#[derive(Clone, Copy)]
pub(super) enum Named<'a> {
    /// A normalised account, or an address as somebody typed it.
    Account(&'a str),
    /// An account's stable id.
    Id(&'a str),
    /// The part before the `@` of an account, which a bare name may mean.
    Local(&'a str),
    /// A domain.
    Domain(&'a str),
    /// Any domain: what a bare name belongs to is not known here.
    AnyDomain,
    /// A home.
    Home(&'a str),
}

/// The hash of a [`Named`].
pub(super) type Subject = u64;

/// The invalidations that cached answers are measured against.
pub(super) struct Epochs {
    /// Of the latest invalidation: an answer at least as young needs no look at the marks.
    latest: AtomicU64,
    marks: RwLock<Marks>,
    hash: RandomState,
}

#[derive(Default)]
struct Marks {
    /// Everything older is a miss.
    floor: u64,
    young: Generation,
    old: Generation,
}

#[derive(Default)]
struct Generation {
    newest: u64,
    subjects: HashMap<Subject, u64>,
}

impl Epochs {
    pub(super) fn new() -> Self {
        Self { latest: AtomicU64::new(0), marks: RwLock::default(), hash: RandomState::new() }
    }

    /// The subject of a name, without case.
    pub(super) fn subject(&self, named: Named<'_>) -> Subject {
        let (kind, text) = match named {
            Named::Account(text) => (0, text),
            Named::Id(text) => (1, text),
            Named::Local(text) => (2, text),
            Named::Domain(text) => (3, text),
            Named::AnyDomain => (4, ""),
            Named::Home(text) => (5, text),
        };
        let mut hasher = self.hash.build_hasher();
        hasher.write_u8(kind);
        text.bytes().for_each(|byte| hasher.write_u8(byte.to_ascii_lowercase()));
        hasher.finish()
    }

    /// Whether an answer of that epoch is a miss by now; `subjects` is asked only if there is something to compare.
    pub(super) fn outdated<const N: usize>(&self, epoch: u64, subjects: impl FnOnce() -> [Subject; N]) -> bool {
        if epoch >= self.latest.load(Ordering::Acquire) {
            return false;
        }
        let subjects = subjects();
        let marks = self.marks.read().unwrap_or_else(PoisonError::into_inner);
        let marked =
            |generation: &Generation, subject| generation.subjects.get(subject).is_some_and(|&mark| mark > epoch);
        epoch < marks.floor
            || subjects.iter().any(|subject| marked(&marks.young, subject) || marked(&marks.old, subject))
    }

    /// Makes answers older than `epoch` misses, if one of `subjects` is theirs.
    pub(super) fn mark(&self, epoch: u64, subjects: impl Iterator<Item = Subject>) {
        let mut marks = self.marks.write().unwrap_or_else(PoisonError::into_inner);
        for subject in subjects {
            if marks.young.subjects.len() >= GENERATION {
                let full = std::mem::take(&mut marks.young);
                let forgotten = std::mem::replace(&mut marks.old, full);
                marks.floor = marks.floor.max(forgotten.newest);
            }
            let mark = marks.young.subjects.entry(subject).or_default();
            *mark = epoch.max(*mark);
            marks.young.newest = epoch.max(marks.young.newest);
        }
        self.latest.fetch_max(epoch, Ordering::Release);
    }

    /// Makes all answers older than `epoch` misses.
    pub(super) fn mark_all(&self, epoch: u64) {
        let mut marks = self.marks.write().unwrap_or_else(PoisonError::into_inner);
        marks.floor = epoch.max(marks.floor);
        self.latest.fetch_max(epoch, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_compared_without_case_and_by_kind() {
        let epochs = Epochs::new();
        let siti = |kind: fn(&'static str) -> Named<'static>| epochs.subject(kind("siti@TGG.net.id"));
        epochs.mark(5, std::iter::once(epochs.subject(Named::Account("Siti@tgg.net.id"))));
        assert!(epochs.outdated(4, || [siti(Named::Account)]));
        assert!(!epochs.outdated(4, || [siti(Named::Home)]));
        assert!(!epochs.outdated(5, || [siti(Named::Account)]));
    }

    #[test]
    fn what_is_forgotten_makes_all_before_it_misses() {
        let epochs = Epochs::new();
        for epoch in 1..=3 * GENERATION as u64 {
            epochs.mark(epoch, std::iter::once(epoch));
            let marks = epochs.marks.read().unwrap();
            assert!(marks.young.subjects.len() + marks.old.subjects.len() <= 2 * GENERATION);
        }
        let first = GENERATION as u64;
        assert!(epochs.outdated(first - 1, || [0]), "its mark is gone, so it must be a miss");
        assert!(!epochs.outdated(first, || [0]));
        assert!(epochs.outdated(first, || [first + 1]));
    }
}
