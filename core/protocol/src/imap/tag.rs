//! The one word of a client's that IMAP's machines both know (RFC 3501, section 9).

/// Longest tag. Clients count in a few digits; a longer one only serves to have us say it back.
pub(super) const MAX_TAG: usize = 64;

/// A tag that the grammar allows and that is short: the only words of a client's that are ever said back to it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Tag(Box<str>);

impl Tag {
    /// Checks octets: printable ASCII without specials and `+`, at most 64.
    #[must_use]
    pub fn new(octets: &[u8]) -> Option<Self> {
        let legal = |&octet: &u8| octet.is_ascii_graphic() && !b"(){%*\"\\+".contains(&octet);
        if octets.is_empty() || octets.len() > MAX_TAG || !octets.iter().all(legal) {
            return None;
        }
        std::str::from_utf8(octets).ok().map(|tag| Self(tag.into()))
    }

    /// The tag.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_short_and_of_tag_characters() {
        for good in [&b"a"[..], b"A001", b"a]b", b"1.2", &[b'x'; MAX_TAG]] {
            assert!(Tag::new(good).is_some(), "{}", good.escape_ascii());
        }
        for bad in [&b""[..], b"a b", b"a+", b"*", b"a\0", b"a\x80", b"\"a\"", b"{1}", &[b'x'; MAX_TAG + 1]] {
            assert!(Tag::new(bad).is_none(), "{}", bad.escape_ascii());
        }
    }
}
