//! A stream of HTTP/2 whose client must take what it is given. Each stream has a window of its own, and a client that
//! never opens it holds a backend for as long as it answers pings; of that the connection's writes show nothing.

use std::cell::Cell;
use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use tokio::time::{Instant, sleep};

tokio::task_local! {
    static GIVEN: Rc<Given>;
}

/// What a stream has for its client.
#[derive(Default)]
struct Given {
    /// When it got what its client has not taken since.
    since: Cell<Option<Instant>>,
    /// It ends, for that was too long ago.
    left: Cell<bool>,
}

/// Runs a stream for as long as its client takes what it is given; then drops it, which resets it.
pub(super) async fn run(stream: impl Future<Output = ()>, stall: Duration) {
    let given = Rc::new(Given::default());
    let mut stream = pin!(GIVEN.scope(Rc::clone(&given), stream));
    let mut patience = pin!(sleep(stall));
    poll_fn(|cx| {
        if stream.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        let Some(since) = given.since.get() else { return Poll::Pending };
        patience.as_mut().reset(since + stall);
        let expired = patience.as_mut().poll(cx);
        given.left.set(expired.is_ready());
        expired
    })
    .await;
}

/// The stream's client is given something.
pub(super) fn give() {
    tell(Some(Instant::now()));
}

/// The stream asks for more: what it was given is taken.
pub(super) fn take() {
    tell(None);
}

/// Whether the stream that ends here does so because its client took nothing.
pub(super) fn is_left() -> bool {
    GIVEN.try_with(|given| given.left.get()).unwrap_or(false)
}

/// Where there is no stream, the connection's writes tell as much.
fn tell(since: Option<Instant>) {
    let _ = GIVEN.try_with(|given| given.since.set(since));
}

#[cfg(test)]
mod tests {
    use super::*;

    const STALL: Duration = Duration::from_secs(60);

    #[tokio::test(start_paused = true)]
    async fn a_stream_ends_when_its_client_takes_nothing() {
        let began = Instant::now();
        let stream = async {
            give();
            sleep(STALL / 2).await;
            take();
            sleep(10 * STALL).await;
            give();
            std::future::pending().await
        };
        run(stream, STALL).await;
        assert_eq!(began.elapsed(), STALL / 2 + 11 * STALL);
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_that_is_dropped_knows_why() {
        struct Ends<'a>(&'a Cell<bool>);
        impl Drop for Ends<'_> {
            fn drop(&mut self) {
                self.0.set(is_left());
            }
        }
        let left = Cell::new(false);
        let stream = async {
            let _ends = Ends(&left);
            give();
            std::future::pending().await
        };
        run(stream, STALL).await;
        assert!(left.get());
    }
}
