//! Listeners: where clients connect, and what keeps passwords off the wire.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use super::settings::Networks;
use super::transactions::Transactions;
use super::{Faults, invalid};
use crate::service::Service;
use crate::wire;

/// Where clients connect.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Listener {
    /// Unique.
    pub name: Arc<str>,
    /// What is spoken.
    pub service: Service,
    /// Port 0: a free one.
    pub address: SocketAddr,
    /// When TLS begins.
    pub tls: ListenerTls,
    /// Whether passwords may cross the network in clear.
    pub plaintext_ok: bool,
    /// Whether a client that offers ALPN protocols, but not ours, is refused.
    pub alpn_strict: bool,
    /// Rules for clients that bring mail; none: they log in.
    pub transactions: Option<Transactions>,
    /// From where PROXY headers are expected; none: nobody sends one.
    pub proxy_protocol_from: Networks,
    /// From where clients may log in as `user*master`.
    pub master_logins_from: Networks,
    /// Whose certificates clients may show; none: they are not asked for one.
    pub client_certificates: Option<ClientCertificates>,
    /// Whom they prove.
    pub external_identity: ExternalIdentity,
    /// The oldest that clients may speak.
    pub tls_min_version: TlsVersion,
}

/// Whose certificates clients may show.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ClientCertificates {
    /// PEM bundle of the authorities.
    pub ca_file: PathBuf,
    /// Their revocation lists in PEM.
    pub crl_files: Vec<PathBuf>,
    /// Whether a client without one is refused.
    pub required: bool,
}

/// What of a client's certificate names the account that it proves.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ExternalIdentity {
    /// The subject's common name.
    CommonName,
    /// The first mail address.
    Email,
    /// The first host name.
    Host,
}

/// A version of TLS that we speak.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum TlsVersion {
    /// RFC 5246.
    Tls12,
    /// RFC 8446.
    Tls13,
}

/// When TLS begins on a listener.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ListenerTls {
    /// With the first byte.
    Implicit,
    /// Never.
    Off,
    /// When the client asks; it may log in without.
    StarttlsOptional,
    /// When the client asks; it cannot log in without.
    StarttlsRequired,
}

pub(super) fn all(messages: &[wire::Listener], faults: &mut Faults) -> Vec<Arc<Listener>> {
    if messages.is_empty() {
        faults.push(invalid("listeners", "is empty: add one with name, protocol and address".into()));
    }
    let mut names = HashSet::new();
    let mut addresses = HashSet::new();
    let mut all = Vec::with_capacity(messages.len());
    for (index, message) in messages.iter().enumerate() {
        let key = |field: &str| format!("listeners[{index}].{field}");
        if message.name.is_empty() {
            faults.push(invalid(&key("name"), "is missing: records and metrics call the listener by it".into()));
        } else if !names.insert(message.name.as_str()) {
            faults.push(invalid(&key("name"), format!("{:?} is taken by another listener", message.name)));
        }
        if message.address.parse().is_ok_and(|it: SocketAddr| it.port() != 0 && !addresses.insert(it)) {
            faults.push(invalid(&key("address"), format!("{:?} is taken by another listener", message.address)));
        }
        all.extend(one(message, &key, faults).map(Arc::new));
    }
    all
}

