//! One direction of a splice: from a source to a sink, with half-close and backpressure.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead as _, AsyncWrite as _, ReadBuf};

use super::pipe::{self, Pipe};
use crate::stream::{SCRATCH, Stream, with_scratch};

/// Most bytes one direction moves before others have their turn.
pub(super) const FAIR_SHARE: u64 = 256 * 1024;

/// What one direction keeps: nothing, while both sides keep up.
#[derive(Debug)]
pub(super) struct Direction {
    state: State,
    /// Read and not taken by the sink.
    unsent: Option<Box<Unsent>>,
    /// Bytes are inside, or about to be; given back as soon as it is empty.
    pipe: Option<Pipe>,
    /// Whether the source filled the scratch buffer and both sides are plain: worth a pipe.
    may_pipe: bool,
    unflushed: bool,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    Open,
    /// The source has ended; the sink shall know when all is sent.
    Closing,
    Closed,
}

#[derive(Debug)]
struct Unsent {
    bytes: Vec<u8>,
    sent: usize,
}

/// What one turn did.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Progress {
    /// Bytes taken from the source.
    pub bytes: u64,
    /// The source has ended, now or before.
    pub ended: bool,
}

/// A side failed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Broken {
    /// The source rather than the sink.
    pub reading: bool,
    pub kind: io::ErrorKind,
}

impl Direction {
    pub(super) fn new(first: &[u8], may_pipe: bool) -> Self {
        let mut direction = Self { state: State::Open, unsent: None, pipe: None, may_pipe, unflushed: false };
        direction.append(first);
        direction
    }

    /// Sends bytes that the source did not send.
    pub(super) fn append(&mut self, bytes: &[u8]) {
        if !bytes.is_empty() {
            let unsent = self.unsent.get_or_insert_with(|| Box::new(Unsent { bytes: Vec::new(), sent: 0 }));
            unsent.bytes.extend_from_slice(bytes);
        }
    }

    /// Every byte is to be seen.
    pub(super) fn never_pipe(&mut self) {
        self.may_pipe = false;
    }

    pub(super) fn close_when_sent(&mut self) {
        if self.state == State::Open {
            self.state = State::Closing;
        }
    }

    pub(super) fn is_closed(&self) -> bool {
        self.state == State::Closed
    }

    pub(super) fn is_empty(&self) -> bool {
        self.unsent.is_none() && self.pipe.is_none() && !self.unflushed
    }

    /// Moves what can be moved now; wakes for more when either side is ready. `seen` is shown what passes, unless it
    /// passes by splice(2): then it is shown nothing, an empty slice.
    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        source: &mut Stream,
        sink: &mut Stream,
        mut seen: impl FnMut(&[u8]),
    ) -> Result<Progress, Broken> {
        let mut progress = Progress { bytes: 0, ended: self.state != State::Open };
        let writing = |error: io::Error| Broken { reading: false, kind: error.kind() };
        while self.poll_unsent(cx, sink).map_err(writing)?.is_ready() {
            if self.state != State::Open {
                break;
            }
            if progress.bytes >= FAIR_SHARE {
                cx.waker().wake_by_ref();
                break;
            }
            let read = match &mut self.pipe {
                Some(pipe) => pipe::poll_read(pipe, cx, source).map(|read| read.inspect(|_| seen(&[]))),
                None => self.poll_read(cx, source, sink, &mut seen),
            };
            match read {
                Poll::Pending => break,
                Poll::Ready(Err(broken)) => return Err(broken),
                Poll::Ready(Ok(0)) => {
                    self.state = State::Closing;
                    progress.ended = true;
                }
                Poll::Ready(Ok(count)) => progress.bytes += count as u64,
            }
        }
        let done = |pipe: &mut Pipe| pipe.is_idle() || (pipe.is_empty() && self.state != State::Open);
        if let Some(pipe) = self.pipe.take_if(done) {
            pipe::give_back(pipe);
        }
        self.poll_end(cx, sink).map_err(writing)?;
        Ok(progress)
    }

    /// Sends what was appended, and no more.
    pub(super) fn poll_send(&mut self, cx: &mut Context<'_>, sink: &mut Stream) -> io::Result<()> {
        let _ = self.poll_unsent(cx, sink)?;
        self.poll_end(cx, sink)
    }

    /// Reads into the scratch buffer and writes from it; keeps what the sink does not take.
    fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        source: &mut Stream,
        sink: &mut Stream,
        seen: &mut impl FnMut(&[u8]),
    ) -> Poll<Result<usize, Broken>> {
        with_scratch(|scratch| {
            let mut read = ReadBuf::new(scratch);
            if let Err(error) = std::task::ready!(Pin::new(source).poll_read(cx, &mut read)) {
                return Poll::Ready(Err(Broken { reading: true, kind: error.kind() }));
            }
            let bytes = read.filled();
            seen(bytes);
            let mut sent = 0;
            while sent < bytes.len() {
                match Pin::new(&mut *sink).poll_write(cx, &bytes[sent..]) {
                    Poll::Ready(Ok(count)) if count > 0 => sent += count,
                    Poll::Ready(Ok(_)) => {
                        return Poll::Ready(Err(Broken { reading: false, kind: io::ErrorKind::WriteZero }));
                    }
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(Broken { reading: false, kind: error.kind() })),
                    Poll::Pending => break,
                }
            }
            self.unflushed |= sent > 0;
            self.append(&bytes[sent..]);
            if self.may_pipe && bytes.len() == SCRATCH {
                // None left, or none to be had: copying does the same for more work.
                self.pipe = pipe::take();
            }
            Poll::Ready(Ok(bytes.len()))
        })
    }

    /// Ready when nothing waits to be sent.
    fn poll_unsent(&mut self, cx: &mut Context<'_>, sink: &mut Stream) -> io::Result<Poll<()>> {
        while let Some(unsent) = &mut self.unsent {
            let Poll::Ready(written) = Pin::new(&mut *sink).poll_write(cx, &unsent.bytes[unsent.sent..]) else {
                return Ok(Poll::Pending);
            };
            let count = written?;
            if count == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            unsent.sent += count;
            self.unflushed = true;
            if unsent.sent == unsent.bytes.len() {
                self.unsent = None;
            }
        }
        match &mut self.pipe {
            Some(pipe) => pipe::poll_write(pipe, cx, sink),
            None => Ok(Poll::Ready(())),
        }
    }

    /// Flushes, and closes the sink's half after the source has ended.
    fn poll_end(&mut self, cx: &mut Context<'_>, sink: &mut Stream) -> io::Result<()> {
        if self.unflushed && Pin::new(&mut *sink).poll_flush(cx)?.is_ready() {
            self.unflushed = false;
        }
        if self.state == State::Closing && self.is_empty() && Pin::new(sink).poll_shutdown(cx)?.is_ready() {
            self.state = State::Closed;
        }
        Ok(())
    }
}
