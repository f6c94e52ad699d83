//! Virtual hosts.

mod rules;

use std::collections::HashSet;
use std::sync::Arc;

use http::header::HeaderValue;
use zproxy_protocol::http::forward::AnswerRules;
use zproxy_protocol::http::{Host, Rules};

use super::super::settings::Networks;
use super::super::{Faults, Listener, ListenerTls, invalid};
use crate::service::Service;
use crate::wire;

/// One of them.
#[derive(Clone, Debug)]
pub struct HttpHost {
    names: Vec<Pattern>,
    /// Empty: all of HTTP.
    listeners: Vec<Arc<str>>,
    /// With TLS, or without.
    pub mode: HttpMode,
    /// Where requests go that name nobody; empty: the pool's default.
    pub login: Arc<str>,
    /// Which endpoint of a backend serves it.
    pub service: Service,
    /// How users are recognised.
    pub rules: Rules,
    /// Whether the servers behind share their sessions.
    pub shared_sessions: bool,
    /// What is done to answers.
    pub answers: AnswerRules,
    /// Whose clients are served; empty: everybody's.
    pub allowed_from: Networks,
    /// The port that clients are sent to for TLS; none: the first one where we speak it.
    pub https_port: Option<u16>,
    /// What backends are asked for; none: what the client said.
    pub backend_host: Option<HeaderValue>,
}

/// Whether a host is served with TLS, or without.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum HttpMode {
    /// Either way.
    Both,
    /// Without.
    Http,
    /// With; others are refused.
    Https,
    /// With; others are sent there.
    Redirect,
}

/// A name of a host.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
enum Pattern {
    Name(Host),
    /// Any label before it.
    Wildcard(Host),
}

impl HttpHost {
    /// How well a host fits a name: 3 exactly, 2 by a wildcard, 1 because it has no names, none: not at all.
    #[must_use]
    pub fn fit(&self, host: Option<&Host>, listener: &str) -> Option<u8> {
        if !self.listeners.is_empty() && !self.listeners.iter().any(|name| &**name == listener) {
            return None;
        }
        if self.names.is_empty() {
            return Some(1);
        }
        let host = host?;
        self.names.iter().filter_map(|name| name.fit(host)).max()
    }

    pub(super) fn is_named(&self, host: &Host) -> bool {
        self.names.iter().any(|name| name.fit(host).is_some())
    }
}

impl Pattern {
    fn parse(text: &str) -> Option<Self> {
        match text.strip_prefix("*.") {
            Some(above) => Host::parse(above.as_bytes()).map(Self::Wildcard),
            None => Host::parse(text.as_bytes()).map(Self::Name),
        }
    }

    fn fit(&self, host: &Host) -> Option<u8> {
        match self {
            Self::Name(name) => (name == host).then_some(3),
            Self::Wildcard(above) => {
                let (_, behind) = host.as_str().split_once('.')?;
                (behind == above.as_str()).then_some(2)
            }
        }
    }
}

pub(super) fn all(messages: &[wire::HttpHost], listeners: &[Arc<Listener>], faults: &mut Faults) -> Vec<Arc<HttpHost>> {
    let nameless = [wire::HttpHost::default()];
    let messages = if messages.is_empty() { &nameless } else { messages };
    let mut taken = HashSet::new();
    let mut all = Vec::with_capacity(messages.len());
    for (index, message) in messages.iter().enumerate() {
        let key = |field: &str| format!("http.hosts[{index}].{field}");
        let host = one(message, &key, faults);
        check_listeners(&host, message, listeners, &key, faults);
        let places = host.listeners.iter().map(|name| Some(Arc::clone(name)));
        let places: Vec<_> = if host.listeners.is_empty() { vec![None] } else { places.collect() };
        let names = host.names.iter().map(|name| Some(name.clone()));
        // One whose names are all faulty has had its faults.
        let names: Vec<_> = if message.names.is_empty() { vec![None] } else { names.collect() };
        for name in &names {
            for place in &places {
                if !taken.insert((name.clone(), place.clone())) {
                    let problem = match name {
                        Some(_) => "has a name that another host has: a request can be one host's only",
                        None => "is empty, as it is of another host: only one may serve every name",
                    };
                    faults.push(invalid(&key("names"), problem.into()));
                }
            }
        }
        all.push(Arc::new(host));
    }
    all
}

/// The host of ACME's challenges where one backend or group answers them.
pub(super) fn of_acme(backend: &str) -> HttpHost {
    let off = Some(false);
    let recognise = wire::Recognise {
        path: off,
        active_sync: off,
        zimbra: off,
        basic: off,
        route_cookie: off,
        ..wire::Recognise::default()
    };
    let message = wire::HttpHost {
        mode: wire::HttpMode::Both.into(),
        login: backend.to_owned(),
        recognise: Some(recognise),
        ..wire::HttpHost::default()
    };
    one(&message, &|field| format!("http.acme.{field}"), &mut Faults::new())
}

