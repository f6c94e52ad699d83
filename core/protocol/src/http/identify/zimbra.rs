//! Zimbra's token: `version_hmac_hex`, where hex is `name=length:value;` time and again. Its `id` is the account's.
//! Whether it is genuine or still good is for mailboxd to say.

use crate::Name;
use crate::http::list::split_once;
use crate::http::percent;

/// Longest token that is read. Those of mailboxd have some 250 octets; external users' addresses make theirs longer.
const MAX_TOKEN: usize = 4096;
/// Longest account id. A `zimbraId` has 36 octets.
const MAX_ID: usize = 64;

/// The account id that all tokens name that can be read; none: there is none, or they do not agree.
pub(super) fn agreed<'a>(tokens: impl Iterator<Item = &'a [u8]>) -> Option<Name> {
    let mut ids = tokens.filter_map(account_id);
    let id = ids.next()?;
    ids.all(|other| other == id).then_some(id)
}

/// The account id of a token.
pub(super) fn account_id(token: &[u8]) -> Option<Name> {
    let token = token.strip_prefix(b"\"").and_then(|token| token.strip_suffix(b"\"")).unwrap_or(token);
    let mut parts = token.split(|&octet| octet == b'_');
    let (version, hmac, fields) = (parts.next()?, parts.next()?, parts.next()?);
    let shaped = !version.is_empty() && version.iter().all(u8::is_ascii_digit) && !hmac.is_empty() && is_hex(hmac);
    if !shaped || parts.next().is_some() || token.len() > MAX_TOKEN {
        return None;
    }
    id(&decode(fields)?)
}

/// The field `id`. What stands behind it is not read: lengths count characters there that are no octets.
fn id(mut fields: &[u8]) -> Option<Name> {
    loop {
        let (name, rest) = split_once(fields, b'=');
        let (length, rest) = split_once(rest?, b':');
        let (value, rest) = rest?.split_at_checked(number(length)?)?;
        if name == b"id" {
            let is_id =
                value.len() <= MAX_ID && value.iter().all(|octet| octet.is_ascii_alphanumeric() || *octet == b'-');
            return Name::new(value).ok().filter(|_| is_id && matches!(rest, [] | [b';', ..]));
        }
        fields = rest.strip_prefix(b";")?;
    }
}

fn number(digits: &[u8]) -> Option<usize> {
    // `parse` would take a sign.
    let digits = digits.iter().all(u8::is_ascii_digit).then_some(digits)?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

fn is_hex(text: &[u8]) -> bool {
    text.iter().all(u8::is_ascii_hexdigit)
}

fn decode(text: &[u8]) -> Option<Vec<u8>> {
    text.chunks(2).map(|pair| percent::hex(*pair.first()?, *pair.get(1)?)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(fields: &str) -> String {
        let hex: String = fields.bytes().map(|octet| format!("{octet:02x}")).collect();
        format!("0_6b5a0e0f_{hex}")
    }

    fn read(token: &str) -> Option<String> {
        account_id(token.as_bytes()).map(|id| id.as_str().to_owned())
    }

    const ID: &str = "25a1f8c4-7a3e-4a51-9b0e-2f6d1f6a9c11";

    #[test]
    fn the_id_is_that_of_its_field() {
        let whole = format!("id=36:{ID};exp=13:1764000000000;type=6:zimbra;tid=9:123456789;");
        assert_eq!(read(&token(&whole)).as_deref(), Some(ID));
        assert_eq!(read(&format!("\"{}\"", token(&whole))).as_deref(), Some(ID));
        assert_eq!(read(&token(&whole).to_uppercase()).as_deref(), Some(ID));
        assert_eq!(read(&token(&format!("exp=1:1;id=36:{ID}"))).as_deref(), Some(ID));
        assert_eq!(read(&token(&format!("x=9:id=1:a;b=;id=36:{ID};"))).as_deref(), Some(ID));
    }

    #[test]
    fn a_token_of_another_shape_says_nothing() {
        for fields in [
            "",
            "id",
            "id=",
            "id=1",
            "id=0:;",
            "id=:a;",
            "id=2:a;",
            "id=1:ab;",
            "id=+1:a;",
            "id=-1:a;",
            "id=99999999999999999999:a;",
            "exp=1:1id=1:a;",
            "ID=1:a;",
            "id=1:\n;",
            "id=3:a@b;",
            "id=1:é;",
        ] {
            assert_eq!(read(&token(fields)), None, "{fields}");
        }
        let good = token("id=1:a;");
        assert_eq!(read(&good).as_deref(), Some("a"));
        for bad in ["", "_", "__", "0__69", "0_g_69", "x_0_69", "0_0_6", "0_0_6g", &good[2..], &format!("{good}_")] {
            assert_eq!(read(bad), None, "{bad}");
        }
        assert_eq!(read(&token(&format!("id=65:{};", "a".repeat(65)))), None);
        assert_eq!(read(&token(&format!("id=1:a;{}", "x".repeat(MAX_TOKEN)))), None);
    }

    #[test]
    fn tokens_that_do_not_agree_say_nothing() {
        let (siti, budi) = (token("id=1:a;"), token("id=1:b;"));
        let agree = |tokens: &[&str]| agreed(tokens.iter().map(|token| token.as_bytes())).is_some();
        assert!(agree(&[&siti]) && agree(&["", &siti, "junk", &siti]));
        assert!(!agree(&[&siti, &budi]) && !agree(&["junk"]) && !agree(&[]));
    }
}
