//! Who is logged in on this edge, so that operators can list and end sessions.
//!
//! A session enters when its splice begins and leaves by [`Entry`]'s drop, so a panic leaves too. Entering and leaving
//! take one short lock of one of many shards; moving bytes takes none.

mod live;

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

pub use live::{Ending, Facts, Live};

/// Shards of the table: enough that cores do not meet.
const SHARDS: usize = 64;

/// Kicks remembered for logins that were under way: more in the time of one login is no operator's doing.
const KICKS: usize = 64;

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
        same(&self.account, &live.facts.account)
            && same(&self.backend, &live.facts.backend)
            && same(&self.id, &live.facts.id)
            && self.client.is_none_or(|want| want == live.facts.client.ip())
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
        let live = Arc::new(Live::new(facts, key));
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
    use std::task::{Context, Waker};
    use std::time::Duration;

    use super::*;
    use crate::service::Service;

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
        assert_eq!(other.live().facts.account.as_ref(), "budi@tgg.net.id");
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
            let asked = entry.live().poll_ending(&mut Context::from_waker(Waker::noop()));
            assert!(asked.is_pending(), "{account}");
        }
    }
}
