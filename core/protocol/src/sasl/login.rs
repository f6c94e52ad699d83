//! LOGIN: the name, then the password, each behind its own challenge.

use super::{Credentials, Refused, password as checked};
use crate::Name;

/// `Username:`; clients compare the text, so it is never anything else.
pub(super) const NAME_CHALLENGE: &str = "VXNlcm5hbWU6";
/// `Password:`.
pub(super) const PASSWORD_CHALLENGE: &str = "UGFzc3dvcmQ6";

pub(super) fn name(message: &[u8]) -> Result<Name, Refused> {
    Name::new(message).map_err(Refused::Name)
}

pub(super) fn password(name: Name, message: &[u8]) -> Result<Credentials, Refused> {
    Ok(Credentials { authzid: None, name: Some(name), credential: checked(message)? })
}
