//! Handshakes of both roles, over rustls without buffers.

use std::io;
use std::sync::Arc;

use rustls::client::UnbufferedClientConnection;
use rustls::pki_types::ServerName;
use rustls::server::{Acceptor, UnbufferedServerConnection};
use rustls::{ClientConfig, CommonState, ServerConfig};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::connection::Tls;
use super::engine::{Role, broken};

impl Tls {
    /// Ends a client's TLS; `received` has come of it already.
    pub(super) async fn accept(tcp: TcpStream, config: ServerConfig, received: Vec<u8>) -> io::Result<Self> {
        let connection = UnbufferedServerConnection::new(Arc::new(config)).map_err(broken)?;
        let mut tls = Self::new(tcp, Role::Server(Box::new(connection)), received);
        tls.shake_hands().await?;
        Ok(tls)
    }

    /// Begins TLS with a backend.
    pub(crate) async fn connect(
        tcp: TcpStream,
        config: Arc<ClientConfig>,
        name: ServerName<'static>,
    ) -> io::Result<Self> {
        let connection = UnbufferedClientConnection::new(config, name).map_err(broken)?;
        let mut tls = Self::new(tcp, Role::Client(Box::new(connection)), Vec::new());
        tls.shake_hands().await?;
        Ok(tls)
    }

    /// What was agreed on.
    pub(super) fn agreed(&self) -> &CommonState {
        self.role().agreed()
    }
}

/// Receives a client's hello; returns all that has come, and the name that it asks for.
pub(super) async fn hello(tcp: &mut TcpStream) -> io::Result<(Vec<u8>, Option<String>)> {
    let (mut acceptor, mut received) = (Acceptor::default(), Vec::new());
    loop {
        let from = received.len();
        if tcp.read_buf(&mut received).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut more = &received[from..];
        while !more.is_empty() {
            acceptor.read_tls(&mut more)?;
            match acceptor.accept() {
                Ok(None) => {}
                Ok(Some(accepted)) => {
                    let name = accepted.client_hello().server_name().map(str::to_owned);
                    return Ok((received, name));
                }
                Err((error, mut alert)) => {
                    let mut told = Vec::new();
                    alert.write_all(&mut told)?;
                    let _ = tcp.write_all(&told).await;
                    return Err(broken(error));
                }
            }
        }
    }
}
