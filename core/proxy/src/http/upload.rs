//! The body of a request on its way to a backend: counted, bounded, and never waited for without end.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep, sleep_until};
use zproxy_protocol::http::forward;

use crate::Error;

/// What a backend is sent behind a head.
pub(super) enum Upload {
    /// What was read already, such as a login form.
    Whole(Option<Bytes>),
    /// What still comes.
    Streamed(Box<Streamed>),
    /// What was read already, and what comes behind it.
    Both(VecDeque<Bytes>, Box<Streamed>),
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

/// A part of a body as it may go on.
pub(super) fn passable(mut frame: Frame<Bytes>) -> Frame<Bytes> {
    if let Some(trailers) = frame.trailers_mut() {
        forward::trailers(trailers);
    }
    frame
}

/// No body, all of which has come: from now on a backend has its time to answer.
pub(super) fn nothing() -> (Upload, Rc<Seen>) {
    let seen = Rc::new(Seen::default());
    seen.end();
    (Upload::Whole(None), seen)
}

impl Seen {
    /// All of it has come.
    pub(super) fn end(&self) {
        self.ended.set(Some(Instant::now()));
    }

    /// What the client did, which is why the backend got no whole request.
    pub(super) fn fault(&self) -> Option<Error> {
        self.fault.borrow().clone()
    }
}

impl Upload {
    /// A body that may be none at all.
    pub(super) fn new(body: Incoming, terms: Terms) -> (Self, Rc<Seen>) {
        if body.is_end_stream() {
            return nothing();
        }
        let seen = Rc::new(Seen::default());
        let streamed = Streamed { body, terms, begun: None, silence: None, seen: Rc::clone(&seen) };
        (Self::Streamed(Box::new(streamed)), seen)
    }

    /// Puts what was read of it before what still comes.
    pub(super) fn after<const N: usize>(self, read: [Bytes; N]) -> Self {
        match self {
            Self::Streamed(streamed) => Self::Both(read.into(), streamed),
            ended => ended,
        }
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
            Self::Both(read, streamed) => match read.pop_front() {
                Some(octets) => Poll::Ready(Some(Ok(Frame::data(octets)))),
                None => streamed.poll(cx),
            },
            Self::Streamed(streamed) => streamed.poll(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(octets) => octets.is_none(),
            Self::Streamed(streamed) => streamed.body.is_end_stream(),
            Self::Both(read, streamed) => read.is_empty() && streamed.body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(octets) => SizeHint::with_exact(octets.as_ref().map_or(0, |octets| octets.len() as u64)),
            Self::Streamed(streamed) => streamed.body.size_hint(),
            // As the head has it, or in chunks.
            Self::Both(..) => SizeHint::default(),
        }
    }
}

impl Streamed {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let polled = self.poll_client(cx);
        if let Poll::Ready(Some(Err(error))) = &polled {
            self.seen.fault.replace(Some(error.clone()));
        }
        polled
    }

    fn poll_client(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
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
            self.seen.end();
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
            self.seen.end();
        }
        Some(Ok(passable(frame)))
    }
}
