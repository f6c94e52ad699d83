//! A backend as it is remembered outside of the pool: too small to say where it is, enough to know it again.

use super::balance::fnv1a;
use super::key;

/// The fingerprint of a backend's name. Two backends may share one, and then either may be meant.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct BackendMark(u64);

impl BackendMark {
    /// The mark of a name, whatever its case. All edges come to the same, of any version.
    #[must_use]
    pub fn of(name: &str) -> Self {
        Self(fnv1a(key(name).bytes()))
    }

    pub(crate) fn to_be_bytes(self) -> [u8; 8] {
        self.0.to_be_bytes()
    }

    pub(crate) fn from_be_bytes(octets: [u8; 8]) -> Self {
        Self(u64::from_be_bytes(octets))
    }
}
