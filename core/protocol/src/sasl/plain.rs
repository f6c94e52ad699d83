//! PLAIN (RFC 4616): authzid NUL authcid NUL password, in one message.

use super::{Credentials, Refused, encoded, password};
use crate::{Name, Secret};

/// The base64 response that logs in at a backend.
#[must_use]
pub fn plain(authzid: Option<&Name>, name: &Name, password: &Secret) -> Secret {
    let authzid = authzid.map_or("", Name::as_str).as_bytes();
    encoded(&[authzid, b"\0", name.as_str().as_bytes(), b"\0", password.expose()])
}

pub(super) fn parse(message: &[u8]) -> Result<Credentials, Refused> {
    let mut parts = message.splitn(3, |&octet| octet == 0);
    let (Some(authzid), Some(authcid), Some(secret)) = (parts.next(), parts.next(), parts.next()) else {
        return Err(Refused::Malformed);
    };
    if secret.contains(&0) {
        return Err(Refused::Malformed);
    }
    let name = Name::new(authcid).map_err(Refused::Name)?;
    let authzid = match authzid {
        [] => None,
        octets => Some(Name::new(octets).map_err(Refused::Name)?).filter(|authzid| *authzid != name),
    };
    Ok(Credentials { authzid, name: Some(name), credential: password(secret)? })
}
