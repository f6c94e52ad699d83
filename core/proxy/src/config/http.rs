//! What HTTP listeners serve: virtual hosts, whom we believe, our own pages, and what is answered without a backend.

mod autoconfig;
mod form;
mod host;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use zproxy_protocol::http::Host;
use zproxy_protocol::http::forward::Chain;

use super::settings::Networks;
use super::{Faults, Listener, duration, invalid};
use crate::wire;

pub use autoconfig::{Autoconfig, MailServer};
pub use host::{HttpHost, HttpMode};

/// All that the section says.
#[derive(Clone, Debug)]
pub struct Http {
    /// At least one; what a request says outranks the order.
    pub hosts: Vec<Arc<HttpHost>>,
    /// By index, the one that serves names that none has.
    pub default_host: Option<usize>,
    /// Who is believed who the client is.
    pub trusted_proxies: Networks,
    /// Where they say it.
    pub forwarded_by: Chain,
    /// Whether they say the scheme too.
    pub forwarded_scheme: bool,
    /// Octets of a request's head.
    pub max_header: usize,
    /// Octets of a request's body; none: any.
    pub max_body: Option<u64>,
    /// Requests under way on a connection of HTTP/2.
    pub max_streams: u32,
    /// Idle connections of a thread to one backend.
    pub idle_connections: usize,
    /// How long they are kept.
    pub idle_time: Duration,
    /// In place of our own words.
    pub pages: Pages,
    /// Who answers ACME; none: whoever answers everything else.
    pub acme: Option<Acme>,
    /// What mail programs are told; none: backends tell them.
    pub autoconfig: Option<Autoconfig>,
}

/// What is shown where a backend does not answer; none: our own words.
#[derive(Clone, Debug, Default)]
pub struct Pages {
    /// 502.
    pub bad_gateway: Option<Bytes>,
    /// 503.
    pub unavailable: Option<Bytes>,
    /// 504.
    pub gateway_timeout: Option<Bytes>,
}

/// Who answers ACME's HTTP-01.
#[derive(Clone, Debug)]
pub enum Acme {
    /// A backend or group, for whatever name, with TLS or without.
    Backend(Arc<HttpHost>),
    /// A file a token.
    Directory(PathBuf),
}

impl Acme {
    /// Where the tokens are (RFC 8555, section 8.3).
    pub const PATH: &str = "/.well-known/acme-challenge/";

    /// Whether what stands behind the path may be a token: base64url, so that it leads nowhere else.
    #[must_use]
    pub fn is_token(text: &str) -> bool {
        let is_octet = |octet: u8| octet.is_ascii_alphanumeric() || b"-_".contains(&octet);
        (1..=MAX_TOKEN).contains(&text.len()) && text.bytes().all(is_octet)
    }
}

/// Octets of a token. Authorities' own have 43.
const MAX_TOKEN: usize = 128;

/// Nobody sends more but by mistake, and it is memory that every client may ask for.
const MAX_HEADER: u64 = 1 << 20;
const DEFAULT_HEADER: u64 = 32 << 10;
/// hyper's buffer for a head is no smaller.
const MIN_HEADER: u64 = 8 << 10;
/// Longest page of an operator's own.
const MAX_PAGE: u64 = 64 << 10;

