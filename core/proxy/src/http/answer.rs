//! What a client is answered, piece by piece: our own words, or a backend's body as it comes.

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Response, Version};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep, sleep_until, timeout};

use super::connection::Connection;
use super::kept::{self, Line};
use super::record::RequestRecord;
use super::{taking, upload};
use crate::Error;
use crate::pool::{Candidate, Lease};

/// A body for a client, with the record of its request.
pub(super) struct Answer {
    content: Content,
    /// None: what the request became has it.
    record: Option<RequestRecord>,
}

enum Content {
    Own(Option<Bytes>),
    Backend(Box<Download>),
}

/// What comes from a backend.
pub(super) struct Download {
    body: Incoming,
    /// How long it may be silent.
    pause: Duration,
    silence: Option<Pin<Box<Sleep>>>,
    ended: bool,
    line: Option<Used>,
}

/// A connection to a backend that is in use.
pub(super) struct Used {
    pub(super) line: Line,
    pub(super) candidate: Candidate,
    pub(super) connection: Rc<Connection>,
    pub(super) serves: Serves,
    pub(super) lease: Lease,
}

/// Whom a connection to a backend may serve next.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Serves {
    Anybody,
    /// Whoever this client is: somebody is logged in on it, or it says in its first octets who he is.
    Client,
    /// Somebody is logged in on it, and this client is a proxy, which asks for many.
    Nobody,
}

/// Our own answer.
pub(super) fn own(response: Response<Bytes>, mut record: RequestRecord) -> Response<Answer> {
    record.answered(response.status());
    // To a HEAD nobody asks for the body.
    record.whole();
    response.map(|body| Answer { content: Content::Own((!body.is_empty()).then_some(body)), record: Some(record) })
}

/// The last word of HTTP before a request becomes something else.
pub(super) fn last(response: Response<Bytes>) -> Response<Answer> {
    response.map(|_| Answer { content: Content::Own(None), record: None })
}

/// A backend's.
pub(super) fn of_backend(
    mut response: Response<Incoming>,
    used: Used,
    pause: Duration,
    mut record: RequestRecord,
) -> Response<Answer> {
    record.answered(response.status());
    // RFC 9110, section 2.5: the version is that of who speaks, and a backend's 1.0 would end the client's connection.
    *response.version_mut() = Version::HTTP_11;
    response.map(|body| {
        let body_ended = body.is_end_stream();
        let download = Download { body, pause, silence: None, ended: body_ended, line: Some(used) };
        Answer { content: Content::Backend(Box::new(download)), record: Some(record) }
    })
}

impl Body for Answer {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let Self { content, record } = self.get_mut();
        taking::take();
        let polled = match content {
            Content::Own(words) => Poll::Ready(words.take().map(|words| Ok(Frame::data(words)))),
            Content::Backend(download) => download.poll(cx),
        };
        if let Poll::Ready(Some(Ok(_))) = &polled {
            taking::give();
        }
        let Some(record) = record else { return polled };
        match &polled {
            Poll::Ready(None) => record.whole(),
            Poll::Ready(Some(Err(error))) => record.failed(error.clone()),
            Poll::Ready(Some(Ok(frame))) => {
                if let (Content::Backend(_), Some(data)) = (&*content, frame.data_ref()) {
                    record.brought(data.len() as u64);
                }
                if content.is_end_stream() {
                    record.whole();
                }
            }
            Poll::Pending => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.content.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Own(words) => SizeHint::with_exact(words.as_ref().map_or(0, |words| words.len() as u64)),
            Content::Backend(download) => download.body.size_hint(),
        }
    }
}

impl Content {
    fn is_end_stream(&self) -> bool {
        match self {
            Self::Own(words) => words.is_none(),
            Self::Backend(download) => download.ended,
        }
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        // hyper does not ask for what it knows to be empty, nor for the body of an answer to HEAD.
        if let Some(record) = &mut self.record
            && self.content.is_end_stream()
        {
            record.whole();
        }
        if let Some(record) = self.record.as_mut().filter(|_| taking::is_left()) {
            record.failed(Error::ClientTimeout("reading our answer"));
        }
    }
}

impl Download {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        match Pin::new(&mut self.body).poll_frame(cx) {
            Poll::Pending => {
                let until = Instant::now() + self.pause;
                let silence = self.silence.get_or_insert_with(|| Box::pin(sleep_until(until)));
                std::task::ready!(silence.as_mut().poll(cx));
                Poll::Ready(Some(Err(Error::BackendTimeout("answer"))))
            }
            Poll::Ready(polled) => {
                self.silence = None;
                self.ended = polled.is_none() || self.body.is_end_stream();
                let polled = polled.map(|frame| frame.map(upload::passable));
                Poll::Ready(polled.map(|frame| frame.map_err(|error| super::send::fault(&error, "answer"))))
            }
        }
    }
}

impl Drop for Download {
    fn drop(&mut self) {
        if let Some(used) = self.line.take()
            && self.ended
        {
            used.give_back();
        }
    }
}

impl Used {
    /// Somebody logs in by the connection itself.
    pub(super) fn bind(&mut self) {
        self.serves = if self.connection.is_trusted() { Serves::Nobody } else { Serves::Client };
    }

    /// Keeps the connection for the next request, once it is ready for one.
    pub(super) fn give_back(self) {
        let Self { mut line, candidate, connection, serves, lease } = self;
        let config = &connection.setup.config.http;
        let (most, time) = (config.idle_connections, config.idle_time);
        let keep = move |line: Line| {
            match serves {
                Serves::Anybody => kept::keep(line, &candidate, most, time),
                Serves::Client => connection.bound.borrow_mut().keep(line, &candidate),
                Serves::Nobody => drop(line),
            }
            drop(lease);
        };
        if line.is_ready() {
            return keep(line);
        }
        tokio::task::spawn_local(async move {
            if timeout(SETTLING, line.ready()).await.is_ok_and(|ready| ready.is_ok()) {
                keep(line);
            }
        });
    }
}

/// For a connection to be ready again: the octets have come, hyper has only to notice.
const SETTLING: Duration = Duration::from_secs(1);
