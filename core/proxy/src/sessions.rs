//! Who is logged in on this edge, so that operators can list and end sessions.
//!
//! A session enters when its splice begins and leaves by [`Entry`]'s drop, so a panic leaves too. Entering and leaving
//! take one short lock of one of many shards; moving bytes takes none.

use std::collections::{HashMap, VecDeque};
use std::future::poll_fn;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, SystemTime};

use tokio::sync::Notify;

use crate::service::Service;

/// Shards of the table: enough that cores do not meet.
const SHARDS: usize = 64;

/// Kicks remembered for logins that were under way: more in the time of one login is no operator's doing.
const KICKS: usize = 64;

/// What is known of a live session. Bytes are counted by its splice.
#[derive(Debug)]
pub struct Live {
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
    /// When it logged in.
    pub started: SystemTime,
    /// Bytes from the client since login.
    pub from_client: AtomicU64,
    /// Bytes from the backend since login.
    pub from_backend: AtomicU64,
    /// Its place in the table.
    key: u64,
    ending: OnceLock<Box<Ending>>,
    /// Who waits to be asked to end.
    waits: Mutex<Option<Waker>>,
}

/// How a session shall end.
#[derive(Clone, Debug)]
pub struct Ending {
    /// Told to the client where its protocol can.
    pub text: Arc<str>,
    /// How long to wait for a quiet moment before it is cut without a word.
    pub patience: Duration,
}

/// The facts a [`Live`] session is made of.
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

impl Live {
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

/// Which sessions; all that are set must match.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// The account, without case.
    pub account: Option<String>,
    /// The backend's name, without case.
    pub backend: Option<String>,
    /// The client's address.
    pub client: Option<IpAddr>,
    /// The session's id.
    pub id: Option<String>,
}

impl Filter {
    /// Whether a session is meant.
    #[must_use]
    pub fn matches(&self, live: &Live) -> bool {
        let same =
            |want: &Option<String>, have: &str| want.as_deref().is_none_or(|want| want.eq_ignore_ascii_case(have));
        same(&self.account, &live.account)
            && same(&self.backend, &live.backend)
            && same(&self.id, &live.id)
            && self.client.is_none_or(|want| want == live.client.ip())
    }
}

/// All live sessions of this edge.
#[derive(Debug)]
pub struct Sessions {
    shards: [Mutex<HashMap<u64, Arc<Live>>>; SHARDS],
    next: AtomicU64,
    left: Notify,
    kicks: Mutex<VecDeque<(u64, Filter, Ending)>>,
    /// How many kicks there were.
    era: AtomicU64,
}

impl Default for Sessions {
    fn default() -> Self {
        Self {
            shards: std::array::from_fn(|_| Mutex::new(HashMap::new())),
            next: AtomicU64::new(0),
            left: Notify::new(),
            kicks: Mutex::default(),
            era: AtomicU64::new(0),
        }
    }
}

impl Sessions {
    /// A mark for a login that begins now, see [`Sessions::enter`].
    #[must_use]
    pub fn era(&self) -> u64 {
        self.era.load(Ordering::Acquire)
    }

    /// Enters a session whose login began in `era`. A kick since then that means it ends it: who was under way with
    /// what was true before must not slip by.
    #[must_use]
    pub fn enter(self: &Arc<Self>, facts: Facts, era: u64) -> Entry {
        let key = self.next.fetch_add(1, Ordering::Relaxed);
        let live = Arc::new(Live {
            id: facts.id,
            account: facts.account,
            backend: facts.backend,
            client: facts.client,
            service: facts.service,
            listener: facts.listener,
            tls: facts.tls,
            started: SystemTime::now(),
            from_client: AtomicU64::new(0),
            from_backend: AtomicU64::new(0),
            key,
            ending: OnceLock::new(),
            waits: Mutex::default(),
        });
        self.shard(key).insert(key, Arc::clone(&live));
        if self.era() != era {
            let kicks = lock(&self.kicks);
            let since = kicks.iter().find(|(kicked, filter, _)| *kicked >= era && filter.matches(&live));
            if let Some((_, _, ending)) = since {
                live.end(ending.clone());
            }
        }
        Entry { live, sessions: Arc::clone(self) }
    }