impl Http {
    /// `said`: our host name and the listeners.
    pub(super) fn check(message: Option<wire::Http>, said: (&str, &[Arc<Listener>]), faults: &mut Faults) -> Self {
        let (hostname, listeners) = said;
        let message = message.unwrap_or_default();
        let max_header = if message.max_header == 0 { DEFAULT_HEADER } else { message.max_header };
        if !(MIN_HEADER..=MAX_HEADER).contains(&max_header) {
            let problem = format!("{max_header} is not between {MIN_HEADER} and {MAX_HEADER} octets");
            faults.push(invalid("http.max_header", problem));
        }
        let hosts = host::all(&message.hosts, listeners, faults);
        Self {
            default_host: default_host(&message.default_host, &hosts, faults),
            hosts,
            trusted_proxies: Networks::check("http.trusted_proxies", &message.trusted_proxies, faults),
            forwarded_by: match message.forwarded_by() {
                wire::ForwardedBy::Forwarded => Chain::Forwarded,
                wire::ForwardedBy::Unspecified | wire::ForwardedBy::XForwardedFor => Chain::XForwardedFor,
            },
            forwarded_scheme: message.forwarded_scheme,
            max_header: usize::try_from(max_header).unwrap_or(usize::MAX),
            max_body: (message.max_body > 0).then_some(message.max_body),
            max_streams: if message.max_streams == 0 { 100 } else { message.max_streams },
            idle_connections: if message.idle_connections == 0 { 64 } else { message.idle_connections as usize },
            idle_time: duration("http.idle_time", message.idle_time.as_ref(), Duration::from_secs(4), faults),
            pages: pages(&message.pages.unwrap_or_default(), faults),
            acme: message.acme.and_then(|acme| self::acme(acme, faults)),
            autoconfig: message.autoconfig.map(|autoconfig| Autoconfig::check(autoconfig, hostname, listeners, faults)),
        }
    }
}

impl Http {
    /// The host that serves a path whatever name is asked; none: the name's. No other path of that backend is to be had
    /// so, for whoever asks by this one is held to no host's rules.
    #[must_use]
    pub fn host_of_path(&self, path: &str) -> Option<&Arc<HttpHost>> {
        match &self.acme {
            Some(Acme::Backend(host)) if path.strip_prefix(Acme::PATH).is_some_and(Acme::is_token) => Some(host),
            _ => None,
        }
    }

    /// The host that serves a name at a listener; none: nobody does.
    #[must_use]
    pub fn host(&self, name: Option<&Host>, listener: &str) -> Option<&Arc<HttpHost>> {
        let fits = self.hosts.iter().filter_map(|host| Some((host.fit(name, listener)?, host)));
        let best = fits.max_by_key(|(fit, _)| *fit).map(|(_, host)| host);
        best.or_else(|| self.hosts.get(self.default_host?))
    }
}

fn default_host(name: &str, hosts: &[Arc<HttpHost>], faults: &mut Faults) -> Option<usize> {
    if name.is_empty() {
        return None;
    }
    let host = Host::parse(name.as_bytes());
    let found = hosts.iter().position(|it| host.as_ref().is_some_and(|host| it.is_named(host)));
    if found.is_none() {
        faults.push(invalid("http.default_host", format!("{name:?} is not in the names of any of http.hosts: add it")));
    }
    found
}

fn pages(message: &wire::HttpPages, faults: &mut Faults) -> Pages {
    let mut read = |field: &str, path: &str| {
        if path.is_empty() {
            return None;
        }
        let read = std::fs::metadata(path)
            .and_then(|it| if it.len() > MAX_PAGE { Ok(None) } else { std::fs::read(path).map(Some) });
        let problem = match read {
            Ok(Some(page)) => return Some(Bytes::from(page)),
            Ok(None) => format!("{path} is longer than {MAX_PAGE} octets: such a page shall be small"),
            Err(error) => format!("{path} cannot be read: {error}"),
        };
        faults.push(invalid(&format!("http.pages.{field}"), problem));
        None
    };
    Pages {
        bad_gateway: read("bad_gateway", &message.bad_gateway),
        unavailable: read("unavailable", &message.unavailable),
        gateway_timeout: read("gateway_timeout", &message.gateway_timeout),
    }
}

fn acme(message: wire::Acme, faults: &mut Faults) -> Option<Acme> {
    match message.from {
        Some(wire::acme::From::Directory(directory)) if !directory.is_empty() => {
            let directory = PathBuf::from(directory);
            if !directory.is_dir() {
                let problem = format!("{}: there is no such directory: make it, or name another", directory.display());
                faults.push(invalid("http.acme.directory", problem));
            }
            Some(Acme::Directory(directory))
        }
        Some(wire::acme::From::Backend(backend)) if !backend.is_empty() => {
            Some(Acme::Backend(Arc::new(host::of_acme(&backend))))
        }
        _ => {
            let problem = "says neither directory nor backend: name the directory that your ACME client writes to";
            faults.push(invalid("http.acme", problem.into()));
            None
        }
    }
}
