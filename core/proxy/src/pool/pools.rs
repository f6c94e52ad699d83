//! The handle all cores share: the pool in force and the state beside it.

mod probed;

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::watch;
use tokio::time::Instant;

pub(super) use probed::Probed;

use super::balance::{self, Stake};
use super::health::Verdict;
use super::live::Lease;
use super::serving::Serving;
use super::{Backend, BadPool, Candidate, Home, Pool, Refused, key, snapshot};
use crate::config::MasterUsers;
use crate::service::Service;
use crate::verify::Verifiers;
use crate::{Error, config, wire};

/// The pool in force, and what this edge knows of its backends.
pub struct Pools {
    serving: ArcSwap<Serving>,
    offers: [ArcSwap<Offer>; Service::ALL.len()],
    health: ArcSwap<config::Health>,
    draws: AtomicU64,
    writing: Mutex<Writing>,
    /// Whom this edge may log in as.
    masters: watch::Sender<MasterUsers>,
    /// Counts pools applied.
    applied: watch::Sender<u64>,
    /// Counts verdicts that changed.
    judged: watch::Sender<u64>,
}

/// What only those who change the pool need.
#[derive(Default)]
struct Writing {
    message: wire::Pool,
    members_down: HashSet<String>,
    verifiers: Verifiers,
}

/// What clients may be offered before their login, of what their backends can do.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Offer {
    /// The capability words that every backend that may serve offers; empty until all are known.
    pub capabilities: Arc<[String]>,
    /// Whether there is a backend that passwords lead to.
    pub passwords: bool,
}

impl Default for Offer {
    /// Of backends that nothing is known of.
    fn default() -> Self {
        Self { capabilities: Arc::default(), passwords: true }
    }
}

impl Pools {
    /// Holds an empty pool of version 0.
    #[must_use]
    pub fn new(health: config::Health) -> Self {
        Self {
            serving: ArcSwap::default(),
            offers: std::array::from_fn(|_| ArcSwap::default()),
            health: ArcSwap::from_pointee(health),
            draws: AtomicU64::new(0),
            writing: Mutex::default(),
            masters: watch::Sender::default(),
            applied: watch::Sender::new(0),
            judged: watch::Sender::new(0),
        }
    }

    /// How endpoints are judged from now on.
    pub fn set_health(&self, health: config::Health) {
        self.health.store(Arc::new(health));
    }

    /// How endpoints are judged.
    #[must_use]
    pub fn health(&self) -> Arc<config::Health> {
        self.health.load_full()
    }

