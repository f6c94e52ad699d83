//! What a service must be to have endpoints: named, probed, and compared with its peers.

use crate::Client;
use crate::sasl::Mechanism;

/// The language of a service, as far as those who keep the pool need to know it. What sessions of it do is for
/// [`Protocol`](crate::Protocol) to say where its clients log in, and for [`smtp::Reception`](crate::smtp::Reception)
/// where they bring mail.
pub trait Language: Sync {
    /// The service's name in config, records and metrics: `imap`, `pop3`, `submission`, `mx`.
    fn name(&self) -> &'static str;
    /// The ALPN protocol IDs (IANA registry), e.g. `imap`, the best one first.
    fn alpn(&self) -> &'static [&'static [u8]];
    /// Begins a conversation with a backend that learns what it can do, and leaves.
    fn prober(&self, starttls: bool) -> Box<dyn Client>;
    /// The capability words (upper case) worth knowing of a backend: those that a client may be offered. Others are
    /// dropped when a probe's answer is kept; [`Language::may_offer`] says which. In every protocol `AUTH=XOAUTH2` says
    /// that a backend takes that mechanism.
    fn offerable(&self) -> &'static [&'static str];

    /// Whether a capability that a backend named is worth knowing.
    fn may_offer(&self, capability: &str) -> bool {
        self.offerable().contains(&capability)
    }

    /// Of all capabilities that a backend named, those worth knowing; a mechanism that we cannot carry is none.
    fn worth_knowing(&self, named: &[String]) -> Vec<String> {
        let mechanisms = named.iter().filter_map(|word| word.strip_prefix("AUTH="));
        let carried = |word: &str| match word.strip_prefix("AUTH=").map(|name| Mechanism::parse(name.as_bytes())) {
            Some(mechanism) => mechanism.is_some_and(|mechanism| mechanism.is_among(mechanisms.clone())),
            None => true,
        };
        named.iter().filter(|word| self.may_offer(word) && carried(word)).cloned().collect()
    }

    /// What two backends, of which either may serve a client, both can do.
    fn shared(&self, one: &[String], other: &[String]) -> Vec<String> {
        one.iter().filter(|capability| other.contains(capability)).cloned().collect()
    }
}
