//! What an edge shows to control on another machine, and whom it believes to be control; read from files that may be
//! renewed at any time.

use std::fs;
use std::path::Path;

use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::transport::{Certificate, ClientTlsConfig, Identity};
use tonic::{Request, Status};

use crate::config::{Invalid, Remote};
use crate::tls::{read_pair, read_roots};

/// Longest file that may hold a token: a longer one is another file.
const LONGEST_TOKEN: u64 = 4096;

/// Everything one connection needs.
pub(super) struct Credentials {
    pub(super) tls: ClientTlsConfig,
    pub(super) shown: Shown,
}

/// Shows a token with each call, where there is one.
#[derive(Clone, Default)]
pub(super) struct Shown(Option<MetadataValue<Ascii>>);

impl Interceptor for Shown {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(token) = &self.0 {
            request.metadata_mut().insert("authorization", token.clone());
        }
        Ok(request)
    }
}

impl Credentials {
    /// Reads the files; an error is the field and what is wrong with it.
    pub(super) fn read(remote: &Remote) -> Result<Self, (&'static str, String)> {
        read_roots(&remote.ca_file).map_err(|problem| ("ca_file", problem))?;
        let roots = Certificate::from_pem(octets("ca_file", &remote.ca_file)?);
        let mut tls = ClientTlsConfig::new().ca_certificate(roots).domain_name(&*remote.server_name);
        if let Some((certificate, key)) = &remote.certificate {
            read_pair(certificate, key)?;
            tls = tls.identity(Identity::from_pem(octets("certificate_file", certificate)?, octets("key_file", key)?));
        }
        let token = remote.token_file.as_deref().map(token).transpose().map_err(|problem| ("token_file", problem))?;
        Ok(Self { tls, shown: Shown(token) })
    }
}

/// Names what is wrong with the files, before they are needed; where keys are missing that is known already.
pub(crate) fn check(remote: &Remote, faults: &mut Vec<Invalid>) {
    if faults.iter().any(|fault| fault.key.starts_with("control.")) {
        return;
    }
    if let Err((field, problem)) = Credentials::read(remote) {
        faults.push(Invalid { key: format!("control.{field}"), problem });
    }
}

fn octets(field: &'static str, file: &Path) -> Result<Vec<u8>, (&'static str, String)> {
    fs::read(file).map_err(|error| (field, format!("{file:?} cannot be read: {error}: name a readable PEM file")))
}

fn token(file: &Path) -> Result<MetadataValue<Ascii>, String> {
    let unreadable = |error| format!("{file:?} cannot be read: {error}: name a readable file");
    if fs::metadata(file).map_err(unreadable)?.len() > LONGEST_TOKEN {
        return Err(format!("{file:?} holds more than a token: write one to it, and nothing else"));
    }
    let held = fs::read_to_string(file).map_err(unreadable)?;
    let held = held.trim();
    if held.is_empty() || !held.bytes().all(|octet| octet.is_ascii_graphic()) {
        // What it holds instead may be a secret.
        return Err(format!("{file:?} holds no token: write one of `zproxy token create` to it, and nothing else"));
    }
    let mut shown: MetadataValue<Ascii> =
        format!("Bearer {held}").parse().map_err(|_| format!("{file:?} holds no token"))?;
    shown.set_sensitive(true);
    Ok(shown)
}
