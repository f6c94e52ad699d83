//! The pool: every backend and group, and what this edge knows of them while it runs.
//!
//! A [`Pool`] is one checked value, replaced whole. [`Pools`] is the handle that all cores share: the pool in force, and
//! beside it, by backend, what outlives a change of it: sessions held, health, capabilities, resolved addresses.

mod balance;
mod check;
mod health;
mod live;
mod mark;
mod pools;
pub(crate) mod probe;
pub(crate) mod resolve;
mod serving;
pub(crate) mod snapshot;
mod style;
mod tended;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

pub use balance::Stake;
pub use check::BadPool;
pub use live::Lease;
pub use mark::BackendMark;
pub use pools::{Offer, Pools};
pub use snapshot::Refused;
pub use style::LoginStyle;

use crate::service::Service;

/// All backends and groups of one version.
#[derive(Debug, Default)]
pub struct Pool {
    /// Grows by one with each change.
    pub version: u64,
    /// In the order of the message.
    pub backends: Box<[Arc<Backend>]>,
    groups: Box<[Group]>,
    /// Names of backends and groups, and hosts that are one backend's alone; all in the form of [`key`].
    homes: HashMap<Box<str>, Home>,
    /// By [`Service::index`].
    defaults: [Option<Home>; Service::ALL.len()],
}

/// A server we connect to.
#[derive(Debug)]
pub struct Backend {
    /// As the pool spells it.
    pub name: Arc<str>,
    /// The group it is a member of.
    pub group: Option<Arc<str>>,
    /// An IP address or a DNS name.
    pub host: Arc<str>,
    /// By [`Service::index`].
    pub endpoints: [Option<Arc<Endpoint>>; Service::ALL.len()],
    /// Its share within its group; 0: no one new.
    pub weight: u32,
    /// Sessions this edge may hold to it; none: no limit.
    pub max_sessions: Option<u32>,
    /// Who is served.
    pub state: State,
}

/// Who is served by a backend.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum State {
    /// Everyone.
    Active,
    /// Only users whose home is this very backend.
    Draining,
    /// Nobody.
    Maintenance,
    /// Members of its group that no active one can serve, and users whose home is this very backend.
    Standby,
}

/// Where and how a backend offers one service.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Endpoint {
    /// Which.
    pub service: Service,
    /// TCP port.
    pub port: u16,
    /// When TLS begins.
    pub tls: EndpointTls,
    /// How its certificate is checked.
    pub verify: Verify,
    /// The name its certificate must carry; none: the backend's host.
    pub verify_name: Option<Arc<str>>,
    /// How clients are logged in.
    pub login_style: LoginStyle,
    /// Of the master users of the config, the one who logs in; none: the only one.
    pub master_user: Option<Arc<str>>,
    /// How the client's address is told.
    pub forward: Forward,
}

/// When TLS begins with a backend.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum EndpointTls {
    /// With the first byte.
    Implicit,
    /// Never.
    Off,
    /// By STARTTLS or STLS, before the login; a backend without it is not logged in to.
    Starttls,
}

/// How a backend's certificate is checked.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Verify {
    /// Chain, name and time.
    Full,
    /// Not at all.
    None,
    /// Its public key (`SubjectPublicKeyInfo`) must have this SHA-256, whoever signed it.
    Pin([u8; 32]),
}

/// How the client's address is told to a backend.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Forward {
    /// IMAP ID.
    Id,
    /// It is not.
    None,
    /// By a PROXY header, version 1.
    ProxyV1,
    /// By a PROXY header, version 2.
    ProxyV2,
    /// POP3 XCLIENT.
    Xclient,
    /// POP3 XOIP.
    Xoip,
}

/// A backend that a login may be sent to, at one address.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// The backend.
    pub backend: Arc<Backend>,
    /// Its endpoint of the login's service.
    pub endpoint: Arc<Endpoint>,
    /// Where that is.
    pub address: SocketAddr,
    live: Arc<live::Live>,
}

/// What a home name means.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Home {
    /// Index of a backend.
    Backend(usize),
    /// Index of a group.
    Group(usize),
}

/// Backends any of which may serve a user.
#[derive(Debug)]
struct Group {
    kind: Kind,
    /// Indexes of backends.
    members: Box<[usize]>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Kind {
    /// One mail storage: all sessions of a user on one member.
    Shared,
    /// Any member at any time.
    Stateless,
}

impl Pool {
    /// What a home means: a name outranks a host, neither has case. An empty one is the default of the service, and so
    /// is one that does not offer a service which may leave home.
    fn home(&self, home: &str, service: Service) -> Option<Home> {
        let default = self.defaults[service.index()];
        if home.is_empty() {
            return default;
        }
        let own = self.homes.get(key(home).as_str()).copied()?;
        match default {
            Some(default) if service.may_leave_home() && !self.offers(own, service) => Some(default),
            _ => Some(own),
        }
    }

    fn offers(&self, home: Home, service: Service) -> bool {
        let has_endpoint = |index: usize| self.backends[index].endpoints[service.index()].is_some();
        match home {
            Home::Backend(index) => has_endpoint(index),
            Home::Group(index) => self.groups[index].members.iter().any(|&member| has_endpoint(member)),
        }
    }
}

/// The form in which names and hosts are compared.
fn key(name: &str) -> String {
    name.trim().trim_end_matches('.').to_ascii_lowercase()
}
