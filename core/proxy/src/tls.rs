//! Second step: TLS with clients, and what TLS with backends needs.
//!
//! Certificates are chosen by SNI; a reload makes a new [`ServerTls`], under which new handshakes run while old sessions
//! go on. Ticket keys outlive it. A ticket resumes under its own host name and under the same settings only.

mod certificates;
mod client_auth;
mod client_certificate;
mod connection;
mod directories;
mod engine;
mod failure;
mod handshake;
mod ocsp;

mod tickets;
mod trust;
mod watched;

use std::io;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use rustls::crypto::CryptoProvider;
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{CommonState, NamedGroup, ServerConfig};
use tokio::net::TcpStream;
use zproxy_protocol::Name;

pub use certificates::Certificates;
pub(crate) use certificates::read_pair;
pub use client_auth::Verifier;
pub(crate) use client_auth::load as load_client_auth;
pub use client_certificate::ClientCertificate;
pub use connection::Tls;
pub use tickets::Tickets;
pub use trust::Trust;
pub(crate) use trust::read_roots;

use crate::Error;
use crate::config::{ExternalIdentity, Listener, TlsVersion};
use crate::record::Writer;
use crate::stream::Stream;

/// The algorithms we use: those of aws-lc-rs, ECDHE and AEAD only.
#[must_use]
pub fn provider(post_quantum: bool) -> Arc<CryptoProvider> {
    let mut provider = rustls::crypto::aws_lc_rs::default_provider();
    if !post_quantum {
        provider.kx_groups.retain(|group| group.name() != NamedGroup::X25519MLKEM768);
    }
    Arc::new(provider)
}

/// What a listener's handshakes are made of.
#[derive(Clone, Copy, Debug)]
pub struct Terms<'a> {
    /// As configured.
    pub listener: &'a Listener,
    /// Shown to clients.
    pub certificates: &'a Arc<Certificates>,
    /// How clients' own are judged.
    pub verifier: &'a Verifier,
    /// What seals tickets.
    pub tickets: &'a Arc<Tickets>,
    /// Whether post-quantum key exchange is offered.
    pub post_quantum: bool,
    /// Where is told what is wrong with certificates.
    pub records: &'a Writer,
}

/// What a listener's handshakes run under.
#[derive(Debug)]
pub struct ServerTls {
    /// All but the certificate.
    config: ServerConfig,
    certificates: Arc<Certificates>,
    external_identity: ExternalIdentity,
    records: Writer,
}

impl ServerTls {
    /// Makes it.
    ///
    /// # Errors
    /// rustls refuses the protocol versions; ours are fixed, so it does not.
    pub fn new(terms: Terms<'_>) -> Result<Self, rustls::Error> {
        let Terms { listener, certificates, verifier, tickets, post_quantum, records } = terms;
        let versions: &[_] = match listener.tls_min_version {
            TlsVersion::Tls12 => &[&rustls::version::TLS13, &rustls::version::TLS12],
            TlsVersion::Tls13 => &[&rustls::version::TLS13],
        };
        let builder = ServerConfig::builder_with_provider(provider(post_quantum)).with_protocol_versions(versions)?;
        let builder = match verifier {
            Some(verifier) => builder.with_client_cert_verifier(Arc::clone(verifier)),
            None => builder.with_no_client_auth(),
        };
        let mut config = builder.with_cert_resolver(Arc::new(Chosen(None)));
        if listener.alpn_strict {
            config.alpn_protocols = listener.service.language().alpn().iter().map(|id| id.to_vec()).collect();
        }
        // Tickets alone: a session cache would be memory that clients fill.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        // A ticket would carry the client's proof past its revocation, so where certificates are asked for there is
        // none.
        if verifier.is_none() {
            config.ticketer = tickets.of(listener);
        }
        // A mail client reconnects rarely: the default of two is one encryption too many a handshake.
        config.send_tls13_tickets = 1;
        // Early data could be replayed (RFC 8446, 8), and a login is not idempotent.
        config.max_early_data_size = 0;
        let external_identity = listener.external_identity;
        Ok(Self { config, certificates: Arc::clone(certificates), external_identity, records: records.clone() })
    }

