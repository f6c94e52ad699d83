//! EXTERNAL (RFC 4422, appendix A): who the client is was proved below us; the message is whom to act as, if another.

use super::{Credential, Credentials, Refused};
use crate::Name;

/// The capability word that says that clients may be let in by what was proved below: that of IMAP, in every protocol.
pub const CAPABILITY: &str = "AUTH=EXTERNAL";

pub(super) fn parse(message: &[u8]) -> Result<Credentials, Refused> {
    let authzid = match message {
        [] => None,
        octets => Some(Name::new(octets).map_err(Refused::Name)?),
    };
    Ok(Credentials { authzid, name: None, credential: Credential::Certificate })
}
