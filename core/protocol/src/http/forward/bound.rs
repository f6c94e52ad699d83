//! Logins of connections.

use http::HeaderMap;
use http::header::{AUTHORIZATION, WWW_AUTHENTICATE};

use crate::http::list::{split_once, trim};

/// Whether a request or an answer speaks NTLM or Negotiate (RFC 4559), which log in a connection and not a request:
/// such a connection to a backend must serve no other client.
#[must_use]
pub fn binds_connection(headers: &HeaderMap) -> bool {
    let said = headers.get_all(AUTHORIZATION).iter().chain(headers.get_all(WWW_AUTHENTICATE));
    // Several challenges may stand in one field; a comma within one of them makes no scheme of what follows it.
    let mut schemes = said
        .flat_map(|value| value.as_bytes().split(|&octet| octet == b','))
        .map(|challenge| split_once(trim(challenge), b' ').0);
    schemes.any(|scheme| scheme.eq_ignore_ascii_case(b"NTLM") || scheme.eq_ignore_ascii_case(b"Negotiate"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ntlm_and_negotiate_are_known_on_both_ways() {
        let table = [
            ("authorization", "NTLM TlRMTVNTUAAB", true),
            ("authorization", "negotiate YII=", true),
            ("www-authenticate", "Basic realm=\"x\", Negotiate", true),
            ("www-authenticate", "NTLM", true),
            ("authorization", "Basic TlRMTQ==", false),
            ("www-authenticate", "Digest realm=\"NTLM\", qop=\"auth\"", false),
            ("proxy-authorization", "NTLM x", false),
        ];
        for (name, value, expected) in table {
            let headers = [(name.parse().unwrap(), value.parse().unwrap())].into_iter().collect();
            assert_eq!(binds_connection(&headers), expected, "{name}: {value}");
        }
    }
}
