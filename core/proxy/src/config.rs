//! The edge's config as one checked value.
//!
//! [`Config::check`] turns the wire message into it and says everything that is wrong at once, each fault with its key,
//! its value and the mend. A live session keeps the value it began with; a reload makes a new one.

mod control;
mod http;
mod listener;
mod master;
mod sasl;
mod settings;
mod tls;
mod transactions;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use prost::Message as _;

pub use control::{Api, Remote};
pub use http::{Acme, Autoconfig, Http, HttpHost, HttpMode, MailServer, Pages};
pub use listener::{ClientCertificates, ExternalIdentity, Listener, ListenerTls, TlsVersion};
pub use master::{MasterUser, MasterUsers};
pub use sasl::Sasl;
pub use settings::{Health, HttpTimeouts, Limits, Network, Networks, Records, Timeouts};
pub use tls::{BackendTls, Certificate, Tls};
pub use transactions::{Mx, RefuseUnknown, Transactions};

use crate::wire;

/// All that an edge is told by its file.
#[derive(Clone, Debug)]
pub struct Config {
    /// Our host name.
    pub hostname: Arc<str>,
    /// For the last good pool.
    pub state_directory: PathBuf,
    /// Where clients connect.
    pub listeners: Vec<Arc<Listener>>,
    /// Shown to clients.
    pub certificates: Vec<Certificate>,
    /// Who logs in at backends that leave it to us to know the client.
    pub master_users: MasterUsers,
    /// Where further ones lie, by name.
    pub certificate_directories: Vec<PathBuf>,
    /// Of TLS with clients and backends alike.
    pub tls: Tls,
    /// Bounds.
    pub limits: Limits,
    /// How clients prove who they are.
    pub sasl: Sasl,
    /// Deadlines.
    pub timeouts: Timeouts,
    /// What HTTP listeners serve.
    pub http: Arc<Http>,
    /// Of TLS with backends.
    pub backend_tls: BackendTls,
    /// Of endpoints.
    pub health: Health,
    /// Where records go.
    pub records: Records,
    /// Where control is.
    pub api: Api,
    /// What parts a name from a detail, as control has it; empty: nothing.
    pub detail_separator: Box<str>,
    /// Threads that serve sessions.
    pub threads: usize,
}

/// One thing wrong with a config.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{key}: {problem}")]
pub struct Invalid {
    /// Path of the key: `listeners[2].address`.
    pub key: String,
    /// What is wrong, with the value, and how to mend it.
    pub problem: String,
}

/// Everything wrong with a config.
pub(crate) type Faults = Vec<Invalid>;

impl Config {
    /// Decodes and checks a serialized `zcontrol.v1.Config`.
    ///
    /// # Errors
    /// It is no such message.
    pub fn decode(bytes: &[u8]) -> Result<(Self, Vec<Invalid>), Invalid> {
        let message = wire::Config::decode(bytes)
            .map_err(|error| invalid("", format!("not a zcontrol.v1.Config message: {error}")))?;
        Ok(Self::check(message))
    }

    /// Checks a message. A config with faults is only good for finding more of them: defaults stand where they are.
    #[must_use]
    pub fn check(message: wire::Config) -> (Self, Vec<Invalid>) {
        let mut faults = Faults::new();
        let listeners = listener::all(&message.listeners, &mut faults);
        if message.hostname.is_empty() {
            faults.push(invalid("hostname", "is missing: name the host that clients connect to".into()));
        } else if !message.hostname.bytes().all(|it| it.is_ascii_alphanumeric() || b"-._".contains(&it)) {
            // It is said in greetings, where a space would end it.
            faults
                .push(invalid("hostname", format!("{:?} is no host name, e.g. \"mail.tgg.net.id\"", message.hostname)));
        }
        if message.state_directory.is_empty() {
            faults.push(invalid("state_directory", "is missing: name a directory that survives restarts".into()));
        }
        let certified = !message.certificates.is_empty() || !message.certificate_directories.is_empty();
        if !certified && listeners.iter().any(|listener| listener.tls != ListenerTls::Off) {
            let problem = "is empty, but listeners speak TLS: add one with certificate_file and key_file";
            faults.push(invalid("certificates", problem.into()));
        }
        let state_directory = PathBuf::from(&message.state_directory);
        let http = Http::check(message.http, (&message.hostname, &listeners), &mut faults);
        let config = Self {
            hostname: Arc::from(message.hostname.as_str()),
            listeners,
            http: Arc::new(http),
            master_users: MasterUsers::check(message.master_users, &mut faults),
            certificates: tls::certificates(message.certificates, &mut faults),
            certificate_directories: tls::directories(&message.certificate_directories, &mut faults),
            tls: Tls::check(&message.tls.unwrap_or_default()),
            limits: Limits::check(message.limits.unwrap_or_default(), &mut faults),
            sasl: Sasl::check(&message.sasl.unwrap_or_default(), &mut faults),
            timeouts: Timeouts::check(&message.timeouts.unwrap_or_default(), &mut faults),
            backend_tls: BackendTls::check(message.backend_tls.unwrap_or_default(), &mut faults),
            health: Health::check(&message.health.unwrap_or_default(), &mut faults),
            records: Records::check(message.log.unwrap_or_default(), &mut faults),
            api: Api::check(&message.api.unwrap_or_default(), message.control, &state_directory, &mut faults),
            detail_separator: message.names.unwrap_or_default().detail_separator.into(),
            threads: threads(message.threads, &mut faults),
            state_directory,
        };
        (config, faults)
    }
}

/// More threads than this is a typing error.
const MAX_THREADS: u32 = 1024;

fn threads(wanted: u32, faults: &mut Faults) -> usize {
    if wanted > MAX_THREADS {
        faults.push(invalid("threads", format!("{wanted} is more than {MAX_THREADS}: leave it out for one a core")));
    }
    match wanted {
        0 => std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        some => some as usize,
    }
}

pub(crate) fn invalid(key: &str, problem: String) -> Invalid {
    Invalid { key: key.to_owned(), problem }
}

/// A duration of the message, or its default where unset.
pub(crate) fn duration(
    key: &str,
    value: Option<&prost_types::Duration>,
    default: Duration,
    faults: &mut Faults,
) -> Duration {
    let Some(value) = value else { return default };
    match Duration::try_from(*value) {
        Ok(duration) if !duration.is_zero() => duration,
        _ => {
            faults.push(invalid(key, "must be longer than nothing, e.g. \"30s\"".into()));
            default
        }
    }
}
