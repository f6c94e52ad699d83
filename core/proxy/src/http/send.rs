//! Asks a backend: by a connection that is kept or by a new one, and where it could not even be asked, the next one.

use std::error::Error as _;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use http::header::{CONTENT_LENGTH, HeaderMap, TRANSFER_ENCODING};
use http::request::Parts;
use http::{Method, Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::time::{Instant, sleep_until};

use super::answer::{Serves, Used};
use super::connection::Connection;
use super::kept::{self, Line};
use super::paced::Paced;
use super::record::RequestRecord;
use super::upload::{Seen, Upload};
use crate::Error;
use crate::dial::{self, Target, Terms};
use crate::pool::{Candidate, Forward};

/// Members of a group that one request tries: enough to step over two that just died.
const MOST_CANDIDATES: usize = 3;

/// A request for a backend.
pub(super) struct Call<'a> {
    pub(super) connection: &'a Rc<Connection>,
    pub(super) head: Parts,
    pub(super) body: Upload,
    pub(super) seen: Rc<Seen>,
    /// From the end of the request to the head of the answer.
    pub(super) patience: Duration,
}

/// How far a request came.
enum Sent {
    Answered(Response<Incoming>),
    /// Nothing of it has left, or nothing that matters.
    Unsent(Request<Upload>, Error),
    Failed(Error),
}

impl Call<'_> {
    /// Asks the first of the candidates that takes it.
    ///
    /// # Errors
    /// Why none has, or what became of the one that was asked.
    pub(super) async fn send(
        self,
        candidates: &[Candidate],
        record: &mut RequestRecord,
    ) -> Result<(Response<Incoming>, Used), Error> {
        let Self { connection, head, body, seen, patience } = self;
        let pools = &connection.shared.pools;
        let mut request = Request::from_parts(head, body);
        let mut last = None;
        for candidate in candidates.iter().take(MOST_CANDIDATES) {
            let Some(lease) = pools.take(candidate) else {
                last =
                    Some(Error::BackendDown { home: (*candidate.backend.name).into(), reason: "max_sessions reached" });
                continue;
            };
            record.backend(&candidate.backend.name);
            let mut may_be_stale = true;
            loop {
                let (mut line, kept) = match open(connection, candidate, may_be_stale).await {
                    Ok(opened) => opened,
                    Err(error) => {
                        pools.failed(candidate, &error);
                        last = Some(error);
                        break;
                    }
                };
                may_be_stale = false;
                record.asked();
                match ask(&mut line, request, &seen, kept.is_some(), patience).await {
                    Sent::Answered(response) => {
                        pools.succeeded(candidate);
                        let is_clients = kept == Some(Kept::Bound) || says_who(candidate);
                        let serves = if is_clients { Serves::Client } else { Serves::Anybody };
                        let candidate = candidate.clone();
                        let used = Used { line, candidate, connection: Rc::clone(connection), serves, lease };
                        return Ok((response, used));
                    }
                    Sent::Failed(error) => return Err(error),
                    Sent::Unsent(unsent, error) => {
                        request = unsent;
                        if kept.is_some() {
                            // The backend has closed what was kept; that says nothing of it.
                            continue;
                        }
                        pools.failed(candidate, &error);
                        last = Some(error);
                        break;
                    }
                }
            }
        }
        Err(last.unwrap_or(Error::BackendDown { home: "".into(), reason: "no candidate" }))
    }
}

/// Where a connection comes from.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Kept {
    Bound,
    Shared,
}

/// Whether a connection says in its first octets whose it is.
fn says_who(candidate: &Candidate) -> bool {
    matches!(candidate.endpoint.forward, Forward::ProxyV1 | Forward::ProxyV2)
}

