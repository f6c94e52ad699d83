//! TLS that owns no buffer while nothing is under way: rustls without buffers, over a TCP connection.
//!
//! Octets are read into a buffer of the thread and decrypted there; of them a connection keeps a record that has not
//! come whole, what its reader has no room for, and what the kernel does not take.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use rustls::CommonState;
use rustls::client::{ClientConnectionData, UnbufferedClientConnection};
use rustls::server::{ServerConnectionData, UnbufferedServerConnection};
use rustls::unbuffered::{ConnectionState, EncodeError, EncodeTlsData, UnbufferedStatus, WriteTraffic};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// A buffer for records: as many as the kernel gives at once, and more than one of the longest.
const RECORDS: usize = 64 * 1024;
/// What is encrypted at once: with what TLS adds to each record it fits into the buffer.
const PLAIN: usize = 3 * 16 * 1024;

thread_local! {
    static BUFFER: RefCell<Box<[u8]>> = RefCell::new(vec![0; RECORDS].into_boxed_slice());
}

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
    ended: bool,
    closing: bool,
}

/// rustls' half of it.
pub(super) enum Role {
    Client(Box<UnbufferedClientConnection>),
    Server(Box<UnbufferedServerConnection>),
}

/// Octets that wait.
#[derive(Default)]
struct Kept {
    octets: Vec<u8>,
    from: usize,
}

/// How far a connection is when all was processed that has come.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Phase {
    /// The handshake waits for the other side.
    Handshake,
    /// Octets may go both ways.
    Open,
    /// The other side sends nothing more.
    Closed,
}

/// Where what rustls has for us goes.
struct Sinks<'a> {
    plain: &'a mut dyn FnMut(&[u8]),
    unsent: &'a mut Vec<u8>,
}

impl Kept {
    fn is_empty(&self) -> bool {
        self.octets.is_empty()
    }

    fn rest(&self) -> &[u8] {
        &self.octets[self.from..]
    }

    fn add(&mut self, octets: &[u8]) {
        self.octets.extend_from_slice(octets);
    }

    /// Lets go of what was taken, and of the memory when that was all.
    fn take(&mut self, count: usize) {
        self.from += count;
        if self.from == self.octets.len() {
            *self = Self::default();
        }
    }
}

/// What both of rustls' connections without buffers do.
trait Process {
    type Data;

    fn process<'c, 'i>(&'c mut self, octets: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, Self::Data>;
}

impl Process for UnbufferedClientConnection {
    type Data = ClientConnectionData;

    fn process<'c, 'i>(&'c mut self, octets: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, Self::Data> {
        self.process_tls_records(octets)
    }
}

impl Process for UnbufferedServerConnection {
    type Data = ServerConnectionData;

    fn process<'c, 'i>(&'c mut self, octets: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, Self::Data> {
        self.process_tls_records(octets)
    }
}

/// Processes all whole records; returns how many octets they were.
fn process(
    connection: &mut impl Process,
    octets: &mut [u8],
    sinks: &mut Sinks<'_>,
) -> (usize, Result<Phase, rustls::Error>) {
    let mut at = 0;
    loop {
        let UnbufferedStatus { discard, state, .. } = connection.process(&mut octets[at..]);
        let mut discard = discard;
        let phase = match state {
            Err(error) => return (at + discard, Err(error)),
            Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                let mut failed = None;
                while let Some(record) = traffic.next_record() {
                    match record {
                        Ok(record) => {
                            discard += record.discard;
                            (sinks.plain)(record.payload);
                        }
                        Err(error) => failed = Some(error),
                    }
                }
                match failed {
                    Some(error) => return (at + discard, Err(error)),
                    None => None,
                }
            }
            Ok(ConnectionState::EncodeTlsData(record)) => {
                encode(record, sinks.unsent);
                None
            }
            Ok(ConnectionState::TransmitTlsData(transmit)) => {
                transmit.done();
                None
            }
            Ok(ConnectionState::BlockedHandshake) => Some(Phase::Handshake),
            Ok(ConnectionState::WriteTraffic(_)) => Some(Phase::Open),
            Ok(ConnectionState::PeerClosed | ConnectionState::Closed) => Some(Phase::Closed),
            // Early data is off.
            Ok(_) => return (at + discard, Err(rustls::Error::HandshakeNotComplete)),
        };
        at += discard;
        if let Some(phase) = phase {
            return (at, Ok(phase));
        }
    }
}

fn encode<Data>(mut record: EncodeTlsData<'_, Data>, unsent: &mut Vec<u8>) {
    let from = unsent.len();
    let mut room = 0;
    loop {
        unsent.resize(from + room, 0);
        match record.encode(&mut unsent[from..]) {
            Ok(written) => return unsent.truncate(from + written),
            Err(EncodeError::InsufficientSize(short)) if short.required_size > room => room = short.required_size,
            Err(_) => return unsent.truncate(from),
        }
    }
}

