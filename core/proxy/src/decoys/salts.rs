//! False salts, and the count of iterations that goes with one.

use std::collections::VecDeque;
use std::hash::{BuildHasher as _, RandomState};

use aws_lc_rs::hmac;
use zproxy_protocol::Name;
use zproxy_protocol::sasl::{ScramMechanism, Terms};

/// What backends were seen to use.
#[derive(Debug, Default)]
pub(super) struct Salts {
    /// Each once, the newest last.
    kinds: Vec<Kind>,
    /// Names that were seen lately and their salts, both hashed.
    lately: VecDeque<(u64, u64)>,
    hasher: RandomState,
    /// They draw a new one for every login, as Dovecot does where it keeps passwords in clear.
    drawn: bool,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Kind {
    octets: usize,
    iterations: u32,
}

/// Kinds that are remembered: backends of a site differ in little, and counts grow over the years.
const MAX_KINDS: usize = 4;
/// Names that are remembered: enough that one comes again.
const MAX_NAMES: usize = 64;
/// Dovecot's, until another was seen.
const USUAL: Kind = Kind { octets: 16, iterations: 4096 };

impl Salts {
    pub(super) fn saw(&mut self, name: &Name, terms: &Terms) {
        let kind = Kind { octets: terms.salt.len(), iterations: terms.iterations };
        if !self.kinds.contains(&kind) {
            if self.kinds.len() >= MAX_KINDS {
                self.kinds.remove(0);
            }
            self.kinds.push(kind);
        }
        let (name, salt) = (self.hasher.hash_one(name.as_str()), self.hasher.hash_one(&terms.salt));
        if let Some(at) = self.lately.iter().position(|&(known, _)| known == name)
            && let Some((_, before)) = self.lately.remove(at)
        {
            self.drawn = before != salt;
        }
        if self.lately.len() >= MAX_NAMES {
            self.lately.pop_front();
        }
        self.lately.push_back((name, salt));
    }

    /// The salt and the count of a user who does not exist, or may not act as that other one.
    pub(super) fn draw(
        &self,
        key: &hmac::Key,
        mechanism: ScramMechanism,
        (name, authzid): (&Name, Option<&Name>),
    ) -> (Box<[u8]>, u32) {
        let mut name = name.as_str().to_lowercase();
        if let Some(authzid) = authzid {
            // No name has a NUL.
            name = format!("{name}\0{}", authzid.as_str().to_lowercase());
        }
        let hash = |what: &str, number: usize| {
            hmac::sign(key, format!("{what} {number} {} {name}", mechanism.name()).as_bytes())
        };
        // Of several kinds the one that this name draws, whichever others come and go.
        let score = |kind: &&Kind| hash("kind", kind.octets.wrapping_mul(31).wrapping_add(kind.iterations as usize));
        let kind = self.kinds.iter().max_by_key(|kind| score(kind).as_ref().to_vec()).unwrap_or(&USUAL);
        let mut salt = vec![0; kind.octets];
        if self.drawn {
            super::fill(&mut salt);
        } else {
            for (number, piece) in salt.chunks_mut(hmac::HMAC_SHA256.digest_algorithm().output_len()).enumerate() {
                piece.copy_from_slice(&hash("salt", number).as_ref()[..piece.len()]);
            }
        }
        (salt.into(), kind.iterations)
    }
}
