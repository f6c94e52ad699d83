//! A WebSocket: two connections that have become one, and nothing of HTTP any more.

use std::cell::Cell;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::HeaderValue;
use http::request::Parts;
use http::{Response, Version};
use hyper::body::Incoming;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use zproxy_protocol::Input;
use zproxy_protocol::http::forward;

use super::answer::Used;
use super::connection::Connection;
use super::paced::Paced;
use super::record::RequestRecord;
use crate::Error;
use crate::pool::Candidate;
use crate::sessions::{Entry, Facts, Live};
use crate::splice::{Ended, Splice, Terms};
use crate::stream::Stream;

/// A client that asked for a WebSocket.
pub(super) struct Waiting {
    upgrade: OnUpgrade,
    http2: bool,
}

/// A client and a backend that agreed on one.
pub(super) struct Agreed {
    client: Waiting,
    backend: OnUpgrade,
    used: Used,
}

impl Waiting {
    /// What becomes of a connection, or of a stream, that asks for a WebSocket.
    pub(super) fn take(head: &mut Parts) -> Option<Self> {
        let upgrade = head.extensions.remove::<OnUpgrade>()?;
        Some(Self { upgrade, http2: head.version >= Version::HTTP_2 })
    }

    /// A backend has said 101.
    pub(super) fn agree(self, mut response: Response<Incoming>, used: Used) -> (Response<Bytes>, Agreed) {
        let backend = hyper::upgrade::on(&mut response);
        (response.map(|_| Bytes::new()), Agreed { client: self, backend, used })
    }
}

/// What stands for the key that HTTP/2 has none of: 16 random octets (RFC 6455, section 4.1).
pub(super) fn key() -> Option<HeaderValue> {
    let mut octets = [0; 16];
    aws_lc_rs::rand::fill(&mut octets).ok()?;
    HeaderValue::try_from(STANDARD.encode(octets)).ok()
}

impl Agreed {
    /// With whom.
    pub(super) fn candidate(&self) -> &Candidate {
        &self.used.candidate
    }

    /// Makes the 101 an answer of the client's protocol.
    pub(super) fn accept(&self, response: Response<Bytes>) -> Response<Bytes> {
        let (mut head, body) = response.into_parts();
        forward::accept(&mut head, self.client.http2);
        Response::from_parts(head, body)
    }

    /// Moves octets in a task of its own, which outlives the connection as HTTP knew it.
    pub(super) fn go_on(self, connection: Rc<Connection>, record: RequestRecord) {
        connection.pulse.upgrade();
        tokio::task::spawn_local(self.run(connection, record));
    }

    async fn run(self, connection: Rc<Connection>, mut record: RequestRecord) {
        let Self { client, backend, used } = self;
        let timeouts = &connection.setup.config.timeouts;
        let both = async { Some((client.upgrade.await.ok()?, backend.await.ok()?)) };
        let Ok(Some((client, backend))) = timeout(timeouts.handshake, both).await else { return };
        let era = connection.shared.sessions.era();
        let entry = enter(&connection, &record, &used, era);
        let Ended { by: _, error } = join(client, backend, entry.live(), timeouts.http.long_poll).await;
        let (from_client, from_backend) = entry.live().bytes();
        record.exchanged(from_client, from_backend);
        if let Some(error) = error {
            record.failed(error);
        }
        record.whole();
        drop(used);
    }
}

/// It is listed as a session of its account, so that who kicks or drains finds it.
fn enter(connection: &Connection, record: &RequestRecord, used: &Used, era: u64) -> Entry {
    let facts = Facts {
        id: record.id().into(),
        account: record.whose().unwrap_or_default(),
        backend: Arc::clone(&used.candidate.backend.name),
        client: connection.ends.client,
        service: connection.listening.listener.service,
        listener: Arc::clone(&connection.listening.listener.name),
        tls: connection.tls.as_ref().map_or("", |facts| facts.version),
    };
    connection.shared.sessions.enter(facts, era)
}

/// As mail is spliced, where both are connections of their own; a stream of HTTP/2 is copied.
async fn join(client: Upgraded, backend: Upgraded, live: &Live, idle: Duration) -> Ended {
    match (bare(client), bare(backend)) {
        (Ok(client), Ok(backend)) => {
            let terms = Terms { protocol: None, idle };
            Splice::new(client, backend).run(live, &terms).await
        }
        (client, backend) => copy_both(copyable(client), copyable(backend), live, idle).await,
    }
}

/// The connection under HTTP, and what was read of it already.
fn bare(upgraded: Upgraded) -> Result<(Stream, Input), Upgraded> {
    let parts = upgraded.downcast::<TokioIo<Paced>>()?;
    let mut input = Input::new();
    input.extend(&parts.read_buf);
    Ok((parts.io.into_inner().into_inner(), input))
}

/// Either half of a pair that is not spliced.
trait Copyable: AsyncRead + AsyncWrite + Unpin {}
impl<T: AsyncRead + AsyncWrite + Unpin> Copyable for T {}

fn copyable(half: Result<(Stream, Input), Upgraded>) -> Box<dyn Copyable> {
    match half {
        Ok((stream, input)) => {
            let (reading, writing) = tokio::io::split(stream);
            let read = io::Cursor::new(input.bytes().to_vec());
            Box::new(tokio::io::join(read.chain(reading), writing))
        }
        Err(upgraded) => Box::new(TokioIo::new(upgraded)),
    }
}

/// Octets of a WebSocket that are held each way.
const ROOM: usize = 8 * 1024;
/// How long the one side is waited for when the other has closed: both say goodbye in frames before.
const LEFT: Duration = Duration::from_secs(5);

async fn copy_both(client: Box<dyn Copyable>, backend: Box<dyn Copyable>, live: &Live, idle: Duration) -> Ended {
    let (client_reads, client_writes) = tokio::io::split(client);
    let (backend_reads, backend_writes) = tokio::io::split(backend);
    let moved = Cell::new(Instant::now());
    let up = copy(client_reads, backend_writes, &live.from_client, &moved);
    let down = copy(backend_reads, client_writes, &live.from_backend, &moved);
    let both = async {
        let (mut up, mut down) = (std::pin::pin!(up), std::pin::pin!(down));
        tokio::select! {
            _ = up.as_mut() => { let _ = timeout(LEFT, down).await; crate::error::EndedBy::Client }
            _ = down.as_mut() => { let _ = timeout(LEFT, up).await; crate::error::EndedBy::Backend }
        }
    };
    let silent = async {
        while moved.get().elapsed() < idle {
            sleep_until(moved.get() + idle).await;
        }
    };
    let by_us = |error| Ended { by: crate::error::EndedBy::Proxy, error: Some(error) };
    tokio::select! {
        by = both => Ended { by, error: None },
        () = silent => by_us(Error::Idle),
        () = async { sleep(live.ending().await.patience).await } => by_us(Error::Kicked),
    }
}

async fn copy(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    count: &AtomicU64,
    moved: &Cell<Instant>,
) -> io::Result<()> {
    let mut room = vec![0; ROOM];
    loop {
        let read = from.read(&mut room).await?;
        if read == 0 {
            return to.shutdown().await;
        }
        to.write_all(&room[..read]).await?;
        to.flush().await?;
        count.fetch_add(read as u64, Ordering::Relaxed);
        moved.set(Instant::now());
    }
}
