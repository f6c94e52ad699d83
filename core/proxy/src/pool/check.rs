//! From the message to the value, or a named reason why not. Control checks too; this is what the edge relies on.

use std::collections::HashMap;
use std::sync::Arc;

use super::{Backend, Endpoint, EndpointTls, Forward, Group, Home, Kind, LoginStyle, Pool, State, Verify, key};
use crate::config::MasterUsers;
use crate::service::Service;
use crate::wire;

/// Why a message is no pool; told to the operator by the NACK.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum BadPool {
    /// A default that is neither a backend nor a group.
    #[error("default {name:?} of {service} is neither a backend nor a group")]
    Default {
        /// Of which service.
        service: &'static str,
        /// Which.
        name: String,
    },
    /// A member of a group that is not in the pool.
    #[error("backend {backend}: there is no group {group:?}")]
    Group {
        /// Whose.
        backend: String,
        /// Which.
        group: String,
    },
    /// A backend without address.
    #[error("backend {0}: host is empty")]
    Host(String),
    /// A group that does not say whether its members share a storage.
    #[error("group {0}: kind must be stateless or shared")]
    Kind(String),
    /// A backend or group without name.
    #[error("a backend or group has no name")]
    Name,
    /// Two of one name.
    #[error("name {0} is taken twice; names are unique across backends and groups, without case")]
    NameTaken(String),
    /// An endpoint whose master user this edge does not have.
    #[error(
        "backend {backend}: this edge has no {name} for its {service} endpoint: add it to `master_users` in the \
         config of every edge and reload them"
    )]
    MasterUser {
        /// Whose.
        backend: String,
        /// Of which endpoint.
        service: &'static str,
        /// `master user "…"`.
        name: String,
    },
    /// An MTA that takes us for the client: what it lets our address do, it would let the world do.
    #[error("backend {0}: endpoints.smtp.forward must be proxy_v2 or xclient, or its MTA may relay for the world")]
    OpenRelay(String),
    /// No SHA-256 in hex.
    #[error("backend {0}: pin_sha256 is not 64 hex digits")]
    Pin(String),
    /// A port that is none.
    #[error("backend {0}: port must be 1 to 65535")]
    Port(String),
    /// A login style that its endpoint cannot carry.
    #[error("backend {0}: verify_then_xclient is for a submission endpoint with forward = \"xclient\"")]
    Style(String),
    /// What HTTP cannot do.
    #[error(
        "backend {0}: an http endpoint has login_style replay, TLS from the first byte or none, and forward none, \
         proxy_v1 or proxy_v2"
    )]
    Web(String),
    /// Said by a younger control.
    #[error("backend {backend}: this edge does not know that {field}; upgrade it")]
    Unknown {
        /// Whose.
        backend: String,
        /// The field with the unknown value.
        field: &'static str,
    },
}

impl TryFrom<&wire::Pool> for Pool {
    type Error = BadPool;

    fn try_from(message: &wire::Pool) -> Result<Self, BadPool> {
        let mut homes = HashMap::new();
        let mut name = |name: &str, home| match homes.insert(key(name).into_boxed_str(), home) {
            _ if name.is_empty() => Err(BadPool::Name),
            Some(_) => Err(BadPool::NameTaken(name.to_owned())),
            None => Ok(()),
        };
        let mut groups = Vec::with_capacity(message.groups.len());
        for (index, group) in message.groups.iter().enumerate() {
            name(&group.name, Home::Group(index))?;
            groups.push((kind(group)?, Vec::new()));
        }
        for (index, backend) in message.backends.iter().enumerate() {
            name(&backend.name, Home::Backend(index))?;
        }
        let mut backends = Vec::with_capacity(message.backends.len());
        for (index, backend) in message.backends.iter().enumerate() {
            backends.push(Arc::new(Backend::try_from(backend)?));
            if backend.group.is_empty() {
                continue;
            }
            let Some(Home::Group(group)) = homes.get(key(&backend.group).as_str()) else {
                return Err(BadPool::Group { backend: backend.name.clone(), group: backend.group.clone() });
            };
            groups[*group].1.push(index);
        }
        let defaults = defaults(message.defaults.as_ref(), &homes)?;
        add_hosts(&mut homes, &backends);
        let groups = groups.into_iter().map(|(kind, members)| Group { kind, members: members.into() });
        let groups = groups.collect();
        Ok(Self { version: message.version, backends: backends.into(), groups, homes, defaults })
    }
}

