//! TLS towards backends: verified, by pin, or not at all, as the endpoint says.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

use crate::config::Invalid;
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
}

impl Trust {
    /// Reads the CA bundle.
    ///
    /// # Errors
    /// `backend_tls.ca_file` cannot be used.
    pub fn load(ca_file: Option<&PathBuf>) -> Result<Self, Invalid> {
        let roots = match ca_file {
            Some(file) => read_roots(file).map_err(|problem| Invalid { key: "backend_tls.ca_file".into(), problem })?,
            // A machine without a bundle can still verify nobody: that shows at the first TLS backend, by name.
            None => read_roots(Path::new(SYSTEM_CA_FILE)).unwrap_or_else(|_| RootCertStore::empty()),
        };
        let full = builder().with_root_certificates(roots).with_no_client_auth();
        Ok(Self { full: Arc::new(full), none: any(None), pinned: Mutex::default() })
    }

    /// The client config for an endpoint.
    #[must_use]
    pub fn config(&self, verify: &Verify) -> Arc<ClientConfig> {
        match verify {
            Verify::Full => Arc::clone(&self.full),
            Verify::None => Arc::clone(&self.none),
            Verify::Pin(pin) => {
                let mut pinned = self.pinned.lock().unwrap_or_else(PoisonError::into_inner);
                Arc::clone(pinned.entry(*pin).or_insert_with(|| any(Some(*pin))))
            }
        }
    }
}

fn builder() -> rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier> {
    let builder = ClientConfig::builder_with_provider(super::provider());
    // Infallible: aws-lc-rs has suites for both default versions.
    builder.with_safe_default_protocol_versions().unwrap_or_else(|_| ClientConfig::builder())
}

fn any(pin: Option<[u8; 32]>) -> Arc<ClientConfig> {
    let verifier = Arc::new(AnyChain { pin });
    Arc::new(builder().dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth())
}

fn read_roots(file: &Path) -> Result<RootCertStore, String> {
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
        let algorithms = super::provider().signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, &algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = super::provider().signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, &algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        super::provider().signature_verification_algorithms.supported_schemes()
    }
}