fn one(message: &wire::HttpHost, key: &dyn Fn(&str) -> String, faults: &mut Faults) -> HttpHost {
    let mut names = Vec::with_capacity(message.names.len());
    for (index, text) in message.names.iter().enumerate() {
        match Pattern::parse(text) {
            Some(name) => names.push(name),
            None => {
                let problem = format!("{text:?} is no host name, e.g. \"mail.tgg.net.id\" or \"*.tgg.net.id\"");
                faults.push(invalid(&key(&format!("names[{index}]")), problem));
            }
        }
    }
    let backend_host = match message.backend_host.as_str() {
        "" => None,
        host => HeaderValue::from_str(host).ok(),
    };
    if backend_host.is_none() && !message.backend_host.is_empty() {
        faults.push(invalid(&key("backend_host"), format!("{:?} is no host name", message.backend_host)));
    }
    HttpHost {
        names,
        listeners: message.listeners.iter().map(|name| Arc::from(name.as_str())).collect(),
        mode: match message.mode() {
            wire::HttpMode::Unspecified | wire::HttpMode::Redirect => HttpMode::Redirect,
            wire::HttpMode::Https => HttpMode::Https,
            wire::HttpMode::Http => HttpMode::Http,
            wire::HttpMode::Both => HttpMode::Both,
        },
        login: Arc::from(message.login.as_str()),
        service: if message.admin { Service::HttpAdmin } else { Service::Http },
        rules: rules::recognise(message, key, faults),
        shared_sessions: message.shared_sessions,
        answers: rules::answers(message, key, faults),
        allowed_from: Networks::check(&key("allowed_from"), &message.allowed_from, faults),
        https_port: u16::try_from(message.https_port).ok().filter(|&port| port != 0),
        backend_host,
    }
}

/// Passwords stay off the network in clear here as they do elsewhere.
fn check_listeners(
    host: &HttpHost,
    message: &wire::HttpHost,
    listeners: &[Arc<Listener>],
    key: &dyn Fn(&str) -> String,
    faults: &mut Faults,
) {
    let web = || listeners.iter().filter(|listener| listener.service == Service::Http);
    for (index, name) in message.listeners.iter().enumerate() {
        if !web().any(|listener| *listener.name == **name) {
            let problem = format!("{name:?} is no listener with protocol = \"http\"");
            faults.push(invalid(&key(&format!("listeners[{index}]")), problem));
        }
    }
    let serves = |listener: &&Arc<Listener>| host.listeners.is_empty() || host.listeners.contains(&listener.name);
    let in_clear = |listener: &&Arc<Listener>| {
        listener.tls == ListenerTls::Off && !listener.plaintext_ok && !listener.address.ip().is_loopback()
    };
    if matches!(host.mode, HttpMode::Both | HttpMode::Http)
        && let Some(listener) = web().filter(serves).find(in_clear)
    {
        let problem = format!(
            "lets passwords cross the network in clear at listener {:?}: use \"redirect\", or set plaintext_ok = true \
             on that listener if that is meant",
            listener.name
        );
        faults.push(invalid(&key("mode"), problem));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts(names: &[&[&str]]) -> (Vec<Arc<HttpHost>>, Faults) {
        let messages: Vec<_> = names
            .iter()
            .map(|names| wire::HttpHost {
                names: names.iter().map(|&name| name.to_owned()).collect(),
                ..wire::HttpHost::default()
            })
            .collect();
        let mut faults = Faults::new();
        (all(&messages, &[], &mut faults), faults)
    }

    #[test]
    fn the_nearest_name_is_the_one() {
        let (hosts, faults) = hosts(&[&["*.tgg.net.id"], &["mail.tgg.net.id", "[::1]"], &[]]);
        assert_eq!(faults, []);
        let best = |name: &str| {
            let host = Host::parse(name.as_bytes());
            hosts.iter().position(|it| {
                let fit = it.fit(host.as_ref(), "web");
                fit.is_some() && hosts.iter().all(|other| other.fit(host.as_ref(), "web") <= fit)
            })
        };
        assert_eq!(best("MAIL.tgg.net.id"), Some(1));
        assert_eq!(best("[0::1]"), Some(1));
        assert_eq!(best("web.tgg.net.id"), Some(0));
        assert_eq!(best("a.web.tgg.net.id"), Some(2));
        assert_eq!(best("tgg.net.id"), Some(2));
    }

    #[test]
    fn a_name_is_one_hosts() {
        let (_, faults) = hosts(&[&["a.example"], &["b.example", "A.example."]]);
        assert_eq!(faults.len(), 1);
        assert_eq!(faults[0].key, "http.hosts[1].names");
        let (_, faults) = hosts(&[&["a b"], &["*"], &[], &[]]);
        assert_eq!(faults.len(), 3);
    }
}
