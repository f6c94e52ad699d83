//! Limits, deadlines and the smaller sections: each parses itself and has its defaults beside it.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::{Faults, duration, invalid};
use crate::service::Service;
use crate::wire;

/// Bounds of one edge.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Sessions in all.
    pub sessions: usize,
    /// Sessions of one client address.
    pub sessions_per_address: u32,
    /// Exempt from limits a client address.
    pub trusted: Networks,
    /// Refused logins before the connection is closed.
    pub login_attempts: u32,
    /// Bad commands before the connection is closed.
    pub bad_commands: u32,
    /// Octets of one command.
    pub line: usize,
    /// Routes kept.
    pub cached_routes: usize,
    /// Look-ups under way or waiting.
    pub pending_lookups: usize,
    /// Recipients of one message.
    pub recipients: u32,
    /// Octets of one message.
    pub message_size: u64,
}

/// Shortest command line that still carries a full LOGIN; nothing shorter may be configured.
const MIN_LINE: u64 = 1024;
/// RFC 2683, 3.2.1.5: servers should take lines of 8000 octets.
const DEFAULT_LINE: u64 = 8192;
/// More buffers an attacker may fill on each connection than any client needs.
const MAX_LINE: u64 = 1 << 20;

impl Limits {
    pub(super) fn check(message: wire::Limits, faults: &mut Faults) -> Self {
        let line = or(message.line, DEFAULT_LINE);
        if !(MIN_LINE..=MAX_LINE).contains(&line) {
            let problem = format!("{line} is not between {MIN_LINE} and {MAX_LINE} octets");
            faults.push(invalid("limits.line", problem));
        }
        Self {
            sessions: or(message.sessions, 100_000) as usize,
            sessions_per_address: or(message.sessions_per_address, 1000),
            trusted: Networks::check("limits.trusted", &message.trusted, faults),
            login_attempts: or(message.login_attempts, 3),
            bad_commands: or(message.bad_commands, 10),
            line: usize::try_from(line).unwrap_or(usize::MAX),
            cached_routes: or(message.cached_routes, 1_000_000) as usize,
            pending_lookups: or(message.pending_lookups, 10_000) as usize,
            recipients: or(message.recipients, 1000),
            message_size: or(message.message_size, 100 << 20),
        }
    }
}

/// Proto3's unset is zero.
fn or<T: Default + PartialEq>(value: T, default: T) -> T {
    if value == T::default() { default } else { value }
}

/// Deadlines.
#[derive(Clone, Debug)]
pub struct Timeouts {
    /// From accept to login.
    pub login: Duration,
    /// TLS handshake, PROXY header.
    pub handshake: Duration,
    /// One look-up.
    pub lookup: Duration,
    /// Until a credential is verified.
    pub verify: Duration,
    /// TCP connect.
    pub connect: Duration,
    /// From connected to logged in at the backend.
    pub backend_login: Duration,
    /// No byte either way, by [`Service::index`](crate::service::Service::index).
    pub idle: [Duration; Service::ALL.len()],
    /// Before a refusal is told.
    pub auth_failure_delay: Duration,
    /// `TCP_USER_TIMEOUT`.
    pub tcp_user: Duration,
    /// A whole message.
    pub message: Duration,
    /// A backend takes nothing of a message.
    pub backend_stall: Duration,
    /// From the end of a message to a backend's answer.
    pub backend_verdict: Duration,
    /// Of HTTP.
    pub http: HttpTimeouts,
}

/// Deadlines of HTTP.
#[derive(Clone, Copy, Debug)]
pub struct HttpTimeouts {
    /// The head of a request.
    pub header: Duration,
    /// A client that sends or takes nothing.
    pub stall: Duration,
    /// The body of a request.
    pub body: Duration,
    /// A backend that is silent.
    pub response: Duration,
    /// A backend that may well be, and a WebSocket.
    pub long_poll: Duration,
}

