//! Questions to control: by the batch, a few batches at a time. Whatever is asked while they are out is the next one.

use std::collections::HashMap;
use std::future::pending;

use tokio::time::{Instant, sleep_until};
use tonic::Status;
use tonic::transport::Channel;

use super::connect::{Link, keep};
use crate::route::Batch;
use crate::server::Shared;
use crate::wire;
use crate::wire::route_service_client::RouteServiceClient;

/// Batches out at one time, as the contract has it.
const IN_FLIGHT: usize = 4;

/// A batch that control has not answered whole.
struct Flying {
    batch: Batch,
    /// When nobody waits for it any more; none: that was.
    until: Option<Instant>,
}

/// Keeps the stream up. Never returns.
pub(super) async fn run(shared: &Shared) {
    // Without a stream nobody shall wait for one: a caller may have an older route.
    let refuse = async || loop {
        drop(shared.routes.next_batch().await);
    };
    keep(shared, "look-up", async |channel| life(shared, channel).await, refuse).await;
}

async fn life(shared: &Shared, channel: Channel) -> Status {
    let mut client = RouteServiceClient::new(channel);
    let mut link = Link::open(|batches| async move { client.lookup(batches).await });
    let mut flying = HashMap::new();
    let mut next_id = 0_u64;
    loop {
        tokio::select! {
            reply = link.read() => match reply {
                Ok(reply) => take(&mut flying, reply),
                Err(status) => return status,
            },
            batch = shared.routes.next_batch(), if flying.len() < IN_FLIGHT => {
                let Some(until) = batch.deadline() else { continue };
                next_id += 1;
                let message = wire::LookupBatch { id: next_id, questions: batch.questions() };
                flying.insert(next_id, Flying { batch, until: Some(until) });
                if let Err(status) = link.send(message).await {
                    return status;
                }
            }
            () = next_expiry(&flying) => {
                expire(&mut flying);
                // An answer may still come, and free its place. But a stream that owes so many gives none.
                if flying.len() == IN_FLIGHT && flying.values().all(|it| it.until.is_none()) {
                    return Status::deadline_exceeded("control does not answer look-ups");
                }
            }
        }
    }
}

fn take(flying: &mut HashMap<u64, Flying>, reply: wire::LookupReply) {
    // A reply to no batch of this stream: there is nobody to tell.
    let Some(it) = flying.get_mut(&reply.id) else { return };
    for answer in reply.answers {
        it.batch.answer(answer);
    }
    if it.batch.is_done() {
        flying.remove(&reply.id);
    }
}

async fn next_expiry(flying: &HashMap<u64, Flying>) {
    match flying.values().filter_map(|it| it.until).min() {
        Some(until) => sleep_until(until).await,
        None => pending().await,
    }
}

fn expire(flying: &mut HashMap<u64, Flying>) {
    let now = Instant::now();
    for it in flying.values_mut() {
        if it.until.is_some_and(|until| until <= now) {
            it.batch.expire();
            it.until = None;
        }
    }
}
