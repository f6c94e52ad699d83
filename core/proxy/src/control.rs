//! The tasks that talk to the control plane: pool, routes and kicks come in, questions, health and sessions go out.
//!
//! There are four gRPC streams, each on its own connection and each kept up for ever: `watch`, `lookup`, `verify` (where
//! control verifies anything) and `sessions`.
//! Beside them backends are probed and their names resolved. Without control the edge serves on with the last good pool
//! and the routes it knows.

mod batches;
mod connect;
mod credentials;
mod lookup;
mod sessions;
mod verify;
mod watch;

use std::sync::Arc;

use tokio::task::LocalSet;

pub(crate) use batches::Batch;
pub(crate) use credentials::check as check_credentials;

use crate::pool::{probe, resolve};
use crate::server::Shared;

/// Runs everything, for ever, on the current thread; dropping it ends it.
pub async fn run(shared: Arc<Shared>) {
    let forever = async {
        tokio::join!(
            watch::run(&shared),
            lookup::run(&shared),
            verify::run(&shared),
            sessions::run(&shared),
            resolve::run(&shared.pools),
            probe::run(&shared),
        )
    };
    // A conversation with a backend does not leave its thread.
    LocalSet::new().run_until(forever).await;
}
