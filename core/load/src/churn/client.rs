//! One client's conversation: its connection, and what it says in each protocol.

use std::str::FromStr;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::tls::Tls;

/// No answer for so long is an error: a run ends whatever the proxy does.
const PATIENCE: Duration = Duration::from_secs(30);

trait Stream: AsyncRead + AsyncWrite + Unpin {}
impl<S: AsyncRead + AsyncWrite + Unpin> Stream for S {}

/// A connection to the proxy, read line by line.
pub(super) struct Connection(BufReader<Box<dyn Stream>>);

impl Connection {
    /// Connects, with TLS if so configured.
    pub(super) async fn open(target: &str, tls: Option<&Tls>) -> Result<Self, String> {
        patiently("connect", async {
            let stream = TcpStream::connect(target).await?;
            stream.set_nodelay(true)?;
            let stream: Box<dyn Stream> = match tls {
                None => Box::new(stream),
                Some(tls) => Box::new(tls.connect(stream).await?),
            };
            Ok(Self(BufReader::with_capacity(LINE, stream)))
        })
        .await
    }

    /// Sends a command, then reads lines up to the one that begins with `prefix`, which must go on with `good`.
    async fn expect(&mut self, command: &str, prefix: &str, good: &str) -> Result<(), String> {
        let phase = command.split(' ').nth(usize::from(prefix == TAG)).unwrap_or("greeting").trim_end();
        let phase = if phase.is_empty() { "greeting" } else { phase };
        let answer = patiently(phase, async {
            self.0.get_mut().write_all(command.as_bytes()).await?;
            let mut line = String::new();
            loop {
                line.clear();
                if self.0.read_line(&mut line).await? == 0 {
                    return Err(std::io::ErrorKind::UnexpectedEof.into());
                }
                if let Some(answer) = line.strip_prefix(prefix) {
                    return Ok(answer.trim_end().to_owned());
                }
            }
        })
        .await?;
        if answer.starts_with(good) { Ok(()) } else { Err(format!("{phase}: {answer}")) }
    }
}

/// What a client says.
#[derive(Clone, Copy)]
pub(super) enum Script {
    Imap,
    Pop3,
}

impl FromStr for Script {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        match name {
            "imap" => Ok(Self::Imap),
            "pop3" => Ok(Self::Pop3),
            _ => Err("imap or pop3".to_owned()),
        }
    }
}

impl Script {
    /// From the greeting to the login.
    pub(super) async fn log_in(self, to: &mut Connection, account: &str, password: &str) -> Result<(), String> {
        match self {
            Self::Imap => {
                to.expect("", "* ", "OK").await?;
                to.expect(&format!("{TAG}LOGIN {account} {password}\r\n"), TAG, "OK").await
            }
            Self::Pop3 => {
                to.expect("", "", "+OK").await?;
                to.expect(&format!("USER {account}\r\n"), "", "+OK").await?;
                to.expect(&format!("PASS {password}\r\n"), "", "+OK").await
            }
        }
    }

    /// A polite end.
    pub(super) async fn leave(self, to: &mut Connection) -> Result<(), String> {
        match self {
            Self::Imap => to.expect(&format!("{TAG}LOGOUT\r\n"), TAG, "OK").await,
            Self::Pop3 => to.expect("QUIT\r\n", "", "+OK").await,
        }
    }
}

/// The one tag of a client that waits for each answer.
const TAG: &str = "a ";
/// Answers before and at the login are short; thousands of sessions may be held.
const LINE: usize = 1024;

async fn patiently<T>(phase: &str, step: impl Future<Output = std::io::Result<T>>) -> Result<T, String> {
    match timeout(PATIENCE, step).await {
        Err(_) => Err(format!("{phase}: no answer")),
        Ok(result) => result.map_err(|error| format!("{phase}: {}", error.kind())),
    }
}
