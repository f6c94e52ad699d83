//! XOAUTH2, as Google documents it: `user=` name ^A `auth=Bearer` token ^A ^A.

use super::{Credential, Credentials, Refused, Token, TokenMechanism, encoded};
use crate::{Name, Secret};

pub(super) fn response(name: &Name, token: &Secret) -> Secret {
    encoded(&[b"user=", name.as_str().as_bytes(), b"\x01auth=Bearer ", token.expose(), b"\x01\x01"])
}

pub(super) fn parse(message: &[u8]) -> Result<Credentials, Refused> {
    let (name, authorization) = split(message).ok_or(Refused::MalformedXoauth2)?;
    if name.is_empty() {
        return Err(Refused::Nameless);
    }
    Ok(Credentials {
        authzid: None,
        name: Some(Name::new(name).map_err(Refused::Name)?),
        credential: Credential::Token(Token::from_authorization(TokenMechanism::Xoauth2, authorization)?),
    })
}

/// The name and the authorization.
fn split(message: &[u8]) -> Option<(&[u8], &[u8])> {
    let fields = message.strip_prefix(b"user=")?.strip_suffix(b"\x01\x01")?;
    let mut fields = fields.splitn(2, |&octet| octet == 1);
    Some((fields.next()?, fields.next()?.strip_prefix(b"auth=")?))
}
