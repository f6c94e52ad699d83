//! splice(2) through pipes that belong to the thread: a session has one only while bytes stream through it.

use std::cell::RefCell;
use std::io;
use std::os::fd::OwnedFd;
use std::task::{Context, Poll};

use rustix::pipe::{PipeFlags, SpliceFlags};
use tokio::io::Interest;

use super::direction::Broken;
use crate::stream::Stream;

/// Pipes a thread keeps for the next transfer: two descriptors each.
const KEPT: usize = 16;
/// What one pipe shall hold; a third of the work of the default 64 KiB (measured), below the limit of every kernel.
const PIPE_SIZE: usize = 256 * 1024;
/// A wake that brings less than this is no stream: reads of this size cost the same copied.
const STREAMING: usize = 16 * 1024;

thread_local! {
    static POOL: RefCell<Vec<Pipe>> = const { RefCell::new(Vec::new()) };
}

/// A pipe and how many bytes are in it.
#[derive(Debug)]
pub(super) struct Pipe {
    read: OwnedFd,
    write: OwnedFd,
    held: usize,
    streams: bool,
}

impl Pipe {
    /// Whether no byte is inside.
    pub(super) fn is_empty(&self) -> bool {
        self.held == 0
    }

    /// Whether it is empty and the last read was not worth a pipe.
    pub(super) fn is_idle(&self) -> bool {
        self.is_empty() && !self.streams
    }
}

/// An empty pipe; none: descriptors ran out.
pub(super) fn take() -> Option<Pipe> {
    let pooled = POOL.with_borrow_mut(Vec::pop);
    pooled.or_else(|| {
        let (read, write) = rustix::pipe::pipe_with(PipeFlags::NONBLOCK | PipeFlags::CLOEXEC).ok()?;
        // A smaller pipe works too.
        let _ = rustix::pipe::fcntl_setpipe_size(&write, PIPE_SIZE);
        Some(Pipe { read, write, held: 0, streams: true })
    })
}

/// Keeps an empty pipe for the next transfer; one with bytes inside is closed.
pub(super) fn give_back(mut pipe: Pipe) {
    if pipe.held == 0 {
        pipe.streams = true;
        POOL.with_borrow_mut(|pool| {
            if pool.len() < KEPT {
                pool.push(pipe);
            }
        });
    }
}

/// Fills the empty pipe from a socket; 0: the source has ended.
pub(super) fn poll_read(pipe: &mut Pipe, cx: &mut Context<'_>, source: &Stream) -> Poll<Result<usize, Broken>> {
    let tcp = source.tcp();
    loop {
        match tcp.poll_read_ready(cx) {
            Poll::Pending => {
                pipe.streams = false;
                return Poll::Pending;
            }
            Poll::Ready(Err(error)) => return Poll::Ready(Err(Broken { reading: true, kind: error.kind() })),
            Poll::Ready(Ok(())) => {}
        }
        let spliced = tcp.try_io(Interest::READABLE, || {
            let flags = SpliceFlags::MOVE | SpliceFlags::NONBLOCK;
            Ok(rustix::pipe::splice(tcp, None, &pipe.write, None, PIPE_SIZE, flags)?)
        });
        match spliced {
            // The pipe is empty, so it is the socket that has no more.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Poll::Ready(Err(Broken { reading: true, kind: error.kind() })),
            Ok(count) => {
                pipe.held = count;
                pipe.streams = count >= STREAMING;
                return Poll::Ready(Ok(count));
            }
        }
    }
}

/// Empties the pipe into a socket; ready when it is empty.
pub(super) fn poll_write(pipe: &mut Pipe, cx: &mut Context<'_>, sink: &Stream) -> io::Result<Poll<()>> {
    let tcp = sink.tcp();
    while pipe.held > 0 {
        if tcp.poll_write_ready(cx)?.is_pending() {
            return Ok(Poll::Pending);
        }
        let spliced = tcp.try_io(Interest::WRITABLE, || {
            let flags = SpliceFlags::MOVE | SpliceFlags::NONBLOCK;
            Ok(rustix::pipe::splice(&pipe.read, None, tcp, None, pipe.held, flags)?)
        });
        match spliced {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
            Ok(count) => pipe.held = pipe.held.saturating_sub(count),
        }
    }
    Ok(Poll::Ready(()))
}
