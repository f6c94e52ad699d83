//! Credentials that are to be proved, sent to control by the batch.

use super::batches::exchange;
use super::connect::{Link, keep};
use crate::server::Shared;
use crate::wire::route_service_client::RouteServiceClient;

/// Keeps the stream up, once control has said that it proves anything. Never returns.
pub(super) async fn run(shared: &Shared) {
    // Without a stream nobody shall wait for one.
    let refuse = async || loop {
        drop(shared.proofs.next_batch().await);
    };
    tokio::select! {
        () = shared.proofs.provable() => {}
        () = refuse() => {}
    }
    let life = async |connection| {
        let mut client = RouteServiceClient::new(connection);
        let link = Link::open(|batches| async move { client.verify(batches).await });
        exchange(link, async || shared.proofs.next_batch().await, "control does not verify credentials").await
    };
    keep(shared, "verify", life, refuse).await;
}