fn defaults(
    message: Option<&wire::Defaults>,
    homes: &HashMap<Box<str>, Home>,
) -> Result<[Option<Home>; Service::ALL.len()], BadPool> {
    let mut defaults = [None; Service::ALL.len()];
    for service in Service::ALL {
        let name = message.map_or("", |message| match service {
            Service::Imap | Service::Lmtp | Service::Pop3 | Service::Sieve => message.mail.as_str(),
            Service::Http | Service::HttpAdmin => message.http.as_str(),
            Service::Mx => message.mx.as_str(),
            Service::Submission => message.submission.as_str(),
        });
        if !name.is_empty() {
            let unknown = || BadPool::Default { service: service.name(), name: name.to_owned() };
            let home = homes.get(key(name).as_str()).ok_or_else(unknown)?;
            defaults[service.index()] = Some(*home);
        }
    }
    Ok(defaults)
}

/// A host is a home too, unless several backends share it or it is somebody's name.
fn add_hosts(homes: &mut HashMap<Box<str>, Home>, backends: &[Arc<Backend>]) {
    let mut hosts = HashMap::<_, Vec<_>>::new();
    for (index, backend) in backends.iter().enumerate() {
        hosts.entry(key(&backend.host).into_boxed_str()).or_default().push(index);
    }
    for (host, indexes) in hosts {
        if let [index] = indexes[..] {
            homes.entry(host).or_insert(Home::Backend(index));
        }
    }
}

fn kind(group: &wire::Group) -> Result<Kind, BadPool> {
    match group.kind() {
        wire::GroupKind::Shared => Ok(Kind::Shared),
        wire::GroupKind::Stateless => Ok(Kind::Stateless),
        wire::GroupKind::Unspecified => Err(BadPool::Kind(group.name.clone())),
    }
}

/// Where proto3 leaves it out.
const USUAL_WEIGHT: u32 = 100;

impl TryFrom<&wire::Backend> for Backend {
    type Error = BadPool;

    fn try_from(message: &wire::Backend) -> Result<Self, BadPool> {
        let unknown = |field| BadPool::Unknown { backend: message.name.clone(), field };
        if message.host.is_empty() {
            return Err(BadPool::Host(message.name.clone()));
        }
        let state = match wire::BackendState::try_from(message.state).map_err(|_| unknown("state"))? {
            wire::BackendState::Unspecified | wire::BackendState::Active => State::Active,
            wire::BackendState::Draining => State::Draining,
            wire::BackendState::Maintenance => State::Maintenance,
            wire::BackendState::Standby => State::Standby,
        };
        let mut endpoints = [const { None }; Service::ALL.len()];
        if let Some(all) = &message.endpoints {
            for service in Service::ALL {
                if let Some(it) = of_service(all, service) {
                    endpoints[service.index()] = Some(Arc::new(endpoint(message, service, it)?));
                }
            }
        }
        Ok(Self {
            name: Arc::from(message.name.as_str()),
            group: (!message.group.is_empty()).then(|| Arc::from(message.group.as_str())),
            host: Arc::from(message.host.as_str()),
            endpoints,
            weight: message.weight.unwrap_or(USUAL_WEIGHT),
            max_sessions: (message.max_sessions > 0).then_some(message.max_sessions),
            state,
        })
    }
}

/// Services this edge does not serve are none of its business.
fn of_service(all: &wire::Endpoints, service: Service) -> Option<&wire::Endpoint> {
    match service {
        Service::Imap => all.imap.as_ref(),
        Service::Pop3 => all.pop3.as_ref(),
        Service::Submission => all.submission.as_ref(),
        Service::Sieve => all.sieve.as_ref(),
        Service::Mx => all.smtp.as_ref(),
        Service::Lmtp => all.lmtp.as_ref(),
        Service::Http => all.http.as_ref(),
        Service::HttpAdmin => all.http_admin.as_ref(),
    }
}

