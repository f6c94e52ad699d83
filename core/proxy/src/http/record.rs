//! One JSON line a request, whatever became of it: it is written when the request is dropped, if not before.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::SystemTime;

use http::header::HeaderValue;
use http::request::Parts;
use http::{Method, StatusCode, Version};
use tokio::time::Instant;
use zproxy_protocol::http::Way;

use super::connection::Connection;
use super::upload::Seen;
use crate::Error;
use crate::metrics::RequestLabels;
use crate::record::{Line, millis};

/// Octets of a path that are told, and of a method: longer ones are nobody's.
const LONGEST_PATH: usize = 1024;
const LONGEST_METHOD: usize = 32;

/// What a request leaves.
pub(super) struct RequestRecord {
    connection: Rc<Connection>,
    began: SystemTime,
    clock: Instant,
    id: HeaderValue,
    method: Method,
    path: Box<str>,
    version: Version,
    host: Option<String>,
    client: std::net::IpAddr,
    account: Option<Arc<str>>,
    backend: Option<Arc<str>>,
    way: Way,
    status: Option<StatusCode>,
    error: Option<Error>,
    upload: Option<Rc<Seen>>,
    from_backend: Cell<u64>,
    /// When the route was known, when a backend was asked, when it began to answer.
    routed: Option<Instant>,
    asked: Option<Instant>,
    answered: Option<Instant>,
    /// Whether the answer has come to its end.
    whole: bool,
}

impl RequestRecord {
    pub(super) fn begin(connection: Rc<Connection>, head: &Parts, id: HeaderValue) -> Self {
        connection.pulse.enter();
        Self {
            began: SystemTime::now(),
            clock: Instant::now(),
            id,
            method: head.method.clone(),
            path: cut(head.uri.path(), LONGEST_PATH).into(),
            version: head.version,
            host: None,
            client: connection.ends.client.ip(),
            connection,
            account: None,
            backend: None,
            way: Way::None,
            status: None,
            error: None,
            upload: None,
            from_backend: Cell::new(0),
            routed: None,
            asked: None,
            answered: None,
            whole: false,
        }
    }

    /// The host it is for, and who asks.
    pub(super) fn host(&mut self, host: Option<String>, client: std::net::IpAddr) {
        self.host = host;
        self.client = client;
    }

    /// How its user was recognised.
    pub(super) fn way(&mut self, way: Way) {
        self.way = way;
    }

    /// Whose it is.
    pub(super) fn account(&mut self, account: &Arc<str>) {
        self.account = Some(Arc::clone(account));
    }

    /// It is known where it goes.
    pub(super) fn routed(&mut self) {
        self.routed = Some(Instant::now());
    }

    /// A backend is tried.
    pub(super) fn backend(&mut self, backend: &Arc<str>) {
        self.backend = Some(Arc::clone(backend));
    }

    /// A backend has a connection and is asked.
    pub(super) fn asked(&mut self) {
        self.asked = Some(Instant::now());
    }

    /// What comes of its body.
    pub(super) fn upload(&mut self, seen: &Rc<Seen>) {
        self.upload = Some(Rc::clone(seen));
    }

    /// An answer begins.
    pub(super) fn answered(&mut self, status: StatusCode) {
        self.status = Some(status);
        self.answered = Some(Instant::now());
    }

    /// More of the answer.
    pub(super) fn brought(&self, octets: u64) {
        self.from_backend.set(self.from_backend.get() + octets);
    }

    /// Octets both ways of what it became.
    pub(super) fn exchanged(&mut self, from_client: u64, from_backend: u64) {
        let seen = Seen::default();
        seen.octets.set(from_client);
        self.upload = Some(Rc::new(seen));
        self.from_backend.set(from_backend);
    }

    /// Why it is not answered as it should be.
    pub(super) fn failed(&mut self, error: Error) {
        self.error.get_or_insert(error);
    }

    /// The request's id.
    pub(super) fn id(&self) -> &str {
        self.id.to_str().unwrap_or_default()
    }

    /// Whose it is, where that is known.
    pub(super) fn whose(&self) -> Option<Arc<str>> {
        self.account.clone()
    }

    /// The answer has come to its end.
    pub(super) fn whole(&mut self) {
        self.whole = true;
    }

    fn line(&self) -> Vec<u8> {
        let connection = &self.connection;
        let mut line = Line::begin("request", self.began);
        line.put("id", self.id());
        line.put("session", connection.id.as_ref());
        line.put("listener", connection.listening.listener.name.as_ref());
        line.put("client", &self.client);
        line.put_known("tls", connection.tls.as_ref().map(|tls| tls.version));
        line.put("http", version(self.version));
        line.put("method", cut(self.method.as_str(), LONGEST_METHOD));
        line.put_known("host", self.host.as_deref());
        line.put("path", self.path.as_ref());
        line.put_known("status", self.status.map(|status| status.as_u16()));
        line.put("recognised", self.way.word());
        line.put_known("account", self.account.as_deref());
        line.put_known("backend", self.backend.as_deref());
        if let Some(error) = &self.error {
            line.put("by", error.ended_by().name());
            line.put("error", &error.to_string());
        }
        line.put("from_client", &self.upload.as_ref().map_or(0, |seen| seen.octets.get()));
        line.put("from_backend", &self.from_backend.get());
        let millis = |from: Instant, to: Option<Instant>| to.map(|to| millis(to.saturating_duration_since(from)));
        let (routed, asked) = (self.routed, self.asked);
        line.put_known("route_ms", millis(self.clock, routed));
        line.put_known("connect_ms", routed.and_then(|routed| millis(routed, asked)));
        line.put_known("response_ms", asked.and_then(|asked| millis(asked, self.answered)));
        line.put_known("total_ms", millis(self.clock, Some(Instant::now())));
        line.end()
    }
}

impl Drop for RequestRecord {
    fn drop(&mut self) {
        if !self.whole {
            self.failed(Error::ClientGone);
        }
        // Its body may have told first.
        if matches!(self.error, Some(Error::ClientGone)) {
            self.connection.broken_off();
        }
        let outcome = match self.status {
            None => "none",
            Some(status) if status.is_server_error() => "5xx",
            Some(status) if status.is_client_error() => "4xx",
            Some(status) if status.is_redirection() => "3xx",
            Some(_) => "2xx",
        };
        let shared = &self.connection.shared;
        shared.metrics.requests.get_or_create(&RequestLabels { outcome, recognised: self.way.word() }).inc();
        shared.records.put(self.line());
        self.connection.pulse.leave();
    }
}

fn cut(text: &str, most: usize) -> &str {
    &text[..text.floor_char_boundary(most)]
}

fn version(version: Version) -> &'static str {
    match version {
        Version::HTTP_10 => "1.0",
        Version::HTTP_2 => "2",
        _ => "1.1",
    }
}
