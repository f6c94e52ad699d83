//! The services a session may be of, and the language each speaks.

use zproxy_protocol::http::Http;
use zproxy_protocol::smtp::{Submission, Transport};
use zproxy_protocol::{Language, Protocol, imap::Imap, pop3::Pop3, sieve::Sieve};

/// A service of a mailbox server or of what is around it.
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
    /// SMTP from other servers.
    Mx,
    /// LMTP.
    Lmtp,
    /// HTTP.
    Http,
    /// HTTP of administration consoles.
    HttpAdmin,
}

impl Service {
    /// All of them, in the order of [`Service::index`].
    pub const ALL: [Self; 8] =
        [Self::Imap, Self::Pop3, Self::Submission, Self::Sieve, Self::Mx, Self::Lmtp, Self::Http, Self::HttpAdmin];

    /// Place in tables with one entry a service.
    #[must_use]
    pub fn index(self) -> usize {
        self as usize
    }

    /// Whether a user whose home does not offer it is served by the pool's default: a mailbox is in one place, but mail
    /// may leave from anywhere, any MTA can pass it on, and a farm of webmails serves everybody.
    #[must_use]
    pub fn may_leave_home(self) -> bool {
        match self {
            Self::Imap | Self::Pop3 | Self::Sieve | Self::Lmtp => false,
            Self::Http | Self::HttpAdmin | Self::Mx | Self::Submission => true,
        }
    }

    /// Its name in config, records and metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.language().name()
    }

    /// The name of its endpoints in the pool.
    #[must_use]
    pub fn endpoint(self) -> &'static str {
        match self {
            Self::Mx => "smtp",
            _ => self.name(),
        }
    }

    /// What it speaks.
    #[must_use]
    pub fn language(self) -> &'static dyn Language {
        match self {
            Self::Imap => &Imap,
            Self::Pop3 => &Pop3,
            Self::Submission => &Submission,
            Self::Sieve => &Sieve,
            Self::Mx => &Transport::Mx,
            Self::Lmtp => &Transport::Lmtp,
            Self::Http => &Http::Users,
            Self::HttpAdmin => &Http::Admin,
        }
    }

    /// The protocol in which its clients log in; none: they bring mail, or each request of theirs says who asks.
    #[must_use]
    pub fn protocol(self) -> Option<&'static dyn Protocol> {
        match self {
            Self::Imap => Some(&Imap),
            Self::Pop3 => Some(&Pop3),
            Self::Submission => Some(&Submission),
            Self::Sieve => Some(&Sieve),
            Self::Http | Self::HttpAdmin | Self::Mx | Self::Lmtp => None,
        }
    }

    /// How its clients bring mail; none: they do not.
    #[must_use]
    pub fn transport(self) -> Option<Transport> {
        match self {
            Self::Mx => Some(Transport::Mx),
            Self::Lmtp => Some(Transport::Lmtp),
            _ => None,
        }
    }
}
