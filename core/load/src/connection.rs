//! One client's connection: read line by line, or body by body, and never waited for without end.

use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

use crate::body::{Arrival, Body};
use crate::tls::TlsClient;

trait Stream: AsyncRead + AsyncWrite + Unpin {}
impl<S: AsyncRead + AsyncWrite + Unpin> Stream for S {}

/// A connection to what is loaded.
pub(crate) struct Connection {
    stream: BufReader<Box<dyn Stream>>,
    buffer: usize,
}

impl Connection {
    /// Connects, from an address of its own if one is given; `buffer` octets are read at a time.
    pub(crate) async fn open(target: SocketAddr, source: Option<IpAddr>, buffer: usize) -> Result<Self, String> {
        patiently("connect", async {
            let stream = match source {
                None => TcpStream::connect(target).await?,
                Some(source) => {
                    let socket = if target.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
                    socket.bind(SocketAddr::new(source, 0))?;
                    socket.connect(target).await?
                }
            };
            stream.set_nodelay(true)?;
            Ok(Self::over(Box::new(stream), buffer))
        })
        .await
    }

    fn over(stream: Box<dyn Stream>, buffer: usize) -> Self {
        Self { stream: BufReader::with_capacity(buffer, stream), buffer }
    }

    /// Begins TLS; says whether a session was resumed.
    pub(crate) async fn secure(self, tls: &TlsClient) -> Result<(Self, bool), String> {
        if !self.stream.buffer().is_empty() {
            return Err("STARTTLS: octets before TLS".to_owned());
        }
        // rustls reads 4 KiB at a time where nobody reads ahead for it.
        let stream = BufReader::with_capacity(self.buffer, self.stream.into_inner());
        let (stream, resumed) = patiently("TLS", tls.connect(stream)).await?;
        Ok((Self::over(Box::new(stream), self.buffer), resumed))
    }

    /// Sends.
    pub(crate) async fn send(&mut self, phase: &str, octets: &[u8]) -> Result<(), String> {
        patiently(phase, async {
            self.stream.get_mut().write_all(octets).await?;
            self.stream.get_mut().flush().await
        })
        .await
    }

    /// Sends a body.
    pub(crate) async fn send_body(&mut self, phase: &str, body: Body) -> Result<(), String> {
        let mut offset = 0;
        while offset < body.len() {
            let chunk = body.at(offset);
            self.send(phase, chunk).await?;
            offset += chunk.len();
        }
        Ok(())
    }

    /// Reads lines up to the first of which `find` makes something.
    pub(crate) async fn line<T>(&mut self, phase: &str, find: impl Fn(&str) -> Option<T>) -> Result<T, String> {
        patiently(phase, async {
            let mut line = String::new();
            loop {
                line.clear();
                if self.stream.read_line(&mut line).await? == 0 {
                    return Err(ErrorKind::UnexpectedEof.into());
                }
                if let Some(found) = find(line.trim_end()) {
                    return Ok(found);
                }
            }
        })
        .await
    }

    /// Reads a body, which must be as it must be.
    pub(crate) async fn body(&mut self, phase: &str, body: Body) -> Result<(), String> {
        let mut arrival = Arrival::of(body);
        while arrival.left() > 0 {
            let octets = patiently(phase, self.stream.fill_buf()).await?;
            if octets.is_empty() {
                break;
            }
            let taken = arrival.take(octets);
            self.stream.consume(taken);
        }
        arrival.verdict().map_err(|damage| format!("{phase}: {damage}"))
    }

    /// Reads so many octets of which nothing is known beforehand.
    pub(crate) async fn octets(&mut self, phase: &str, length: usize) -> Result<Vec<u8>, String> {
        patiently(phase, async {
            let mut octets = Vec::new();
            (&mut self.stream).take(length as u64).read_to_end(&mut octets).await?;
            if octets.len() == length { Ok(octets) } else { Err(ErrorKind::UnexpectedEof.into()) }
        })
        .await
    }

    /// Completes when the other side ends the connection; says what its last line was, or else how it ended.
    pub(crate) async fn ended(&mut self) -> String {
        let mut last = None;
        loop {
            let octets = match self.stream.fill_buf().await {
                Ok([]) => return last.unwrap_or_else(|| "closed".to_owned()),
                Ok(octets) => octets,
                Err(error) => return last.unwrap_or_else(|| error.kind().to_string()),
            };
            last = String::from_utf8_lossy(octets).lines().last().map(str::to_owned);
            let length = octets.len();
            self.stream.consume(length);
        }
    }
}

/// Answers before and at the login are short; thousands of sessions may be held.
pub(crate) const LINE_BUFFER: usize = 1024;
/// No answer for so long is an error: a run ends whatever the proxy does.
const PATIENCE: Duration = Duration::from_secs(30);

async fn patiently<T>(phase: &str, step: impl Future<Output = std::io::Result<T>>) -> Result<T, String> {
    match timeout(PATIENCE, step).await {
        Err(_) => Err(format!("{phase}: no answer")),
        Ok(result) => result.map_err(|error| format!("{phase}: {}", error.kind())),
    }
}
