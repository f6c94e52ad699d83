//! First step: who connects, through which PROXY header, and whether there is room.

use std::future::poll_fn;
use std::net::{IpAddr, SocketAddr};
use std::task::Poll;

use tokio::io::{AsyncReadExt as _, ReadBuf};
use tokio::net::TcpStream;
use zproxy_protocol::proxy_header::{self, Header, Parsed, Proxied};

use crate::Error;
use crate::config::Listener;
use crate::stream::with_scratch;

/// The two ends of a connection as the client sees them.
#[derive(Clone, Debug)]
pub struct Ends {
    /// The client's own address.
    pub client: SocketAddr,
    /// The address it connected to.
    pub local: SocketAddr,
    /// The host name that the load balancer before us was asked for.
    pub authority: Option<String>,
}

/// Learns the ends of a connection; on a listener that expects PROXY headers, from the header.
///
/// # Errors
/// [`Error::UntrustedProxy`], or a header that does not exactly match.
pub async fn ends(stream: &mut TcpStream, peer: SocketAddr, listener: &Listener) -> Result<Ends, Error> {
    let local = stream.local_addr().map_err(|error| Error::ClientIo(error.kind()))?;
    let own = Ends { client: canonical(peer), local: canonical(local), authority: None };
    if listener.proxy_protocol_from.is_empty() {
        return Ok(own);
    }
    if !listener.proxy_protocol_from.contain(peer.ip()) {
        return Err(Error::UntrustedProxy);
    }
    let header = header(stream).await?;
    match header.proxied {
        Some(Proxied { source, destination }) => {
            Ok(Ends { client: source, local: destination, authority: header.authority })
        }
        // LOCAL or UNKNOWN: a probe of the load balancer's own.
        None => Ok(own),
    }
}

/// An IPv4 client of an IPv6 socket is an IPv4 client: limits, networks and backends shall see one address.
fn canonical(address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(_) => address,
        IpAddr::V6(_) => SocketAddr::new(address.ip().to_canonical(), address.port()),
    }
}

/// Reads exactly one header and not a byte behind it: what follows may be a TLS handshake.
async fn header(stream: &mut TcpStream) -> Result<Header, Error> {
    let failed = |error: std::io::Error| Error::ClientIo(error.kind());
    let mut seen = Vec::new();
    loop {
        let peeked = peek(stream, &mut seen).await.map_err(failed)?;
        if peeked == 0 {
            return Err(Error::ClientGone);
        }
        let before = seen.len() - peeked;
        let parsed = proxy_header::parse(&seen)?;
        let take = match &parsed {
            Parsed::Incomplete => peeked,
            Parsed::Header { length, .. } => length - before,
        };
        let mut taken = vec![0; take];
        stream.read_exact(&mut taken).await.map_err(failed)?;
        if let Parsed::Header { header, .. } = parsed {
            return Ok(header);
        }
    }
}

/// Appends what can be read now, without taking it; returns how much that is.
async fn peek(stream: &TcpStream, seen: &mut Vec<u8>) -> std::io::Result<usize> {
    poll_fn(|cx| {
        with_scratch(|scratch| {
            let room = proxy_header::MAX_LEN.saturating_sub(seen.len()).clamp(1, scratch.len());
            let mut read = ReadBuf::new(&mut scratch[..room]);
            let count = std::task::ready!(stream.poll_peek(cx, &mut read))?;
            seen.extend_from_slice(read.filled());
            Poll::Ready(Ok(count))
        })
    })
    .await
}
