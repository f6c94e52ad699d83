//! TLS towards backends: verified, by pin, or not at all, as the endpoint says.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use rustls::client::WantsClientCert;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, ConfigBuilder, DigitallySignedStruct, RootCertStore, SignatureScheme, WantsVerifier};

use super::certificates::read_pair;
use crate::config::{BackendTls, Invalid};
use crate::pool::Verify;

/// Where Debian and most others keep the certificates they trust.
const SYSTEM_CA_FILE: &str = "/etc/ssl/certs/ca-certificates.crt";

/// One client config for each way to verify; each keeps its own tickets, so a session verified less strictly never
/// resumes as a stricter one.
#[derive(Debug)]
pub struct Trust {
    full: Arc<ClientConfig>,
    none: Arc<ClientConfig>,
    /// Endpoints with a pin are few: the pool is written by operators.
    pinned: Mutex<HashMap<[u8; 32], Arc<ClientConfig>>>,
    ours: Ours,
}

/// What is ours in every handshake, however the backend is verified.
#[derive(Debug)]
struct Ours {
    provider: Arc<CryptoProvider>,
    /// Shown to backends that ask; none: nothing is.
    certificate: Option<Arc<CertifiedKey>>,
}

impl Trust {
    /// Reads the CA bundle and our own certificate; what cannot be used joins the faults.
    pub fn load(config: &BackendTls, post_quantum: bool, faults: &mut Vec<Invalid>) -> Self {
        let mut fault = |field, problem| faults.push(Invalid { key: format!("backend_tls.{field}"), problem });
        let roots = match &config.ca_file {
            Some(file) => read_roots(file).map_err(|problem| fault("ca_file", problem)),
            // A machine without a bundle can still verify nobody: that shows at the first TLS backend, by name.
            None => read_roots(Path::new(SYSTEM_CA_FILE)).map_err(|_| ()),
        };
        let certificate = config.certificate.as_ref().and_then(|(certificate, key)| {
            read_pair(certificate, key).map_err(|(field, problem)| fault(field, problem)).ok()
        });
        let ours = Ours { provider: super::provider(post_quantum), certificate: certificate.map(Arc::new) };
        let full = ours.builder().with_root_certificates(roots.unwrap_or_else(|()| RootCertStore::empty()));
        let full = ours.client(full);
        Self { full, none: ours.any(None), pinned: Mutex::default(), ours }
    }

    /// The client config for an endpoint.
    #[must_use]
    pub fn config(&self, verify: &Verify) -> Arc<ClientConfig> {
        match verify {
            Verify::Full => Arc::clone(&self.full),
            Verify::None => Arc::clone(&self.none),
            Verify::Pin(pin) => {
                let mut pinned = self.pinned.lock().unwrap_or_else(PoisonError::into_inner);
                Arc::clone(pinned.entry(*pin).or_insert_with(|| self.ours.any(Some(*pin))))
            }
        }
    }
}

impl Ours {
    fn builder(&self) -> ConfigBuilder<ClientConfig, WantsVerifier> {
        let builder = ClientConfig::builder_with_provider(Arc::clone(&self.provider));
        // Infallible: aws-lc-rs has suites for both default versions.
        builder.with_safe_default_protocol_versions().unwrap_or_else(|_| ClientConfig::builder())
    }

    fn any(&self, pin: Option<[u8; 32]>) -> Arc<ClientConfig> {
        self.client(self.builder().dangerous().with_custom_certificate_verifier(Arc::new(AnyChain { pin })))
    }

    fn client(&self, builder: ConfigBuilder<ClientConfig, WantsClientCert>) -> Arc<ClientConfig> {
        Arc::new(match &self.certificate {
            Some(key) => builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(Arc::clone(key)))),
            None => builder.with_no_client_auth(),
        })
    }
}

/// Reads the authorities of a PEM bundle, those that can be used.
pub(crate) fn read_roots(file: &Path) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    let certificates = CertificateDer::pem_file_iter(file)
        .map_err(|error| format!("{file:?} cannot be read: {error}: name a readable PEM bundle"))?;
    for certificate in certificates {
        let certificate = certificate.map_err(|error| format!("{file:?} is not PEM: {error}"))?;
        // A system's bundle may hold roots that webpki does not take; the others still count.
        let _ = roots.add(certificate);
    }
    if roots.is_empty() { Err(format!("{file:?} holds no CA certificate")) } else { Ok(roots) }
}

/// Takes any chain; with a pin, only the key whose SubjectPublicKeyInfo has that SHA-256. The handshake's signature is
/// checked always, so whoever answers holds the key.
#[derive(Debug)]
struct AnyChain {
    pin: Option<[u8; 32]>,
}

impl ServerCertVerifier for AnyChain {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let Some(pin) = self.pin else { return Ok(ServerCertVerified::assertion()) };
        let parsed = rustls::server::ParsedCertificate::try_from(leaf)?;
        let key = parsed.subject_public_key_info();
        let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, key.as_ref());
        if hash.as_ref() == pin {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(rustls::Error::General(
                "the backend's key is not the pinned one: see pin_sha256 of its endpoint".into(),
            ))
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = super::provider(true).signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, &algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = super::provider(true).signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, &algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        super::provider(true).signature_verification_algorithms.supported_schemes()
    }
}
