//! The body of a form while it arrives. It holds a password.

use zeroize::Zeroizing;

/// Longest body that is read for a name. Logins have some hundred octets; the longest seen carry a page's state along.
pub const MAX_BODY: usize = 64 * 1024;

/// What has come of a body: bounded, wiped when dropped, and never printed.
#[derive(Default)]
pub struct Body(Zeroizing<Vec<u8>>);

/// A body is longer than [`MAX_BODY`].
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("form is longer than is read")]
pub struct TooLong;

impl Body {
    /// Nothing has come.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes more.
    ///
    /// # Errors
    /// [`TooLong`]: nothing of it was taken, and what was before is still there, to be sent on before it.
    pub fn push(&mut self, more: &[u8]) -> Result<(), TooLong> {
        let length = self.0.len().saturating_add(more.len());
        if length > MAX_BODY {
            return Err(TooLong);
        }
        if length > self.0.capacity() {
            // A vector that grows leaves its octets behind; this one is wiped.
            let mut grown = Vec::with_capacity(length.next_power_of_two());
            grown.extend_from_slice(&self.0);
            self.0 = Zeroizing::new(grown);
        }
        self.0.extend_from_slice(more);
        Ok(())
    }

    /// What has come.
    #[must_use]
    pub fn as_slice(&self) -> &[u8] {
        &self.0
    }

    pub(super) fn from_vec(body: Zeroizing<Vec<u8>>) -> Self {
        Self(body)
    }
}

impl AsRef<[u8]> for Body {
    fn as_ref(&self) -> &[u8] {
        self.as_slice()
    }
}

impl std::fmt::Debug for Body {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Body")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_bounded_and_keeps_what_it_had() {
        let mut body = Body::new();
        for _ in 0..MAX_BODY {
            body.push(b"x").unwrap();
        }
        assert_eq!((body.push(b""), body.push(b"y")), (Ok(()), Err(TooLong)));
        assert_eq!(body.as_slice(), vec![b'x'; MAX_BODY]);
        assert_eq!(format!("{body:?}"), "Body");
        assert_eq!(Body::new().push(&[0; MAX_BODY + 1]), Err(TooLong));
    }
}
