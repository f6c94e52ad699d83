//! Where control is, and by what an edge on another machine reaches it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use super::{Faults, invalid};
use crate::wire;

/// Where control's gRPC is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Api {
    /// In clear, on this machine or in a network of its own.
    Tcp(SocketAddr),
    /// Elsewhere.
    Tls(Remote),
    /// A Unix socket.
    Unix(PathBuf),
}

/// Control on another machine. The files are read at each connection: they may be renewed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Remote {
    /// `host:port`.
    pub authority: Box<str>,
    /// What its certificate must be for.
    pub server_name: Box<str>,
    /// PEM bundle that it is checked against.
    pub ca_file: PathBuf,
    /// Files of our own certificate and its key.
    pub certificate: Option<(PathBuf, PathBuf)>,
    /// Holds our token.
    pub token_file: Option<PathBuf>,
}

impl std::fmt::Display for Api {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tcp(address) => write!(to, "{address}"),
            Self::Tls(remote) => to.write_str(&remote.authority),
            Self::Unix(path) => write!(to, "unix:{}", path.display()),
        }
    }
}

impl Api {
    pub(super) fn check(
        message: &wire::Api,
        control: Option<wire::Control>,
        state_directory: &Path,
        faults: &mut Faults,
    ) -> Self {
        let near = Self::near(message, state_directory, faults);
        control.map_or(near, |control| Self::Tls(Remote::check(control, faults)))
    }

    fn near(message: &wire::Api, state_directory: &Path, faults: &mut Faults) -> Self {
        let default = || Self::Unix(state_directory.join("api.sock"));
        if message.address.is_empty() {
            return default();
        }
        if let Some(path) = message.address.strip_prefix("unix:") {
            return Self::Unix(path.into());
        }
        match message.address.parse::<SocketAddr>() {
            Ok(address) if address.ip().is_loopback() || message.open_to_anybody => Self::Tcp(address),
            _ => {
                let problem = format!(
                    "{:?} is neither unix:/path nor a loopback address:port: control elsewhere is reached by [control]",
                    message.address
                );
                faults.push(invalid("api.address", problem));
                default()
            }
        }
    }
}

impl Remote {
    fn check(message: wire::Control, faults: &mut Faults) -> Self {
        let mut fault = |key: &str, problem: &str| faults.push(invalid(&format!("control.{key}"), problem.into()));
        let host = host(&message.address);
        if host.is_none() {
            fault("address", "is no host:port: write e.g. \"control.tgg.net.id:7411\"");
        }
        if message.ca_file.is_empty() {
            fault("ca_file", "is missing: name a PEM bundle of the authorities that control's certificate may be from");
        }
        for (absent, is_absent) in
            [("certificate_file", message.certificate_file.is_empty()), ("key_file", message.key_file.is_empty())]
        {
            if is_absent && !(message.certificate_file.is_empty() && message.key_file.is_empty()) {
                fault(absent, "is missing: certificate_file and key_file go together; name both PEM files, or neither");
            }
        }
        if message.certificate_file.is_empty() && message.key_file.is_empty() && message.token_file.is_empty() {
            fault(
                "certificate_file",
                "is missing: name a certificate and its key, or a token_file; control asks for one",
            );
        }
        let server_name = if message.server_name.is_empty() { host.unwrap_or_default() } else { &message.server_name };
        let path = |text: &str| (!text.is_empty()).then(|| PathBuf::from(text));
        Self {
            server_name: server_name.into(),
            ca_file: message.ca_file.into(),
            certificate: path(&message.certificate_file).zip(path(&message.key_file)),
            token_file: path(&message.token_file),
            authority: message.address.into(),
        }
    }
}

/// The host of `host:port`; an IPv6 address stands in brackets.
fn host(address: &str) -> Option<&str> {
    let (host, port) = address.rsplit_once(':')?;
    port.parse::<u16>().ok().filter(|port| *port > 0)?;
    match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(v6) => v6.parse::<std::net::Ipv6Addr>().is_ok().then_some(v6),
        None => {
            let is_name = |octet: u8| octet.is_ascii_alphanumeric() || b"-._".contains(&octet);
            (!host.is_empty() && host.bytes().all(is_name)).then_some(host)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::host;

    #[test]
    fn a_host_is_what_stands_before_the_port() {
        for (address, expected) in [
            ("control.tgg.net.id:7411", Some("control.tgg.net.id")),
            ("192.0.2.1:7411", Some("192.0.2.1")),
            ("[2001:db8::1]:7411", Some("2001:db8::1")),
            ("2001:db8::1:7411", None),
            ("control.tgg.net.id", None),
            ("control.tgg.net.id:0", None),
            ("control.tgg.net.id:70000", None),
            ("https://control.tgg.net.id:7411", None),
            (":7411", None),
            ("a b:7411", None),
        ] {
            assert_eq!(host(address), expected, "{address}");
        }
    }
}
