//! A pool in force with the state of its backends: who can take a login at this moment, and where.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::time::Instant;

use super::balance::{Member, Standing};
use super::health::Verdict;
use super::live::Live;
use super::pools::Offer;
use super::{Backend, Candidate, Endpoint, Pool, State, key};
use crate::service::Service;
use crate::verify::Verifiers;

/// One version, each backend with its state.
#[derive(Default)]
pub(super) struct Serving {
    pub(super) pool: Pool,
    /// By index of the backend.
    pub(super) live: Box<[Arc<Live>]>,
}

/// Addresses of one backend worth trying in one login: a second family, not a whole farm behind one name.
const MAX_ADDRESSES: usize = 2;

impl Serving {
    /// A new pool with the state of the backends it has in common with the old one.
    pub(super) fn after(before: &Self, pool: Pool) -> Self {
        let known: HashMap<_, _> =
            before.backends().map(|(backend, live)| (key(&backend.name), (backend, live))).collect();
        let live = pool.backends.iter().map(|backend| match known.get(&key(&backend.name)) {
            None => Arc::new(Live::new(backend)),
            Some((old, live)) if old.host == backend.host && old.endpoints == backend.endpoints => Arc::clone(live),
            Some((_, live)) => Arc::new(live.moved(backend)),
        });
        let live = live.collect();
        Self { pool, live }
    }

    pub(super) fn backends(&self) -> impl Iterator<Item = (&Arc<Backend>, &Arc<Live>)> {
        self.pool.backends.iter().zip(&self.live)
    }

    pub(super) fn call_down(&self, names: &HashSet<String>) {
        for (backend, live) in self.backends() {
            live.called_down.store(names.contains(&key(&backend.name)), Ordering::Relaxed);
        }
    }

    /// The backend that is itself a home, if it can take its user.
    pub(super) fn own(&self, index: usize, service: Service, now: Instant) -> Result<usize, &'static str> {
        if self.pool.backends[index].state == State::Maintenance {
            return Err("in maintenance");
        }
        match self.standing(index, service, now) {
            // Nobody else can serve its users, so its own logins do not count against it.
            Standing::Able | Standing::Ejected => Ok(index),
            Standing::Down => Err("down"),
            Standing::Unable(reason) => Err(reason),
        }
    }

    pub(super) fn member(&self, index: usize, service: Service, now: Instant) -> Member<'_> {
        let backend = &self.pool.backends[index];
        Member {
            name: &backend.name,
            weight: backend.weight,
            state: backend.state,
            standing: self.standing(index, service, now),
            called_down: self.live[index].called_down.load(Ordering::Relaxed),
        }
    }

    fn standing(&self, index: usize, service: Service, now: Instant) -> Standing {
        let (backend, live) = (&self.pool.backends[index], &self.live[index]);
        if backend.endpoints[service.index()].is_none() {
            Standing::Unable("service not offered")
        } else if live.addresses.borrow().is_empty() {
            Standing::Unable("host name not resolved")
        } else if live.is_full(backend) {
            Standing::Unable("max_sessions reached")
        } else {
            live.spot(service).health.standing(now)
        }
    }

    /// A backend at each of its addresses.
    pub(super) fn candidates(&self, index: usize, service: Service) -> Vec<Candidate> {
        let (backend, live) = (&self.pool.backends[index], &self.live[index]);
        let Some(endpoint) = &backend.endpoints[service.index()] else { return Vec::new() };
        let candidate = |&address| Candidate {
            backend: Arc::clone(backend),
            endpoint: Arc::clone(endpoint),
            address: SocketAddr::new(address, endpoint.port),
            live: Arc::clone(live),
        };
        live.addresses.borrow().iter().take(MAX_ADDRESSES).map(candidate).collect()
    }

    /// What clients may be offered of the backends that may serve them.
    pub(super) fn offer(&self, service: Service, verifiers: Verifiers) -> Offer {
        let mut styles = self.serving(service).map(|(endpoint, _)| endpoint.login_style).peekable();
        let nobody = styles.peek().is_none();
        Offer {
            capabilities: self.shared_capabilities(service, verifiers).into(),
            passwords: nobody || styles.any(|style| style.takes_passwords(verifiers)),
        }
    }

    /// What every backend that may serve a login offers. One that was never reached says nothing while it is called
    /// down, for nobody is sent there; until then it may lack anything.
    fn shared_capabilities(&self, service: Service, verifiers: Verifiers) -> Vec<String> {
        let mut shared: Option<Vec<String>> = None;
        for (endpoint, live) in self.serving(service) {
            let spot = live.spot(service);
            match (&spot.capabilities, spot.health.verdict()) {
                (Some(words), _) => {
                    let words = endpoint.login_style.offered(words, verifiers);
                    shared = Some(shared.map_or_else(|| words.clone(), |all| service.language().shared(&all, &words)));
                }
                (None, Verdict::Down(_)) => {}
                (None, _) => return Vec::new(),
            }
        }
        shared.unwrap_or_default()
    }

    fn serving(&self, service: Service) -> impl Iterator<Item = (&Endpoint, &Live)> {
        let awake = self.backends().filter(|(backend, _)| backend.state != State::Maintenance);
        awake.filter_map(move |(backend, live)| Some((&**backend.endpoints[service.index()].as_ref()?, &**live)))
    }
}
