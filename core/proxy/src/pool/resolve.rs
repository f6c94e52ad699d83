//! Hosts that are DNS names, resolved off the login path. The last good answer is kept for as long as no other comes.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::Pools;
use super::live::Live;
use super::tended::Tended;

/// Between two looks at a name: how long a server that moves by DNS is looked for at its old address.
const INTERVAL: Duration = Duration::from_secs(30);
/// Before another look at a name that never had an answer: nobody can be served until it has.
const FIRST_INTERVAL: Duration = Duration::from_secs(2);

/// Keeps the addresses of every named host of the pool in force. Never returns.
pub(crate) async fn run(pools: &Pools) {
    let mut applied = pools.applied();
    let mut tended = Tended::default();
    loop {
        let names = pools.names();
        tended.tend(names.into_iter().map(|(host, live)| (Arc::as_ptr(&live), (host, live))), |(host, live)| {
            watch(host, live)
        });
        // The pools are ours: they do not go away before we do.
        let _ = applied.changed().await;
    }
}

async fn watch(host: Arc<str>, live: Arc<Live>) {
    loop {
        let found = addresses(&host).await;
        if !found.is_empty() {
            live.addresses.send_replace(found);
        }
        let unknown = live.addresses.borrow().is_empty();
        tokio::time::sleep(if unknown { FIRST_INTERVAL } else { INTERVAL }).await;
    }
}

/// In the order of the system's resolver; none: it could not say.
async fn addresses(host: &str) -> Vec<IpAddr> {
    let mut addresses = Vec::new();
    for found in tokio::net::lookup_host((host, 0)).await.into_iter().flatten() {
        if !addresses.contains(&found.ip()) {
            addresses.push(found.ip());
        }
    }
    addresses
}
