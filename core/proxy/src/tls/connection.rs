//! TLS that owns no buffer while nothing is under way: rustls without buffers, over a TCP connection.
//!
//! Octets are read into a buffer of the thread and decrypted there; of them a connection keeps a record that has not
//! come whole, what its reader has no room for, and what the kernel does not take.

use std::cell::RefCell;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use rustls::InvalidMessage;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::engine::{Kept, Phase, Role, Sinks, Tail, broken};
use crate::stream::with_scratch;

/// A buffer for records: as many as the kernel gives at once, and more than one of the longest. No message of the
/// handshake is longer, with its records: it is kept until it is whole.
const RECORDS: usize = 64 * 1024;
/// What is encrypted at once: with what TLS adds to each record it fits into the buffer.
const PLAIN: usize = 3 * 16 * 1024;

thread_local! {
    static BUFFER: RefCell<Box<[u8]>> = RefCell::new(vec![0; RECORDS].into_boxed_slice());
}

/// Two octets, with what TLS 1.2 and 1.3 add at most.
const LONGEST_ALERT: usize = 128;

/// A TLS connection, of either role.
pub struct Tls {
    tcp: TcpStream,
    role: Role,
    /// Received, and not a whole record.
    received: Vec<u8>,
    /// Decrypted, and not taken by the reader.
    plain: Kept,
    /// Encrypted, and not taken by the kernel.
    unsent: Kept,
    /// What came behind octets that the reader was to have first.
    fault: Option<io::Error>,
    /// Nothing more is read.
    ended: bool,
    /// Nothing more is said but what waits in `unsent`.
    closing: bool,
}

impl Tls {
    /// A connection whose handshake is to be done; `received` has come already.
    pub(super) fn new(tcp: TcpStream, role: Role, received: Vec<u8>) -> Self {
        let (plain, unsent) = (Kept::default(), Kept::default());
        Self { tcp, role, received, plain, unsent, fault: None, ended: false, closing: false }
    }

    /// The TCP connection below.
    pub(crate) fn tcp(&self) -> &TcpStream {
        &self.tcp
    }

    /// rustls' half.
    pub(super) fn role(&self) -> &Role {
        &self.role
    }

    /// Leads the handshake to its end. What went wrong is told to the other side, as far as it listens.
    ///
    /// # Errors
    /// What the operating system or rustls says.
    pub(super) async fn shake_hands(&mut self) -> io::Result<()> {
        let shaken = std::future::poll_fn(|cx| self.poll_handshake(cx)).await;
        if shaken.is_err() {
            let _ = std::future::poll_fn(|cx| self.poll_unsent(cx)).await;
        }
        shaken
    }

    fn poll_handshake(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            let mut received = std::mem::take(&mut self.received);
            let phase = self.receive(&mut received, None)?;
            ready!(self.poll_unsent(cx))?;
            match phase {
                // Who asks and says goodbye at once has still asked.
                Phase::Open | Phase::Closed => return Poll::Ready(Ok(())),
                Phase::Handshake => ready!(self.poll_fill(cx))?,
            }
        }
    }

    /// Reads more behind what has been received.
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Self { tcp, received, .. } = self;
        with_buffer(|buffer| {
            let mut read = ReadBuf::new(buffer);
            ready!(Pin::new(tcp).poll_read(cx, &mut read))?;
            if read.filled().is_empty() {
                return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
            }
            received.extend_from_slice(read.filled());
            Poll::Ready(Ok(()))
        })
    }

    /// Processes octets; keeps those of a record or a message of the handshake that is not whole, and what `reader` has
    /// no room for.
    fn receive(&mut self, octets: &mut [u8], mut reader: Option<&mut ReadBuf<'_>>) -> io::Result<Phase> {
        let plain = &mut self.plain;
        let mut take = |octets: &[u8]| match &mut reader {
            Some(reader) => {
                let (fits, rest) = octets.split_at(octets.len().min(reader.remaining()));
                reader.put_slice(fits);
                plain.add(rest);
            }
            None => plain.add(octets),
        };
        let mut sinks = Sinks { plain: &mut take, unsent: &mut self.unsent.octets };
        let (processed, phase) = self.role.process(octets, &mut sinks);
        self.received = octets[processed..].to_vec();
        let phase = match phase {
            // A message of the handshake may come in as many records as its sender likes, and these may be padding.
            Ok(_) if self.received.len() >= RECORDS => Err(InvalidMessage::HandshakePayloadTooLarge.into()),
            phase => phase,
        };
        // rustls has said why, and nothing is to follow that.
        self.closing |= phase.is_err();
        self.ended |= matches!(phase, Ok(Phase::Closed) | Err(_));
        phase.map_err(broken)
    }

    /// Ready when the kernel has all that was encrypted.
    fn poll_unsent(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.unsent.is_empty() {
            let sent = ready!(Pin::new(&mut self.tcp).poll_write(cx, self.unsent.rest()))?;
            if sent == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.unsent.take(sent);
        }
        Poll::Ready(Ok(()))
    }
}