    /// Ends a client's TLS.
    ///
    /// # Errors
    /// [`Error::ClientTls`] with the reason, [`Error::ClientTimeout`].
    pub async fn accept(&self, tcp: TcpStream, deadline: Duration) -> Result<(Stream, Facts), Error> {
        match tokio::time::timeout(deadline, self.handshake(tcp)).await {
            Err(_) => Err(Error::ClientTimeout("TLS handshake")),
            Ok(Err(error)) => Err(Error::ClientTls(failure::reason(&error).into())),
            Ok(Ok((tls, server_name))) => {
                let facts = Facts::of(tls.agreed(), server_name, self.external_identity);
                Ok((Stream::Tls(Box::new(tls)), facts))
            }
        }
    }

    /// Also returns the name that the client asked for.
    async fn handshake(&self, mut tcp: TcpStream) -> io::Result<(Tls, Option<String>)> {
        let mut config = self.config.clone();
        if self.certificates.are_at_hand() {
            let resolver = Arc::new(Listed { under: self.shown(), asked: OnceLock::new() });
            config.cert_resolver = Arc::clone(&resolver) as _;
            let tls = Tls::accept(tcp, config, Vec::new()).await?;
            return Ok((tls, resolver.asked.get().cloned()));
        }
        // It may have to be read, between the client's hello and our answer.
        let (received, name) = handshake::hello(&mut tcp).await?;
        config.cert_resolver = Arc::new(Chosen(self.certificates.find(name.as_deref(), &self.records).await));
        Ok((Tls::accept(tcp, config, received).await?, name))
    }

    fn shown(&self) -> Shown {
        (Arc::clone(&self.certificates), self.records.clone())
    }
}

/// Certificates, and where is told what is wrong with them.
type Shown = (Arc<Certificates>, Writer);

/// Finds the certificate of one handshake among those in memory, and learns who is asked for.
struct Listed {
    under: Shown,
    asked: OnceLock<String>,
}

impl std::fmt::Debug for Listed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Listed")
    }
}

impl ResolvesServerCert for Listed {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let name = hello.server_name();
        if let Some(name) = name {
            self.asked.get_or_init(|| name.to_owned());
        }
        let (certificates, records) = &self.under;
        certificates.find_listed(name, records)
    }
}

/// The certificate of one handshake; none: it fails.
#[derive(Debug)]
struct Chosen(Option<Arc<CertifiedKey>>);

impl ResolvesServerCert for Chosen {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.0.clone()
    }
}

/// What a record says of a handshake.
#[derive(Clone, Debug)]
pub struct Facts {
    /// `TLSv1.3`.
    pub version: &'static str,
    /// IANA name.
    pub cipher: Option<&'static str>,
    /// The host name the client asked for.
    pub server_name: Option<Box<str>>,
    /// The protocol agreed on.
    pub alpn: Option<Box<str>>,
    /// Whether a ticket spared the full handshake.
    pub resumed: bool,
    /// How the two agreed on a secret, by IANA name; none where a ticket held it.
    pub key_exchange: Option<&'static str>,
    /// What the client proved to hold.
    pub client_certificate: Option<Arc<ClientCertificate>>,
    /// Whom that proves; none: nobody.
    pub identity: Option<Name>,
}

impl Facts {
    fn of(connection: &CommonState, server_name: Option<String>, rule: ExternalIdentity) -> Self {
        let leaf = connection.peer_certificates().and_then(|chain| chain.first());
        let certificate = leaf.map(ClientCertificate::read);
        Self {
            version: version_name(connection.protocol_version()),
            cipher: connection.negotiated_cipher_suite().and_then(|suite| suite.suite().as_str()),
            server_name: server_name.map(|name| name.to_ascii_lowercase().into()),
            alpn: connection.alpn_protocol().map(|protocol| String::from_utf8_lossy(protocol).into()),
            resumed: connection.handshake_kind() == Some(rustls::HandshakeKind::Resumed),
            key_exchange: connection.negotiated_key_exchange_group().and_then(|group| group.name().as_str()),
            identity: certificate.as_ref().and_then(|certificate| certificate.identity(rule)),
            client_certificate: certificate.map(Arc::new),
        }
    }
}

fn version_name(version: Option<rustls::ProtocolVersion>) -> &'static str {
    match version {
        Some(rustls::ProtocolVersion::TLSv1_2) => "TLSv1.2",
        Some(rustls::ProtocolVersion::TLSv1_3) => "TLSv1.3",
        _ => "",
    }
}
