//! OAUTHBEARER (RFC 7628): a GS2 header (RFC 5801) with the name, then keys and values, each behind a ^A.
//!
//! The host and port that a client may say are ours, not the backend's: they are checked and go no further.

use super::gs2::unescape;
use super::{Credential, Credentials, Refused, Token, TokenMechanism, encoded};
use crate::{Name, Secret};

const SEPARATOR: u8 = 1;

pub(super) fn response(name: &Name, token: &Secret) -> Secret {
    let name = name.as_str().replace('=', "=3D").replace(',', "=2C");
    encoded(&[b"n,a=", name.as_bytes(), b",\x01auth=Bearer ", token.expose(), b"\x01\x01"])
}

pub(super) fn parse(message: &[u8]) -> Result<Credentials, Refused> {
    let mut parts = message.strip_suffix(b"\x01\x01").ok_or(MALFORMED)?.split(|&octet| octet == SEPARATOR);
    let name = header(parts.next().unwrap_or_default())?;
    let pairs = Pairs::read(parts)?;
    let token = Token::from_authorization(TokenMechanism::OauthBearer, pairs.auth.ok_or(MALFORMED)?)?;
    Ok(Credentials { authzid: None, name, credential: Credential::Token(token) })
}

/// The name of `n,a=NAME,`, which `n,,` leaves to the token: no channel binding, for the channel that a client would
/// bind to is not the backend's.
fn header(header: &[u8]) -> Result<Option<Name>, Refused> {
    let rest = header.strip_prefix(b"n,").or_else(|| header.strip_prefix(b"y,")).ok_or(MALFORMED)?;
    match rest.strip_suffix(b",").ok_or(MALFORMED)? {
        [] | b"a=" => Ok(None),
        [b'a', b'=', name @ ..] => Name::new(&unescape(name).ok_or(MALFORMED)?).map(Some).map_err(Refused::Name),
        _ => Err(MALFORMED),
    }
}

/// What the keys say, each once.
#[derive(Default)]
struct Pairs<'a> {
    auth: Option<&'a [u8]>,
    host: Option<&'a [u8]>,
    port: Option<&'a [u8]>,
}

impl<'a> Pairs<'a> {
    fn read(pairs: impl Iterator<Item = &'a [u8]>) -> Result<Self, Refused> {
        let mut read = Self::default();
        for pair in pairs {
            let (key, value) = split(pair).ok_or(MALFORMED)?;
            let place = match key {
                b"auth" => &mut read.auth,
                b"host" => &mut read.host,
                b"port" => &mut read.port,
                // RFC 7628, section 3.1: to be overlooked.
                _ => continue,
            };
            if place.replace(value).is_some() {
                return Err(MALFORMED);
            }
        }
        let host = read.host.is_none_or(|host| !host.is_empty() && host.iter().all(u8::is_ascii_graphic));
        if host && read.port.is_none_or(is_port) { Ok(read) } else { Err(MALFORMED) }
    }
}

/// RFC 7628, `kvpair`: a key of letters, and a value of visible ASCII and white space.
fn split(pair: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = pair.iter().position(|&octet| octet == b'=')?;
    let (key, value) = (pair.get(..at)?, pair.get(at.checked_add(1)?..)?);
    let is_text = |octet: &u8| octet.is_ascii_graphic() || b" \t\r\n".contains(octet);
    (!key.is_empty() && key.iter().all(u8::is_ascii_alphabetic) && value.iter().all(is_text)).then_some((key, value))
}

/// A number without leading zeros.
fn is_port(port: &[u8]) -> bool {
    let digits = port.iter().all(u8::is_ascii_digit) && !port.starts_with(b"0");
    digits && std::str::from_utf8(port).is_ok_and(|port| port.parse::<u16>().is_ok())
}

const MALFORMED: Refused = Refused::MalformedOauthBearer;
