//! TLS as a client speaks it that trusts one bundle; every connection is a full handshake, the dear kind.

use std::sync::Arc;

use rustls::client::Resumption;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Whom to expect, and what to believe.
pub(super) struct Tls {
    name: ServerName<'static>,
    connector: TlsConnector,
}

impl Tls {
    /// Expects `name`, signed by one of `ca_file`.
    pub(super) fn new(name: String, ca_file: String) -> Result<Self, String> {
        let fault = |error: &dyn std::fmt::Display| format!("--ca-file {ca_file}: {error}");
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_file_iter(&ca_file).map_err(|e| fault(&e))? {
            roots.add(certificate.map_err(|e| fault(&e))?).map_err(|e| fault(&e))?;
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let mut config = builder.map_err(|e| e.to_string())?.with_root_certificates(roots).with_no_client_auth();
        config.resumption = Resumption::disabled();
        let name = ServerName::try_from(name).map_err(|error| format!("--tls-name: {error}"))?;
        Ok(Self { name, connector: TlsConnector::from(Arc::new(config)) })
    }

    /// Shakes hands.
    pub(super) async fn connect(&self, stream: TcpStream) -> std::io::Result<TlsStream<TcpStream>> {
        self.connector.connect(self.name.clone(), stream).await
    }
}
