//! Active health: each endpoint is greeted at an interval as a client would, asked what it can do, and left.

use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use zproxy_protocol::ClientStep;

use super::EndpointTls;
use super::pools::Probed;
use super::tended::Tended;
use crate::authenticate::converse;
use crate::dial::{self, Target, Terms};
use crate::error::Error;
use crate::server::{Setup, Shared};

/// Probes at one time: a large pool is gone through in a moment, without a burst of handshakes.
const AT_ONCE: usize = 64;

/// Probes every endpoint of the pool in force. Never returns. Must run where tasks need not be `Send`.
pub(crate) async fn run(shared: &Arc<Shared>) {
    let mut applied = shared.pools.applied();
    let mut tended = Tended::default();
    let room = Arc::new(Semaphore::new(AT_ONCE));
    loop {
        let endpoints = shared.pools.endpoints().into_iter().map(|it| (it.id(), it));
        tended.tend(endpoints, |it| watch(it, Arc::clone(shared), Arc::clone(&room)));
        // The pools are ours: they do not go away before we do.
        let _ = applied.changed().await;
    }
}

async fn watch(probed: Probed, shared: Arc<Shared>, room: Arc<Semaphore>) {
    loop {
        let setup = shared.setup.load_full();
        let place = room.acquire().await;
        let result = match timeout(setup.config.health.timeout, probe(&probed, &setup)).await {
            // It says something of us, and nothing of the backend.
            Ok(Err(Error::Exhausted(_))) => None,
            Ok(result) => Some(result.map_err(|error| error.to_string())),
            Err(_) if !probed.is_resolved() => Some(Err("host name does not resolve".to_owned())),
            Err(_) => Some(Err(format!("no answer to a probe within {:?}", setup.config.health.timeout))),
        };
        drop(place);
        if let Some(result) = result {
            shared.pools.probed(&probed, result);
        }
        sleep(shared.jitter(setup.config.health.interval)).await;
    }
}

/// All the capability words that an endpoint names.
async fn probe(probed: &Probed, setup: &Setup) -> Result<Vec<String>, Error> {
    let endpoint = &*probed.endpoint;
    let address = probed.address().await;
    let target = Target { address, host: &probed.backend.host, endpoint };
    let timeouts = &setup.config.timeouts;
    let terms = Terms { trust: &setup.trust, timeout: timeouts.connect, tcp_user: timeouts.tcp_user };
    let stream = dial::open(target, terms, None).await?;
    let starttls = endpoint.tls == EndpointTls::Starttls;
    let mut machine = endpoint.service.language().prober(starttls);
    match converse(stream.into(), machine.as_mut(), target, terms).await?.end {
        ClientStep::Probed(words) => Ok(words),
        _ => Err(Error::of_backend("probe", zproxy_protocol::Error::BackendProtocol("probe"))),
    }
}
