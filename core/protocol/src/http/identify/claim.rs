//! Claims of a JWT that name a user.

use super::Who;
use crate::claims::Claims;

/// A claim that names a user.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Claim {
    /// `sub`, `email`, `preferred_username`.
    pub name: Box<str>,
    /// What it says.
    pub says: Says,
}

/// What a claim says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Says {
    /// The directory's id of the account, as Zimbra's `sub`.
    AccountId,
    /// A login name.
    Name,
}

/// Whom the first of these claims names that is there once and is a name.
pub(super) fn who<'a>(token: &[u8], claims: &[Claim]) -> Option<Who<'a>> {
    let said = Claims::read(token)?;
    claims.iter().find_map(|claim| {
        let name = said.name(&claim.name)?;
        Some(match claim.says {
            Says::AccountId => Who::AccountId(name),
            Says::Name => Who::Name(name),
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    fn read(payload: &str) -> Option<String> {
        let claims = [("email", Says::Name), ("sub", Says::AccountId)];
        let claims = claims.map(|(name, says)| Claim { name: name.into(), says });
        let token = format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(payload));
        Some(match who(token.as_bytes(), &claims)? {
            Who::AccountId(id) => format!("id {}", id.as_str()),
            Who::Name(name) => name.as_str().to_owned(),
            other => panic!("{other:?}"),
        })
    }

    #[test]
    fn the_first_claim_that_names_somebody_counts() {
        let table = [
            (r#"{"sub":"25a1","exp":1764000000}"#, Some("id 25a1")),
            (r#"{"sub":"25a1","email":"siti@tgg.net.id"}"#, Some("siti@tgg.net.id")),
            (r#"{"email":["siti@tgg.net.id"],"sub":"25a1"}"#, Some("id 25a1")),
            (r#"{"email":"","sub":"25a1"}"#, Some("id 25a1")),
            (r#"{"email":"a","email":"b","sub":"25a1"}"#, Some("id 25a1")),
            (r#"{"email":"a\r\nb"}"#, None),
            (r#"{"email":null}"#, None),
            (r#"{"x":{"email":"siti"}}"#, None),
            (r#"["email","siti"]"#, None),
            ("{", None),
            ("", None),
        ];
        for (payload, expected) in table {
            assert_eq!(read(payload).as_deref(), expected, "{payload}");
        }
    }

    #[test]
    fn without_a_claim_to_look_for_nobody_is_named() {
        let token = format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(r#"{"sub":"siti"}"#));
        assert!(who(token.as_bytes(), &[]).is_none());
    }
}
