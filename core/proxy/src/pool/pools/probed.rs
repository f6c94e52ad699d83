//! What those who probe endpoints and resolve hosts need of the pool in force, and tell it.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use super::Pools;
use crate::pool::live::Live;
use crate::pool::{Backend, Endpoint};
use crate::service::Service;

/// An endpoint to be probed.
pub(in crate::pool) struct Probed {
    pub(in crate::pool) backend: Arc<Backend>,
    pub(in crate::pool) endpoint: Arc<Endpoint>,
    live: Arc<Live>,
}

impl Probed {
    /// The same for as long as what is known of the endpoint holds.
    pub(in crate::pool) fn id(&self) -> (*const Live, Service) {
        (Arc::as_ptr(&self.live), self.endpoint.service)
    }

    /// Where it is, once its host is resolved.
    pub(in crate::pool) async fn address(&self) -> SocketAddr {
        let mut addresses = self.live.addresses.subscribe();
        loop {
            if let Some(&address) = addresses.borrow_and_update().first() {
                return SocketAddr::new(address, self.endpoint.port);
            }
            // The sender is held here: it does not go away.
            let _ = addresses.changed().await;
        }
    }

    /// Whether its host is resolved.
    pub(in crate::pool) fn is_resolved(&self) -> bool {
        !self.live.addresses.borrow().is_empty()
    }
}

impl Pools {
    /// Every endpoint of the pool in force, for probes.
    pub(in crate::pool) fn endpoints(&self) -> Vec<Probed> {
        let serving = self.serving.load();
        let mut all = Vec::new();
        for (backend, live) in serving.backends() {
            all.extend(backend.endpoints.iter().flatten().map(|endpoint| Probed {
                backend: Arc::clone(backend),
                endpoint: Arc::clone(endpoint),
                live: Arc::clone(live),
            }));
        }
        all
    }

    /// The hosts that are names, with the place for their addresses.
    pub(in crate::pool) fn names(&self) -> Vec<(Arc<str>, Arc<Live>)> {
        let serving = self.serving.load();
        let names = serving.backends().filter(|(backend, _)| backend.host.parse::<IpAddr>().is_err());
        names.map(|(backend, live)| (Arc::clone(&backend.host), Arc::clone(live))).collect()
    }

    /// Takes a probe's result: all the capability words the backend named, or why there are none.
    pub(in crate::pool) fn probed(&self, probed: &Probed, result: Result<Vec<String>, String>) {
        let service = probed.endpoint.service;
        let mut spot = probed.live.spot(service);
        let failure = match result {
            Ok(words) => {
                spot.capabilities = Some(service.language().worth_knowing(&words));
                None
            }
            Err(reason) => Some(reason.into()),
        };
        let changed = spot.health.probed(failure, &self.health.load());
        drop(spot);
        let writing = self.writing();
        self.renew_offers(&self.serving.load(), writing.verifiers);
        drop(writing);
        if changed {
            self.judged.send_modify(|count| *count += 1);
        }
    }
}
