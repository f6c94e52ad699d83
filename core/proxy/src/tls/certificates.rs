//! Certificates chosen by SNI: the exact name, then a wildcard of one label, then the default.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use crate::config::{Certificate, Invalid};

/// All certificates of an edge.
#[derive(Debug, Default)]
pub struct Certificates {
    exact: HashMap<String, Arc<CertifiedKey>>,
    /// By what follows the `*.`.
    wildcard: HashMap<String, Arc<CertifiedKey>>,
    default: Option<Arc<CertifiedKey>>,
}

impl Certificates {
    /// Reads the files of a config; what cannot be used joins the faults.
    #[must_use]
    pub fn load(config: &[Certificate], faults: &mut Vec<Invalid>) -> Self {
        let mut all = Self::default();
        let missing =
            |it: &Certificate| it.certificate_file.as_os_str().is_empty() || it.key_file.as_os_str().is_empty();
        for (index, certificate) in config.iter().enumerate().filter(|(_, it)| !missing(it)) {
            match load(certificate) {
                Ok((key, names)) => all.add(&Arc::new(key), &names, certificate.default),
                Err((field, problem)) => {
                    let key = format!("certificates[{index}].{field}");
                    faults.push(Invalid { key, problem });
                }
            }
        }
        all
    }

    fn add(&mut self, key: &Arc<CertifiedKey>, names: &[String], default: bool) {
        for name in names {
            // The first certificate of a name wins, as the first of all is the default.
            let (table, name) = match name.strip_prefix("*.") {
                Some(parent) => (&mut self.wildcard, parent),
                None => (&mut self.exact, name.as_str()),
            };
            table.entry(name.to_ascii_lowercase()).or_insert_with(|| Arc::clone(key));
        }
        if default || self.default.is_none() {
            self.default = Some(Arc::clone(key));
        }
    }

    /// The certificate for a host name, without case; a name that none matches gets the default.
    #[must_use]
    pub fn choose(&self, name: Option<&str>) -> Option<Arc<CertifiedKey>> {
        let name = name.map(|name| name.trim_end_matches('.').to_ascii_lowercase());
        let by_name = name.as_deref().and_then(|name| {
            let parent = name.split_once('.').map(|(_, parent)| parent);
            self.exact.get(name).or_else(|| parent.and_then(|parent| self.wildcard.get(parent)))
        });
        by_name.or(self.default.as_ref()).cloned()
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.choose(hello.server_name())
    }
}

/// The field it is of, and what is wrong.
pub(super) type Problem = (&'static str, String);

fn load(config: &Certificate) -> Result<(CertifiedKey, Vec<String>), Problem> {
    let certified = read_pair(&config.certificate_file, &config.key_file)?;
    let names = if config.names.is_empty() { names_of(&certified.cert) } else { config.names.clone() };
    if names.is_empty() {
        let problem = "is empty and the certificate names no host: list the names it is shown for";
        return Err(("names", problem.into()));
    }
    Ok((certified, names))
}

/// Reads a certificate and its key from their PEM files, whatever it is for.
pub(super) fn read_pair(certificate_file: &Path, key_file: &Path) -> Result<CertifiedKey, Problem> {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> Arc<CertifiedKey> {
        let made = rcgen::generate_simple_self_signed(["x".to_owned()]).unwrap();
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
        Arc::new(CertifiedKey::from_der(vec![made.cert.der().clone()], key, &super::super::provider(true)).unwrap())
    }

    #[test]
    fn chooses_exact_then_one_label_wildcard_then_default() {
        let (mail, wild, other) = (key(), key(), key());
        let mut all = Certificates::default();
        all.add(&other, &["other.example".into()], false);
        all.add(&mail, &["mail.tgg.net.id".into()], false);
        all.add(&wild, &["*.tgg.net.id".into()], true);
        let chosen = |name| all.choose(name).unwrap();
        assert!(Arc::ptr_eq(&chosen(Some("MAIL.tgg.net.id.")), &mail));
        assert!(Arc::ptr_eq(&chosen(Some("imap.tgg.net.id")), &wild));
        assert!(Arc::ptr_eq(&chosen(Some("other.example")), &other));
        for name in [Some("a.b.tgg.net.id"), Some("tgg.net.id"), Some("x"), None] {
            assert!(Arc::ptr_eq(&chosen(name), &wild), "{name:?}");
        }
    }
}
