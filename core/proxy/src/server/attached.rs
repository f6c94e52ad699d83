//! The thread that keeps this edge attached to the control plane.

use std::sync::Arc;
use std::thread::JoinHandle;

use tokio::sync::oneshot;

use super::Shared;
use crate::control;

/// A running control thread; it ends when it is stopped, or the process does.
#[derive(Debug)]
pub(super) struct Attached {
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

impl Attached {
    pub(super) fn start(shared: &Arc<Shared>) -> std::io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (stop, stopped) = oneshot::channel();
        let shared = Arc::clone(shared);
        let thread = std::thread::Builder::new().name("control".into()).spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    _ = stopped => {}
                    () = control::run(shared) => {}
                }
            });
        })?;
        Ok(Self { stop, thread })
    }

    /// Ends the thread; what it has not sent is not sent.
    pub(super) fn stop(self) {
        let _ = self.stop.send(());
        let _ = self.thread.join();
    }
}