fn one(message: &wire::Listener, key: &dyn Fn(&str) -> String, faults: &mut Faults) -> Option<Listener> {
    let service = match message.protocol() {
        wire::Protocol::Imap => Some(Service::Imap),
        wire::Protocol::Pop3 => Some(Service::Pop3),
        wire::Protocol::Submission => Some(Service::Submission),
        wire::Protocol::Sieve => Some(Service::Sieve),
        wire::Protocol::Mx => Some(Service::Mx),
        wire::Protocol::Lmtp => Some(Service::Lmtp),
        wire::Protocol::Http => Some(Service::Http),
        wire::Protocol::Unspecified => {
            let problem = "is missing: \"imap\", \"pop3\", \"submission\", \"sieve\", \"mx\", \"lmtp\" or \"http\"";
            faults.push(invalid(&key("protocol"), problem.into()));
            None
        }
    };
    let address = message.address.parse::<SocketAddr>().ok();
    if address.is_none() {
        let problem = format!("{:?} is no address:port, e.g. \"0.0.0.0:143\" or \"[::]:993\"", message.address);
        faults.push(invalid(&key("address"), problem));
    }
    let tls = match message.tls() {
        wire::ListenerTls::Off => ListenerTls::Off,
        wire::ListenerTls::Implicit => ListenerTls::Implicit,
        wire::ListenerTls::StarttlsOptional => ListenerTls::StarttlsOptional,
        wire::ListenerTls::StarttlsRequired => ListenerTls::StarttlsRequired,
        wire::ListenerTls::Unspecified => usual_tls(service),
    };
    let in_clear = matches!(tls, ListenerTls::Off | ListenerTls::StarttlsOptional);
    // Whom HTTP lets in without TLS, if anybody, is for its hosts to say.
    let passwords = service.is_none_or(|service| service.protocol().is_some());
    if passwords && in_clear && !message.plaintext_ok && address.is_some_and(|it| !it.ip().is_loopback()) {
        let problem = "lets passwords cross the network in clear: use \"starttls_required\" or \"implicit\", or set \
                       plaintext_ok = true on this listener if that is meant";
        faults.push(invalid(&key("tls"), problem.into()));
    }
    if service == Some(Service::Http) && matches!(tls, ListenerTls::StarttlsOptional | ListenerTls::StarttlsRequired) {
        faults.push(invalid(&key("tls"), "HTTP knows no STARTTLS: use \"implicit\" or \"off\"".into()));
    }
    let client_certificates = client_certificates(message.client_certificates.as_ref(), key, faults);
    if client_certificates.is_some() && tls == ListenerTls::Off {
        let problem = "is set, but this listener speaks no TLS: leave it out, or set tls";
        faults.push(invalid(&key("client_certificates"), problem.into()));
    }
    let external_identity = external_identity(message, key, faults);
    let transactions = Transactions::check(service.and_then(Service::transport), message, key, faults);
    Some(Listener {
        name: Arc::from(message.name.as_str()),
        service: service?,
        address: address?,
        tls,
        plaintext_ok: message.plaintext_ok,
        alpn_strict: message.alpn() != wire::Alpn::Ignore,
        proxy_protocol_from: Networks::check(&key("proxy_protocol_from"), &message.proxy_protocol_from, faults),
        master_logins_from: Networks::check(&key("master_logins_from"), &message.master_logins_from, faults),
        client_certificates,
        external_identity,
        transactions,
        tls_min_version: match message.tls_min_version() {
            wire::TlsVersion::Unspecified | wire::TlsVersion::Tls12 => TlsVersion::Tls12,
            wire::TlsVersion::Tls13 => TlsVersion::Tls13,
        },
    })
}

fn external_identity(message: &wire::Listener, key: &dyn Fn(&str) -> String, faults: &mut Faults) -> ExternalIdentity {
    if message.client_certificates.is_none() && message.external_identity() != wire::ExternalIdentity::Unspecified {
        let problem = "means nothing where no client shows a certificate: leave it out, or set client_certificates";
        faults.push(invalid(&key("external_identity"), problem.into()));
    }
    match message.external_identity() {
        wire::ExternalIdentity::Cn => ExternalIdentity::CommonName,
        wire::ExternalIdentity::Dns => ExternalIdentity::Host,
        wire::ExternalIdentity::Email | wire::ExternalIdentity::Unspecified => ExternalIdentity::Email,
    }
}

fn usual_tls(service: Option<Service>) -> ListenerTls {
    match service {
        // RFC 3207, section 4: what the world's servers bring is taken without TLS too.
        Some(Service::Mx) => ListenerTls::StarttlsOptional,
        Some(Service::Lmtp) => ListenerTls::Off,
        Some(Service::Http) => ListenerTls::Implicit,
        _ => ListenerTls::StarttlsRequired,
    }
}

fn client_certificates(
    message: Option<&wire::ClientCertificates>,
    key: &dyn Fn(&str) -> String,
    faults: &mut Faults,
) -> Option<ClientCertificates> {
    let message = message?;
    if message.ca_file.is_empty() {
        let problem = "is missing: name the PEM bundle of the authorities whose certificates are taken";
        faults.push(invalid(&key("client_certificates.ca_file"), problem.into()));
        return None;
    }
    Some(ClientCertificates {
        ca_file: message.ca_file.as_str().into(),
        crl_files: message.crl_files.iter().map(Into::into).collect(),
        required: message.mode() != wire::ClientCertificateMode::Optional,
    })
}