/// A connection to a backend: one of this client's, one that is kept for anybody, or a new one.
async fn open(
    connection: &Connection,
    candidate: &Candidate,
    may_be_stale: bool,
) -> Result<(Line, Option<Kept>), Error> {
    if may_be_stale {
        if let Some(line) = connection.bound.borrow_mut().take(candidate) {
            return Ok((line, Some(Kept::Bound)));
        }
        if !says_who(candidate)
            && let Some(line) = kept::take(candidate)
        {
            return Ok((line, Some(Kept::Shared)));
        }
    }
    let timeouts = &connection.setup.config.timeouts;
    let target = Target { address: candidate.address, host: &candidate.backend.host, endpoint: &candidate.endpoint };
    let terms = Terms { trust: &connection.setup.trust, timeout: timeouts.connect, tcp_user: timeouts.tcp_user };
    let ends = (connection.ends.client, connection.ends.local);
    // Kept apart: most requests find a connection, and would have room for a handshake.
    let stream = Box::pin(dial::open(target, terms, Some(ends))).await?;
    if connection.shared.leads_back(stream.tcp()) {
        return Err(Error::BackendIsUs(candidate.address));
    }
    let io = TokioIo::new(Paced::new(stream, timeouts.http.stall, None));
    let mut builder = http1::Builder::new();
    builder.max_buf_size(ANSWER_BUFFER).max_header_size(ANSWER_HEAD);
    let (line, driving) = builder.handshake(io).await.map_err(|error| fault(&error, "connect"))?;
    let driving = driving.with_upgrades();
    tokio::task::spawn_local(async move {
        // What goes wrong is told to whoever asks by it.
        let _ = driving.await;
    });
    Ok((line, None))
}

/// Asks by one connection.
async fn ask(line: &mut Line, request: Request<Upload>, seen: &Seen, kept: bool, patience: Duration) -> Sent {
    // What has no body and changes nothing may be asked again where a kept connection broke: the backend closed it
    // as we asked (RFC 9112, section 9.3.1).
    let again = (kept && request.body().is_empty() && is_idempotent(request.method())).then(|| copy(&request));
    let asking = line.try_send_request(request);
    let asked = tokio::select! {
        asked = asking => asked,
        () = silence(seen, patience) => return Sent::Failed(Error::BackendTimeout("response")),
    };
    let error = match asked {
        // RFC 9112, section 6.3: somebody tries to split an answer. What hyper takes for its end, clients may not.
        Ok(response) if says_two_lengths(response.headers()) => {
            return Sent::Failed(Error::of_backend("answer", zproxy_protocol::Error::BackendProtocol("two lengths")));
        }
        Ok(response) => return Sent::Answered(response),
        Err(error) => error,
    };
    if let Some(client) = seen.fault() {
        return Sent::Failed(client);
    }
    let mut error = error;
    let message = error.take_message();
    let fault = fault(&error.into_error(), "request");
    match message.or(again) {
        Some(request) => Sent::Unsent(request, fault),
        None => Sent::Failed(fault),
    }
}

fn says_two_lengths(headers: &HeaderMap) -> bool {
    headers.contains_key(TRANSFER_ENCODING) && headers.contains_key(CONTENT_LENGTH)
}

/// Ends when a backend has had a whole request for so long.
async fn silence(seen: &Seen, patience: Duration) {
    loop {
        let now = Instant::now();
        let until = seen.ended.get().map_or(now + patience, |ended| ended + patience);
        if now >= until {
            return;
        }
        sleep_until(until).await;
    }
}

fn copy(request: &Request<Upload>) -> Request<Upload> {
    let mut copy = Request::new(Upload::Whole(None));
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    copy.headers_mut().clone_from(request.headers());
    copy
}

/// RFC 9110, section 9.2.2.
fn is_idempotent(method: &Method) -> bool {
    method.is_idempotent()
}

/// What hyper says of a backend's connection.
pub(super) fn fault(error: &hyper::Error, step: &'static str) -> Error {
    if error.is_parse() || error.is_parse_too_large() {
        return Error::of_backend(step, zproxy_protocol::Error::BackendProtocol("HTTP answer"));
    }
    let mut source = error.source();
    while let Some(cause) = source {
        if let Some(io) = cause.downcast_ref::<io::Error>() {
            return match io.kind() {
                io::ErrorKind::TimedOut => Error::BackendTimeout("request"),
                kind => Error::BackendIo { step, kind },
            };
        }
        source = cause.source();
    }
    Error::BackendIo { step, kind: io::ErrorKind::UnexpectedEof }
}

/// Most of an answer that is held, and of its head: webmails set many cookies, and no more than this.
const ANSWER_BUFFER: usize = 128 * 1024;
const ANSWER_HEAD: usize = 64 * 1024;
