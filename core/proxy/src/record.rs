//! Last step: one JSON line a session, and one for each refused login before it.
//!
//! Sessions hand lines to a writer thread and never wait for it: when the disk is slower than the logins, lines are
//! lost and counted.

mod writer;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value, json};

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
    id: String,
    service: Service,
    listener: Arc<str>,
    /// Who connected: the client, or a balancer before it whose header was not read yet.
    peer: SocketAddr,
    began: SystemTime,
    clock: Instant,
    ends: Option<Ends>,
    tls: Option<Facts>,
    account: Option<Arc<str>>,
    backend: Option<Arc<str>>,
    mechanism: &'static str,
    verified: Option<&'static str>,
    step: &'static str,
    step_began: Instant,
    steps: Vec<(&'static str, Duration)>,
}

impl Record {
    /// Begins with the connection.
    #[must_use]
    pub fn begin(id: String, service: Service, listener: Arc<str>, peer: SocketAddr) -> Self {
        let clock = Instant::now();
        Self {
            id,
            service,
            listener,
            peer,
            began: SystemTime::now(),
            clock,
            ends: None,
            tls: None,
            account: None,
            backend: None,
            mechanism: "",
            verified: None,
            step: "accept",
            step_began: clock,
            steps: Vec::new(),
        }
    }

    /// The session's id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The next step begins; the one before it took until now.
    pub fn step(&mut self, step: &'static str) {
        let now = Instant::now();
        self.steps.push((self.step, now - self.step_began));
        self.step = step;
        self.step_began = now;
    }

    /// The client and the address it connected to are known.
    pub fn ends(&mut self, ends: Ends) {
        self.ends = Some(ends);
    }

    /// A TLS handshake is done.
    pub fn tls(&mut self, facts: Facts) {
        self.tls = Some(facts);
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
        self.tls.as_ref()
    }

    /// The line of a refused login; the session goes on or ends after it.
    #[must_use]
    pub fn refused(&self, error: &Error) -> String {
        let mut line = self.line("login_refused");
        line.insert("by".into(), error.ended_by().name().into());
        line.insert("error".into(), error.to_string().into());
        Value::Object(line).to_string()
    }

    /// The line of a session's end; bytes are from the client and from the backend since login.
    #[must_use]
    pub fn ended(mut self, by: EndedBy, error: Option<&Error>, bytes: (u64, u64)) -> String {
        let step = self.step;
        self.step("");
        let mut line = self.line("session");
        line.insert("by".into(), by.name().into());
        line.insert("at".into(), step.into());
        if let Some(error) = error {
            line.insert("error".into(), error.to_string().into());
        }
        line.insert("from_client".into(), bytes.0.into());
        line.insert("from_backend".into(), bytes.1.into());
        let mut steps = Map::new();
        for (step, took) in &self.steps {
            let before = steps.get(*step).and_then(Value::as_f64).unwrap_or(0.0);
            steps.insert((*step).into(), millis(*took, before));
        }
        line.insert("steps_ms".into(), Value::Object(steps));
        line.insert("total_ms".into(), millis(self.clock.elapsed(), 0.0));
        Value::Object(line).to_string()
    }

    /// The line of a transaction; the session goes on after it.
    #[must_use]
    pub(crate) fn transaction(&self, summary: &Summary<'_>) -> String {
        let mut line = self.line("transaction");
        line.insert("from".into(), summary.from.into());
        line.insert("recipients".into(), summary.recipients.into());
        line.insert("refused".into(), summary.refused.into());
        line.insert("size".into(), summary.size.into());
        let backends = summary.backends.iter().map(|name| Value::from(name.as_ref()));
        line.insert("backends".into(), backends.collect());
        line.insert("outcome".into(), summary.outcome.into());
        if let Some(error) = summary.error {
            line.insert("error".into(), error.to_string().into());
        }
        line.insert("total_ms".into(), millis(summary.began.elapsed(), 0.0));
        Value::Object(line).to_string()
    }

    fn line(&self, event: &'static str) -> Map<String, Value> {
        let mut line = Map::new();
        let mut put = |key: &str, value: Value| {
            line.insert(key.into(), value);
        };
        let since_epoch = self.began.duration_since(UNIX_EPOCH).unwrap_or_default();
        put("event", event.into());
        put("time", ((since_epoch.as_millis() as f64) / 1000.0).into());
        put("id", self.id.as_str().into());
        put("service", self.service.name().into());
        put("listener", self.listener.as_ref().into());
        put("client", self.ends.as_ref().map_or(self.peer, |ends| ends.client).to_string().into());
        if let Some(ends) = &self.ends {
            put("local", ends.local.to_string().into());
        }
        if let Some(tls) = &self.tls {
            put("tls", tls.version.into());
            put("cipher", tls.cipher.into());
            put("sni", tls.server_name.as_deref().into());
            put("alpn", tls.alpn.as_deref().into());
            put("resumed", tls.resumed.into());
            put("key_exchange", tls.key_exchange.into());
            if let Some(certificate) = &tls.client_certificate {
                put("client_certificate", shown(certificate));
            }
        }
        if !self.mechanism.is_empty() {
            put("mechanism", self.mechanism.into());
        }
        if let Some(by) = self.verified {
            put("verified", by.into());
        }
        if let Some(account) = &self.account {
            put("account", account.as_ref().into());
        }
        if let Some(backend) = &self.backend {
            put("backend", backend.as_ref().into());
        }
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

/// Milliseconds with three digits behind the point.
fn millis(took: Duration, before: f64) -> Value {
    let micros = (before * 1000.0).round() + took.as_micros() as f64;
    (micros / 1000.0).into()
}