/// Lends this thread's buffer. Never across an await.
fn with_buffer<R>(use_it: impl FnOnce(&mut [u8]) -> R) -> R {
    BUFFER.with_borrow_mut(|buffer| use_it(buffer))
}

impl AsyncRead for Tls {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let tls = self.get_mut();
        if !tls.plain.is_empty() {
            let count = tls.plain.rest().len().min(buf.remaining());
            buf.put_slice(&tls.plain.rest()[..count]);
            tls.plain.take(count);
            return Poll::Ready(Ok(()));
        }
        if let Some(fault) = tls.fault.take() {
            return Poll::Ready(Err(fault));
        }
        let before = buf.filled().len();
        let read = with_buffer(|buffer| {
            while !tls.ended && buf.filled().len() == before && tls.plain.is_empty() {
                let kept = tls.received.len();
                let mut read = ReadBuf::new(&mut buffer[kept..]);
                ready!(Pin::new(&mut tls.tcp).poll_read(cx, &mut read))?;
                let count = read.filled().len();
                // An end without a word is one like any other: what is cut short no protocol takes for whole.
                tls.ended = count == 0;
                buffer[..kept].copy_from_slice(&tls.received);
                tls.fault = tls.receive(&mut buffer[..kept + count], Some(buf)).err();
            }
            Poll::Ready(io::Result::Ok(()))
        });
        // Such as an alert: whoever writes next would send it, but nobody may.
        let _ = tls.poll_unsent(cx);
        ready!(read)?;
        match tls.fault.take_if(|_| buf.filled().len() == before && tls.plain.is_empty()) {
            Some(fault) => Poll::Ready(Err(fault)),
            None => Poll::Ready(Ok(())),
        }
    }
}

impl AsyncWrite for Tls {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        let tls = self.get_mut();
        if tls.closing {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        ready!(tls.poll_unsent(cx))?;
        let plain = &octets[..octets.len().min(PLAIN)];
        with_buffer(|buffer| {
            let tail = Tail { received: &mut tls.received, unsent: &mut tls.unsent.octets };
            let written = tls.role.encrypt(plain, tail, buffer)?;
            // What rustls has to say goes first.
            let sent = match tls.poll_unsent(cx)? {
                Poll::Ready(()) => match Pin::new(&mut tls.tcp).poll_write(cx, &buffer[..written])? {
                    Poll::Ready(sent) => sent,
                    Poll::Pending => 0,
                },
                Poll::Pending => 0,
            };
            tls.unsent.add(&buffer[sent..written]);
            Poll::Ready(Ok(plain.len()))
        })
    }

    /// Several pieces share records, and go in one call of the kernel.
    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        with_scratch(|scratch| {
            let (mut count, scratch) = (0, &mut scratch[..PLAIN]);
            for piece in pieces {
                let fits = piece.len().min(scratch.len() - count);
                scratch[count..count + fits].copy_from_slice(&piece[..fits]);
                count += fits;
            }
            self.poll_write(cx, &scratch[..count])
        })
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().poll_unsent(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let tls = self.get_mut();
        if !std::mem::replace(&mut tls.closing, true) {
            let mut alert = [0; LONGEST_ALERT];
            let tail = Tail { received: &mut tls.received, unsent: &mut tls.unsent.octets };
            // Where rustls has nothing to say any more, the other side has heard it.
            let written = tls.role.say_goodbye(tail, &mut alert).unwrap_or(0);
            tls.unsent.add(&alert[..written]);
        }
        ready!(tls.poll_unsent(cx))?;
        Pin::new(&mut tls.tcp).poll_shutdown(cx)
    }
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tls").field("tcp", &self.tcp).finish_non_exhaustive()
    }
}
