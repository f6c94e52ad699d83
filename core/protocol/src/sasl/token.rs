//! A bearer token (RFC 6750) and the two mechanisms that carry one. Others check it: nothing here trusts what it says.

use super::{Refused, oauthbearer, xoauth2};
use crate::claims::Claims;
use crate::{Name, Secret};

/// A mechanism that carries a token.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum TokenMechanism {
    /// RFC 7628.
    OauthBearer,
    /// Google's, older, and what most clients say.
    Xoauth2,
}

impl TokenMechanism {
    /// All, in the order in which they are offered.
    pub const ALL: [Self; 2] = [Self::OauthBearer, Self::Xoauth2];

    /// Its registered name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::OauthBearer => "OAUTHBEARER",
            Self::Xoauth2 => "XOAUTH2",
        }
    }

    /// The capability word that says that a backend takes it: that of IMAP, in every protocol.
    #[must_use]
    pub const fn capability(self) -> &'static str {
        match self {
            Self::OauthBearer => "AUTH=OAUTHBEARER",
            Self::Xoauth2 => "AUTH=XOAUTH2",
        }
    }

    /// The base64 line that answers a challenge with an error object, so that the failure itself may follow: a lone
    /// separator (RFC 7628, section 3.2.3), or nothing.
    pub(super) fn dismissal(self) -> &'static [u8] {
        match self {
            Self::OauthBearer => b"AQ==",
            Self::Xoauth2 => b"",
        }
    }
}

/// A token as a client gave it. To a backend it goes within the message of its own mechanism only.
#[derive(Clone, Debug)]
pub struct Token {
    mechanism: TokenMechanism,
    secret: Secret,
}

impl Token {
    /// How it came, and how alone it goes on.
    #[must_use]
    pub fn mechanism(&self) -> TokenMechanism {
        self.mechanism
    }

    /// The base64 response that logs `name` in at a backend.
    #[must_use]
    pub fn response(&self, name: &Name) -> Secret {
        match self.mechanism {
            TokenMechanism::OauthBearer => oauthbearer::response(name, &self.secret),
            TokenMechanism::Xoauth2 => xoauth2::response(name, &self.secret),
        }
    }

    /// For whoever is asked to check it.
    #[must_use]
    pub fn secret(&self) -> &Secret {
        &self.secret
    }

    /// The name that it claims to be of, where it is a JWT and says so. Anybody can make one that says any: it leads the
    /// way to who checks the token, and proves nothing.
    #[must_use]
    pub fn claim(&self, claim: &str) -> Option<Name> {
        Claims::read(self.secret.expose())?.name(claim)
    }

    /// Reads what HTTP would have as its Authorization (RFC 6750, section 2.1).
    pub(super) fn from_authorization(mechanism: TokenMechanism, value: &[u8]) -> Result<Self, Refused> {
        const SCHEME: &[u8] = b"Bearer ";
        match value.split_at_checked(SCHEME.len()) {
            Some((scheme, token)) if scheme.eq_ignore_ascii_case(SCHEME) && is_token(token) => {
                Ok(Self { mechanism, secret: Secret::new(token) })
            }
            _ => Err(Refused::Token),
        }
    }
}

/// RFC 6750, `b64token`: nothing that could end a message or begin another key.
fn is_token(octets: &[u8]) -> bool {
    let padding = octets.iter().rev().take_while(|&&octet| octet == b'=').count();
    let token = octets.get(..octets.len().saturating_sub(padding)).unwrap_or_default();
    !token.is_empty() && token.iter().all(|octet| octet.is_ascii_alphanumeric() || b"-._~+/".contains(octet))
}
