//! TLS with clients and with backends: whose certificates are shown, and by what algorithms.

use std::path::PathBuf;

use super::{Faults, invalid};
use crate::wire;

/// Of TLS with clients and backends alike.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Tls {
    /// Whether post-quantum key exchange is offered.
    pub post_quantum: bool,
    /// Certificates of directories kept in memory.
    pub cached_certificates: usize,
}

/// All of ten thousand names.
const CACHED_CERTIFICATES: u32 = 10_000;

impl Tls {
    pub(super) fn check(message: &wire::Tls) -> Self {
        let cached = if message.cached_certificates == 0 { CACHED_CERTIFICATES } else { message.cached_certificates };
        Self { post_quantum: message.post_quantum.unwrap_or(true), cached_certificates: cached as usize }
    }
}

/// What TLS with backends is made of.
#[derive(Clone, Debug, Default)]
pub struct BackendTls {
    /// PEM bundle that backends are checked against; none: the system's.
    pub ca_file: Option<PathBuf>,
    /// Files of our own certificate and its key, for backends that ask for one.
    pub certificate: Option<(PathBuf, PathBuf)>,
}

impl BackendTls {
    pub(super) fn check(message: wire::BackendTlsSettings, faults: &mut Faults) -> Self {
        let (certificate, key) = (file(message.certificate_file), file(message.key_file));
        for (absent, of) in [("certificate_file", &certificate), ("key_file", &key)] {
            if of.is_none() && (certificate.is_some() || key.is_some()) {
                let problem = "is missing: certificate_file and key_file go together; name both PEM files, or neither";
                faults.push(invalid(&format!("backend_tls.{absent}"), problem.into()));
            }
        }
        Self { ca_file: file(message.ca_file), certificate: certificate.zip(key) }
    }
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
    /// An OCSP response in DER, sent along while it is good.
    pub ocsp_file: Option<PathBuf>,
}

pub(super) fn certificates(messages: Vec<wire::Certificate>, faults: &mut Faults) -> Vec<Certificate> {
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
            ocsp_file: file(message.ocsp_file),
        });
    }
    all
}

/// A host name, or `*.` and one.
fn is_certificate_name(name: &str) -> bool {
    let host = name.strip_prefix("*.").unwrap_or(name);
    !host.is_empty() && host.bytes().all(|octet| octet.is_ascii_alphanumeric() || b"-._".contains(&octet))
}

pub(super) fn directories(messages: &[wire::CertificateDirectory], faults: &mut Faults) -> Vec<PathBuf> {
    for (index, message) in messages.iter().enumerate() {
        let path = &message.path;
        if !std::path::Path::new(path).is_dir() {
            let problem = format!("{path:?} is no directory: make it, or name the one that the certificates are in");
            faults.push(invalid(&format!("certificate_directories[{index}].path"), problem));
        }
    }
    messages.iter().map(|message| PathBuf::from(&message.path)).collect()
}

fn file(path: String) -> Option<PathBuf> {
    (!path.is_empty()).then(|| path.into())
}
