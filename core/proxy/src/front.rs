//! A client's connection before it is spliced: what was read and not understood, what is to be sent, and its TLS.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use zproxy_protocol::Input;

use crate::Error;
use crate::stream::Stream;
use crate::tls::{Facts, ServerTls};

/// The connection with both its buffers. A machine reads the one and writes the other.
pub struct Front {
    /// None only while a handshake has it, or after one failed.
    stream: Option<Stream>,
    /// Read and not consumed.
    pub input: Input,
    /// To be sent.
    pub out: Vec<u8>,
    starttls: Starttls,
    /// Most octets held.
    room: usize,
}

/// What STARTTLS runs under.
#[derive(Clone, Debug)]
pub struct Starttls {
    /// None: it is not offered.
    pub under: Option<Arc<ServerTls>>,
    /// For the handshake.
    pub deadline: Duration,
}

impl Front {
    /// Holds `room` octets of the client's at most.
    #[must_use]
    pub fn new(stream: Stream, starttls: Starttls, room: usize) -> Self {
        Self { stream: Some(stream), input: Input::new(), out: Vec::new(), starttls, room }
    }

    /// Whether no more of the client's is read until some is consumed.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.input.len() >= self.room
    }

    /// Reads once.
    ///
    /// # Errors
    /// The client left, or sent more than there is room for.
    pub async fn read(&mut self) -> Result<(), Error> {
        let room = self.room.saturating_sub(self.input.len());
        if room == 0 {
            return Err(zproxy_protocol::Error::CommandTooLong.into());
        }
        let stream = self.stream.as_mut().ok_or(Error::ClientGone)?;
        match stream.fill(&mut self.input, room).await {
            Ok(0) => Err(Error::ClientGone),
            Ok(_) => Ok(()),
            Err(error) => Err(Error::ClientIo(error.kind())),
        }
    }

    /// Begins the TLS that STARTTLS asked for.
    ///
    /// # Errors
    /// It is not offered, or the handshake failed.
    pub async fn secure(&mut self) -> Result<Facts, Error> {
        let under = self.starttls.under.take();
        let (Some(Stream::Plain(tcp)), Some(under)) = (self.stream.take(), under) else {
            return Err(Error::ClientTls("STARTTLS is not offered here".into()));
        };
        let (stream, facts) = under.accept(tcp, self.starttls.deadline).await?;
        self.stream = Some(stream);
        Ok(facts)
    }

    /// Sends what is to be sent.
    ///
    /// # Errors
    /// [`Error::ClientIo`], [`Error::ClientTimeout`].
    pub async fn send(&mut self) -> Result<(), Error> {
        let Some(stream) = self.stream.as_mut() else { return Ok(()) };
        match tokio::time::timeout(SENDING, stream.send(&mut self.out)).await {
            Err(_) => Err(Error::ClientTimeout("reading our reply")),
            Ok(sent) => sent.map_err(|error| Error::ClientIo(error.kind())),
        }
    }

    /// Sends last words, best effort and without waiting: the client may be the reason why we leave. Then closes.
    pub async fn leave(&mut self) {
        let _ = tokio::time::timeout(LAST_WORDS, self.send()).await;
        self.close().await;
    }

    /// Closes so that the last words arrive: a close with unread input would reset the connection and throw them away.
    pub async fn close(&mut self) {
        let Some(mut stream) = self.stream.take() else { return };
        self.input = Input::new();
        let mut left = self.room;
        let lingering = async {
            stream.shutdown().await?;
            while left > 0 {
                // Thrown away as it comes: who floods us shall not be held in memory for it.
                let count = stream.fill(&mut Input::new(), left).await?;
                left = if count == 0 { 0 } else { left.saturating_sub(count) };
            }
            std::io::Result::Ok(())
        };
        let _ = tokio::time::timeout(LAST_WORDS, lingering).await;
    }

    /// Gives up the connection and what the client pipelined; none: there is no connection any more.
    #[must_use]
    pub fn into_parts(self) -> Option<(Stream, Input)> {
        self.stream.map(|stream| (stream, self.input))
    }
}

/// Replies fit the kernel's buffers: who does not take them in this time is not reading.
const SENDING: Duration = Duration::from_secs(30);
/// A client that does not read is not waited for.
const LAST_WORDS: Duration = Duration::from_secs(1);
