//! The body of a request on its way to a backend: counted, bounded, and never waited for without end.

use std::cell::{Cell, RefCell};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::Error;

/// What a backend is sent behind a head.
pub(super) enum Upload {
    /// What was read already, such as a login form.
    Whole(Option<Bytes>),
    /// What still comes.
    Streamed(Box<Streamed>),
}

/// A body that comes from a client.
pub(super) struct Streamed {
    body: Incoming,
    terms: Terms,
    begun: Option<Instant>,
    silence: Option<Pin<Box<Sleep>>>,
    seen: Rc<Seen>,
}

/// Bounds of a body.
#[derive(Clone, Copy, Debug)]
pub(super) struct Terms {
    /// Octets; none: any.
    pub(super) most: Option<u64>,
    /// Between two pieces.
    pub(super) stall: Duration,
    /// From the first to the last.
    pub(super) whole: Duration,
}

/// What became of a body, for whoever asked the backend.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// Octets that have come.
    pub(super) octets: Cell<u64>,
    /// When the last of them came.
    pub(super) ended: Cell<Option<Instant>>,
    /// Why the rest does not.
    fault: RefCell<Option<Error>>,
}

impl Seen {
    /// What the client did, which is why the backend got no whole request.
    pub(super) fn fault(&self) -> Option<Error> {
        self.fault.borrow().clone()
    }
}

impl Upload {
    /// A body that may be none at all.
    pub(super) fn new(body: Incoming, terms: Terms) -> (Self, Rc<Seen>) {
        let seen = Rc::new(Seen::default());
        if body.is_end_stream() {
            seen.ended.set(Some(Instant::now()));
            return (Self::Whole(None), seen);
        }
        let streamed = Streamed { body, terms, begun: None, silence: None, seen: Rc::clone(&seen) };
        (Self::Streamed(Box::new(streamed)), seen)
    }

    /// Whether there is nothing in it.
    pub(super) fn is_empty(&self) -> bool {
        matches!(self, Self::Whole(None))
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        match self.get_mut() {
            Self::Whole(octets) => Poll::Ready(octets.take().map(|octets| Ok(Frame::data(octets)))),
            Self::Streamed(streamed) => {
                let polled = streamed.poll(cx);
                if let Poll::Ready(Some(Err(error))) = &polled {
                    streamed.seen.fault.replace(Some(error.clone()));
                }
                polled
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(octets) => octets.is_none(),
            Self::Streamed(streamed) => streamed.body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(octets) => SizeHint::with_exact(octets.as_ref().map_or(0, |octets| octets.len() as u64)),
            Self::Streamed(streamed) => streamed.body.size_hint(),
        }
    }
}

impl Streamed {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let now = Instant::now();
        let until = *self.begun.get_or_insert(now) + self.terms.whole;
        match Pin::new(&mut self.body).poll_frame(cx) {
            Poll::Pending => {
                let at = (now + self.terms.stall).min(until);
                let silence = self.silence.get_or_insert_with(|| Box::pin(sleep_until(at)));
                std::task::ready!(silence.as_mut().poll(cx));
                Poll::Ready(Some(Err(Error::ClientTimeout("request body"))))
            }
            Poll::Ready(polled) => {
                self.silence = None;
                Poll::Ready(self.take(polled, now >= until))
            }
        }
    }

    fn take(
        &self,
        polled: Option<Result<Frame<Bytes>, hyper::Error>>,
        late: bool,
    ) -> Option<Result<Frame<Bytes>, Error>> {
        let Some(frame) = polled else {
            self.seen.ended.set(Some(Instant::now()));
            return None;
        };
        let Ok(frame) = frame else { return Some(Err(Error::ClientGone)) };
        if late {
            return Some(Err(Error::ClientTimeout("request body")));
        }
        let octets = frame.data_ref().map_or(0, |data| data.len() as u64);
        let octets = self.seen.octets.get() + octets;
        self.seen.octets.set(octets);
        if self.terms.most.is_some_and(|most| octets > most) {
            return Some(Err(Error::RequestTooLarge));
        }
        if self.body.is_end_stream() {
            self.seen.ended.set(Some(Instant::now()));
        }
        Some(Ok(frame))
    }
}
