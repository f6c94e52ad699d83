//! Names that no cache knows, asked of control by the batch.

use super::batches::exchange;
use super::connect::{Link, keep};
use crate::server::Shared;
use crate::wire::route_service_client::RouteServiceClient;

/// Keeps the stream up. Never returns.
pub(super) async fn run(shared: &Shared) {
    // Without a stream nobody shall wait for one: a caller may have an older route.
    let refuse = async || loop {
        drop(shared.routes.next_batch().await);
    };
    let life = async |connection| {
        let mut client = RouteServiceClient::new(connection);
        let link = Link::open(|batches| async move { client.lookup(batches).await });
        exchange(link, async || shared.routes.next_batch().await, "control does not answer look-ups").await
    };
    keep(shared, "look-up", life, refuse).await;
}
