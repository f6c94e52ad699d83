//! A client's connection: TLS, HTTP/1.1 or HTTP/2, and what its requests have in common.

use std::cell::RefCell;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hyper::rt::Executor;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout};

use super::exchange;
use super::kept::Line;
use super::paced::Paced;
use super::pulse::{Expired, Pulse};
use super::{taking, upload};
use crate::Error;
use crate::accept::Ends;
use crate::config::{HttpTimeouts, ListenerTls};
use crate::pool::{Candidate, Endpoint};
use crate::server::{Listening, Setup, Shared};
use crate::sessions::{Entry, Facts};
use crate::stream::Stream;
use crate::tls;
use crate::visit::{Admitted, Arrival, Places, Visit};

/// What the requests of one connection share.
pub(super) struct Connection {
    pub(super) shared: Arc<Shared>,
    /// The settings it began with; a reload does not touch it.
    pub(super) setup: Arc<Setup>,
    pub(super) listening: Arc<Listening>,
    pub(super) id: Arc<str>,
    pub(super) ends: Ends,
    /// None: it came in clear.
    pub(super) tls: Option<tls::Facts>,
    pub(super) pulse: Arc<Pulse>,
    /// Connections to backends that serve no other client.
    pub(super) bound: RefCell<Bound>,
    entry: Entry,
    requests: AtomicU64,
    /// Requests that their client broke off.
    broken_off: AtomicU64,
    flooded: Notify,
    places: RefCell<Option<Places>>,
}

/// Connections to backends on which this client is logged in, or which say in their first octets who it is.
#[derive(Default)]
pub(super) struct Bound(Vec<(SocketAddr, Arc<Endpoint>, Line)>);

impl Bound {
    /// One to a candidate.
    pub(super) fn take(&mut self, candidate: &Candidate) -> Option<Line> {
        self.0.retain(|(_, _, line)| !line.is_closed());
        let fits = |(address, endpoint, _): &(SocketAddr, Arc<Endpoint>, Line)| {
            *address == candidate.address && *endpoint == candidate.endpoint
        };
        let at = self.0.iter().position(fits)?;
        Some(self.0.swap_remove(at).2)
    }

    pub(super) fn keep(&mut self, line: Line, candidate: &Candidate) {
        if self.0.len() < MOST_BOUND {
            self.0.push((candidate.address, Arc::clone(&candidate.endpoint), line));
        }
    }
}

impl Connection {
    /// The id of the next request.
    pub(super) fn next_request(&self) -> String {
        format!("{}-{}", self.id, self.requests.fetch_add(1, Ordering::Relaxed) + 1)
    }

    /// Whether the client is a proxy that is believed who asks by it.
    pub(super) fn is_trusted(&self) -> bool {
        self.setup.config.http.trusted_proxies.contain(self.ends.client.ip())
    }

    /// Bounds of the bodies that clients send.
    pub(super) fn upload_terms(&self) -> upload::Terms {
        let config = &self.setup.config;
        let timeouts = &config.timeouts.http;
        upload::Terms { most: config.http.max_body, stall: timeouts.stall, whole: timeouts.body }
    }

    /// Counts a request that its client broke off. Whoever does little else makes us ask backends for nothing
    /// (CVE-2023-44487).
    pub(super) fn broken_off(&self) {
        let broken_off = self.broken_off.fetch_add(1, Ordering::Relaxed) + 1;
        if broken_off >= MOST_BROKEN_OFF && 2 * broken_off > self.requests.load(Ordering::Relaxed) {
            self.flooded.notify_one();
        }
    }
}

/// Serves a connection to its end.
pub(crate) async fn run(arrival: Arrival, shared: Arc<Shared>) {
    let (mut visit, tcp, peer) = Visit::begin(arrival, shared);
    match visit.admit(tcp, peer).await {
        Ok(Admitted::Client(stream, ends)) => {
            let connection = Rc::new(begin(&visit, ends));
            let ended = serve(&connection, stream).await;
            let places = visit.part(ended);
            // What it was upgraded to goes on without it.
            connection.places.replace(Some(places));
        }
        Ok(Admitted::TooMany(tcp)) => {
            turn_away(&visit, tcp).await;
            visit.part(Err(Error::TooManySessions));
        }
        Err(error) => {
            visit.part(Err(error));
        }
    }
}

/// A polite word costs nothing in clear; a handshake for it would cost what the limit is to save.
async fn turn_away(visit: &Visit, mut tcp: TcpStream) {
    const WORD: &[u8] = b"HTTP/1.1 429 Too Many Requests\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    if visit.listening.listener.tls == ListenerTls::Off {
        let _ = timeout(visit.setup.config.timeouts.handshake, tcp.write_all(WORD)).await;
    }
}

fn begin(visit: &Visit, ends: Ends) -> Connection {
    let (shared, listener) = (&visit.shared, &visit.listening.listener);
    let tls = visit.record.tls_facts().cloned();
    let facts = Facts {
        id: Arc::clone(visit.record.id()),
        account: Arc::from(""),
        backend: Arc::from(""),
        client: ends.client,
        service: listener.service,
        listener: Arc::clone(&listener.name),
        tls: tls.as_ref().map_or("", |facts| facts.version),
    };
    let is_http2 = tls.as_ref().is_some_and(|facts| facts.alpn.as_deref() == Some("h2"));
    Connection {
        entry: shared.sessions.enter(facts, shared.sessions.era()),
        shared: Arc::clone(shared),
        setup: Arc::clone(&visit.setup),
        listening: Arc::clone(&visit.listening),
        id: Arc::clone(visit.record.id()),
        ends,
        tls,
        pulse: Arc::new(Pulse::new(!is_http2)),
        bound: RefCell::default(),
        requests: AtomicU64::new(0),
        broken_off: AtomicU64::new(0),
        flooded: Notify::new(),
        places: RefCell::default(),
    }
}

