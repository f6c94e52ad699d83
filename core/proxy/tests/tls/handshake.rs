//! One client meets one listener.

use std::fs::File;
use std::sync::Arc;
use std::time::Duration;

use prost::Message as _;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ConfigBuilder, RootCertStore, SupportedProtocolVersion, WantsVerifier};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;
use zproxy_proxy::config::Records;
use zproxy_proxy::record::Writer;
use zproxy_proxy::server::Setup;
use zproxy_proxy::tls::{self, Facts, ServerTls, Tickets};
use zproxy_proxy::wire;

use super::authority::{Authority, Directory, Pair};

/// Nothing here takes long; what takes that long has failed.
const DEADLINE: Duration = Duration::from_secs(20);

/// An edge with one listener, and the authority of its certificate.
pub(super) struct Edge {
    pub(super) directory: Directory,
    pub(super) authority: Authority,
    setup: Setup,
    pub(super) tickets: Arc<Tickets>,
    records: Writer,
}

impl Edge {
    /// With a config that differs from the usual one; files go into the directory.
    pub(super) fn with(change: impl FnOnce(&mut wire::Config, &Directory)) -> Self {
        let directory = Directory::new();
        let authority = Authority::new("of servers");
        let mut config = config(&directory, &authority.issue(&["mail.tgg.net.id", "mail.gec-course.com"]));
        change(&mut config, &directory);
        let setup = Setup::load(&config.encode_to_vec()).unwrap();
        let log = File::create(directory.path().join("log")).unwrap();
        let records = Writer::start(&Records::Stderr, log, Arc::default()).unwrap();
        Self { directory, authority, setup, tickets: Arc::new(Tickets::new().unwrap()), records }
    }

    /// A client that trusts this edge's authority.
    pub(super) fn client(&self) -> ClientConfig {
        client_builder(rustls::ALL_VERSIONS).with_root_certificates(roots(&self.authority.pem())).with_no_client_auth()
    }

    /// A client that trusts an authority.
    pub(super) fn client_of_authority(authority: &Authority) -> ClientConfig {
        client_builder(rustls::ALL_VERSIONS).with_root_certificates(roots(&authority.pem())).with_no_client_auth()
    }

    /// A client that trusts this edge's authority and speaks one version.
    pub(super) fn client_of(&self, version: &'static SupportedProtocolVersion) -> ClientConfig {
        client_builder(&[version]).with_root_certificates(roots(&self.authority.pem())).with_no_client_auth()
    }

    /// A client that shows a certificate.
    pub(super) fn client_with(&self, pair: &Pair) -> ClientConfig {
        let certificate = CertificateDer::from_pem_slice(pair.certificate.as_bytes()).unwrap();
        let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).unwrap();
        client_builder(rustls::ALL_VERSIONS)
            .with_root_certificates(roots(&self.authority.pem()))
            .with_client_auth_cert(vec![certificate], key)
            .unwrap()
    }

    /// What it has told its operator so far.
    pub(super) fn told(&self) -> String {
        self.records.flush();
        std::fs::read_to_string(self.directory.path().join("log")).unwrap()
    }

    /// What its handshakes run under.
    pub(super) fn server(&self) -> ServerTls {
        let terms = tls::Terms {
            listener: &self.setup.config.listeners[0],
            certificates: &self.setup.certificates,
            verifier: &self.setup.client_verifiers[0],
            tickets: &self.tickets,
            post_quantum: self.setup.config.tls.post_quantum,
            records: &self.records,
        };
        ServerTls::new(terms).unwrap()
    }

    /// What the edge learns of a client that asks for a name, or why there is no handshake.
    pub(super) async fn meet(&self, client: &Arc<ClientConfig>, name: &str) -> Result<Facts, String> {
        let under = self.server();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let visiting = tokio::spawn(visit(address, Arc::clone(client), name.to_owned()));
        let (tcp, _) = listener.accept().await.unwrap();
        match under.accept(tcp, DEADLINE).await {
            Ok((mut stream, facts)) => {
                stream.write_all(b"!").await.unwrap();
                stream.shutdown().await.unwrap();
                // The client has read to the end, and so has its ticket.
                assert_eq!(visiting.await.unwrap().as_deref(), Ok("!"));
                Ok(facts)
            }
            Err(error) => Err(error.to_string()),
        }
    }
}

async fn visit(to: std::net::SocketAddr, client: Arc<ClientConfig>, name: String) -> Result<String, String> {
    let tcp = TcpStream::connect(to).await.unwrap();
    let name = ServerName::try_from(name).unwrap();
    let mut stream = TlsConnector::from(client).connect(name, tcp).await.map_err(|error| error.to_string())?;
    let mut heard = String::new();
    stream.read_to_string(&mut heard).await.map_err(|error| error.to_string())?;
    Ok(heard)
}

fn client_builder(versions: &[&'static SupportedProtocolVersion]) -> ConfigBuilder<ClientConfig, WantsVerifier> {
    ClientConfig::builder_with_provider(tls::provider(true)).with_protocol_versions(versions).unwrap()
}

fn roots(pem: &str) -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()).unwrap();
    roots
}

/// The usual config: one IMAP listener in TLS, with that certificate.
pub(super) fn config(directory: &Directory, shown: &Pair) -> wire::Config {
    wire::Config {
        hostname: "mail.tgg.net.id".into(),
        state_directory: directory.path().to_str().unwrap().into(),
        listeners: vec![wire::Listener {
            name: "imaps".into(),
            protocol: wire::Protocol::Imap.into(),
            address: "127.0.0.1:0".into(),
            tls: wire::ListenerTls::Implicit.into(),
            ..Default::default()
        }],
        certificates: vec![wire::Certificate {
            certificate_file: directory.write("mail.pem", &shown.certificate),
            key_file: directory.write("mail.key", &shown.key),
            ..Default::default()
        }],
        ..Default::default()
    }
}
