//! How clients prove who they are.

use zproxy_protocol::Secret;

use super::{Faults, invalid};
use crate::wire;

/// SASL exchanges.
#[derive(Clone, Debug)]
pub struct Sasl {
    /// The claim of a JWT that leads to its account.
    pub token_claim: Box<str>,
    /// Octets of one line of an exchange.
    pub max_line: usize,
    /// Of false salts; none: one is drawn and kept.
    pub salt_key: Option<Secret>,
}

/// Shortest line that still carries the longest name and a password; nothing shorter may be configured.
const MIN_LINE: u64 = 4096;
/// Tokens with many claims have some ten thousand octets.
const DEFAULT_LINE: u64 = 64 << 10;
/// More buffers an attacker may fill on each connection than any token needs.
const MAX_LINE: u64 = 1 << 20;
/// As many octets as its hash has.
const MIN_KEY: usize = 32;

impl Sasl {
    pub(super) fn check(message: &wire::Sasl, faults: &mut Faults) -> Self {
        let max_line = if message.max_line == 0 { DEFAULT_LINE } else { message.max_line };
        if !(MIN_LINE..=MAX_LINE).contains(&max_line) {
            let problem = format!("{max_line} is not between {MIN_LINE} and {MAX_LINE} octets");
            faults.push(invalid("sasl.max_line", problem));
        }
        let salt_key = Some(message.salt_key.as_bytes()).filter(|key| !key.is_empty()).map(Secret::new);
        if salt_key.as_ref().is_some_and(|key| key.expose().len() < MIN_KEY) {
            let problem = format!("is shorter than {MIN_KEY} octets: draw one, e.g. with `openssl rand -base64 32`");
            faults.push(invalid("sasl.salt_key", problem));
        }
        let token_claim = if message.token_claim.is_empty() { "email" } else { &message.token_claim };
        Self { token_claim: token_claim.into(), max_line: usize::try_from(max_line).unwrap_or(usize::MAX), salt_key }
    }
}
