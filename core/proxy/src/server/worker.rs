//! A thread that accepts and serves.

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::mpsc;

use super::Shared;
use super::door::Door;
use crate::metrics::Metrics;
use crate::session;
use crate::sys;
use crate::visit::Arrival;

/// How long accept rests when descriptors, memory or room ran out: long enough not to spin, short enough that clients
/// in the backlog do not notice.
const REST: Duration = Duration::from_millis(100);

/// A thread and the doors it watches.
#[derive(Debug)]
pub(super) struct Worker {
    doors: mpsc::UnboundedSender<(Arc<Door>, std::net::TcpListener)>,
    thread: JoinHandle<()>,
}

impl Worker {
    pub(super) fn start(number: usize, shared: &Arc<Shared>) -> io::Result<Self> {
        let (doors, mut to_watch) = mpsc::unbounded_channel::<(Arc<Door>, std::net::TcpListener)>();
        let shared = Arc::clone(shared);
        let thread = std::thread::Builder::new().name(format!("edge-{number}")).spawn(move || {
            let Ok(runtime) = Builder::new_current_thread().enable_all().build_local(LocalOptions::default()) else {
                return;
            };
            runtime.block_on(async {
                while let Some((door, socket)) = to_watch.recv().await {
                    tokio::task::spawn_local(watch(door, socket, Arc::clone(&shared)));
                }
            });
        })?;
        Ok(Self { doors, thread })
    }

    pub(super) fn watch(&self, door: Arc<Door>, socket: std::net::TcpListener) {
        // Only a thread that has died does not take it, and then the process is going down.
        let _ = self.doors.send((door, socket));
    }

    /// Ends the thread and whatever it still serves.
    pub(super) fn stop(self) {
        drop(self.doors);
        let _ = self.thread.join();
    }
}

/// Accepts at one door until it is shut.
async fn watch(door: Arc<Door>, socket: std::net::TcpListener, shared: Arc<Shared>) {
    let listener = match TcpListener::from_std(socket) {
        Ok(listener) => listener,
        Err(error) => return shared.records.log("error", &format!("a listening socket cannot be watched: {error}")),
    };
    let mut shut = pin!(door.is_shut());
    loop {
        tokio::select! {
            biased;
            () = &mut shut => return,
            () = accept(&listener, &door, &shared) => {}
        }
    }
}

async fn accept(listener: &TcpListener, door: &Door, shared: &Arc<Shared>) {
    if shared.limits.sessions() >= shared.setup.load().config.limits.sessions {
        return rest(shared, "limits.sessions is reached").await;
    }
    match listener.accept().await {
        Ok((tcp, peer)) => {
            shared.metrics.accepted.inc();
            let place = shared.limits.enter();
            let arrival = Arrival { tcp, peer, listening: door.listening(), place };
            let shared = Arc::clone(shared);
            tokio::task::spawn_local(async move {
                let _panics = PanicCount(Arc::clone(&shared.metrics));
                // Made here: the task would have room for it twice, before it runs and as it does.
                session::run(arrival, shared).await;
            });
        }
        Err(error) if sys::is_exhausted(&error) => rest(shared, &error.to_string()).await,
        // The client left between its connect and our accept.
        Err(_) => {}
    }
}

async fn rest(shared: &Shared, why: &str) {
    if shared.metrics.accept_rests.inc() == 0 {
        shared.records.log("warning", &format!("accept rests while {why}; further rests are only counted"));
    }
    tokio::time::sleep(REST).await;
}

/// Counts a session that panicked; the session alone ends.
struct PanicCount(Arc<Metrics>);

impl Drop for PanicCount {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.panics.inc();
        }
    }
}
