//! What this edge counts, in the Prometheus text format.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// Labels of a login.
#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
pub struct LoginLabels {
    /// imap, pop3.
    pub service: &'static str,
    /// `ok`, `refused`, `temporary`.
    pub outcome: &'static str,
}

/// Labels of a transaction.
#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
pub struct TransactionLabels {
    /// mx, lmtp.
    pub service: &'static str,
    /// `delivered`, `partly`, `failed`, `refused`, `aborted`.
    pub outcome: &'static str,
}

/// Labels of a recipient.
#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
pub struct RecipientLabels {
    /// mx, lmtp.
    pub service: &'static str,
    /// `taken`, `temporary`, `refused`.
    pub outcome: &'static str,
}

/// Labels of a request of HTTP.
#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
pub struct RequestLabels {
    /// `2xx` … `5xx`; `none`: the client left before.
    pub outcome: &'static str,
    /// How its user was recognised, as records say it.
    pub recognised: &'static str,
}

/// Labels of a session's end.
#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
pub struct EndLabels {
    /// imap, pop3.
    pub service: &'static str,
    /// client, backend, proxy.
    pub by: &'static str,
}

/// The edge's counters. All are cheap to count and shared by all threads.
#[derive(Debug)]
pub struct Metrics {
    /// Connections accepted.
    pub accepted: Counter,
    /// Logins by outcome.
    pub logins: Family<LoginLabels, Counter>,
    /// Transactions by outcome.
    pub transactions: Family<TransactionLabels, Counter>,
    /// Recipients by outcome.
    pub recipients: Family<RecipientLabels, Counter>,
    /// Requests by outcome.
    pub requests: Family<RequestLabels, Counter>,
    /// Sessions by who ended them.
    pub ended: Family<EndLabels, Counter>,
    /// Sessions that panicked.
    pub panics: Counter,
    /// Times accept rested for want of descriptors, memory or room.
    pub accept_rests: Counter,
    /// Logins of clients that were proved, which a backend refused to let us make.
    pub proved_refused: Counter,
    /// Records that no one could write in time.
    pub records_lost: Counter,
    /// Connections now, logged in or not.
    pub connections: Gauge,
    /// Whether the control plane is attached.
    pub control_attached: Gauge,
    /// Version of the pool in force.
    pub pool_version: Gauge<u64, AtomicU64>,
    registry: Arc<Registry>,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("zproxy_edge");
        let mut metrics = Self {
            accepted: Counter::default(),
            logins: Family::default(),
            transactions: Family::default(),
            recipients: Family::default(),
            requests: Family::default(),
            ended: Family::default(),
            panics: Counter::default(),
            accept_rests: Counter::default(),
            proved_refused: Counter::default(),
            records_lost: Counter::default(),
            connections: Gauge::default(),
            control_attached: Gauge::default(),
            pool_version: Gauge::default(),
            registry: Arc::default(),
        };
        registry.register("accepted", "Connections accepted", metrics.accepted.clone());
        registry.register("logins", "Logins by outcome", metrics.logins.clone());
        registry.register("transactions", "Transactions by outcome", metrics.transactions.clone());
        registry.register("recipients", "Recipients by outcome", metrics.recipients.clone());
        registry.register("requests", "HTTP requests by outcome", metrics.requests.clone());
        registry.register("sessions_ended", "Sessions by who ended them", metrics.ended.clone());
        registry.register("session_panics", "Sessions that panicked", metrics.panics.clone());
        registry.register("accept_rests", "Times accept rested", metrics.accept_rests.clone());
        registry.register("proved_refused", "Proved clients refused by a backend", metrics.proved_refused.clone());
        registry.register("records_lost", "Records not written", metrics.records_lost.clone());
        registry.register("connections", "Connections now", metrics.connections.clone());
        registry.register("control_attached", "1 while control is attached", metrics.control_attached.clone());
        registry.register("pool_version", "Version of the pool in force", metrics.pool_version.clone());
        metrics.registry = Arc::new(registry);
        metrics
    }
}

impl Metrics {
    /// All of them as text.
    #[must_use]
    pub fn encode(&self) -> String {
        let mut out = String::new();
        // Writing to a String cannot fail.
        let _ = text::encode(&mut out, &self.registry);
        out
    }
}
