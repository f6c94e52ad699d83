//! Third step: hear who the client says it is, and later tell it the outcome.

use zproxy_protocol::sasl::Challenge;
use zproxy_protocol::{Input, Login, Refusal, Secret, Server, Step, Success, Then};

use crate::Error;
use crate::front::{Front, Starttls};
use crate::stream::Stream;
use crate::tls::Facts;

/// Octets that a client may pipeline behind the longest line it may send.
const MAX_BEHIND: usize = 16 * 1024;

/// A client that is not logged in yet.
pub struct Greeting {
    front: Front,
    server: Box<dyn Server>,
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
        let mut front = Front::new(stream, starttls, longest.saturating_add(MAX_BEHIND));
        let mut server = server;
        server.greet(&mut front.out);
        front.send().await?;
        Ok(Self { front, server })
    }

    /// Answers commands until the client has said who it is. `secured` hears of a STARTTLS that went through.
    ///
    /// # Errors
    /// The client left or broke its protocol; it has been told.
    pub async fn asked(&mut self, mut secured: impl FnMut(Facts)) -> Result<Asked, Error> {
        loop {
            let step = self.server.advance(&mut self.front.input, &mut self.front.out);
            self.front.send().await?;
            if step.is_err() {
                self.close().await;
            }
            match step? {
                Step::Goodbye => return Ok(Asked::Goodbye),
                Step::Login(login) => return Ok(Asked::Login(login)),
                Step::More => self.front.read().await?,
                Step::StartTls => {
                    let facts = self.front.secure().await?;
                    self.server.secured(facts.identity.is_some());
                    secured(facts);
                }
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
        self.server.challenge(challenge, &mut self.front.out);
        loop {
            self.front.send().await?;
            let step = self.server.advance(&mut self.front.input, &mut self.front.out);
            match step {
                Ok(Step::Response(response)) => return Ok(response),
                Ok(Step::More) => self.front.read().await?,
                Ok(_) => {
                    self.front.send().await?;
                    return Err(Error::ClientGaveUp);
                }
                Err(error) => {
                    self.front.send().await?;
                    self.close().await;
                    return Err(error.into());
                }
            }
        }
    }

    /// Waits until the client leaves, keeping what it pipelines within bounds; beyond them its leaving goes unseen
    /// until it is read on.
    pub async fn gone(&mut self) -> Error {
        loop {
            if self.front.is_full() {
                std::future::pending::<()>().await;
            }
            if let Err(error) = self.front.read().await {
                return error;
            }
        }
    }

    /// Tells the client why it is not logged in.
    ///
    /// # Errors
    /// [`Error::ClientIo`].
    pub async fn refuse(&mut self, refusal: &Refusal, then: Then) -> Result<(), Error> {
        self.server.refuse(refusal, then, &mut self.front.out);
        self.front.send().await
    }

    /// Last words, best effort and without waiting: the client may be the reason why we leave.
    pub async fn goodbye(&mut self, text: &str) {
        self.server.goodbye(text, &mut self.front.out);
        self.front.leave().await;
    }

    /// Closes so that the last words arrive.
    pub async fn close(&mut self) {
        self.front.close().await;
    }

    /// Tells the client that it is logged in, and gives up its connection and what it pipelined.
    ///
    /// # Errors
    /// [`Error::ClientIo`].
    pub async fn welcome(mut self, success: &Success) -> Result<(Stream, Input), Error> {
        self.server.welcome(success, &mut self.front.out);
        self.front.send().await?;
        self.front.into_parts().ok_or(Error::ClientGone)
    }
}
