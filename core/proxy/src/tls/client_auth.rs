//! Who may show a certificate to a listener: the authorities, and what they have revoked.

use std::path::Path;
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use webpki::BorrowedCertRevocationList;

use crate::config::{ClientCertificates, Invalid, Listener};

/// How a listener judges clients' certificates; none: it does not ask for one.
pub type Verifier = Option<Arc<dyn ClientCertVerifier>>;

/// Reads the files of all listeners, in their order; what cannot be used joins the faults.
pub(crate) fn load(listeners: &[Arc<Listener>], faults: &mut Vec<Invalid>) -> Vec<Verifier> {
    let mut one = |(index, listener): (usize, &Arc<Listener>)| {
        let wanted = listener.client_certificates.as_ref()?;
        match verifier(wanted) {
            Ok(verifier) => Some(verifier),
            Err((field, problem)) => {
                let key = format!("listeners[{index}].client_certificates.{field}");
                faults.push(Invalid { key, problem });
                None
            }
        }
    };
    listeners.iter().enumerate().map(&mut one).collect()
}

type Problem = (String, String);

fn verifier(wanted: &ClientCertificates) -> Result<Arc<dyn ClientCertVerifier>, Problem> {
    let roots = authorities(&wanted.ca_file).map_err(|problem| ("ca_file".to_owned(), problem))?;
    let mut lists = Vec::new();
    for (index, file) in wanted.crl_files.iter().enumerate() {
        lists.extend(revoked(file).map_err(|problem| (format!("crl_files[{index}]"), problem))?);
    }
    let mut builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), super::provider(true))
        .with_crls(lists)
        // A list that has run out says nothing of what was revoked since.
        .enforce_revocation_expiration();
    if !wanted.required {
        builder = builder.allow_unauthenticated();
    }
    builder.build().map_err(|error| ("ca_file".to_owned(), format!("cannot be used: {error}")))
}

/// Each authority of a bundle; here one that cannot be used is a fault, for its clients would be refused.
fn authorities(file: &Path) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(file).map_err(|error| unreadable(file, &error))? {
        let certificate = certificate.map_err(|error| format!("{file:?} is not PEM: {error}"))?;
        roots.add(certificate).map_err(|error| format!("{file:?} holds what is no authority: {error}"))?;
    }
    if roots.is_empty() {
        Err(format!("{file:?} holds no certificate: name the PEM file that does"))
    } else {
        Ok(roots)
    }
}

fn revoked(file: &Path) -> Result<Vec<CertificateRevocationListDer<'static>>, String> {
    let lists: Vec<_> = CertificateRevocationListDer::pem_file_iter(file)
        .map_err(|error| unreadable(file, &error))?
        .collect::<Result<_, _>>()
        .map_err(|error| format!("{file:?} is not PEM: {error}"))?;
    for list in &lists {
        BorrowedCertRevocationList::from_der(list).map_err(|error| {
            let mend = "it must be of version 2, as `openssl ca -gencrl -crlexts crl_ext` makes it";
            format!("{file:?} holds a revocation list that cannot be used ({error}): {mend}")
        })?;
    }
    if lists.is_empty() {
        let mend = "`openssl crl -inform DER -in LIST -out FILE` makes PEM of DER";
        return Err(format!("{file:?} holds no revocation list in PEM: {mend}"));
    }
    Ok(lists)
}

fn unreadable(file: &Path, error: &rustls::pki_types::pem::Error) -> String {
    format!("{file:?} cannot be read: {error}: name a readable PEM file")
}
