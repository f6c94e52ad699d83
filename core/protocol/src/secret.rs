//! A password or token: it cannot be printed and is wiped when dropped.

use zeroize::Zeroizing;

/// Octets that must not be seen. There is no `Display`, and `Debug` shows nothing, not even a length.
#[derive(Clone)]
pub struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    /// Takes a copy; wiping the original is the caller's business.
    #[must_use]
    pub fn new(octets: &[u8]) -> Self {
        Self(Zeroizing::new(octets.to_vec()))
    }

    /// For the one place that writes it to a backend.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

/// So that structs that hold one can be printed; says only that it is there.
impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_nothing() {
        assert_eq!(format!("{:?}", Secret::new(b"geheim")), "Secret");
    }
}
