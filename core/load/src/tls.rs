//! TLS as a client speaks it that trusts one bundle: when it begins, what it offers, whether it resumes.

use std::str::FromStr;
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::{ALL_CIPHER_SUITES, ALL_KX_GROUPS, default_provider};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, HandshakeKind, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::options::Options;

pub(crate) const OPTIONS: &[&str] = &["tls", "tls-name", "ca-file", "tls-version", "suite", "groups", "resume"];

/// What all clients have in common.
pub(crate) struct Tls {
    /// When it begins.
    pub(crate) start: Start,
    name: ServerName<'static>,
    config: ClientConfig,
    resumes: bool,
}

/// When TLS begins.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Start {
    /// With the first octet.
    Implicit,
    /// When asked for.
    Starttls,
}

impl Tls {
    /// As the options say; none for `--tls off`, or where they say nothing of TLS.
    pub(crate) fn new(options: &Options) -> Result<Option<Self>, String> {
        let name: Option<String> = options.value("tls-name")?;
        let start = match options.value::<String>("tls")?.as_deref() {
            None if name.is_none() => return Ok(None),
            Some("off") => return Ok(None),
            None | Some("implicit") => Start::Implicit,
            Some("starttls") => Start::Starttls,
            Some(other) => return Err(format!("--tls {other}: off, implicit or starttls")),
        };
        let name = name.ok_or("--tls-name is required")?;
        let name = ServerName::try_from(name).map_err(|error| format!("--tls-name: {error}"))?;
        let resumes = options.value("resume")?.unwrap_or(false);
        Ok(Some(Self { start, name, config: config(options)?, resumes }))
    }

    /// One client's. What it resumes are its own sessions: others would take its tickets, each of which is good once.
    pub(crate) fn client(&self) -> TlsClient {
        let mut config = self.config.clone();
        config.resumption = if self.resumes { Resumption::in_memory_sessions(1) } else { Resumption::disabled() };
        TlsClient { name: self.name.clone(), connector: TlsConnector::from(Arc::new(config)) }
    }
}

/// One client's sessions.
pub(crate) struct TlsClient {
    name: ServerName<'static>,
    connector: TlsConnector,
}

impl TlsClient {
    /// Shakes hands; says whether a session was resumed.
    pub(crate) async fn connect<S>(&self, stream: S) -> std::io::Result<(TlsStream<S>, bool)>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let stream = self.connector.connect(self.name.clone(), stream).await?;
        let resumed = stream.get_ref().1.handshake_kind() == Some(HandshakeKind::Resumed);
        Ok((stream, resumed))
    }
}

fn config(options: &Options) -> Result<ClientConfig, String> {
    let versions = match options.value::<String>("tls-version")?.as_deref() {
        None => rustls::ALL_VERSIONS,
        Some("1.2") => &[&rustls::version::TLS12][..],
        Some("1.3") => &[&rustls::version::TLS13][..],
        Some(other) => return Err(format!("--tls-version {other}: 1.2 or 1.3")),
    };
    let builder = ClientConfig::builder_with_provider(Arc::new(provider(options)?)).with_protocol_versions(versions);
    let roots = roots(&options.required::<String>("ca-file")?)?;
    Ok(builder.map_err(|e| format!("TLS: {e}"))?.with_root_certificates(roots).with_no_client_auth())
}

fn provider(options: &Options) -> Result<CryptoProvider, String> {
    let mut provider = default_provider();
    if let Some(suites) = options.value::<Names>("suite")? {
        provider.cipher_suites = suites.of("suite", ALL_CIPHER_SUITES, |suite| format!("{:?}", suite.suite()))?;
    }
    if let Some(groups) = options.value::<Names>("groups")? {
        provider.kx_groups = groups.of("groups", ALL_KX_GROUPS, |group| format!("{:?}", group.name()))?;
    }
    Ok(provider)
}

fn roots(ca_file: &str) -> Result<RootCertStore, String> {
    let fault = |error: &dyn std::fmt::Display| format!("--ca-file {ca_file}: {error}");
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(ca_file).map_err(|e| fault(&e))? {
        roots.add(certificate.map_err(|e| fault(&e))?).map_err(|e| fault(&e))?;
    }
    Ok(roots)
}

/// Names with commas between them.
struct Names(Vec<String>);

impl FromStr for Names {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self(text.split(',').map(str::to_owned).collect()))
    }
}

impl Names {
    /// Those of `all` that bear these names, in the order of the names.
    fn of<T: Copy>(&self, option: &str, all: &[T], name: impl Fn(&T) -> String) -> Result<Vec<T>, String> {
        let find = |wanted: &String| {
            let found = all.iter().copied().find(|one| name(one).eq_ignore_ascii_case(wanted));
            let known = || all.iter().map(&name).collect::<Vec<_>>().join(", ");
            found.ok_or_else(|| format!("--{option} {wanted}: there are {}", known()))
        };
        self.0.iter().map(find).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn provider_of(line: &str) -> Result<CryptoProvider, String> {
        provider(&Options::parse(line.split_whitespace().map(str::to_owned), &[OPTIONS]).unwrap())
    }

    #[test]
    fn offers_the_suites_and_groups_that_are_named_and_no_others() {
        let provider = provider_of("--suite TLS13_AES_128_GCM_SHA256 --groups x25519,X25519MLKEM768").unwrap();
        let suites: Vec<_> = provider.cipher_suites.iter().map(|suite| format!("{:?}", suite.suite())).collect();
        let groups: Vec<_> = provider.kx_groups.iter().map(|group| format!("{:?}", group.name())).collect();
        assert_eq!(
            (suites, groups),
            (vec!["TLS13_AES_128_GCM_SHA256".to_owned()], vec!["X25519".to_owned(), "X25519MLKEM768".to_owned()])
        );
    }

    #[test]
    fn says_which_there_are_where_one_is_unknown() {
        let error = provider_of("--groups X448").err().unwrap();
        assert!(error.starts_with("--groups X448: there are ") && error.contains("X25519"), "{error}");
        assert!(provider_of("--suite RC4").err().unwrap().contains("TLS13_AES_128_GCM_SHA256"));
    }
}
