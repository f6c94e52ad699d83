//! Why a token was refused, as the backend tells the client (RFC 7628, section 3.2.2): a JSON object in a challenge, and
//! only behind the client's answer to it the failure itself.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{TokenMechanism, decode};
use crate::Refusal;

/// Octets of an object: a status, a scope and an address, with room.
const MAX_OBJECT: usize = 1024;

/// An object that a client may be shown. What it says is between the backend and the client.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ErrorObject(Box<str>);

impl ErrorObject {
    /// Reads a challenge; none: it holds no object, or one that is too long.
    #[must_use]
    pub fn from_challenge(base64: &[u8]) -> Option<Self> {
        let octets = decode(base64).ok().filter(|octets| octets.len() <= MAX_OBJECT)?;
        let text = std::str::from_utf8(&octets).ok()?.trim_ascii();
        let is_object = text.starts_with('{') && text.ends_with('}') && text.len() > 1;
        let is_text = text.chars().all(|letter| !letter.is_control() || letter.is_ascii_whitespace());
        (is_object && is_text).then(|| Self(text.into()))
    }

    /// For a token that no backend was asked about, or whose backend did not say what is wrong: what Dovecot says of a
    /// token that is not good, so that a user who does not exist is refused in the words of one who does.
    #[must_use]
    pub fn of(mechanism: TokenMechanism) -> Self {
        Self(match mechanism {
            TokenMechanism::OauthBearer => "{\"status\":\"invalid_token\"}".into(),
            TokenMechanism::Xoauth2 => "{\"status\":\"401\",\"schemes\":\"bearer\",\"scope\":\"mail\"}".into(),
        })
    }

    /// The base64 text of the challenge that shows it.
    #[must_use]
    pub fn challenge(&self) -> String {
        STANDARD.encode(self.0.as_bytes())
    }
}

/// What a backend says of the token that it was sent.
#[derive(Debug)]
pub(crate) struct TokenSent {
    mechanism: TokenMechanism,
    objection: Option<ErrorObject>,
}

impl TokenSent {
    pub(super) fn new(mechanism: TokenMechanism) -> Self {
        Self { mechanism, objection: None }
    }

    /// Hears a challenge that came behind the token, and gives the line to answer it with; none: there is nothing to
    /// ask.
    pub(super) fn challenged(&mut self, base64: &[u8]) -> Option<&'static [u8]> {
        if base64.is_empty() || self.is_refused() {
            return None;
        }
        self.objection = Some(ErrorObject::from_challenge(base64).unwrap_or_else(|| ErrorObject::of(self.mechanism)));
        Some(self.mechanism.dismissal())
    }

    /// Whether the backend objected: it cannot let the client in then.
    pub(super) fn is_refused(&self) -> bool {
        self.objection.is_some()
    }

    /// What the refusal that ends the exchange means, with the objection before it.
    pub(super) fn refusal(self, said: Refusal) -> Refusal {
        match (said, self.objection) {
            (Refusal::Credentials, Some(objection)) => Refusal::Token(objection),
            (said, _) => said,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_one_in_braces_of_bounded_text() {
        let read = |text: &[u8]| ErrorObject::from_challenge(STANDARD.encode(text).as_bytes());
        for good in ["{}", "{\"status\":\"401\",\n\t\"scope\":\"é\"}"] {
            assert_eq!(read(good.as_bytes()).unwrap().challenge(), STANDARD.encode(good));
        }
        assert_eq!(read(b" {} \r\n"), read(b"{}"));
        for ours in TokenMechanism::ALL.map(ErrorObject::of) {
            assert_eq!(ErrorObject::from_challenge(ours.challenge().as_bytes()), Some(ours));
        }
        let long = |octets: usize| format!("{{{}}}", " ".repeat(octets - 2));
        assert!(read(long(MAX_OBJECT).as_bytes()).is_some());
        assert_eq!(read(long(MAX_OBJECT + 1).as_bytes()), None);
        for bad in [&b""[..], b"{", b"[]", b"no", b"{}x", b"{\0}", b"{\x1b}", b"{\xff}"] {
            assert_eq!(read(bad), None, "{}", bad.escape_ascii());
        }
        assert_eq!(ErrorObject::from_challenge(b"{}"), None);
        assert_eq!(ErrorObject::from_challenge(b"e30"), None);
    }
}
