//! Questions to control, of any kind: by the batch, a few batches at a time. Whatever is asked while they are out is the
//! next one.

use std::collections::HashMap;
use std::future::pending;

use tokio::time::{Instant, sleep_until};
use tonic::Status;

use super::connect::Link;

/// Batches out at one time, as the contract has it.
const IN_FLIGHT: usize = 4;

/// Questions that one message asks. Whatever is unanswered when it is dropped has failed.
pub(crate) trait Batch {
    /// What asks them.
    type Message;
    /// What answers some of them.
    type Reply;

    /// The message, under a number that replies repeat.
    fn message(&mut self, id: u64) -> Self::Message;
    /// The number of a reply.
    fn id(reply: &Self::Reply) -> u64;
    /// Takes a reply; an answer to no question of this batch, or a second one, is ignored.
    fn take(&mut self, reply: Self::Reply);
    /// Whether all is answered.
    fn is_done(&self) -> bool;
    /// When nobody waits for it any more; none: nobody ever did.
    fn deadline(&self) -> Option<Instant>;
    /// Ends the waiting.
    fn expire(&mut self);
}

/// A batch that control has not answered whole.
struct Flying<B> {
    batch: B,
    /// When nobody waits for it any more; none: that was.
    until: Option<Instant>,
}

/// Asks and hears until the stream ends; `next` gives the questions that wait, as soon as there are any, and `unanswered`
/// is why a stream that gives no answers is ended.
pub(super) async fn exchange<B: Batch<Reply: 'static>>(
    mut link: Link<B::Message, B::Reply>,
    next: impl AsyncFn() -> B,
    unanswered: &str,
) -> Status {
    let mut flying = HashMap::new();
    let mut next_id = 0_u64;
    loop {
        tokio::select! {
            reply = link.read() => match reply {
                Ok(reply) => take(&mut flying, reply),
                Err(status) => return status,
            },
            mut batch = next(), if flying.len() < IN_FLIGHT => {
                let Some(until) = batch.deadline() else { continue };
                next_id += 1;
                let message = batch.message(next_id);
                flying.insert(next_id, Flying { batch, until: Some(until) });
                if let Err(status) = link.send(message).await {
                    return status;
                }
            }
            () = next_expiry(&flying) => {
                expire(&mut flying);
                // An answer may still come, and free its place. But a stream that owes so many gives none.
                if flying.len() == IN_FLIGHT && flying.values().all(|it| it.until.is_none()) {
                    return Status::deadline_exceeded(unanswered);
                }
            }
        }
    }
}

fn take<B: Batch>(flying: &mut HashMap<u64, Flying<B>>, reply: B::Reply) {
    let id = B::id(&reply);
    // A reply to no batch of this stream: there is nobody to tell.
    let Some(it) = flying.get_mut(&id) else { return };
    it.batch.take(reply);
    if it.batch.is_done() {
        flying.remove(&id);
    }
}

async fn next_expiry<B>(flying: &HashMap<u64, Flying<B>>) {
    match flying.values().filter_map(|it| it.until).min() {
        Some(until) => sleep_until(until).await,
        None => pending().await,
    }
}

fn expire<B: Batch>(flying: &mut HashMap<u64, Flying<B>>) {
    let now = Instant::now();
    for it in flying.values_mut() {
        if it.until.is_some_and(|until| until <= now) {
            it.batch.expire();
            it.until = None;
        }
    }
}
