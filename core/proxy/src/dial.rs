//! Fifth step: connect to a backend — TCP, PROXY header, implicit TLS — within a deadline.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use rustls::pki_types::ServerName;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use zproxy_protocol::proxy_header;

use crate::Error;
use crate::pool::{Endpoint, EndpointTls, Forward};
use crate::stream::Stream;
use crate::tls::{Tls, Trust};

/// What a connection to a backend is made of.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    /// Where.
    pub address: SocketAddr,
    /// The backend's configured host: the name its certificate must carry, unless the endpoint says another.
    pub host: &'a str,
    /// How.
    pub endpoint: &'a Endpoint,
}

/// Deadlines and the like, the same for all backends.
#[derive(Clone, Copy, Debug)]
pub struct Terms<'a> {
    /// In whom.
    pub trust: &'a Trust,
    /// For TCP, and again for TLS.
    pub timeout: Duration,
    /// `TCP_USER_TIMEOUT`.
    pub tcp_user: Duration,
}

/// Connects. `ends` are the client's address and the one it connected to, for a PROXY header; none: a probe of ours.
///
/// # Errors
/// [`Error::BackendIo`], [`Error::BackendTimeout`], [`Error::BackendTls`], [`Error::Exhausted`].
pub async fn open(
    target: Target<'_>,
    terms: Terms<'_>,
    ends: Option<(SocketAddr, SocketAddr)>,
) -> Result<Stream, Error> {
    let connecting = connect(target, terms, ends);
    let tcp = tokio::time::timeout(terms.timeout, connecting)
        .await
        .map_err(|_| Error::BackendTimeout("connect"))?
        .map_err(|error| unconnected(&error))?;
    match target.endpoint.tls {
        EndpointTls::Implicit => secure(Stream::Plain(tcp), target, terms).await,
        EndpointTls::Off | EndpointTls::Starttls => Ok(Stream::Plain(tcp)),
    }
}

fn unconnected(error: &io::Error) -> Error {
    if crate::sys::is_exhausted(error) {
        Error::Exhausted(error.to_string().into())
    } else {
        Error::BackendIo { step: "connect", kind: error.kind() }
    }
}

async fn connect(
    target: Target<'_>,
    terms: Terms<'_>,
    ends: Option<(SocketAddr, SocketAddr)>,
) -> io::Result<TcpStream> {
    let mut tcp = TcpStream::connect(target.address).await?;
    crate::sys::tune(&tcp, terms.tcp_user)?;
    // A probe tells its own ends: every receiver takes that, while some know no LOCAL.
    let (client, local) = match ends {
        Some(ends) => ends,
        None => (tcp.local_addr()?, target.address),
    };
    match target.endpoint.forward {
        Forward::ProxyV1 => tcp.write_all(&proxy_header::v1(client, local)).await?,
        Forward::ProxyV2 => tcp.write_all(&proxy_header::v2(client, local)).await?,
        Forward::Id | Forward::None | Forward::Xclient | Forward::Xoip => {}
    }
    Ok(tcp)
}

/// Begins TLS on a connection, with the first byte or after STARTTLS.
///
/// # Errors
/// [`Error::BackendTls`] with rustls' reason, [`Error::BackendTimeout`].
pub async fn secure(stream: Stream, target: Target<'_>, terms: Terms<'_>) -> Result<Stream, Error> {
    let Stream::Plain(tcp) = stream else { return Err(Error::BackendTls("TLS within TLS".into())) };
    let name = target.endpoint.verify_name.as_deref().unwrap_or(target.host);
    let server_name = ServerName::try_from(name.to_owned())
        .map_err(|_| Error::BackendTls(format!("{name:?} is no name a certificate can carry").into()))?;
    let config = terms.trust.config(&target.endpoint.verify);
    match tokio::time::timeout(terms.timeout, Tls::connect(tcp, config, server_name)).await {
        Err(_) => Err(Error::BackendTimeout("TLS handshake")),
        Ok(Err(error)) => Err(Error::BackendTls(told(&error))),
        Ok(Ok(tls)) => Ok(Stream::Tls(Box::new(tls))),
    }
}

/// rustls lists every name of a certificate that lacks ours, which may be thousands.
fn told(error: &io::Error) -> Box<str> {
    error.to_string().chars().take(LONGEST_REASON).collect::<String>().into()
}

/// Of a record, which every login writes.
const LONGEST_REASON: usize = 512;
