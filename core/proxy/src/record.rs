//! Last step: one JSON line a session, and one for each refused login before it.
//!
//! Sessions hand lines to a writer thread and never wait for it: when the disk is slower than the logins, lines are
//! lost and counted.

mod line;
mod step;
mod writer;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use serde_json::{Map, Value, json};

pub(crate) use line::{Line, millis};
pub use step::Step;
use step::Times;
pub use writer::{Writer, open};

use crate::Error;
use crate::accept::Ends;
use crate::error::EndedBy;
use crate::service::Service;
use crate::tls::{ClientCertificate, Facts};
use crate::transactions::Summary;

/// What a session leaves. It is filled in step by step.
#[derive(Debug)]
pub struct Record {
    id: Arc<str>,
    service: Service,
    listener: Arc<str>,
    /// Who connected: the client, or a balancer before it whose header was not read yet.
    client: SocketAddr,
    local: Option<SocketAddr>,
    began: SystemTime,
    clock: Instant,
    tls: Option<Box<Facts>>,
    account: Option<Arc<str>>,
    backend: Option<Arc<str>>,
    mechanism: &'static str,
    verified: Option<&'static str>,
    step: Step,
    step_began: Instant,
    times: Times,
}

impl Record {
    /// Begins with the connection.
    #[must_use]
    pub fn begin(id: Arc<str>, service: Service, listener: Arc<str>, client: SocketAddr) -> Self {
        let clock = Instant::now();
        Self {
            id,
            service,
            listener,
            client,
            local: None,
            began: SystemTime::now(),
            clock,
            tls: None,
            account: None,
            backend: None,
            mechanism: "",
            verified: None,
            step: Step::Accept,
            step_began: clock,
            times: Times::default(),
        }
    }

    /// The session's id.
    #[must_use]
    pub fn id(&self) -> &Arc<str> {
        &self.id
    }

    /// The next step begins; the one before it took until now.
    pub fn step(&mut self, step: Step) {
        let now = Instant::now();
        self.times.add(self.step, now - self.step_began);
        self.step = step;
        self.step_began = now;
    }

    /// The client and the address it connected to are known.
    pub fn ends(&mut self, ends: &Ends) {
        self.client = ends.client;
        self.local = Some(ends.local);
    }

    /// A TLS handshake is done.
    pub fn tls(&mut self, facts: Facts) {
        self.tls = Some(Box::new(facts));
    }

    /// A login begins anew.
    pub fn login(&mut self, mechanism: &'static str) {
        self.mechanism = mechanism;
        self.verified = None;
        self.account = None;
        self.backend = None;
    }

    /// The account is known.
    pub fn account(&mut self, account: &Arc<str>) {
        self.account = Some(Arc::clone(account));
    }

    /// Control has proved the client by its password or its token.
    pub fn verified(&mut self, by: &'static str) {
        self.verified = Some(by);
    }

    /// A backend is tried.
    pub fn backend(&mut self, backend: &Arc<str>) {
        self.backend = Some(Arc::clone(backend));
    }

    /// TLS facts, if a handshake was done.
    #[must_use]
    pub fn tls_facts(&self) -> Option<&Facts> {
        self.tls.as_deref()
    }

    /// The line of a refused login; the session goes on or ends after it.
    #[must_use]
    pub fn refused(&self, error: &Error) -> Vec<u8> {
        let mut line = self.line("login_refused");
        line.put("by", error.ended_by().name());
        line.put("error", &error.to_string());
        line.end()
    }

    /// The line of a session's end; bytes are from the client and from the backend since login.
    #[must_use]
    pub fn ended(mut self, by: EndedBy, error: Option<&Error>, bytes: (u64, u64)) -> Vec<u8> {
        self.step(self.step);
        let mut line = self.line("session");
        line.put("by", by.name());
        line.put("at", self.step.name());
        line.put_known("error", error.map(ToString::to_string));
        line.put("from_client", &bytes.0);
        line.put("from_backend", &bytes.1);
        let times = self.times.told().map(|(step, took)| (step.into(), took.into()));
        line.put("steps_ms", &times.collect::<Map<String, Value>>());
        line.put("total_ms", &millis(self.clock.elapsed()));
        line.end()
    }

    /// The line of a transaction; the session goes on after it.
    #[must_use]
    pub(crate) fn transaction(&self, summary: &Summary<'_>) -> Vec<u8> {
        let mut line = self.line("transaction");
        line.put("from", &summary.from);
        line.put("recipients", &summary.recipients);
        line.put("refused", &summary.refused);
        line.put("size", &summary.size);
        line.put("backends", &summary.backends.iter().map(AsRef::as_ref).collect::<Vec<&str>>());
        line.put("outcome", summary.outcome);
        line.put_known("error", summary.error.map(ToString::to_string));
        line.put("total_ms", &millis(summary.began.elapsed()));
        line.end()
    }

    fn line(&self, event: &'static str) -> Line {
        let mut line = Line::begin(event, self.began);
        line.put("id", self.id.as_ref());
        line.put("service", self.service.name());
        line.put("listener", self.listener.as_ref());
        line.put("client", &self.client);
        line.put_known("local", self.local);
        if let Some(tls) = &self.tls {
            line.put("tls", tls.version);
            line.put("cipher", &tls.cipher);
            line.put("sni", &tls.server_name.as_deref());
            line.put("alpn", &tls.alpn.as_deref());
            line.put("resumed", &tls.resumed);
            line.put("key_exchange", &tls.key_exchange);
            line.put_known("client_certificate", tls.client_certificate.as_deref().map(shown));
        }
        line.put_known("mechanism", Some(self.mechanism).filter(|mechanism| !mechanism.is_empty()));
        line.put_known("verified", self.verified);
        line.put_known("account", self.account.as_deref());
        line.put_known("backend", self.backend.as_deref());
        line
    }
}

fn shown(certificate: &ClientCertificate) -> Value {
    json!({
        "subject": certificate.subject,
        "issuer": certificate.issuer,
        "emails": certificate.emails,
        "hosts": certificate.hosts,
        "sha256": certificate.sha256,
    })
}
