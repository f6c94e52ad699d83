//! A splice whose backend still takes the commands of proxies: a guard looks at every octet before it passes.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead as _, ReadBuf};
use zproxy_protocol::smtp::{Guard, Verdict};

use super::direction::{Direction, FAIR_SHARE, Progress};
use crate::stream::{Stream, with_scratch};

/// Most octets held of a client while the backend owes an answer: more than the guard's longest line.
const MOST_HELD: usize = 16 * 1024;

/// The guard, and what it has not let pass yet.
#[derive(Debug)]
pub(super) struct Gate {
    guard: Guard,
    held: Vec<u8>,
    /// The client has ended its half.
    ended: bool,
    fault: Option<zproxy_protocol::Error>,
}

/// Why the session ends here.
#[derive(Debug)]
pub(super) enum Shut {
    Guard(zproxy_protocol::Error),
    Client(io::ErrorKind),
    Backend(io::ErrorKind),
}

impl Gate {
    /// `first` is what the client had said already.
    pub(super) fn new(guard: Guard, first: &[u8]) -> Self {
        Self { guard, held: first.to_vec(), ended: false, fault: None }
    }

    /// Hears what the backend says.
    pub(super) fn backend_says(&mut self, bytes: &[u8]) {
        if let Err(fault) = self.guard.backend_says(bytes) {
            self.fault = Some(fault);
        }
    }

    /// Moves what may pass from the client to the backend, by `up`; answers of the guard go to the client, by `down`.
    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        (client, backend): (&mut Stream, &mut Stream),
        up: &mut Direction,
        down: &mut Direction,
    ) -> Result<Progress, Shut> {
        let mut progress = Progress::default();
        if let Some(fault) = self.fault.take() {
            return Err(Shut::Guard(fault));
        }
        loop {
            let was_full = !up.is_empty();
            let read = self.poll_client(cx, client, up, down)?;
            up.poll_send(cx, backend).map_err(|error| Shut::Backend(error.kind()))?;
            progress.bytes += read.bytes;
            progress.ended = read.ended;
            if progress.bytes >= FAIR_SHARE {
                cx.waker().wake_by_ref();
                return Ok(progress);
            }
            // Sent at once: there may be more to read, and nothing else would wake us for it.
            if !up.is_empty() || (read.bytes == 0 && !was_full) {
                return Ok(progress);
            }
        }
    }

    /// Reads the client until something may pass, nothing more comes, or the backend must answer first.
    fn poll_client(
        &mut self,
        cx: &mut Context<'_>,
        client: &mut Stream,
        up: &mut Direction,
        down: &mut Direction,
    ) -> Result<Progress, Shut> {
        let mut progress = Progress { bytes: 0, ended: self.ended };
        loop {
            let holds = self.judge(up, down)?;
            if self.ended && !holds {
                // A line without its end is no command, and nobody's any more.
                up.close_when_sent();
            }
            // What the backend has not taken, or not answered, is not read beyond.
            if self.ended || !up.is_empty() || (holds && self.held.len() >= MOST_HELD) {
                break;
            }
            match self.poll_read(cx, client) {
                Poll::Pending => break,
                Poll::Ready(Err(error)) => return Err(Shut::Client(error.kind())),
                Poll::Ready(Ok(0)) => {
                    self.ended = true;
                    progress.ended = true;
                }
                Poll::Ready(Ok(count)) => progress.bytes += count as u64,
            }
        }
        Ok(progress)
    }

    /// Lets pass what may; whether the rest waits for the backend.
    fn judge(&mut self, up: &mut Direction, down: &mut Direction) -> Result<bool, Shut> {
        let mut answers = Vec::new();
        let mut done = 0;
        let holds = loop {
            let verdict = self.guard.client_says(&self.held[done..], &mut answers).map_err(Shut::Guard)?;
            down.append(&answers);
            answers.clear();
            match verdict {
                Verdict::Pass(count) => {
                    up.append(&self.held[done..done + count]);
                    done += count;
                }
                Verdict::Drop(count) => done += count,
                Verdict::Hold => break true,
                Verdict::More => break false,
            }
        };
        self.held.drain(..done);
        if self.held.is_empty() {
            // An idle session owns no buffer.
            self.held = Vec::new();
        }
        Ok(holds)
    }

    fn poll_read(&mut self, cx: &mut Context<'_>, client: &mut Stream) -> Poll<io::Result<usize>> {
        with_scratch(|scratch| {
            let mut read = ReadBuf::new(&mut scratch[..MOST_HELD]);
            std::task::ready!(Pin::new(client).poll_read(cx, &mut read))?;
            self.held.extend_from_slice(read.filled());
            Poll::Ready(Ok(read.filled().len()))
        })
    }
}
