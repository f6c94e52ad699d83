//! Basic (RFC 7617): the user, and nothing of the password.

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use zeroize::Zeroizing;

use crate::Name;
use crate::name::MAX_NAME;

/// Octets of base64 that stand for one another in one step.
const STEP: usize = 4;

const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The user of `user:password` in base64. It is decoded step by step up to the colon; of the password that leaves two
/// octets at most, which are wiped.
pub(super) fn user(credentials: &[u8]) -> Option<Name> {
    let mut user = Vec::new();
    for step in credentials.chunks(STEP) {
        let mut decoded = Zeroizing::new([0; STEP]);
        let length = BASE64.decode_slice(step, &mut *decoded).ok()?;
        let decoded = decoded.get(..length)?;
        match decoded.iter().position(|&octet| octet == b':') {
            Some(colon) => {
                user.extend_from_slice(decoded.get(..colon)?);
                return Name::new(&user).ok();
            }
            None => user.extend_from_slice(decoded),
        }
        if user.len() > MAX_NAME {
            return None;
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_user_is_what_stands_before_the_colon() {
        let table: [(&[u8], Option<&str>); 16] = [
            (b"siti@tgg.net.id:demo", Some("siti@tgg.net.id")),
            (b"a:", Some("a")),
            (b"ab:", Some("ab")),
            (b"abc:d", Some("abc")),
            (b"abcd:ef", Some("abcd")),
            (b"a:b:c", Some("a")),
            (b"TGG\\siti:demo", Some("TGG\\siti")),
            (b"a b:c", Some("a b")),
            ("élise:x".as_bytes(), Some("élise")),
            (b"a:\xff\0", Some("a")),
            (b":demo", None),
            (b"siti", None),
            (b"", None),
            (b"a\r\nb:c", None),
            (b"a\0:c", None),
            (b"\xe9lise:x", None),
        ];
        for (said, expected) in table {
            let encoded = base64::engine::general_purpose::STANDARD.encode(said);
            assert_eq!(user(encoded.as_bytes()).as_ref().map(Name::as_str), expected, "{}", said.escape_ascii());
            let bare = encoded.trim_end_matches('=');
            assert_eq!(user(bare.as_bytes()).as_ref().map(Name::as_str), expected, "{bare}");
        }
    }

    #[test]
    fn what_is_no_base64_or_no_name_says_nothing() {
        for said in ["", "=", "====", "a", "ab==c2l0aTpk", "c2l0 aTpk", "c2l0aS-_", "\0\0\0\0"] {
            assert_eq!(user(said.as_bytes()), None, "{said}");
        }
        let long = base64::engine::general_purpose::STANDARD.encode(vec![b'a'; 65_536]);
        assert_eq!(user(long.as_bytes()), None);
    }
}