    /// Of the pool in force.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.serving.load().pool.version
    }

    /// The backends of the pool in force, each with the sessions this edge holds to it.
    #[must_use]
    pub fn backends(&self) -> Vec<(Arc<Backend>, u32)> {
        let serving = self.serving.load();
        serving.backends().map(|(backend, live)| (Arc::clone(backend), live.sessions())).collect()
    }

    /// The backends of that home that may serve whoever it is, in the order to try.
    ///
    /// # Errors
    /// [`Error::UnknownHome`], or [`Error::BackendDown`] with what stands in the way.
    pub fn candidates(&self, home: &str, stake: Stake<'_>, service: Service) -> Result<Vec<Candidate>, Error> {
        let serving = self.serving.load();
        let down = |reason| Error::BackendDown { home: home.into(), reason };
        let now = Instant::now();
        let indexes = match serving.pool.home(home, service) {
            None if home.is_empty() => return Err(Error::NoHome(service.name())),
            None => return Err(Error::UnknownHome(home.into())),
            Some(Home::Backend(index)) => vec![serving.own(index, service, now).map_err(down)?],
            Some(Home::Group(index)) => {
                let group = &serving.pool.groups[index];
                let members: Vec<_> = group.members.iter().map(|&index| serving.member(index, service, now)).collect();
                let draw = self.draws.fetch_add(1, Ordering::Relaxed);
                let chosen = balance::choose(group.kind, &members, stake, draw).map_err(down)?;
                chosen.into_iter().map(|chosen| group.members[chosen]).collect()
            }
        };
        Ok(indexes.into_iter().flat_map(|index| serving.candidates(index, service)).collect())
    }

    /// A place for a session at a candidate's backend; none: it holds as many as it may.
    #[must_use]
    pub fn take(&self, candidate: &Candidate) -> Option<Lease> {
        candidate.live.take(&candidate.backend)
    }

    /// The backend answered a login, whatever it thought of the password.
    pub fn succeeded(&self, candidate: &Candidate) {
        candidate.live.spot(candidate.endpoint.service).health.login_succeeded();
    }

    /// A login at the backend failed. Only what another backend might do better counts against it.
    pub fn failed(&self, candidate: &Candidate, error: &Error) {
        if error.another_backend_may_help() {
            let health = self.health.load();
            candidate.live.spot(candidate.endpoint.service).health.login_failed(Instant::now(), &health);
        }
    }

    /// What clients of a service may be offered.
    #[must_use]
    pub fn offer(&self, service: Service) -> Arc<Offer> {
        self.offers[service.index()].load_full()
    }

    /// What control can prove from now on.
    pub fn set_verifiers(&self, verifiers: Verifiers) {
        let mut writing = self.writing();
        writing.verifiers = verifiers;
        self.renew_offers(&self.serving.load(), verifiers);
    }

    /// Whether the pool in force finds its master users among these.
    ///
    /// # Errors
    /// [`BadPool::MasterUser`].
    pub fn check_masters(&self, masters: &MasterUsers) -> Result<(), BadPool> {
        self.serving.load().pool.check_masters(masters)
    }

    /// Among whom the pools that come must find their master users.
    pub fn set_masters(&self, masters: MasterUsers) {
        self.masters.send_replace(masters);
    }

    /// Takes a whole pool.
    ///
    /// # Errors
    /// [`Refused`], and the pool in force stays.
    pub fn apply_snapshot(&self, message: wire::Pool, force: bool) -> Result<(), Refused> {
        let mut writing = self.writing();
        if message.backends.is_empty() && !writing.message.backends.is_empty() && !force {
            return Err(Refused::Empties);
        }
        self.adopt(&mut writing, message)
    }

    /// Takes a change of the pool in force.
    ///
    /// # Errors
    /// [`Refused`], and the pool in force stays.
    pub fn apply_change(&self, change: wire::Change) -> Result<(), Refused> {
        let mut writing = self.writing();
        let message = snapshot::changed(&writing.message, change)?;
        self.adopt(&mut writing, message)
    }

    /// Takes the list of backends that control calls down; it replaces the one before it.
    pub fn set_members_down(&self, backends: &[String]) {
        let mut writing = self.writing();
        writing.members_down = backends.iter().map(|name| key(name)).collect();
        self.serving.load().call_down(&writing.members_down);
    }

    /// The message of the pool in force.
    #[must_use]
    pub fn message(&self) -> wire::Pool {
        self.writing().message.clone()
    }

    /// Waits until there is a pool: an edge that just started, and has none on disk, listens before control has sent
    /// one. Returns whether there is one.
    pub async fn await_first(&self, patience: Duration) -> bool {
        if self.version() > 0 {
            return true;
        }
        tokio::time::timeout(patience, self.applied().wait_for(|&version| version > 0)).await.is_ok_and(|it| it.is_ok())
    }

    /// Tells of pools applied.
    #[must_use]
    pub fn applied(&self) -> watch::Receiver<u64> {
        self.applied.subscribe()
    }

    /// Tells of other master users: a pool that was refused may be good now.
    #[must_use]
    pub fn masters_changed(&self) -> watch::Receiver<MasterUsers> {
        self.masters.subscribe()
    }

    /// Tells of verdicts that changed.
    #[must_use]
    pub fn judged(&self) -> watch::Receiver<u64> {
        self.judged.subscribe()
    }

    /// What probes say of each endpoint, those never probed apart.
    #[must_use]
    pub fn verdicts(&self) -> Vec<wire::EndpointHealth> {
        let serving = self.serving.load();
        let mut verdicts = Vec::new();
        for (backend, live) in serving.backends() {
            for endpoint in backend.endpoints.iter().flatten() {
                let reason = match live.spot(endpoint.service).health.verdict() {
                    Verdict::Unknown => continue,
                    Verdict::Up => String::new(),
                    Verdict::Down(reason) => reason.to_string(),
                };
                let service = endpoint.service.endpoint().to_owned();
                let up = reason.is_empty();
                verdicts.push(wire::EndpointHealth { backend: backend.name.to_string(), service, up, reason });
            }
        }
        verdicts
    }
}

impl Pools {
    fn adopt(&self, writing: &mut Writing, message: wire::Pool) -> Result<(), Refused> {
        let pool = Pool::try_from(&message)?;
        pool.check_masters(&self.masters.borrow())?;
        let before = self.serving.load();
        let serving = Arc::new(Serving::after(&before, pool));
        serving.call_down(&writing.members_down);
        writing.message = message;
        self.renew_offers(&serving, writing.verifiers);
        self.serving.store(serving);
        self.applied.send_modify(|count| *count += 1);
        Ok(())
    }

    fn renew_offers(&self, serving: &Serving, verifiers: Verifiers) {
        for service in Service::ALL {
            let offer = serving.offer(service, verifiers);
            let place = &self.offers[service.index()];
            if **place.load() != offer {
                place.store(Arc::new(offer));
            }
        }
    }

    fn writing(&self) -> MutexGuard<'_, Writing> {
        self.writing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Pools {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pools").field("version", &self.version()).finish_non_exhaustive()
    }
}
