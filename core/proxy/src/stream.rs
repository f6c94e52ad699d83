//! A connection, plain or TLS, and reading from it without owning a buffer.
//!
//! Every read goes into one scratch buffer a thread; a session owns bytes only while it must keep them.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::TcpStream;
use zeroize::Zeroize as _;
use zproxy_protocol::Input;

use crate::tls::Tls;

/// Size of the scratch buffer: above it a bigger read saves nothing (measured: 16 KiB to 64 KiB a third, beyond none).
pub const SCRATCH: usize = 64 * 1024;

thread_local! {
    static BUFFER: RefCell<Box<[u8]>> = RefCell::new(vec![0; SCRATCH].into_boxed_slice());
}

/// Lends this thread's scratch buffer. Never across an await: `use_it` is not async.
pub fn with_scratch<R>(use_it: impl FnOnce(&mut [u8]) -> R) -> R {
    BUFFER.with_borrow_mut(|buffer| use_it(buffer))
}

/// A connection.
#[derive(Debug)]
pub enum Stream {
    /// In clear.
    Plain(TcpStream),
    /// TLS, of either role.
    Tls(Box<Tls>),
}

impl Stream {
    /// The TCP connection below.
    #[must_use]
    pub fn tcp(&self) -> &TcpStream {
        match self {
            Self::Plain(tcp) => tcp,
            Self::Tls(tls) => tls.tcp(),
        }
    }

    /// Reads once, appending at most `room` bytes to `input`; 0: the other side has closed.
    ///
    /// # Errors
    /// What the operating system or TLS says.
    pub async fn fill(&mut self, input: &mut Input, room: usize) -> io::Result<usize> {
        poll_fn(|cx| {
            with_scratch(|scratch| {
                let room = room.min(scratch.len());
                let mut read = ReadBuf::new(&mut scratch[..room]);
                std::task::ready!(Pin::new(&mut *self).poll_read(cx, &mut read))?;
                input.extend(read.filled());
                let count = read.filled().len();
                // It may have been a password.
                read.filled_mut().zeroize();
                Poll::Ready(Ok(count))
            })
        })
        .await
    }

    /// Writes everything, flushes and wipes what was written: it may have been a password.
    ///
    /// # Errors
    /// What the operating system or TLS says.
    pub async fn send(&mut self, out: &mut Vec<u8>) -> io::Result<()> {
        if out.is_empty() {
            return Ok(());
        }
        let written = async {
            self.write_all(out).await?;
            self.flush().await
        }
        .await;
        out.zeroize();
        written
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_read(cx, buf),
            Self::Tls(tls) => Pin::new(tls).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_write(cx, bytes),
            Self::Tls(tls) => Pin::new(tls).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_write_vectored(cx, pieces),
            Self::Tls(tls) => Pin::new(tls).poll_write_vectored(cx, pieces),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_flush(cx),
            Self::Tls(tls) => Pin::new(tls).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Self::Tls(tls) => Pin::new(tls).poll_shutdown(cx),
        }
    }
}
