//! PLAIN (RFC 4616): authzid NUL authcid NUL password, in one message.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::{Credentials, Refused, password};
use crate::{Name, Secret};

/// The base64 response that logs in at a backend.
#[must_use]
pub fn plain(authzid: Option<&Name>, name: &Name, password: &Secret) -> Secret {
    let authzid = authzid.map_or("", Name::as_str).as_bytes();
    let parts = [authzid, b"\0", name.as_str().as_bytes(), b"\0", password.expose()];
    // Its final size at once: growing would leave a copy of the password behind unwiped.
    let length = parts.iter().fold(0_usize, |sum, part| sum.saturating_add(part.len()));
    let mut message = Zeroizing::new(Vec::with_capacity(length));
    for part in parts {
        message.extend_from_slice(part);
    }
    Secret::new(Zeroizing::new(STANDARD.encode(&message)).as_bytes())
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
    Ok(Credentials { authzid, name, password: password(secret)? })
}
