//! The two ways in which mail is brought to us: SMTP between servers (RFC 5321), and LMTP (RFC 2033).

use super::capability;
use super::delivery::Delivery;
use crate::{Client, Language};

/// Which of the two.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Transport {
    /// From our own MTA to mailboxes: a final reply for each recipient.
    Lmtp,
    /// From the world's MTAs to ours, on port 25.
    Mx,
}

impl Transport {
    /// The command that begins a conversation and asks for the list of what a server can do.
    pub(super) fn hello(self) -> &'static str {
        match self {
            Self::Lmtp => "LHLO",
            Self::Mx => "EHLO",
        }
    }

    /// As greetings and the trace of a message say it.
    pub(super) fn protocol(self) -> &'static str {
        match self {
            Self::Lmtp => "LMTP",
            Self::Mx => "ESMTP",
        }
    }
}

impl Language for Transport {
    fn name(&self) -> &'static str {
        match self {
            Self::Lmtp => "lmtp",
            Self::Mx => "mx",
        }
    }

    fn alpn(&self) -> &'static [&'static [u8]] {
        match self {
            Self::Lmtp => &[b"lmtp"],
            Self::Mx => &[b"smtp"],
        }
    }

    fn prober(&self, starttls: bool) -> Box<dyn Client> {
        Box::new(Delivery::prober(*self, starttls))
    }

    fn offerable(&self) -> &'static [&'static str] {
        capability::OF_MESSAGES
    }

    /// By its keyword; the parameters are the backend's.
    fn may_offer(&self, capability: &str) -> bool {
        capability::OF_MESSAGES.contains(&capability::keyword(capability))
    }

    /// Of two sizes the smaller; all else must be the same, parameters included.
    fn shared(&self, one: &[String], other: &[String]) -> Vec<String> {
        capability::shared(one, other)
    }
}
