//! A live session, as the table has it.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, SystemTime};

use super::lock;
use crate::service::Service;

/// A session, with what changes while it lives. Bytes are counted by its splice.
#[derive(Debug)]
pub struct Live {
    /// What was known when it logged in.
    pub facts: Facts,
    /// When that was.
    pub started: SystemTime,
    /// Bytes from the client since login.
    pub from_client: AtomicU64,
    /// Bytes from the backend since login.
    pub from_backend: AtomicU64,
    /// Its place in the table.
    pub(super) key: u64,
    ending: OnceLock<Box<Ending>>,
    /// Who waits to be asked to end.
    waits: Mutex<Option<Waker>>,
}

/// What is known of a session.
#[derive(Debug)]
pub struct Facts {
    /// Unique over edges and restarts.
    pub id: Arc<str>,
    /// The account.
    pub account: Arc<str>,
    /// The backend's name.
    pub backend: Arc<str>,
    /// The client's address.
    pub client: SocketAddr,
    /// Its service.
    pub service: Service,
    /// The listener's name.
    pub listener: Arc<str>,
    /// TLS version with the client; empty: none.
    pub tls: &'static str,
}

/// How a session shall end.
#[derive(Clone, Debug)]
pub struct Ending {
    /// Told to the client where its protocol can.
    pub text: Arc<str>,
    /// How long to wait for a quiet moment before it is cut without a word.
    pub patience: Duration,
}

impl Live {
    /// One that begins now.
    pub(super) fn new(facts: Facts, key: u64) -> Self {
        Self {
            facts,
            started: SystemTime::now(),
            from_client: AtomicU64::new(0),
            from_backend: AtomicU64::new(0),
            key,
            ending: OnceLock::new(),
            waits: Mutex::default(),
        }
    }

    /// Asks the session to end; the first request stands.
    pub fn end(&self, ending: Ending) {
        if self.ending.set(Box::new(ending)).is_ok()
            && let Some(waker) = lock(&self.waits).take()
        {
            waker.wake();
        }
    }

    /// Bytes since login, from the client and from the backend.
    #[must_use]
    pub fn bytes(&self) -> (u64, u64) {
        (self.from_client.load(Ordering::Relaxed), self.from_backend.load(Ordering::Relaxed))
    }

    /// Waits until somebody asks this session to end.
    pub async fn ending(&self) -> &Ending {
        poll_fn(|cx| self.poll_ending(cx)).await
    }

    /// Ready when somebody has asked this session to end; until then it wakes the last one that looked.
    pub fn poll_ending(&self, cx: &mut Context<'_>) -> Poll<&Ending> {
        if self.ending.get().is_none() {
            lock(&self.waits).get_or_insert_with(|| cx.waker().clone()).clone_from(cx.waker());
        }
        // Looked at behind the waker's place, so that an end in between is not missed.
        self.ending.get().map_or(Poll::Pending, |ending| Poll::Ready(ending))
    }
}