/// Encrypts into a buffer. rustls counts on seeing again, in front, what it has not let go of: `received`.
fn encrypt(connection: &mut impl Process, plain: &[u8], tail: Tail<'_>, buffer: &mut [u8]) -> io::Result<usize> {
    until_writing(connection, tail, |traffic| traffic.encrypt(plain, buffer).ok())
}

/// Says that we send nothing more.
fn say_goodbye(connection: &mut impl Process, tail: Tail<'_>, buffer: &mut [u8]) -> io::Result<usize> {
    until_writing(connection, tail, |traffic| traffic.queue_close_notify(buffer).ok())
}

/// What is kept of both directions.
struct Tail<'a> {
    received: &'a mut Vec<u8>,
    unsent: &'a mut Vec<u8>,
}

fn until_writing<P: Process>(
    connection: &mut P,
    tail: Tail<'_>,
    write: impl FnOnce(&mut WriteTraffic<'_, P::Data>) -> Option<usize>,
) -> io::Result<usize> {
    let mut write = Some(write);
    loop {
        let UnbufferedStatus { discard, state, .. } = connection.process(tail.received);
        let written = match state.map_err(broken)? {
            ConnectionState::WriteTraffic(mut traffic) => {
                let written = write.take().and_then(|write| write(&mut traffic));
                Some(written.ok_or(io::ErrorKind::BrokenPipe)?)
            }
            ConnectionState::EncodeTlsData(record) => {
                encode(record, tail.unsent);
                None
            }
            ConnectionState::TransmitTlsData(transmit) => {
                transmit.done();
                None
            }
            // The other side sends nothing more, and may still read.
            ConnectionState::PeerClosed => None,
            _ => return Err(io::ErrorKind::BrokenPipe.into()),
        };
        tail.received.drain(..discard);
        if let Some(written) = written {
            return Ok(written);
        }
    }
}

/// Two octets, with what TLS 1.2 and 1.3 add at most.
const LONGEST_ALERT: usize = 128;

/// As [`failure`](super::failure) reads it.
pub(super) fn broken(error: rustls::Error) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

impl Role {
    fn process(&mut self, octets: &mut [u8], sinks: &mut Sinks<'_>) -> (usize, Result<Phase, rustls::Error>) {
        match self {
            Self::Client(connection) => process(&mut **connection, octets, sinks),
            Self::Server(connection) => process(&mut **connection, octets, sinks),
        }
    }

    fn encrypt(&mut self, plain: &[u8], tail: Tail<'_>, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Client(connection) => encrypt(&mut **connection, plain, tail, buffer),
            Self::Server(connection) => encrypt(&mut **connection, plain, tail, buffer),
        }
    }

    fn say_goodbye(&mut self, tail: Tail<'_>, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Client(connection) => say_goodbye(&mut **connection, tail, buffer),
            Self::Server(connection) => say_goodbye(&mut **connection, tail, buffer),
        }
    }

    /// What was agreed on.
    pub(super) fn agreed(&self) -> &CommonState {
        match self {
            Self::Client(connection) => connection,
            Self::Server(connection) => connection,
        }
    }
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
            let mut received = std::mem::take(&mut self.received);
            let _ = self.receive(&mut received, None);
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
                Phase::Open => return Poll::Ready(Ok(())),
                Phase::Closed => return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
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

    /// Processes octets; keeps those of a record that is not whole, and what `reader` has no room for.
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
        ready!(with_buffer(|buffer| {
            while !tls.ended && buf.filled().len() == before && tls.plain.is_empty() {
                let kept = tls.received.len();
                let mut read = ReadBuf::new(&mut buffer[kept..]);
                ready!(Pin::new(&mut tls.tcp).poll_read(cx, &mut read))?;
                let count = read.filled().len();
                // An end without a word is one like any other: what is cut short no protocol takes for whole.
                tls.ended = count == 0;
                buffer[..kept].copy_from_slice(&tls.received);
                match tls.receive(&mut buffer[..kept + count], Some(buf)) {
                    Ok(phase) => tls.ended |= phase == Phase::Closed,
                    Err(fault) if buf.filled().len() > before => tls.fault = Some(fault),
                    Err(fault) => return Poll::Ready(Err(fault)),
                }
            }
            Poll::Ready(io::Result::Ok(()))
        }))?;
        // Such as our part of an update of keys; whoever writes next would send it, but nobody may.
        let _ = tls.poll_unsent(cx)?;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Tls {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        let tls = self.get_mut();
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
