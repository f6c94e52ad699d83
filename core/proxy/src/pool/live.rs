//! What the edge knows of one backend while it runs; it outlives every version of the pool that has the backend.

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::Backend;
use super::health::Health;
use crate::service::Service;

/// A backend's run-time state.
#[derive(Debug)]
pub(super) struct Live {
    /// Sessions held; shared with the state before it where only host or endpoints changed.
    sessions: Arc<AtomicU32>,
    /// Control calls it down.
    pub(super) called_down: AtomicBool,
    /// Where its host is; empty: not resolved yet.
    pub(super) addresses: watch::Sender<Vec<IpAddr>>,
    spots: [Mutex<Spot>; Service::ALL.len()],
}

/// Of one service.
#[derive(Debug, Default)]
pub(super) struct Spot {
    pub(super) health: Health,
    /// What it said it can do, as of the last good probe.
    pub(super) capabilities: Option<Vec<String>>,
}

impl Live {
    /// For a backend never seen before.
    pub(super) fn new(backend: &Backend) -> Self {
        Self::with_sessions(backend, Arc::default())
    }

    /// For a backend that has moved: what was known of the old place does not hold, the sessions do.
    pub(super) fn moved(&self, backend: &Backend) -> Self {
        Self::with_sessions(backend, Arc::clone(&self.sessions))
    }

    fn with_sessions(backend: &Backend, sessions: Arc<AtomicU32>) -> Self {
        let literal = backend.host.parse().into_iter().collect();
        Self {
            sessions,
            called_down: AtomicBool::new(false),
            addresses: watch::Sender::new(literal),
            spots: std::array::from_fn(|_| Mutex::default()),
        }
    }

    pub(super) fn spot(&self, service: Service) -> MutexGuard<'_, Spot> {
        self.spots[service.index()].lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn is_full(&self, backend: &Backend) -> bool {
        backend.max_sessions.is_some_and(|max| self.sessions.load(Ordering::Relaxed) >= max)
    }

    /// A place for one more session; none: it holds as many as it may.
    pub(super) fn take(&self, backend: &Backend) -> Option<Lease> {
        let max = backend.max_sessions.unwrap_or(u32::MAX);
        let more = |held| (held < max).then(|| held + 1);
        self.sessions.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).ok()?;
        Some(Lease { sessions: Arc::clone(&self.sessions) })
    }

    pub(super) fn sessions(&self) -> u32 {
        self.sessions.load(Ordering::Relaxed)
    }
}

/// A session's place at a backend; dropping it gives it back.
#[derive(Debug)]
pub struct Lease {
    sessions: Arc<AtomicU32>,
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.sessions.fetch_sub(1, Ordering::Relaxed);
    }
}
