//! What holds for listeners whose clients bring mail: whom they serve, what they take, and where it goes.

use std::net::SocketAddr;
use std::time::Duration;

use zproxy_protocol::smtp::{BareNewline, Transport};

use super::settings::Networks;
use super::{Faults, duration, invalid};
use crate::wire;

/// A listener's rules.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Transactions {
    /// What is spoken.
    pub transport: Transport,
    /// What is done about a CR or LF alone in a message.
    pub bare_newline: BareNewline,
    /// Whose clients are served; empty: everybody's.
    pub allowed_from: Networks,
    /// Of [`Transport::Mx`].
    pub mx: Mx,
}

/// What an mx listener takes, and where it goes.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Mx {
    /// Mail goes to the recipient's home.
    pub by_home: bool,
    /// Whose unknown recipients are refused.
    pub refuse_unknown: RefuseUnknown,
    /// Unknown recipients that an address is told of.
    pub unknown_recipients: u32,
    /// Before the greeting.
    pub greeting_delay: Duration,
}

/// Domains whose unknown recipients are refused.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct RefuseUnknown {
    all: bool,
    /// In lower case.
    domains: Vec<Box<str>>,
}

impl RefuseUnknown {
    /// Whether a domain is meant.
    #[must_use]
    pub fn contains(&self, domain: &str) -> bool {
        self.all || self.domains.iter().any(|known| known.eq_ignore_ascii_case(domain))
    }
}

/// A client waits five minutes for a greeting (RFC 5321, section 4.5.3.2.1); more than a few seconds turn nobody else
/// away.
const MAX_GREETING_DELAY: Duration = Duration::from_secs(30);
/// More than one message's worth of old addresses.
const DEFAULT_UNKNOWN: u32 = 20;
/// Of SMTP (RFC 2033, section 5).
const SMTP_PORT: u16 = 25;

impl Transactions {
    /// The rules of a listener of this transport; none is for listeners whose clients log in.
    pub(super) fn check(
        transport: Option<Transport>,
        message: &wire::Listener,
        key: &dyn Fn(&str) -> String,
        faults: &mut Faults,
    ) -> Option<Self> {
        let said = [
            ("mx", message.mx.is_some(), transport == Some(Transport::Mx), "mx"),
            ("allowed_from", !message.allowed_from.is_empty(), transport == Some(Transport::Lmtp), "lmtp"),
            ("bare_newline", message.bare_newline != 0, transport.is_some(), "mx and lmtp"),
        ];
        for (field, _, _, whose) in said.into_iter().filter(|(_, set, fits, _)| *set && !fits) {
            faults.push(invalid(&key(field), format!("is for listeners of {whose} alone: leave it out")));
        }
        let rules = Self {
            transport: transport?,
            bare_newline: match message.bare_newline() {
                wire::BareNewline::Pass => BareNewline::Pass,
                wire::BareNewline::Unspecified | wire::BareNewline::Reject => BareNewline::Reject,
            },
            allowed_from: Networks::check(&key("allowed_from"), &message.allowed_from, faults),
            mx: mx(&message.mx.clone().unwrap_or_default(), key, faults),
        };
        if rules.transport == Transport::Lmtp {
            check_reach(message, key, faults);
        }
        Some(rules)
    }
}

fn mx(message: &wire::Mx, key: &dyn Fn(&str) -> String, faults: &mut Faults) -> Mx {
    let greeting_delay = match &message.greeting_delay {
        None => Duration::ZERO,
        some => duration(&key("mx.greeting_delay"), some.as_ref(), Duration::ZERO, faults),
    };
    if greeting_delay > MAX_GREETING_DELAY {
        let problem = format!("is {greeting_delay:?}: at most {MAX_GREETING_DELAY:?}, or servers may not wait for it");
        faults.push(invalid(&key("mx.greeting_delay"), problem));
    }
    for (index, domain) in message.refuse_unknown.iter().enumerate().filter(|(_, domain)| !is_domain(domain)) {
        let problem = format!("{domain:?} is no domain, e.g. \"tgg.net.id\", nor \"*\" for all");
        faults.push(invalid(&key(&format!("mx.refuse_unknown[{index}]")), problem));
    }
    Mx {
        by_home: message.by_home,
        refuse_unknown: RefuseUnknown {
            all: message.refuse_unknown.iter().any(|domain| domain == "*"),
            domains: message.refuse_unknown.iter().map(|domain| domain.to_ascii_lowercase().into()).collect(),
        },
        unknown_recipients: if message.unknown_recipients == 0 { DEFAULT_UNKNOWN } else { message.unknown_recipients },
        greeting_delay,
    }
}

/// As clients write it: beyond ASCII in its `xn--` form.
fn is_domain(domain: &str) -> bool {
    let plain = |octet: u8| octet.is_ascii_alphanumeric() || b"-_".contains(&octet);
    domain == "*" || domain.split('.').all(|label| !label.is_empty() && label.bytes().all(plain))
}

/// LMTP has no login, and its clients are believed.
fn check_reach(message: &wire::Listener, key: &dyn Fn(&str) -> String, faults: &mut Faults) {
    let Ok(address) = message.address.parse::<SocketAddr>() else { return };
    if address.port() == SMTP_PORT {
        let problem = "is SMTP's port, where LMTP is not to be spoken (RFC 2033): choose another, e.g. 24";
        faults.push(invalid(&key("address"), problem.into()));
    }
    let limited = !message.allowed_from.is_empty() || !message.proxy_protocol_from.is_empty();
    if !address.ip().is_loopback() && !limited {
        let problem = "lets everybody who can connect deliver to every mailbox: listen on loopback, or name in \
                       allowed_from the networks of your MTAs";
        faults.push(invalid(&key("allowed_from"), problem.into()));
    }
}
