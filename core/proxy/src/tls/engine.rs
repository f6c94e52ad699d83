//! rustls without buffers, of either role: octets in, octets out, until nothing more can be done.

use std::io;

use rustls::CommonState;
use rustls::client::{ClientConnectionData, UnbufferedClientConnection};
use rustls::server::{ServerConnectionData, UnbufferedServerConnection};
use rustls::unbuffered::{ConnectionState, EncodeError, EncodeTlsData, UnbufferedStatus, WriteTraffic};

/// rustls' half of it.
pub(super) enum Role {
    Client(Box<UnbufferedClientConnection>),
    Server(Box<UnbufferedServerConnection>),
}

/// Octets that wait.
#[derive(Default)]
pub(super) struct Kept {
    pub(super) octets: Vec<u8>,
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
pub(super) struct Sinks<'a> {
    pub(super) plain: &'a mut dyn FnMut(&[u8]),
    pub(super) unsent: &'a mut Vec<u8>,
}

impl Kept {
    pub(super) fn is_empty(&self) -> bool {
        self.octets.is_empty()
    }

    pub(super) fn rest(&self) -> &[u8] {
        &self.octets[self.from..]
    }

    pub(super) fn add(&mut self, octets: &[u8]) {
        self.octets.extend_from_slice(octets);
    }

    /// Lets go of what was taken, and of the memory when that was all.
    pub(super) fn take(&mut self, count: usize) {
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

    fn has_to_say(&self) -> bool;
}

impl Process for UnbufferedClientConnection {
    type Data = ClientConnectionData;

    fn process<'c, 'i>(&'c mut self, octets: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, Self::Data> {
        self.process_tls_records(octets)
    }

    fn has_to_say(&self) -> bool {
        self.wants_write()
    }
}

impl Process for UnbufferedServerConnection {
    type Data = ServerConnectionData;

    fn process<'c, 'i>(&'c mut self, octets: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, Self::Data> {
        self.process_tls_records(octets)
    }

    fn has_to_say(&self) -> bool {
        self.wants_write()
    }
}

/// Processes all whole records; returns how many octets they were. After an error no more may be processed: rustls
/// would judge the same record again.
fn process(
    connection: &mut impl Process,
    octets: &mut [u8],
    sinks: &mut Sinks<'_>,
) -> (usize, Result<Phase, rustls::Error>) {
    let mut at = 0;
    loop {
        let (discard, phase) = step(connection, &mut octets[at..], sinks);
        at += discard;
        match phase {
            Ok(None) => {}
            Ok(Some(phase)) => return (at, Ok(phase)),
            Err(error) => {
                say_why(connection, &mut octets[at..], sinks.unsent);
                return (at, Err(error));
            }
        }
    }
}

/// Does the next thing; returns also a phase, when nothing more can be done.
fn step(
    connection: &mut impl Process,
    octets: &mut [u8],
    sinks: &mut Sinks<'_>,
) -> (usize, Result<Option<Phase>, rustls::Error>) {
    let UnbufferedStatus { mut discard, state, .. } = connection.process(octets);
    let phase = match state {
        Err(error) => Err(error),
        Ok(ConnectionState::ReadTraffic(mut traffic)) => {
            let mut failed = Ok(None);
            while let Some(record) = traffic.next_record() {
                match record {
                    Ok(record) => {
                        discard += record.discard;
                        (sinks.plain)(record.payload);
                    }
                    Err(error) => failed = Err(error),
                }
            }
            failed
        }
        Ok(ConnectionState::EncodeTlsData(record)) => {
            encode(record, sinks.unsent);
            Ok(None)
        }
        Ok(ConnectionState::TransmitTlsData(transmit)) => {
            transmit.done();
            Ok(None)
        }
        Ok(ConnectionState::BlockedHandshake) => Ok(Some(Phase::Handshake)),
        Ok(ConnectionState::WriteTraffic(_)) => Ok(Some(Phase::Open)),
        Ok(ConnectionState::PeerClosed | ConnectionState::Closed) => Ok(Some(Phase::Closed)),
        // Early data is off.
        Ok(_) => Err(rustls::Error::HandshakeNotComplete),
    };
    (discard, phase)
}

/// The alert that tells the other side what was wrong, and what rustls had to say before.
fn say_why(connection: &mut impl Process, octets: &mut [u8], unsent: &mut Vec<u8>) {
    while connection.has_to_say() {
        let Ok(ConnectionState::EncodeTlsData(record)) = connection.process(octets).state else { return };
        encode(record, unsent);
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
pub(super) struct Tail<'a> {
    pub(super) received: &'a mut Vec<u8>,
    pub(super) unsent: &'a mut Vec<u8>,
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

/// As [`failure`](super::failure) reads it.
pub(super) fn broken(error: rustls::Error) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

impl Role {
    pub(super) fn process(
        &mut self,
        octets: &mut [u8],
        sinks: &mut Sinks<'_>,
    ) -> (usize, Result<Phase, rustls::Error>) {
        match self {
            Self::Client(connection) => process(&mut **connection, octets, sinks),
            Self::Server(connection) => process(&mut **connection, octets, sinks),
        }
    }

    pub(super) fn encrypt(&mut self, plain: &[u8], tail: Tail<'_>, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Client(connection) => encrypt(&mut **connection, plain, tail, buffer),
            Self::Server(connection) => encrypt(&mut **connection, plain, tail, buffer),
        }
    }

    pub(super) fn say_goodbye(&mut self, tail: Tail<'_>, buffer: &mut [u8]) -> io::Result<usize> {
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
