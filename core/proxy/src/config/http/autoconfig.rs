//! What mail programs are told of our servers.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use zproxy_protocol::http::Host;

use super::super::{Faults, Listener, ListenerTls, invalid};
use crate::service::Service;
use crate::wire;

/// The servers, and for whom.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Autoconfig {
    /// The provider's.
    pub name: Box<str>,
    /// Where the servers are.
    pub host: Box<str>,
    /// In lower case; empty: for whoever is asked for.
    domains: HashSet<Box<str>>,
    /// In the order of preference: of each service those with TLS from the first byte come first (RFC 8314).
    pub servers: Vec<MailServer>,
    /// Whether there are calendars and address books.
    pub dav: bool,
    /// Whether there is ActiveSync.
    pub active_sync: bool,
}

/// A listener as programs reach it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct MailServer {
    /// IMAP, POP3 or submission; or HTTP with TLS, which has webmail and DAV.
    pub service: Service,
    /// The port.
    pub port: u16,
    /// Whether TLS begins with the first byte, and not by STARTTLS.
    pub implicit_tls: bool,
}

impl Autoconfig {
    /// Whether a mail domain is one that is told of.
    #[must_use]
    pub fn is_for(&self, domain: &str) -> bool {
        self.domains.is_empty() || self.domains.contains(domain.to_ascii_lowercase().as_str())
    }

    /// The best server of a service.
    #[must_use]
    pub fn server(&self, service: Service) -> Option<MailServer> {
        self.servers.iter().copied().find(|server| server.service == service)
    }

    pub(super) fn check(
        message: wire::Autoconfig,
        hostname: &str,
        listeners: &[Arc<Listener>],
        faults: &mut Faults,
    ) -> Self {
        let mut fault =
            |key: &str, problem: &str| faults.push(invalid(&format!("http.autoconfig{key}"), problem.into()));
        if message.name.is_empty() {
            fault(".name", "is missing: programs show the provider by it");
        }
        let host = if message.host.is_empty() { hostname } else { &message.host };
        if Host::parse(host.as_bytes()).is_none() && !message.host.is_empty() {
            fault(".host", &format!("{host:?} is no host name, e.g. \"mail.tgg.net.id\""));
        }
        for (index, domain) in message.domains.iter().enumerate() {
            if Host::parse(domain.as_bytes()).is_none() {
                let problem = format!("{domain:?} is no domain, e.g. \"tgg.net.id\", in ASCII (\"xn--…\")");
                fault(&format!(".domains[{index}]"), &problem);
            }
        }
        let autoconfig = Self {
            host: host.into(),
            domains: message.domains.iter().map(|domain| domain.to_ascii_lowercase().into()).collect(),
            servers: servers(listeners, &message.ports, &mut fault),
            dav: message.dav,
            active_sync: message.active_sync,
            name: message.name.into(),
        };
        let web = autoconfig.dav || autoconfig.active_sync;
        let incoming: &[_] = &[Service::Imap, Service::Pop3];
        for (needed, services) in [(true, incoming), (true, &[Service::Submission]), (web, &[Service::Http])] {
            if needed && !services.iter().any(|&service| autoconfig.server(service).is_some()) {
                let names: Vec<_> = services.iter().map(|service| service.name()).collect();
                let names = names.join(" or ");
                let problem = format!("needs a listener of {names} with TLS that is not on loopback, or is in ports");
                fault("", &problem);
            }
        }
        autoconfig
    }
}

fn servers(
    listeners: &[Arc<Listener>],
    ports: &HashMap<String, u32>,
    fault: &mut impl FnMut(&str, &str),
) -> Vec<MailServer> {
    for (name, port) in ports {
        if !listeners.iter().any(|listener| *listener.name == **name) {
            fault(".ports", &format!("{name:?} is no listener"));
        }
        if !u16::try_from(*port).is_ok_and(|port| port != 0) {
            fault(".ports", &format!("{port} is no port"));
        }
    }
    let mut servers = Vec::new();
    for listener in listeners {
        let told = ports.get(&*listener.name).and_then(|&port| u16::try_from(port).ok());
        let for_programs = match listener.service {
            Service::Imap | Service::Pop3 | Service::Submission => listener.tls != ListenerTls::Off,
            Service::Http => listener.tls == ListenerTls::Implicit,
            Service::HttpAdmin | Service::Lmtp | Service::Mx | Service::Sieve => false,
        };
        // One on loopback is not for clients, unless somebody says by which port they reach it.
        if !for_programs || (told.is_none() && listener.address.ip().is_loopback()) {
            continue;
        }
        let port = told.unwrap_or(listener.address.port());
        if port == 0 {
            fault(".ports", &format!("listener {:?} takes a free port: say here which one clients see", listener.name));
        }
        let implicit_tls = listener.tls == ListenerTls::Implicit;
        servers.push(MailServer { service: listener.service, port, implicit_tls });
    }
    servers.sort_by_key(|server| (server.service.index(), !server.implicit_tls));
    servers.dedup();
    servers
}
