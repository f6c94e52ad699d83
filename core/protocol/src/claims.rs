//! What a token says of itself, where it is a JWT (RFC 7519): good for finding the way to who can check it, and for
//! nothing else. No signature is looked at.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::Name;
use crate::json::{self, Members};

/// Octets of claims that are read. Much longer ones are no token of a mail user, and would take memory for nothing.
const MAX_CLAIMS: usize = 64 * 1024;

/// The claims of a token, as JSON.
pub(crate) struct Claims(Vec<u8>);

impl Claims {
    /// Takes them out of a token in compact form; none: it is no JWT.
    pub(crate) fn read(token: &[u8]) -> Option<Self> {
        let mut segments = token.split(|&octet| octet == b'.');
        let (_header, payload, _signature) = (segments.next()?, segments.next()?, segments.next()?);
        if segments.next().is_some() || payload.len() > MAX_CLAIMS {
            return None;
        }
        Some(Self(URL_SAFE_NO_PAD.decode(payload).ok()?))
    }

    /// The name that a claim holds; none: it is not there, not once, or no name.
    pub(crate) fn name(&self, claim: &str) -> Option<Name> {
        let claim = json::string(Members::read(&self.0)?.only(claim)?.get())?;
        Name::new(claim.as_bytes()).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(token: &[u8], claim: &str) -> Option<Name> {
        Claims::read(token)?.name(claim)
    }

    #[test]
    fn a_name_is_the_text_of_the_claim_and_nothing_else() {
        let told = |claims: &[u8]| {
            let token = format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims));
            name(token.as_bytes(), "email").map(|name| name.as_str().to_owned())
        };
        let siti = Some("siti@tgg.net.id".to_owned());
        assert_eq!(told(br#"{"sub":"7","email":"siti@tgg.net.id"}"#), siti);
        assert_eq!(told(br#" {"email" : "siti\u0040tgg.net.id"} "#), siti);
        for no_name in [
            &br#"{"sub":"siti@tgg.net.id"}"#[..],
            br#"{"Email":"siti@tgg.net.id"}"#,
            br#"{"email":["siti@tgg.net.id"]}"#,
            br#"{"email":"siti@tgg.net.id","email":"siti@tgg.net.id"}"#,
            br#"{"email":7}"#,
            br#"{"email":null}"#,
            br#"{"email":""}"#,
            br#"{"email":"siti\r\n@tgg.net.id"}"#,
            br#"{"email":"siti\u0000@tgg.net.id"}"#,
            b"{\"email\":\"\xff\"}",
            br#"["email","siti@tgg.net.id"]"#,
            br#"{"email":"siti@tgg.net.id"}{}"#,
            br#"{"email":"siti@tgg.net.id""#,
            b"",
        ] {
            assert_eq!(told(no_name), None, "{}", no_name.escape_ascii());
        }
        assert_eq!(told(format!(r#"{{"email":"{}"}}"#, "a".repeat(1025)).as_bytes()), None);
        assert_eq!(told("[".repeat(40_000).as_bytes()), None);
        let padded = |octets| format!(r#"{{"email":"siti@tgg.net.id"{}}}"#, " ".repeat(octets));
        assert_eq!(told(padded(MAX_CLAIMS / 2).as_bytes()), siti);
        assert_eq!(told(padded(MAX_CLAIMS).as_bytes()), None);
    }

    #[test]
    fn a_token_that_is_no_jwt_says_nothing() {
        let payload = URL_SAFE_NO_PAD.encode(r#"{"email":"siti@tgg.net.id"}"#);
        let dots = |parts: &[&str]| parts.join(".");
        for token in [
            payload.clone(),
            dots(&["e30", &payload]),
            dots(&["e30", &payload, "c2ln", ""]),
            dots(&["e30", &payload, "a", "b", "c"]),
            dots(&["e30", &(payload.clone() + "="), "c2ln"]),
            dots(&["e30", "a", "c2ln"]),
            "..".to_owned(),
        ] {
            assert_eq!(name(token.as_bytes(), "email"), None, "{token}");
        }
        assert!(name(dots(&["", &payload, ""]).as_bytes(), "email").is_some(), "an unsigned one still leads the way");
    }
}
