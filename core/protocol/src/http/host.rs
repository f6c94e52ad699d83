//! Whom a request is for: the host of `Host`, `:authority` and URIs, in the one form in which hosts are compared.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

/// Octets of a name (RFC 1035, section 2.3.4), and of one label of it.
const MAX_HOST: usize = 253;
const MAX_LABEL: usize = 63;

/// A DNS name in lower case without a trailing dot, an IPv4 address, or an IPv6 address in brackets.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Host(Box<str>);

impl Host {
    /// Reads a host without a port; none: it is none. Escapes, zones and whatever else RFC 3986 lets a name have are no
    /// names that DNS or a certificate could hold.
    #[must_use]
    pub fn parse(text: &[u8]) -> Option<Self> {
        if let Some(literal) = text.strip_prefix(b"[") {
            let address = std::str::from_utf8(literal.strip_suffix(b"]")?).ok()?;
            return Some(Self(format!("[{}]", address.parse::<Ipv6Addr>().ok()?).into()));
        }
        let name = text.strip_suffix(b".").unwrap_or(text);
        let is_label = |label: &[u8]| !label.is_empty() && label.len() <= MAX_LABEL && label.iter().all(is_name_octet);
        if name.len() > MAX_HOST || !name.split(|&octet| octet == b'.').all(is_label) {
            return None;
        }
        let name = std::str::from_utf8(name).ok()?.to_ascii_lowercase();
        // What some resolvers read as an address and others as a name (`127.1`, `2130706433`) is neither.
        let is_number = name.rsplit('.').next().is_some_and(|last| last.bytes().all(|octet| octet.is_ascii_digit()));
        (!is_number || name.parse::<Ipv4Addr>().is_ok()).then(|| Self(name.into()))
    }

    /// The host.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A host, and the port where one was said.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Authority {
    /// The host.
    pub host: Host,
    /// The port; none: the scheme's.
    pub port: Option<u16>,
}

impl Authority {
    /// Reads `host`, `host:port`, or `host:`, which RFC 3986 allows. A user in it is refused: nobody writes one but to
    /// deceive.
    #[must_use]
    pub fn parse(text: &[u8]) -> Option<Self> {
        let end =
            if text.starts_with(b"[") { text.iter().position(|&octet| octet == b']')?.checked_add(1)? } else { 0 };
        let colon = text.get(end..)?.iter().position(|&octet| octet == b':').and_then(|at| at.checked_add(end));
        let Some(colon) = colon else { return Some(Self { host: Host::parse(text)?, port: None }) };
        let (host, port) = (text.get(..colon)?, text.get(colon.checked_add(1)?..)?);
        Some(Self { host: Host::parse(host)?, port: if port.is_empty() { None } else { Some(number(port)?) } })
    }

    /// The port, or the scheme's.
    #[must_use]
    pub fn port(&self, https: bool) -> u16 {
        self.port.unwrap_or(if https { 443 } else { 80 })
    }

    /// Whether both are one place under a scheme.
    #[must_use]
    pub fn is(&self, other: &Self, https: bool) -> bool {
        self.host == other.host && self.port(https) == other.port(https)
    }
}

impl fmt::Display for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port {
            Some(port) => write!(f, "{}:{port}", self.host),
            None => self.host.fmt(f),
        }
    }
}

/// Underscores are no host names, yet they are what people call their servers.
fn is_name_octet(octet: &u8) -> bool {
    octet.is_ascii_alphanumeric() || b"-_".contains(octet)
}

fn number(digits: &[u8]) -> Option<u16> {
    // `parse` would take a sign.
    let digits = digits.iter().all(u8::is_ascii_digit).then_some(digits)?;
    std::str::from_utf8(digits).ok()?.parse().ok().filter(|&port| port != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_has_one_form() {
        let table = [
            ("mail.tgg.net.id", Some("mail.tgg.net.id")),
            ("MAIL.TGG.net.id.", Some("mail.tgg.net.id")),
            ("mbox_1", Some("mbox_1")),
            ("192.0.2.7", Some("192.0.2.7")),
            ("[2001:DB8:0:0::7]", Some("[2001:db8::7]")),
            ("", None),
            (".", None),
            ("..", None),
            ("a..b", None),
            (".a", None),
            ("a b", None),
            ("a,b", None),
            ("a%00", None),
            ("a/b", None),
            ("u@a", None),
            ("a\r\nb", None),
            ("é", None),
            ("127.1", None),
            ("2130706433", None),
            ("192.0.2.700", None),
            ("2001:db8::7", None),
            ("[2001:db8::7", None),
            ("[fe80::1%eth0]", None),
            ("[192.0.2.7]", None),
        ];
        for (text, expected) in table {
            assert_eq!(Host::parse(text.as_bytes()).as_ref().map(Host::as_str), expected, "{text:?}");
        }
        assert!(Host::parse(&[b'a'; MAX_LABEL]).is_some() && Host::parse(&[b'a'; MAX_LABEL + 1]).is_none());
        assert!(
            Host::parse("a.".repeat(126).as_bytes()).is_some() && Host::parse("a.".repeat(128).as_bytes()).is_none()
        );
    }

    #[test]
    fn an_authority_may_say_a_port() {
        let table = [
            ("Mail.tgg.net.id:8443", Some("mail.tgg.net.id:8443")),
            ("mail.tgg.net.id.:8443", Some("mail.tgg.net.id:8443")),
            ("mail.tgg.net.id:", Some("mail.tgg.net.id")),
            ("[::1]:443", Some("[::1]:443")),
            ("[::1]", Some("[::1]")),
            ("[::1]x:1", None),
            ("[::1", None),
            ("a:0", None),
            ("a:65536", None),
            ("a:+80", None),
            ("a:80:80", None),
            ("a: 80", None),
            (":80", None),
            ("", None),
        ];
        for (text, expected) in table {
            let authority = Authority::parse(text.as_bytes()).map(|authority| authority.to_string());
            assert_eq!(authority.as_deref(), expected, "{text:?}");
        }
    }

    #[test]
    fn a_port_that_the_scheme_has_anyway_makes_no_other_place() {
        let authority = |text: &str| Authority::parse(text.as_bytes()).unwrap();
        assert!(authority("a:443").is(&authority("A."), true) && authority("a:80").is(&authority("a"), false));
        assert!(!authority("a:443").is(&authority("a"), false) && !authority("a").is(&authority("b"), true));
    }
}
