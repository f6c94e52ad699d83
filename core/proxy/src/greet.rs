//! Third step: hear who the client says it is, and later tell it the outcome.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use zproxy_protocol::sasl::Challenge;
use zproxy_protocol::{Input, Login, Refusal, Secret, Server, Step, Success, Then};

use crate::Error;
use crate::stream::Stream;
use crate::tls::{Facts, ServerTls};

/// Octets that a client may pipeline behind the longest line it may send.
const MAX_BEHIND: usize = 16 * 1024;

/// A client that is not logged in yet.
pub struct Greeting {
    /// None only while a handshake has it, or after one failed.
    stream: Option<Stream>,
    server: Box<dyn Server>,
    input: Input,
    out: Vec<u8>,
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

/// What a client asked for.
pub enum Asked {
    /// To leave.
    Goodbye,
    /// To log in.
    Login(Login),
}

impl Greeting {
    /// Sends the greeting. `longest` octets are the longest line that the client may send.
    ///
    /// # Errors
    /// [`Error::ClientIo`].
    pub async fn begin(
        stream: Stream,
        server: Box<dyn Server>,
        starttls: Starttls,
        longest: usize,
    ) -> Result<Self, Error> {
        let room = longest.saturating_add(MAX_BEHIND);
        let mut greeting = Self { stream: Some(stream), server, input: Input::new(), out: Vec::new(), starttls, room };
        greeting.server.greet(&mut greeting.out);
        greeting.send().await?;
        Ok(greeting)
    }

    /// Answers commands until the client has said who it is. `secured` hears of a STARTTLS that went through.
    ///
    /// # Errors
    /// The client left or broke its protocol; it has been told.
    pub async fn asked(&mut self, mut secured: impl FnMut(Facts)) -> Result<Asked, Error> {
        loop {
            let step = self.server.advance(&mut self.input, &mut self.out);
            self.send().await?;
            if step.is_err() {
                self.close().await;
            }
            match step? {
                Step::Goodbye => return Ok(Asked::Goodbye),
                Step::Login(login) => return Ok(Asked::Login(login)),
                Step::More => self.read().await?,
                Step::StartTls => secured(self.starttls().await?),
                // Nothing was asked.
                Step::Abandoned | Step::Response(_) => {}
            }
        }
    }

    /// Passes on what a backend asks; what the client says to it.
    ///
    /// # Errors
    /// The client left or broke its protocol, or [`Error::ClientGaveUp`]; it has been told.
    pub async fn respond(&mut self, challenge: Challenge) -> Result<Secret, Error> {
        self.server.challenge(challenge, &mut self.out);
        loop {
            self.send().await?;
            let step = self.server.advance(&mut self.input, &mut self.out);
            match step {
                Ok(Step::Response(response)) => return Ok(response),
                Ok(Step::More) => self.read().await?,
                Ok(_) => {
                    self.send().await?;
                    return Err(Error::ClientGaveUp);
                }
                Err(error) => {
                    self.send().await?;
                    self.close().await;
                    return Err(error.into());
                }
            }
        }
    }

    async fn read(&mut self) -> Result<(), Error> {
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

    async fn starttls(&mut self) -> Result<Facts, Error> {
        let under = self.starttls.under.take();
        let (Some(Stream::Plain(tcp)), Some(under)) = (self.stream.take(), under) else {
            return Err(Error::ClientTls("STARTTLS is not offered here".into()));
        };
        let (stream, facts) = under.accept(tcp, self.starttls.deadline).await?;
        self.stream = Some(stream);
        self.server.secured(facts.identity.is_some());
        Ok(facts)
    }

    /// Waits until the client leaves, keeping what it pipelines within bounds; beyond them its leaving goes unseen
    /// until it is read on.
    pub async fn gone(&mut self) -> Error {
        loop {
            if self.input.len() >= self.room {
                std::future::pending::<()>().await;
            }
            if let Err(error) = self.read().await {
                return error;
            }
        }
    }

    /// Tells the client why it is not logged in.
    ///
    /// # Errors
    /// [`Error::ClientIo`].
    pub async fn refuse(&mut self, refusal: &Refusal, then: Then) -> Result<(), Error> {
        self.server.refuse(refusal, then, &mut self.out);
        self.send().await
    }

    /// Last words, best effort and without waiting: the client may be the reason why we leave.
    pub async fn goodbye(&mut self, text: &str) {
        self.server.goodbye(text, &mut self.out);
        let _ = tokio::time::timeout(LAST_WORDS, self.send()).await;
        self.close().await;
    }

    /// Closes so that the last words arrive: a close with unread input would reset the connection and throw them away.
    pub async fn close(&mut self) {
        let Some(mut stream) = self.stream.take() else { return };
        self.input = Input::new();
        let lingering = async {
            stream.shutdown().await?;
            let mut left = self.room;
            while left > 0 {
                // Thrown away as it comes: who floods us shall not be held in memory for it.
                let count = stream.fill(&mut Input::new(), left).await?;
                left = if count == 0 { 0 } else { left.saturating_sub(count) };
            }
            std::io::Result::Ok(())
        };
        let _ = tokio::time::timeout(LAST_WORDS, lingering).await;
    }

    /// Tells the client that it is logged in, and gives up its connection and what it pipelined.
    ///
    /// # Errors
    /// [`Error::ClientIo`].
    pub async fn welcome(mut self, success: &Success) -> Result<(Stream, Input), Error> {
        self.server.welcome(success, &mut self.out);
        self.send().await?;
        self.stream.map(|stream| (stream, self.input)).ok_or(Error::ClientGone)
    }

    async fn send(&mut self) -> Result<(), Error> {
        let Some(stream) = self.stream.as_mut() else { return Ok(()) };
        match tokio::time::timeout(SENDING, stream.send(&mut self.out)).await {
            Err(_) => Err(Error::ClientTimeout("reading our reply")),
            Ok(sent) => sent.map_err(|error| Error::ClientIo(error.kind())),
        }
    }
}

/// Replies before login fit the kernel's buffers: who does not take them in this time is not reading.
const SENDING: Duration = Duration::from_secs(30);
/// A client that does not read is not waited for.
const LAST_WORDS: Duration = Duration::from_secs(1);
