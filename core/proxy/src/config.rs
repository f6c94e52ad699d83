//! The edge's config as one checked value.
//!
//! [`Config::check`] turns the wire message into it and says everything that is wrong at once, each fault with its key,
//! its value and the mend. A live session keeps the value it began with; a reload makes a new one.

mod listener;
mod sasl;
mod settings;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use prost::Message as _;

pub use listener::{ClientCertificates, Listener, ListenerTls, TlsVersion};
pub use sasl::Sasl;
pub use settings::{Api, Health, Limits, Network, Networks, Records, Timeouts};

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
    /// Bounds.
    pub limits: Limits,
    /// How clients prove who they are.
    pub sasl: Sasl,
    /// Deadlines.
    pub timeouts: Timeouts,
    /// Of TLS with backends.
    pub backend_tls: BackendTls,
    /// Whether post-quantum key exchange is offered, to clients and to backends.
    pub post_quantum: bool,
    /// Of endpoints.
    pub health: Health,
    /// Where records go.
    pub records: Records,
    /// Where control is.
    pub api: Api,
    /// Threads that serve sessions.
    pub threads: usize,
}

/// What TLS with backends is made of.
#[derive(Clone, Debug, Default)]
pub struct BackendTls {
    /// PEM bundle that backends are checked against; none: the system's.
    pub ca_file: Option<PathBuf>,
    /// Files of our own certificate and its key, for backends that ask for one.
    pub certificate: Option<(PathBuf, PathBuf)>,
}

/// A certificate's files and the names it is shown for.
#[derive(Clone, Debug)]
pub struct Certificate {
    /// PEM, leaf first.
    pub certificate_file: PathBuf,
    /// PEM.
    pub key_file: PathBuf,
    /// Lower-case names, `*.` wildcards among them; empty: those in the certificate.
    pub names: Vec<String>,
    /// Shown where no other matches.
    pub default: bool,
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
        if message.certificates.is_empty() && listeners.iter().any(|listener| listener.tls != ListenerTls::Off) {
            let problem = "is empty, but listeners speak TLS: add one with certificate_file and key_file";
            faults.push(invalid("certificates", problem.into()));
        }
        let state_directory = PathBuf::from(&message.state_directory);
        let config = Self {
            hostname: Arc::from(message.hostname.as_str()),
            listeners,
            certificates: certificates(message.certificates, &mut faults),
            limits: Limits::check(message.limits.unwrap_or_default(), &mut faults),
            sasl: Sasl::check(&message.sasl.unwrap_or_default(), &mut faults),
            timeouts: Timeouts::check(&message.timeouts.unwrap_or_default(), &mut faults),
            backend_tls: backend_tls(message.backend_tls.unwrap_or_default(), &mut faults),
            post_quantum: message.tls.unwrap_or_default().post_quantum.unwrap_or(true),
            health: Health::check(&message.health.unwrap_or_default(), &mut faults),
            records: Records::check(message.log.unwrap_or_default(), &mut faults),
            api: Api::check(&message.api.unwrap_or_default(), &state_directory, &mut faults),
            threads: threads(message.threads, &mut faults),
            state_directory,
        };
        (config, faults)
    }
}

fn backend_tls(message: wire::BackendTlsSettings, faults: &mut Faults) -> BackendTls {
    let file = |path: String| (!path.is_empty()).then(|| PathBuf::from(path));
    let (certificate, key) = (file(message.certificate_file), file(message.key_file));
    for (absent, of) in [("certificate_file", &certificate), ("key_file", &key)] {
        if of.is_none() && (certificate.is_some() || key.is_some()) {
            let problem = "is missing: certificate_file and key_file go together; name both PEM files, or neither";
            faults.push(invalid(&format!("backend_tls.{absent}"), problem.into()));
        }
    }
    BackendTls { ca_file: file(message.ca_file), certificate: certificate.zip(key) }
}

fn certificates(messages: Vec<wire::Certificate>, faults: &mut Faults) -> Vec<Certificate> {
    let mut defaults = 0;
    let mut all = Vec::with_capacity(messages.len());
    for (index, message) in messages.into_iter().enumerate() {
        for (key, value) in [("certificate_file", &message.certificate_file), ("key_file", &message.key_file)] {
            if value.is_empty() {
                faults.push(invalid(&format!("certificates[{index}].{key}"), "is missing: name a PEM file".into()));
            }
        }
        defaults += usize::from(message.default);
        if defaults > 1 && message.default {
            let problem = "a second default certificate: keep `default = true` on one only";
            faults.push(invalid(&format!("certificates[{index}].default"), problem.into()));
        }
        for (at, name) in message.names.iter().enumerate().filter(|(_, name)| !is_certificate_name(name)) {
            let problem = format!("{name:?} is no host name, e.g. \"mail.tgg.net.id\" or \"*.tgg.net.id\"");
            faults.push(invalid(&format!("certificates[{index}].names[{at}]"), problem));
        }
        all.push(Certificate {
            certificate_file: message.certificate_file.into(),
            key_file: message.key_file.into(),
            names: message.names.iter().map(|name| name.to_ascii_lowercase()).collect(),
            default: message.default,
        });
    }
    all
}

/// A host name, or `*.` and one.
fn is_certificate_name(name: &str) -> bool {
    let host = name.strip_prefix("*.").unwrap_or(name);
    !host.is_empty() && host.bytes().all(|octet| octet.is_ascii_alphanumeric() || b"-._".contains(&octet))
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
