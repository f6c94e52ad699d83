//! Tokens as clients say them, and what is said of a bad one.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zproxy_protocol::Refusal;
use zproxy_protocol::sasl::{ErrorObject, TokenMechanism};

pub(crate) const EXPIRED: &str = "{\"status\":\"invalid_token\",\"scope\":\"mail\"}";

/// Siti's message with a token.
pub(crate) fn message(mechanism: TokenMechanism, token: &str) -> String {
    match mechanism {
        TokenMechanism::OauthBearer => format!("n,a=siti,\x01auth=Bearer {token}\x01\x01"),
        TokenMechanism::Xoauth2 => format!("user=siti\x01auth=Bearer {token}\x01\x01"),
    }
}

/// A refusal that says so.
pub(crate) fn object(text: &str) -> Refusal {
    Refusal::Token(ErrorObject::from_challenge(STANDARD.encode(text).as_bytes()).unwrap())
}
