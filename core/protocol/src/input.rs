//! What was read and not yet understood. Holds credentials, so it is wiped when it shrinks or goes.

use zeroize::Zeroize as _;

/// Bytes of one direction before the splice. The session appends, a machine consumes from the front.
#[derive(Default)]
pub struct Input {
    bytes: Vec<u8>,
}

impl Input {
    /// Nothing read yet; owns no memory.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends what was read.
    pub fn extend(&mut self, read: &[u8]) {
        let needed = self.bytes.len().saturating_add(read.len());
        if needed > self.bytes.capacity() {
            // Grow by hand: a reallocation by Vec would leave the old bytes, maybe a password, behind unwiped.
            let mut grown = Vec::with_capacity(needed.next_power_of_two());
            grown.extend_from_slice(&self.bytes);
            self.bytes.zeroize();
            self.bytes = grown;
        }
        self.bytes.extend_from_slice(read);
    }

    /// Everything not yet consumed.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// How many bytes are not yet consumed.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether all is consumed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Drops the first `count` bytes, or all if there are fewer.
    pub fn consume(&mut self, count: usize) {
        let rest = self.bytes.len().saturating_sub(count);
        let from = self.bytes.len().saturating_sub(rest);
        self.bytes.copy_within(from.., 0);
        if let Some(gone) = self.bytes.get_mut(rest..) {
            gone.zeroize();
        }
        self.bytes.truncate(rest);
    }

    /// The length of the first line up to and including its LF; none: no LF yet.
    #[must_use]
    pub fn line_len(&self) -> Option<usize> {
        self.bytes.iter().position(|&byte| byte == b'\n').map(|at| at.saturating_add(1))
    }
}

impl Drop for Input {
    fn drop(&mut self) {
        self.bytes.zeroize();
    }
}

/// Shows a length only: the bytes may be a password.
impl std::fmt::Debug for Input {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Input").field("len", &self.bytes.len()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_what_is_not_consumed() {
        let mut input = Input::new();
        input.extend(b"one\r\ntw");
        assert_eq!(input.line_len(), Some(5));
        input.consume(5);
        assert_eq!(input.bytes(), b"tw");
        assert_eq!(input.line_len(), None);
        input.consume(99);
        assert!(input.is_empty());
    }

    #[test]
    fn debug_shows_no_byte() {
        let mut input = Input::new();
        input.extend(b"a LOGIN siti geheim");
        assert_eq!(format!("{input:?}"), "Input { len: 19 }");
    }
}
