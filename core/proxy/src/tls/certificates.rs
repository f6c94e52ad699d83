//! Certificates chosen by SNI: the exact name, then a wildcard of one label, then the default. Those that the config
//! lists are read at the start, those of directories when they are first asked for.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use tokio::sync::Semaphore;

use super::directories::Directories;
use super::watched::{Files, LOOKS, Watched};
use crate::config::{Certificate, Config, Invalid};
use crate::record::Writer;

/// All certificates of an edge.
#[derive(Debug)]
pub struct Certificates {
    listed: Listed,
    directories: Directories,
    looks: Arc<Semaphore>,
}

/// Those that the config names one by one.
#[derive(Debug, Default)]
struct Listed {
    exact: HashMap<String, Arc<Watched>>,
    /// By what follows the `*.`.
    wildcard: HashMap<String, Arc<Watched>>,
    default: Option<Arc<Watched>>,
}

impl Certificates {
    /// Reads the files of a config, save what lies in directories; what cannot be used joins the faults.
    #[must_use]
    pub fn load(config: &Config, faults: &mut Vec<Invalid>) -> Self {
        let mut listed = Listed::default();
        let missing =
            |it: &Certificate| it.certificate_file.as_os_str().is_empty() || it.key_file.as_os_str().is_empty();
        for (index, certificate) in config.certificates.iter().enumerate().filter(|(_, it)| !missing(it)) {
            match load(certificate) {
                Ok((watched, names)) => listed.add(&Arc::new(watched), &names, certificate.default),
                Err((field, problem)) => {
                    let key = format!("certificates[{index}].{field}");
                    faults.push(Invalid { key, problem });
                }
            }
        }
        let directories = Directories::new(&config.certificate_directories, config.tls.cached_certificates);
        Self { listed, directories, looks: Arc::new(Semaphore::new(LOOKS)) }
    }

    /// Whether all are in memory, and none has to be read first.
    pub(super) fn are_at_hand(&self) -> bool {
        self.directories.are_none()
    }

    /// The certificate for a host name, of those in memory.
    pub(super) fn find_listed(&self, name: Option<&str>, records: &Writer) -> Option<Arc<CertifiedKey>> {
        let name = name.map(|name| name.trim_end_matches('.').to_ascii_lowercase());
        let own = name.as_deref().and_then(|name| self.listed.exact.get(name)).cloned();
        let found = own.or_else(|| self.listed.by_parent_or_default(name.as_deref()));
        found.map(|watched| watched.show(records, &self.looks))
    }

    /// The certificate for a host name: one that is for it alone, then one for all names of its parent, then the
    /// default.
    pub async fn find(&self, name: Option<&str>, records: &Writer) -> Option<Arc<CertifiedKey>> {
        let name = name.map(|name| name.trim_end_matches('.').to_ascii_lowercase());
        let own = match name.as_deref() {
            None => None,
            Some(name) => match self.listed.exact.get(name) {
                Some(own) => Some(Arc::clone(own)),
                None => self.directories.find(name, records).await,
            },
        };
        let found = own.or_else(|| self.listed.by_parent_or_default(name.as_deref()));
        found.map(|watched| watched.show(records, &self.looks))
    }
}

impl Listed {
    fn add(&mut self, certificate: &Arc<Watched>, names: &[String], default: bool) {
        for name in names {
            // The first certificate of a name wins, as the first of all is the default.
            let (table, name) = match name.strip_prefix("*.") {
                Some(parent) => (&mut self.wildcard, parent),
                None => (&mut self.exact, name.as_str()),
            };
            table.entry(name.to_ascii_lowercase()).or_insert_with(|| Arc::clone(certificate));
        }
        if default || self.default.is_none() {
            self.default = Some(Arc::clone(certificate));
        }
    }

    fn by_parent_or_default(&self, name: Option<&str>) -> Option<Arc<Watched>> {
        let parent = name.and_then(|name| name.split_once('.')).map(|(_, parent)| parent);
        parent.and_then(|parent| self.wildcard.get(parent)).or(self.default.as_ref()).cloned()
    }
}

/// The field it is of, and what is wrong.
pub(crate) type Problem = (&'static str, String);

fn load(config: &Certificate) -> Result<(Watched, Vec<String>), Problem> {
    let files = Files {
        certificate: config.certificate_file.clone(),
        key: config.key_file.clone(),
        staple: config.ocsp_file.clone(),
    };
    if let Some(file) = files.staple.as_ref().filter(|file| !file.is_file()) {
        let problem = format!("{file:?} is no file: have `openssl ocsp -respout` write it, or leave it out");
        return Err(("ocsp_file", problem));
    }
    let watched = Watched::read(files, SystemTime::now())?;
    let names = if config.names.is_empty() { names_of(&watched.plain().cert) } else { config.names.clone() };
    if names.is_empty() {
        let problem = "is empty and the certificate names no host: list the names it is shown for";
        return Err(("names", problem.into()));
    }
    Ok((watched, names))
}

/// Reads a certificate and its key from their PEM files, whatever it is for.
pub(crate) fn read_pair(certificate_file: &Path, key_file: &Path) -> Result<CertifiedKey, Problem> {
    let chain = read_chain(certificate_file).map_err(|problem| ("certificate_file", problem))?;
    let key = PrivateKeyDer::from_pem_file(key_file)
        .map_err(|error| ("key_file", format!("{key_file:?} cannot be read: {error}: name a readable PEM file")))?;
    CertifiedKey::from_der(chain, key, &super::provider(true)).map_err(|error| {
        let problem = format!("{key_file:?} does not fit the certificate ({error}): name the key it was made for");
        ("key_file", problem)
    })
}

fn read_chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let unreadable = |error| format!("{path:?} cannot be read: {error}: name a readable PEM file");
    let chain: Vec<_> = CertificateDer::pem_file_iter(path)
        .map_err(unreadable)?
        .collect::<Result<_, _>>()
        .map_err(|error| format!("{path:?} is not PEM: {error}"))?;
    if chain.is_empty() {
        Err(format!("{path:?} holds no certificate: name the PEM file that does, leaf first"))
    } else {
        Ok(chain)
    }
}

/// The DNS names a certificate is for.
fn names_of(chain: &[CertificateDer<'static>]) -> Vec<String> {
    let Some(leaf) = chain.first() else { return Vec::new() };
    let Ok(parsed) = webpki::EndEntityCert::try_from(leaf) else { return Vec::new() };
    parsed.valid_dns_names().map(str::to_ascii_lowercase).collect()
}
