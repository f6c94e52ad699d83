//! Seventh step: bytes both ways until one side ends it.
//!
//! An idle session owns no buffer: reads go into the thread's scratch, and only what the other side does not take at
//! once is kept. Where both sides are plain and bytes stream, they move by splice(2) and are never seen.

mod direction;
mod gate;
mod goodbye;
mod pipe;
mod quiet;

use std::future::{Future as _, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};
use zproxy_protocol::smtp::Guard;
use zproxy_protocol::{Input, Protocol};

use crate::error::EndedBy;
use crate::sessions::{Ending, Live};
use crate::stream::Stream;
use crate::{Error, sys};
use direction::{Broken, Direction, Progress};
use gate::{Gate, Shut};
use quiet::Quiet;

/// How long a client is waited for whose backend has closed its half.
const CLIENT_LEFT: Duration = Duration::from_secs(5);
/// How long a backend is waited for whose client has closed its half: it may be at work on the last command.
const BACKEND_LEFT: Duration = Duration::from_secs(120);

/// Both connections of a session that is logged in.
#[derive(Debug)]
pub struct Splice {
    client: Stream,
    backend: Stream,
    from_client: Direction,
    from_backend: Direction,
    /// Between client and backend where the backend would believe the client too much.
    gate: Option<Box<Gate>>,
    quiet: Quiet,
    /// When a byte last moved.
    moved: Instant,
    /// The client spoke last.
    unanswered: bool,
    first_end: Option<EndedBy>,
}

/// What a splice goes by.
#[derive(Clone, Copy)]
pub struct Terms {
    /// Whose last words are said where an operator ends it; none: there are none.
    pub protocol: Option<&'static dyn Protocol>,
    /// Nothing may move for so long.
    pub idle: Duration,
}

/// How a session ended.
#[derive(Debug)]
pub struct Ended {
    /// Who ended it.
    pub by: EndedBy,
    /// Why, unless it was a plain close.
    pub error: Option<Error>,
}

/// What a session that moves bytes waits for.
enum Happened<'a> {
    Ended(Ended),
    /// An operator asked it to end.
    Asked(&'a Ending),
}

impl Splice {
    /// Joins two connections; what was read of each and belongs to the other goes first.
    #[must_use]
    pub fn new((client, from_client): (Stream, Input), (backend, from_backend): (Stream, Input)) -> Self {
        let both_plain = matches!((&client, &backend), (Stream::Plain(_), Stream::Plain(_)));
        let quiet = Quiet::after(from_client.bytes(), from_backend.bytes());
        Self {
            client,
            backend,
            from_client: Direction::new(from_client.bytes(), both_plain),
            from_backend: Direction::new(from_backend.bytes(), both_plain),
            gate: None,
            quiet,
            moved: Instant::now(),
            unanswered: false,
            first_end: None,
        }
    }

    /// Joins two connections with a guard between them, which sees every octet.
    #[must_use]
    pub fn guarded(client: (Stream, Input), backend: (Stream, Input), guard: Guard) -> Self {
        let mut gate = Box::new(Gate::new(guard, client.1.bytes()));
        gate.backend_says(backend.1.bytes());
        let mut splice = Self::new((client.0, Input::new()), backend);
        splice.gate = Some(gate);
        splice.from_client = Direction::new(&[], false);
        splice.from_backend.never_pipe();
        splice
    }

    /// Moves bytes until a side closes, nothing moves any more, or an operator ends it.
    pub async fn run(&mut self, live: &Live, terms: &Terms) -> Ended {
        let happened = {
            let mut timer = pin!(sleep_until(self.moved + terms.idle));
            poll_fn(|cx| self.poll_on(cx, live, terms.idle, timer.as_mut())).await
        };
        let ended = match happened {
            Happened::Ended(ended) => ended,
            // Rare, and larger than all else: a session that nobody ends has no room for it.
            Happened::Asked(ending) => Box::pin(self.wind_down(live, ending, terms.protocol)).await,
        };
        if matches!(&ended.error, Some(Error::ClientIo(_) | Error::BackendIo { .. })) {
            // A broken conversation shall not look like a finished one to the side that still works.
            sys::reset_on_close(self.client.tcp());
            sys::reset_on_close(self.backend.tcp());
        }
        ended
    }

