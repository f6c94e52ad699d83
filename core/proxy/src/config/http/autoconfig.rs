//! What mail programs are told of our servers.

use std::collections::HashMap;
use std::sync::Arc;

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
    /// For whom; empty: for whoever is asked for.
    pub domains: Vec<Box<str>>,
    /// In the order of preference: of each service those with TLS from the first byte come first (RFC 8314).
    pub servers: Vec<MailServer>,
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
    pub(super) fn check(
        message: wire::Autoconfig,
        hostname: &str,
        listeners: &[Arc<Listener>],
        faults: &mut Faults,
    ) -> Option<Self> {
        if message.name.is_empty() {
            faults.push(invalid("http.autoconfig.name", "is missing: programs show the provider by it".into()));
        }
        for name in message.ports.keys().filter(|name| !listeners.iter().any(|it| *it.name == ***name)) {
            faults.push(invalid("http.autoconfig.ports", format!("{name:?} is no listener")));
        }
        let host = if message.host.is_empty() { hostname } else { &message.host };
        Some(Self {
            name: message.name.as_str().into(),
            host: host.into(),
            domains: message.domains.iter().map(|domain| domain.to_ascii_lowercase().into()).collect(),
            servers: servers(listeners, &message.ports, faults),
        })
    }
}

fn servers(listeners: &[Arc<Listener>], ports: &HashMap<String, u32>, faults: &mut Faults) -> Vec<MailServer> {
    let mut servers = Vec::new();
    for listener in listeners {
        let told = ports.get(&*listener.name);
        let told_port = told.and_then(|&port| u16::try_from(port).ok()).filter(|&port| port != 0);
        if let (Some(port), None) = (told, told_port) {
            faults.push(invalid("http.autoconfig.ports", format!("{port} is no port")));
        }
        let for_programs = matches!(listener.service, Service::Imap | Service::Pop3 | Service::Submission)
            || (listener.service == Service::Http && listener.tls == ListenerTls::Implicit);
        // One on loopback is not for clients, unless somebody says by which port they reach it.
        let is_reached = told.is_some() || !listener.address.ip().is_loopback();
        if for_programs && is_reached && listener.tls != ListenerTls::Off {
            servers.push(MailServer {
                service: listener.service,
                port: told_port.unwrap_or(listener.address.port()),
                implicit_tls: listener.tls == ListenerTls::Implicit,
            });
        }
    }
    servers.sort_by_key(|server| (server.service.index(), !server.implicit_tls));
    servers.dedup();
    servers
}