/// Serves its requests, in the version that was agreed on.
async fn serve(connection: &Rc<Connection>, stream: Stream) -> Result<(), Error> {
    let timeouts = connection.setup.config.timeouts.http;
    let io = TokioIo::new(Paced::new(stream, timeouts.stall, Some(Arc::clone(&connection.pulse))));
    let service = service_fn(|request| {
        let connection = Rc::clone(connection);
        async move { Ok::<_, Infallible>(exchange::serve(connection, request).await) }
    });
    let config = &connection.setup.config.http;
    if connection.tls.as_ref().is_some_and(|facts| facts.alpn.as_deref() == Some("h2")) {
        let mut builder = http2::Builder::new(Local { stall: timeouts.stall });
        builder
            .timer(TokioTimer::new())
            .enable_connect_protocol()
            .max_concurrent_streams(config.max_streams)
            .max_header_list_size(u32::try_from(config.max_header).unwrap_or(u32::MAX))
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_send_buf_size(SEND_BUFFER)
            .keep_alive_interval(PING_EVERY)
            .keep_alive_timeout(timeouts.header);
        let serving = pin!(builder.serve_connection(io, service));
        return drive(connection, timeouts, serving, |serving| serving.graceful_shutdown()).await;
    }
    let mut builder = http1::Builder::new();
    // A client that closes has left, also where it did not say so: nobody waits for it an hour at a backend. Of fields
    // hyper takes a hundred, twice what browsers send; to be told a number costs it more.
    builder.max_header_size(config.max_header).max_buf_size(config.max_header.max(BUFFER));
    let serving = pin!(builder.serve_connection(io, service).with_upgrades());
    drive(connection, timeouts, serving, |serving| serving.graceful_shutdown()).await
}

/// Lets a connection run until it ends, is idle for too long, or is asked to end.
async fn drive<S>(
    connection: &Connection,
    timeouts: HttpTimeouts,
    mut serving: std::pin::Pin<&mut S>,
    wind_down: impl Fn(std::pin::Pin<&mut S>),
) -> Result<(), Error>
where
    S: Future<Output = hyper::Result<()>>,
{
    let idle = connection.setup.config.timeouts.idle[connection.listening.listener.service.index()];
    let live = connection.entry.live();
    let patience = tokio::select! {
        ended = serving.as_mut() => return of_client(ended),
        expired = connection.pulse.expired(idle, timeouts.header) => match expired {
            Expired::Head => return Err(Error::ClientTimeout("request head")),
            Expired::Idle => GOING_AWAY,
        },
        ending = live.ending() => ending.patience,
        () = connection.flooded.notified() => return Err(Error::ResetFlood),
    };
    wind_down(serving.as_mut());
    let until = Instant::now() + patience;
    tokio::select! {
        ended = serving.as_mut() => of_client(ended),
        () = sleep(until.saturating_duration_since(Instant::now())) => Ok(()),
    }
}

/// What hyper says of a connection's end: whatever is wrong was the client's doing, for backends' faults are answers.
fn of_client(ended: hyper::Result<()>) -> Result<(), Error> {
    let Err(error) = ended else { return Ok(()) };
    let mut source: Option<&dyn std::error::Error> = std::error::Error::source(&error);
    while let Some(cause) = source {
        if let Some(io) = cause.downcast_ref::<std::io::Error>() {
            return match io.kind() {
                std::io::ErrorKind::TimedOut => Err(Error::ClientTimeout("reading our answer")),
                // Between requests that is how clients leave, and within one its record tells of it.
                std::io::ErrorKind::ConnectionReset | std::io::ErrorKind::BrokenPipe => Ok(()),
                kind => Err(Error::ClientIo(kind)),
            };
        }
        source = cause.source();
    }
    if error.is_incomplete_message() || error.is_canceled() || error.is_body_write_aborted() || error.is_user() {
        return Ok(());
    }
    Err(Error::RequestUnreadable(error.to_string().into()))
}

/// hyper's tasks, the streams, stay on the connection's thread, and wait no longer for their client than it does.
#[derive(Clone, Copy)]
struct Local {
    stall: Duration,
}

impl<F: Future<Output = ()> + 'static> Executor<F> for Local {
    fn execute(&self, task: F) {
        // In a box: the task would have room for it twice, before it runs and as it does.
        tokio::task::spawn_local(taking::run(Box::pin(task), self.stall));
    }
}

/// Most that hyper holds of a connection each way, a head or a part of a body.
const BUFFER: usize = 64 * 1024;
/// What a client may send on a stream before a backend has taken it, and on all of a connection.
const STREAM_WINDOW: u32 = 256 * 1024;
const CONNECTION_WINDOW: u32 = 1024 * 1024;
/// What is held of an answer on a stream that a client does not take.
const SEND_BUFFER: usize = 64 * 1024;
/// A client that is gone without a word is noticed by then.
const PING_EVERY: Duration = Duration::from_secs(30);
/// Requests that a client may break off: who leaves a page of many pictures a few times is no attacker.
const MOST_BROKEN_OFF: u64 = 200;
/// For a client to hear that we close, and for what it sent just before.
const GOING_AWAY: Duration = Duration::from_secs(2);
/// Connections to backends that are one client's: it is logged in at one, and maybe at a second.
const MOST_BOUND: usize = 4;
