//! The end of a session that an operator asked for: in a quiet moment, with a last word where the protocol has one.

use std::future::poll_fn;
use std::time::Duration;

use tokio::time::{Instant, sleep_until, timeout};
use zproxy_protocol::Protocol;

use super::{Ended, Splice};
use crate::Error;
use crate::error::EndedBy;
use crate::sessions::{Ending, Live};

/// No byte for so long means that nobody is in the middle of something (a command and its answer are closer).
const QUIET_FOR: Duration = Duration::from_secs(2);

impl Splice {
    /// Waits for a quiet moment to say goodbye; when patience ends, closes without a word.
    pub(super) async fn wind_down(&mut self, live: &Live, ending: &Ending, protocol: Option<&dyn Protocol>) -> Ended {
        let deadline = Instant::now() + ending.patience;
        loop {
            let now = Instant::now();
            let quiet_at = self.moved + QUIET_FOR;
            if now >= quiet_at && protocol.is_none() {
                break;
            }
            if let Some(protocol) = protocol.filter(|_| now >= quiet_at && self.may_speak()) {
                let goodbye = protocol.goodbye(&ending.text);
                self.from_backend.append(&goodbye);
                self.from_backend.close_when_sent();
                // Whether the client still reads it is its own business.
                let flushed = poll_fn(|cx| self.poll_move(cx, live));
                let _ = timeout(QUIET_FOR, flushed).await;
                break;
            }
            if now >= deadline {
                break;
            }
            // Quiet, and yet in the middle of something: that may have ended when it is quiet again.
            let quiet_again = if quiet_at > now { quiet_at } else { now + QUIET_FOR };
            let look_again = quiet_again.min(deadline);
            tokio::select! {
                biased;
                ended = poll_fn(|cx| self.poll_move(cx, live)) => return ended,
                () = sleep_until(look_again) => {}
            }
        }
        Ended { by: EndedBy::Proxy, error: Some(Error::Kicked) }
    }

    /// Whether a line of ours would not land in the middle of something, nor be taken for an answer: a client that
    /// hears 421 for the last chunk of a message sends it again, and the backend may be about to accept it.
    fn may_speak(&self) -> bool {
        self.first_end.is_none()
            && !self.unanswered
            && self.from_client.is_empty()
            && self.from_backend.is_empty()
            && self.quiet.line_ended()
    }
}
