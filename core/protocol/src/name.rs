//! A login name as a client typed it: bounded, UTF-8, free of controls; nothing else is known of it.

/// Longest name in octets. An address is at most 254 (RFC 5321, 4.5.3.1); decorations such as `/tb` or `DOMAIN\` and
/// UTF-8 leave room for four times that.
pub const MAX_NAME: usize = 1024;

/// A checked name. What it means is for the control plane to say.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Name(Box<str>);

/// Why octets are no [`Name`].
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum BadName {
    /// NUL, CR, LF, DEL or another control.
    #[error("user name has a control character")]
    Control,
    /// No octet at all.
    #[error("user name is empty")]
    Empty,
    /// Longer than [`MAX_NAME`].
    #[error("user name is too long")]
    TooLong,
    /// Not UTF-8.
    #[error("user name is not UTF-8")]
    Utf8,
}

impl Name {
    /// Checks octets.
    ///
    /// # Errors
    /// See [`BadName`].
    pub fn new(octets: &[u8]) -> Result<Self, BadName> {
        if octets.is_empty() {
            return Err(BadName::Empty);
        }
        if octets.len() > MAX_NAME {
            return Err(BadName::TooLong);
        }
        let text = std::str::from_utf8(octets).map_err(|_| BadName::Utf8)?;
        if text.chars().any(char::is_control) {
            return Err(BadName::Control);
        }
        Ok(Self(text.into()))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_what_a_directory_may_know_and_refuses_controls() {
        for good in ["siti@tgg.net.id", "a b*()\\", "élise@tgg.net.id"] {
            assert!(Name::new(good.as_bytes()).is_ok(), "{good}");
        }
        assert_eq!(Name::new(b""), Err(BadName::Empty));
        assert_eq!(Name::new(b"a\r\nb"), Err(BadName::Control));
        assert_eq!(Name::new(b"a\0b"), Err(BadName::Control));
        assert_eq!(Name::new(b"a\x7f"), Err(BadName::Control));
        assert_eq!(Name::new(b"\xff"), Err(BadName::Utf8));
        assert_eq!(Name::new(&[b'a'; MAX_NAME + 1]), Err(BadName::TooLong));
    }
}