    fn poll_on<'a>(
        &mut self,
        cx: &mut Context<'_>,
        live: &'a Live,
        idle: Duration,
        mut timer: Pin<&mut Sleep>,
    ) -> Poll<Happened<'a>> {
        let patience = self.patience(idle);
        if let Poll::Ready(ended) = self.poll_move(cx, live) {
            return Poll::Ready(Happened::Ended(ended));
        }
        if let Poll::Ready(ending) = live.poll_ending(cx) {
            return Poll::Ready(Happened::Asked(ending));
        }
        if self.patience(idle) != patience {
            self.moved = Instant::now();
            timer.as_mut().reset(self.moved + self.patience(idle));
        }
        // It is set once a sleep, not once a byte: at its end we look whether bytes have moved since.
        while timer.as_mut().poll(cx).is_ready() {
            if let Some(ended) = self.too_quiet(idle) {
                return Poll::Ready(Happened::Ended(ended));
            }
            timer.as_mut().reset(self.moved + self.patience(idle));
        }
        Poll::Pending
    }

    /// Nothing has moved for so long that it is over.
    fn too_quiet(&self, idle: Duration) -> Option<Ended> {
        if self.moved.elapsed() < self.patience(idle) {
            return None;
        }
        Some(match self.first_end {
            Some(by) => Ended { by, error: None },
            None => Ended { by: EndedBy::Proxy, error: Some(Error::Idle) },
        })
    }

    /// How long nothing may move: less once a side has closed its half and all that was sent is delivered.
    fn patience(&self, idle: Duration) -> Duration {
        match self.first_end {
            Some(by) if self.from_client.is_empty() && self.from_backend.is_empty() => {
                idle.min(if by == EndedBy::Client { BACKEND_LEFT } else { CLIENT_LEFT })
            }
            _ => idle,
        }
    }

    fn poll_move(&mut self, cx: &mut Context<'_>, live: &Live) -> Poll<Ended> {
        if let Err(ended) = self.poll_from_client(cx, live) {
            return Poll::Ready(ended);
        }
        let down = self.from_backend.poll(cx, &mut self.backend, &mut self.client, |bytes| {
            self.quiet.backend_said(bytes);
            if let Some(gate) = &mut self.gate {
                gate.backend_says(bytes);
            }
        });
        if self.gate.is_some() && down.as_ref().is_ok_and(|down| down.bytes > 0) {
            // What the gate holds may pass now.
            cx.waker().wake_by_ref();
        }
        if let Err(ended) = self.account(down, EndedBy::Backend, &live.from_backend) {
            return Poll::Ready(ended);
        }
        match self.first_end {
            Some(by) if self.from_client.is_closed() && self.from_backend.is_closed() => {
                Poll::Ready(Ended { by, error: None })
            }
            _ => Poll::Pending,
        }
    }

    fn poll_from_client(&mut self, cx: &mut Context<'_>, live: &Live) -> Result<(), Ended> {
        let up = match &mut self.gate {
            None => {
                let seen = |bytes: &[u8]| self.quiet.client_said(bytes);
                self.from_client.poll(cx, &mut self.client, &mut self.backend, seen)
            }
            Some(gate) => {
                let ends = (&mut self.client, &mut self.backend);
                match gate.poll(cx, ends, &mut self.from_client, &mut self.from_backend) {
                    Ok(progress) => Ok(progress),
                    Err(Shut::Client(kind)) => Err(Broken { reading: true, kind }),
                    Err(Shut::Backend(kind)) => Err(Broken { reading: false, kind }),
                    Err(Shut::Guard(fault)) => {
                        let error = Error::from(fault);
                        return Err(Ended { by: error.ended_by(), error: Some(error) });
                    }
                }
            }
        };
        self.account(up, EndedBy::Client, &live.from_client)
    }

    /// Books what a direction moved; `source` is who sends in it.
    fn account(
        &mut self,
        progress: Result<Progress, Broken>,
        source: EndedBy,
        counter: &AtomicU64,
    ) -> Result<(), Ended> {
        match progress {
            Ok(progress) => {
                if progress.bytes > 0 {
                    self.moved = Instant::now();
                    self.unanswered = source == EndedBy::Client;
                    counter.fetch_add(progress.bytes, Ordering::Relaxed);
                }
                if progress.ended && self.first_end.is_none() {
                    self.first_end = Some(source);
                    self.moved = Instant::now();
                }
                Ok(())
            }
            Err(broken) => {
                let side =
                    if broken.reading == (source == EndedBy::Client) { EndedBy::Client } else { EndedBy::Backend };
                // A side that resets after the other has ended was only in a hurry.
                let error = self.first_end.is_none().then(|| broken_error(side, broken.kind));
                Err(Ended { by: self.first_end.unwrap_or(side), error })
            }
        }
    }
}

fn broken_error(side: EndedBy, kind: io::ErrorKind) -> Error {
    match side {
        EndedBy::Backend => Error::BackendIo { step: "splice", kind },
        EndedBy::Client | EndedBy::Proxy => Error::ClientIo(kind),
    }
}
