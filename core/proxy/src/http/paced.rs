//! A connection under hyper, which knows no patience: a write that nobody takes ends it. Of a client's requests it sees
//! nothing that hyper minds too little.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};
use zproxy_protocol::http::Watch;

use super::pulse::Pulse;
use crate::stream::Stream;

/// A stream whose other side must take what is written.
pub(super) struct Paced {
    stream: Stream,
    stall: Duration,
    /// Set while a write waits.
    patience: Option<Pin<Box<Sleep>>>,
    /// Told of what is read.
    pulse: Option<Arc<Pulse>>,
    /// Looks at what is read of requests.
    watch: Watch,
}

impl Paced {
    pub(super) fn new(stream: Stream, stall: Duration, pulse: Option<Arc<Pulse>>) -> Self {
        Self { stream, stall, patience: None, pulse, watch: Watch::default() }
    }

    /// The stream, for what hyper has no part in.
    pub(super) fn into_inner(self) -> Stream {
        self.stream
    }

    fn bounded<T>(&mut self, cx: &mut Context<'_>, polled: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if polled.is_ready() {
            self.patience = None;
            return polled;
        }
        let stall = self.stall;
        let patience = self.patience.get_or_insert_with(|| Box::pin(sleep(stall)));
        std::task::ready!(patience.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Paced {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let paced = self.get_mut();
        if paced.watch.is_spoilt() {
            return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
        }
        let before = buf.filled().len();
        let polled = Pin::new(&mut paced.stream).poll_read(cx, buf);
        if buf.filled().len() > before
            && let Some(pulse) = &paced.pulse
        {
            pulse.hear();
            if pulse.hears_heads() {
                paced.watch.look(&mut buf.filled_mut()[before..]);
            }
        }
        polled
    }
}

impl AsyncWrite for Paced {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let paced = self.get_mut();
        let polled = Pin::new(&mut paced.stream).poll_write(cx, bytes);
        paced.bounded(cx, polled)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let paced = self.get_mut();
        let polled = Pin::new(&mut paced.stream).poll_write_vectored(cx, pieces);
        paced.bounded(cx, polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let paced = self.get_mut();
        let polled = Pin::new(&mut paced.stream).poll_flush(cx);
        paced.bounded(cx, polled)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let paced = self.get_mut();
        let polled = Pin::new(&mut paced.stream).poll_shutdown(cx);
        paced.bounded(cx, polled)
    }
}