fn endpoint(backend: &wire::Backend, service: Service, it: &wire::Endpoint) -> Result<Endpoint, BadPool> {
    let unknown = |field| BadPool::Unknown { backend: backend.name.clone(), field };
    let port = u16::try_from(it.port).ok().filter(|&port| port != 0);
    if service == Service::Mx && !matches!(it.forward(), wire::Forward::ProxyV2 | wire::Forward::Xclient) {
        return Err(BadPool::OpenRelay(backend.name.clone()));
    }
    let verify = wire::Verify::try_from(it.verify).map_err(|_| unknown("verify"))?;
    // Another would log users in by a way this edge cannot go.
    let login_style = LoginStyle::of_message(it.login_style).map_err(|()| unknown("login_style"))?;
    let endpoint = Endpoint {
        service,
        port: port.ok_or_else(|| BadPool::Port(backend.name.clone()))?,
        tls: match wire::BackendTls::try_from(it.tls).map_err(|_| unknown("tls"))? {
            wire::BackendTls::Unspecified | wire::BackendTls::Off => EndpointTls::Off,
            wire::BackendTls::Implicit => EndpointTls::Implicit,
            wire::BackendTls::Starttls => EndpointTls::Starttls,
        },
        verify: match (it.pin_sha256.as_str(), verify) {
            ("", wire::Verify::None) => Verify::None,
            ("", wire::Verify::Unspecified | wire::Verify::Full) => Verify::Full,
            (pin, _) => Verify::Pin(sha256(pin).ok_or_else(|| BadPool::Pin(backend.name.clone()))?),
        },
        verify_name: (!it.verify_name.is_empty()).then(|| Arc::from(it.verify_name.as_str())),
        login_style: login_style.unwrap_or(LoginStyle::Replay),
        master_user: (!it.master_user.is_empty()).then(|| Arc::from(it.master_user.as_str())),
        forward: match wire::Forward::try_from(it.forward).map_err(|_| unknown("forward"))? {
            wire::Forward::Unspecified | wire::Forward::None => Forward::None,
            wire::Forward::Id => Forward::Id,
            wire::Forward::Xclient => Forward::Xclient,
            wire::Forward::Xoip => Forward::Xoip,
            wire::Forward::ProxyV1 => Forward::ProxyV1,
            wire::Forward::ProxyV2 => Forward::ProxyV2,
        },
    };
    if matches!(service, Service::Http | Service::HttpAdmin) && !fits_web(&endpoint) {
        return Err(BadPool::Web(backend.name.clone()));
    }
    if endpoint.login_style.fits(&endpoint) { Ok(endpoint) } else { Err(BadPool::Style(backend.name.clone())) }
}

/// Nobody is logged in by us there, and of the mail protocols' ways it knows none.
fn fits_web(endpoint: &Endpoint) -> bool {
    endpoint.login_style == LoginStyle::Replay
        && endpoint.tls != EndpointTls::Starttls
        && matches!(endpoint.forward, Forward::None | Forward::ProxyV1 | Forward::ProxyV2)
}

impl Pool {
    /// Checks that each endpoint which a master user logs in to has one of them.
    ///
    /// # Errors
    /// [`BadPool::MasterUser`] for the first that has not.
    pub(crate) fn check_masters(&self, masters: &MasterUsers) -> Result<(), BadPool> {
        for backend in &self.backends {
            for endpoint in backend.endpoints.iter().flatten() {
                let name = endpoint.master_user.as_deref();
                if endpoint.login_style != LoginStyle::VerifyThenMaster || masters.find(name).is_some() {
                    continue;
                }
                return Err(BadPool::MasterUser {
                    backend: backend.name.to_string(),
                    service: endpoint.service.name(),
                    name: name.map_or("single master user".to_owned(), |name| format!("master user {name:?}")),
                });
            }
        }
        Ok(())
    }
}

fn sha256(hex: &str) -> Option<[u8; 32]> {
    let mut digest = [0; 32];
    if hex.len() != 2 * digest.len() || !hex.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    for (octet, digits) in digest.iter_mut().zip(hex.as_bytes().chunks_exact(2)) {
        *octet = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    }
    Some(digest)
}