impl Timeouts {
    pub(super) fn check(message: &wire::Timeouts, faults: &mut Faults) -> Self {
        let mut of = |key: &str, value: &Option<prost_types::Duration>, default: u64| {
            duration(&format!("timeouts.{key}"), value.as_ref(), Duration::from_secs(default), faults)
        };
        Self {
            login: of("login", &message.login, 60),
            handshake: of("handshake", &message.handshake, 10),
            lookup: of("lookup", &message.lookup, 3),
            verify: of("verify", &message.verify, 5),
            connect: of("connect", &message.connect, 5),
            backend_login: of("backend_login", &message.backend_login, 20),
            // RFC 9051, 5.4 asks for 30 minutes at least, RFC 1939 for 10: a little more, so that the backend ends first.
            // RFC 5321, 4.5.3.2: a client may wait 10 minutes for the answer to its message, and a server waits 5 for
            // what it says.
            idle: [
                of("imap_idle", &message.imap_idle, 35 * 60),
                of("pop3_idle", &message.pop3_idle, 11 * 60),
                of("submission_idle", &message.submission_idle, 11 * 60),
                // RFC 5804 asks for 30 minutes at least, as IMAP does.
                of("sieve_idle", &message.sieve_idle, 35 * 60),
                of("mx_idle", &message.mx_idle, 5 * 60),
                of("lmtp_idle", &message.lmtp_idle, 5 * 60),
                of("http_idle", &message.http_idle, 75),
                of("http_idle", &message.http_idle, 75),
            ],
            // Above the backends' own delay (Dovecot: 2 s), so that the moment of a refusal does not tell its reason.
            auth_failure_delay: of("auth_failure_delay", &message.auth_failure_delay, 3),
            tcp_user: of("tcp_user", &message.tcp_user, 120),
            message: of("message", &message.message, 60 * 60),
            backend_stall: of("backend_stall", &message.backend_stall, 30),
            // Half of what a client waits: whoever gave up on us would bring the message again.
            backend_verdict: of("backend_verdict", &message.backend_verdict, 5 * 60),
            http: HttpTimeouts {
                header: of("http_header", &message.http_header, 20),
                stall: of("http_stall", &message.http_stall, 60),
                body: of("http_body", &message.http_body, 60 * 60),
                response: of("http_response", &message.http_response, 5 * 60),
                // Above the longest heartbeat that ActiveSync's clients ask for, an hour.
                long_poll: of("http_long_poll", &message.http_long_poll, 65 * 60),
            },
        }
    }
}

/// How endpoints are judged.
#[derive(Clone, Debug)]
pub struct Health {
    /// Between two probes.
    pub interval: Duration,
    /// Of one probe.
    pub timeout: Duration,
    /// Failures in a row before down.
    pub fall: u32,
    /// Successes in a row before up.
    pub rise: u32,
}

impl Health {
    pub(super) fn check(message: &wire::Health, faults: &mut Faults) -> Self {
        let interval = message.interval.as_ref();
        let timeout = message.timeout.as_ref();
        Self {
            interval: duration("health.interval", interval, Duration::from_secs(5), faults),
            timeout: duration("health.timeout", timeout, Duration::from_secs(3), faults),
            fall: or(message.fall, 3),
            rise: or(message.rise, 2),
        }
    }
}

/// Where records go.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Records {
    /// A file opened for append.
    File(PathBuf),
    /// Standard error.
    Stderr,
}

impl Records {
    pub(super) fn check(message: wire::Log, faults: &mut Faults) -> Self {
        if matches!(message.records.as_str(), "" | "stderr") {
            return Self::Stderr;
        }
        let file = PathBuf::from(message.records);
        if file.parent().is_some_and(|it| !it.as_os_str().is_empty() && !it.is_dir()) {
            let problem = format!("{}: there is no such directory: make it, or name another file", file.display());
            faults.push(invalid("log.records", problem));
        }
        Self::File(file)
    }
}

/// Networks in CIDR form.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Networks(Vec<Network>);

impl Networks {
    pub(super) fn check(key: &str, texts: &[String], faults: &mut Faults) -> Self {
        let mut networks = Vec::with_capacity(texts.len());
        for (index, text) in texts.iter().enumerate() {
            match text.parse() {
                Ok(network) => networks.push(network),
                Err(()) => {
                    let problem = format!("{text:?} is no network, e.g. \"10.0.0.0/8\" or \"2001:db8::/32\"");
                    faults.push(invalid(&format!("{key}[{index}]"), problem));
                }
            }
        }
        Self(networks)
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether an address is in one of them.
    #[must_use]
    pub fn contain(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(address))
    }
}

/// One network, or one address.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Network {
    address: IpAddr,
    prefix: u32,
}

impl std::str::FromStr for Network {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (address, prefix) = text.split_once('/').map_or((text, None), |(address, prefix)| (address, Some(prefix)));
        let address: IpAddr = address.parse().map_err(|_| ())?;
        let longest = if address.is_ipv4() { 32 } else { 128 };
        let prefix = prefix.map_or(Ok(longest), |prefix| prefix.parse().map_err(|_| ()))?;
        if prefix > longest { Err(()) } else { Ok(Self { address, prefix }) }
    }
}

impl Network {
    /// Whether an address is in it; an IPv4 address mapped into IPv6 counts as itself.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(net), IpAddr::V4(it)) => {
                let shift = 32 - self.prefix;
                u32::from(net).checked_shr(shift) == u32::from(it).checked_shr(shift)
            }
            (IpAddr::V6(net), IpAddr::V6(it)) => {
                let shift = 128 - self.prefix;
                u128::from(net).checked_shr(shift) == u128::from(it).checked_shr(shift)
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_contains_its_own_addresses_only() {
        let network: Network = "10.1.0.0/16".parse().unwrap();
        assert!(network.contains("10.1.255.1".parse().unwrap()));
        assert!(network.contains("::ffff:10.1.0.1".parse().unwrap()));
        assert!(!network.contains("10.2.0.1".parse().unwrap()));
        assert!("0.0.0.0/0".parse::<Network>().unwrap().contains("192.0.2.1".parse().unwrap()));
        assert!("10.0.0.0/33".parse::<Network>().is_err());
    }
}
