//! The PROXY protocol, versions 1 and 2 (haproxy `doc/proxy-protocol.txt`): who is behind the balancer before us, and
//! who is behind us.
//!
//! Whether a header is expected and its sender trusted is the caller's business; nothing here guesses. A receiver must
//! not tolerate what does not exactly match, so whatever is no header is an [`Error::ProxyHeader`] at its first wrong
//! octet that was read.

mod v1;
mod v2;

use std::net::{IpAddr, SocketAddr};

use crate::Error;

pub use v1::{MAX_LEN as MAX_V1, write as v1};
pub use v2::{MAX_LEN as MAX_V2, write as v2};

/// Octets that are enough to hold any header that is taken.
pub const MAX_LEN: usize = MAX_V2;

/// What the first octets of a connection say.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Parsed {
    /// A header so far, but not all of it.
    Incomplete,
    /// A whole header.
    Header {
        /// What it says.
        header: Header,
        /// Its octets; what follows is the client's.
        length: usize,
    },
}

/// What a header says.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Header {
    /// The ends of the client's connection; none: the real ones of this connection hold (`LOCAL`, `UNKNOWN`, or a
    /// transport that is not TCP).
    pub proxied: Option<Proxied>,
    /// The host name the client asked the sender for (`PP2_TYPE_AUTHORITY`): letters, digits, `.`, `-` and `_`.
    pub authority: Option<String>,
}

/// The ends of the client's own connection. An IPv4 address never comes in its IPv6 form.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Proxied {
    /// The client's address.
    pub source: SocketAddr,
    /// The address it connected to.
    pub destination: SocketAddr,
}

/// Reads the header at the start of a connection.
///
/// # Errors
/// [`Error::ProxyHeader`], with what is wrong with it.
pub fn parse(bytes: &[u8]) -> Result<Parsed, Error> {
    match bytes.first() {
        None => Ok(Parsed::Incomplete),
        Some(b'P') => v1::parse(bytes),
        Some(_) => v2::parse(bytes),
    }
}

/// Whether `bytes` begin with `expected`; none: they do as far as they go. Anything else is no header.
fn begins_with(bytes: &[u8], expected: &[u8]) -> Result<Option<()>, Error> {
    if bytes.starts_with(expected) {
        Ok(Some(()))
    } else if expected.starts_with(bytes) {
        Ok(None)
    } else {
        Err(Error::ProxyHeader("no signature of version 1 or 2"))
    }
}

/// Both addresses in the one family that a header can hold.
enum Family {
    V4([std::net::Ipv4Addr; 2]),
    V6([std::net::Ipv6Addr; 2]),
}

impl Family {
    fn of(source: SocketAddr, destination: SocketAddr) -> Self {
        match (source.ip().to_canonical(), destination.ip().to_canonical()) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => Self::V4([source, destination]),
            (source, destination) => Self::V6([source, destination].map(|address| match address {
                IpAddr::V4(v4) => v4.to_ipv6_mapped(),
                IpAddr::V6(v6) => v6,
            })),
        }
    }
}

fn proxied(source: (IpAddr, u16), destination: (IpAddr, u16)) -> Proxied {
    let canonical = |(address, port): (IpAddr, u16)| SocketAddr::new(address.to_canonical(), port);
    Proxied { source: canonical(source), destination: canonical(destination) }
}
