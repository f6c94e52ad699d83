//! The services a session may be of, and the protocol each speaks.

use zproxy_protocol::{Protocol, imap::Imap, pop3::Pop3, sieve::Sieve, smtp::Submission};

/// A mail service.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Service {
    /// IMAP.
    Imap,
    /// POP3.
    Pop3,
    /// SMTP submission.
    Submission,
    /// ManageSieve.
    Sieve,
}

impl Service {
    /// All of them, in the order of [`Service::index`].
    pub const ALL: [Self; 4] = [Self::Imap, Self::Pop3, Self::Submission, Self::Sieve];

    /// Place in tables with one entry a service.
    #[must_use]
    pub fn index(self) -> usize {
        self as usize
    }

    /// Whether a user whose home does not offer it is served by the pool's default: a mailbox is in one place, but mail
    /// may leave from anywhere.
    #[must_use]
    pub fn may_leave_home(self) -> bool {
        match self {
            Self::Imap | Self::Pop3 | Self::Sieve => false,
            Self::Submission => true,
        }
    }

    /// Its name in config, records and metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.protocol().name()
    }

    /// The protocol it speaks.
    #[must_use]
    pub fn protocol(self) -> &'static dyn Protocol {
        match self {
            Self::Imap => &Imap,
            Self::Pop3 => &Pop3,
            Self::Submission => &Submission,
            Self::Sieve => &Sieve,
        }
    }
}