    /// Calls `visit` for each matching session, shard by shard.
    pub fn each(&self, filter: &Filter, mut visit: impl FnMut(&Arc<Live>)) {
        for shard in &self.shards {
            lock(shard).values().filter(|live| filter.matches(live)).for_each(&mut visit);
        }
    }

    /// How many match.
    #[must_use]
    pub fn count(&self, filter: &Filter) -> usize {
        let mut count = 0;
        self.each(filter, |_| count += 1);
        count
    }

    /// Ends every matching session and returns how many, once they are really gone. Those whose login is under way end
    /// as soon as they enter and are not waited for.
    pub async fn kick(&self, filter: &Filter, ending: &Ending) -> usize {
        self.remember(filter, ending);
        let mut meant = Vec::new();
        for shard in &self.shards {
            for (key, live) in lock(shard).iter().filter(|(_, live)| filter.matches(live)) {
                live.end(ending.clone());
                meant.push(*key);
            }
        }
        for key in &meant {
            loop {
                // Registered before the look, so that a session that leaves in between is not missed.
                let mut left = std::pin::pin!(self.left.notified());
                left.as_mut().enable();
                if !self.shard(*key).contains_key(key) {
                    break;
                }
                left.await;
            }
        }
        meant.len()
    }

    /// Before the table is looked through: a session that enters meanwhile is found there, or finds this.
    fn remember(&self, filter: &Filter, ending: &Ending) {
        let mut kicks = lock(&self.kicks);
        if kicks.len() == KICKS {
            kicks.pop_front();
        }
        kicks.push_back((self.era.fetch_add(1, Ordering::AcqRel), filter.clone(), ending.clone()));
    }

    fn shard(&self, key: u64) -> MutexGuard<'_, HashMap<u64, Arc<Live>>> {
        let index = usize::try_from(key % SHARDS as u64).unwrap_or(0);
        lock(&self.shards[index])
    }
}

/// A table that a panicking session held is still a table: its entries are whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A session's place in the table; leaving is dropping it.
#[derive(Debug)]
pub struct Entry {
    live: Arc<Live>,
    sessions: Arc<Sessions>,
}

impl Entry {
    /// The session.
    #[must_use]
    pub fn live(&self) -> &Arc<Live> {
        &self.live
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let key = self.live.key;
        self.sessions.shard(key).remove(&key);
        self.sessions.left.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(account: &str) -> Facts {
        Facts {
            id: account.into(),
            account: account.into(),
            backend: Arc::from("mbox-1"),
            client: "127.0.0.1:40000".parse().unwrap(),
            service: Service::Imap,
            listener: Arc::from("imap"),
            tls: "",
        }
    }

    #[tokio::test]
    async fn kick_answers_when_the_session_is_gone() {
        let sessions = Arc::new(Sessions::default());
        let entry = sessions.enter(facts("siti@tgg.net.id"), sessions.era());
        let other = sessions.enter(facts("budi@tgg.net.id"), sessions.era());
        let filter = Filter { account: Some("SITI@tgg.net.id".into()), ..Filter::default() };
        let ending = Ending { text: Arc::from("bye"), patience: Duration::ZERO };
        let leave = async {
            assert_eq!(entry.live().ending().await.text.as_ref(), "bye");
            drop(entry);
        };
        let (kicked, ()) = tokio::join!(sessions.kick(&filter, &ending), leave);
        assert_eq!(kicked, 1);
        assert_eq!(sessions.count(&Filter::default()), 1);
        assert_eq!(other.live().account.as_ref(), "budi@tgg.net.id");
    }

    #[tokio::test]
    async fn a_kick_ends_the_login_that_was_under_way_and_no_later_one() {
        let sessions = Arc::new(Sessions::default());
        let before = sessions.era();
        let filter = Filter { account: Some("siti@tgg.net.id".into()), ..Filter::default() };
        let ending = Ending { text: Arc::from("moved"), patience: Duration::ZERO };
        assert_eq!(sessions.kick(&filter, &ending).await, 0);
        let under_way = sessions.enter(facts("siti@tgg.net.id"), before);
        assert_eq!(under_way.live().ending().await.text.as_ref(), "moved");
        for (account, era) in [("siti@tgg.net.id", sessions.era()), ("budi@tgg.net.id", before)] {
            let entry = sessions.enter(facts(account), era);
            assert!(entry.live().ending.get().is_none(), "{account}");
        }
    }
}
