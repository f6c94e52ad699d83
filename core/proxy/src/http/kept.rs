//! Connections to backends that are kept for the next request. Each thread has its own: nothing is locked, and a session
//! never changes its thread.

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::client::conn::http1::SendRequest;
use tokio::time::{Instant, sleep};

use super::upload::Upload;
use crate::pool::{Candidate, Endpoint};

/// A connection to a backend, that may be asked.
pub(super) type Line = SendRequest<Upload>;

thread_local! {
    static KEPT: RefCell<Kept> = RefCell::default();
}

#[derive(Default)]
struct Kept {
    idle: HashMap<SocketAddr, Vec<Idle>>,
    /// Whether somebody looks for those that are kept for too long.
    swept: bool,
}

struct Idle {
    line: Line,
    /// How it was made: the same address may be another backend's by now, or ask for TLS.
    endpoint: Arc<Endpoint>,
    host: Arc<str>,
    until: Instant,
}

impl Idle {
    fn fits(&self, candidate: &Candidate, now: Instant) -> bool {
        self.until > now
            && !self.line.is_closed()
            && self.host == candidate.backend.host
            && (Arc::ptr_eq(&self.endpoint, &candidate.endpoint) || self.endpoint == candidate.endpoint)
    }
}

/// The youngest one to a candidate: it is the least likely to be about to close.
pub(super) fn take(candidate: &Candidate) -> Option<Line> {
    let now = Instant::now();
    KEPT.with_borrow_mut(|kept| {
        let idle = kept.idle.get_mut(&candidate.address)?;
        loop {
            let line = idle.pop()?;
            if line.fits(candidate, now) {
                return Some(line.line);
            }
        }
    })
}

/// Keeps one for `time`, unless `most` are kept.
pub(super) fn keep(line: Line, candidate: &Candidate, most: usize, time: Duration) {
    KEPT.with_borrow_mut(|kept| {
        let idle = kept.idle.entry(candidate.address).or_default();
        if idle.len() >= most {
            return;
        }
        idle.push(Idle {
            line,
            endpoint: Arc::clone(&candidate.endpoint),
            host: Arc::clone(&candidate.backend.host),
            until: Instant::now() + time,
        });
        if !std::mem::replace(&mut kept.swept, true) {
            tokio::task::spawn_local(sweep());
        }
    });
}

/// Closes what was kept for too long, until nothing is kept.
async fn sweep() {
    while KEPT.with_borrow_mut(Kept::sweep) {
        sleep(SWEEP).await;
    }
}

impl Kept {
    fn sweep(&mut self) -> bool {
        let now = Instant::now();
        self.idle.retain(|_, idle| {
            idle.retain(|it| it.until > now && !it.line.is_closed());
            !idle.is_empty()
        });
        self.swept = !self.idle.is_empty();
        self.swept
    }
}

/// Between two looks at what is kept.
const SWEEP: Duration = Duration::from_secs(1);
