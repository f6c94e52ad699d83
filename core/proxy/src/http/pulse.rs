//! Signs of life of one connection, by which it is known when it has been idle for too long.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// Shared by a connection, what reads from it and the requests that are under way. One thread has all of them; hyper
/// wants what it may pass on to be fit for others.
#[derive(Debug)]
pub(super) struct Pulse {
    began: Instant,
    under_way: AtomicUsize,
    /// Milliseconds from `began` to the end of the last request.
    quiet_since: AtomicU64,
    /// To the first octet since then; 0: there was none.
    heard: AtomicU64,
    /// Octets are those of HTTP/1: between requests they begin a head. In HTTP/2, and in a WebSocket, they may be
    /// anything.
    hears_heads: AtomicBool,
}

/// Why a connection is to end.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Expired {
    /// A head has not come to its end.
    Head,
    /// No request is under way.
    Idle,
}

impl Pulse {
    pub(super) fn new(hears_heads: bool) -> Self {
        Self {
            began: Instant::now(),
            under_way: AtomicUsize::new(0),
            quiet_since: AtomicU64::new(0),
            heard: AtomicU64::new(0),
            hears_heads: AtomicBool::new(hears_heads),
        }
    }

    /// Something was read.
    pub(super) fn hear(&self) {
        if self.hears_heads() && self.under_way() == 0 && self.heard.load(Ordering::Relaxed) == 0 {
            self.heard.store(self.now().max(1), Ordering::Relaxed);
        }
    }

    pub(super) fn hears_heads(&self) -> bool {
        self.hears_heads.load(Ordering::Relaxed)
    }

    /// What comes now is not HTTP any more.
    pub(super) fn upgrade(&self) {
        self.hears_heads.store(false, Ordering::Relaxed);
    }

    /// A request begins.
    pub(super) fn enter(&self) {
        self.under_way.fetch_add(1, Ordering::Relaxed);
        self.heard.store(0, Ordering::Relaxed);
    }

    /// A request has ended.
    pub(super) fn leave(&self) {
        self.under_way.fetch_sub(1, Ordering::Relaxed);
        self.quiet_since.store(self.now(), Ordering::Relaxed);
    }

    pub(super) fn under_way(&self) -> usize {
        self.under_way.load(Ordering::Relaxed)
    }

    /// Waits until a client has let us wait for too long, with a request or for one.
    pub(super) async fn expired(&self, idle: Duration, head: Duration) -> Expired {
        loop {
            let (since, patience, why) = match self.heard.load(Ordering::Relaxed) {
                0 => (self.quiet_since.load(Ordering::Relaxed), idle, Expired::Idle),
                heard => (heard, head, Expired::Head),
            };
            let until = self.began + Duration::from_millis(since) + patience;
            if self.under_way() == 0 && Instant::now() >= until {
                return why;
            }
            // What begins meanwhile is seen no later than it would expire itself.
            sleep_until(until.max(Instant::now() + idle.min(head).min(LOOK))).await;
        }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

/// Between two looks at a connection at least: its timer is set once a look, not once a request.
const LOOK: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    const IDLE: Duration = Duration::from_secs(75);
    const HEAD: Duration = Duration::from_secs(20);

    async fn seconds_until(pulse: &Pulse) -> (Expired, u64) {
        let from = Instant::now();
        let why = pulse.expired(IDLE, HEAD).await;
        (why, from.elapsed().as_secs())
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_without_requests_is_idle() {
        assert_eq!(seconds_until(&Pulse::new(true)).await, (Expired::Idle, 75));
        let http2 = Pulse::new(false);
        http2.hear();
        assert_eq!(seconds_until(&http2).await, (Expired::Idle, 75));
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_has_its_own_time_from_its_first_octet() {
        let pulse = Pulse::new(true);
        pulse.hear();
        tokio::time::advance(Duration::from_secs(10)).await;
        pulse.hear();
        let (why, took) = seconds_until(&pulse).await;
        assert_eq!(why, Expired::Head);
        assert!((10..=15).contains(&took), "{took}");
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_expires_while_a_request_is_under_way() {
        let pulse = Pulse::new(true);
        pulse.enter();
        pulse.hear();
        assert!(tokio::time::timeout(Duration::from_secs(3600), pulse.expired(IDLE, HEAD)).await.is_err());
        pulse.leave();
        let (why, took) = seconds_until(&pulse).await;
        assert_eq!(why, Expired::Idle);
        assert!((75..=80).contains(&took), "{took}");
    }
}
