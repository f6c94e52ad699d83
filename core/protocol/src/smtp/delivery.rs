//! Facing a backend that mail is brought to: from its greeting to the list of what it can do, and then a transaction's
//! commands, one answer each.
//!
//! Up to [`ClientStep::Success`] it is a [`Client`] like any other. Then the caller says what is next, and asks for the
//! answer until it has come.

use std::collections::VecDeque;

use super::answer::Answer;
use super::capability::Capabilities;
use super::client::{PROBE, address_literal};
use super::envelope::{Recipient, Sender};
use super::response::{Replies, Reply};
use super::transport::Transport;
use super::xclient::Presentation;
use crate::{Client, ClientInfo, ClientStep, Error, Input, Secret, Success};

/// The conversation with a backend.
pub struct Delivery {
    transport: Transport,
    /// STARTTLS is still to come.
    starttls: bool,
    /// XCLIENT is still to come.
    xclient: bool,
    /// Whose mail it is; none: a probe.
    client: Option<Presented>,
    replies: Replies,
    capabilities: Capabilities,
    state: State,
}

/// A client as a backend is to see it.
#[derive(Clone, Debug)]
pub struct Presented {
    /// About its connection.
    pub info: ClientInfo,
    /// What it calls itself, if a backend can be told.
    pub hello: Option<String>,
    /// Whether it is told of by XCLIENT.
    pub xclient: bool,
}

/// What was sent and is not answered.
enum State {
    /// Nothing, and nothing will be: the conversation is over, or TLS has it. Keeps what was awaited last.
    Done(&'static str),
    /// Nothing yet: backends greet.
    Greeting,
    Hello,
    /// Nothing: a transaction may begin, or go on.
    Ready,
    /// Nothing yet: backends do not greet again after TLS.
    Secured,
    StartTls,
    /// A command of a transaction, by its name.
    Transaction(&'static str),
    /// XCLIENT, and the lines of it that wait for the answer.
    Xclient(VecDeque<String>),
}

impl Delivery {
    /// Begins for a client's mail.
    #[must_use]
    pub fn new(transport: Transport, starttls: bool, client: Presented) -> Self {
        Self { xclient: client.xclient, client: Some(client), ..Self::prober(transport, starttls) }
    }

    /// Begins for a look at what the backend can do.
    pub(super) fn prober(transport: Transport, starttls: bool) -> Self {
        Self {
            transport,
            starttls,
            xclient: false,
            client: None,
            replies: Replies::default(),
            capabilities: Capabilities::default(),
            state: State::Greeting,
        }
    }

    /// Says whose message it is.
    ///
    /// # Errors
    /// [`Error::BackendLacks`]: it cannot take such a message, which the client may not know: it was offered by another.
    pub fn mail(&mut self, sender: &Sender, out: &mut Vec<u8>) -> Result<(), Error> {
        self.state = State::Transaction("mail");
        if let Some(lacking) = sender.needs().find(|needed| !self.capabilities.has(needed)) {
            return Err(Error::BackendLacks(lacking));
        }
        out.extend_from_slice(sender.command(self.capabilities.has("SIZE")).as_bytes());
        Ok(())
    }

    /// Says whom it is for.
    ///
    /// # Errors
    /// [`Error::BackendLacks`].
    pub fn recipient(&mut self, recipient: &Recipient, out: &mut Vec<u8>) -> Result<(), Error> {
        self.state = State::Transaction("rcpt");
        if recipient.needs_dsn() && !self.capabilities.has("DSN") {
            return Err(Error::BackendLacks("DSN"));
        }
        out.extend_from_slice(recipient.command().as_bytes());
        Ok(())
    }

    /// Asks to be let send the message: 354 says that it may.
    pub fn data(&mut self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"DATA\r\n");
        self.state = State::Transaction("data");
    }

    /// Ends the message, which is empty or ended with CRLF. One answer is to be awaited, in LMTP one for each recipient.
    pub fn end(&mut self, out: &mut Vec<u8>) {
        out.extend_from_slice(b".\r\n");
        self.state = State::Transaction("message");
    }

    /// The next answer to what was said last; none: more bytes are needed.
    ///
    /// # Errors
    /// The backend broke its protocol.
    pub fn answer(&mut self, input: &mut Input) -> Result<Option<Answer>, Error> {
        let phase = self.phase();
        let Some(reply) = self.replies.next(input, phase)? else { return Ok(None) };
        // A message's replies are not a login's: only each one is bounded.
        self.replies = Replies::default();
        match reply.code {
            // It asks for something of which nobody knows where it ends.
            300..400 if (reply.code, phase) != (354, "data") => Err(Error::BackendProtocol(phase)),
            _ => Ok(Some(Answer::of(&reply))),
        }
    }

    /// What a reply leads to; none: go on with the next.
    fn reply(&mut self, reply: &Reply, out: &mut Vec<u8>) -> Result<Option<ClientStep>, Error> {
        let phase = self.phase();
        self.state = match (std::mem::replace(&mut self.state, State::Done(phase)), reply.code) {
            (State::Greeting, 220) => self.hello(out),
            (State::Greeting, 400..) | (_, 421) => return Err(Error::BackendQuit(phase)),
            (State::Hello, 250) => return self.capable(Capabilities::new(&reply.lines), out),
            (State::Hello, 400..) => return Err(Error::BackendLacks(self.transport.hello())),
            (State::StartTls, 220) => return Ok(Some(ClientStep::StartTls)),
            (State::StartTls, 400..) => return Err(Error::BackendLacks("STARTTLS")),
            (State::Xclient(mut unsent), 220) => match unsent.pop_front() {
                Some(line) => {
                    out.extend_from_slice(line.as_bytes());
                    State::Xclient(unsent)
                }
                None => self.hello(out),
            },
            (State::Xclient(_), 400..) => return Err(Error::BackendLacks("XCLIENT")),
            _ => return Err(Error::BackendProtocol(phase)),
        };
        Ok(None)
    }

    /// Says the client's own name, so that it is the one in the message's trace.
    fn hello(&self, out: &mut Vec<u8>) -> State {
        let name = match &self.client {
            Some(client) => client.hello.clone().unwrap_or_else(|| address_literal(client.info.address.ip())),
            None => PROBE.to_owned(),
        };
        out.extend_from_slice(format!("{} {name}\r\n", self.transport.hello()).as_bytes());
        State::Hello
    }

    fn capable(&mut self, capabilities: Capabilities, out: &mut Vec<u8>) -> Result<Option<ClientStep>, Error> {
        if self.starttls {
            if !capabilities.has("STARTTLS") {
                return Err(Error::BackendLacks("STARTTLS"));
            }
            out.extend_from_slice(b"STARTTLS\r\n");
            self.state = State::StartTls;
            return Ok(None);
        }
        match &self.client {
            None => {
                out.extend_from_slice(b"QUIT\r\n");
                Ok(Some(ClientStep::Probed(capabilities.into_lines())))
            }
            Some(client) if self.xclient => {
                let protocol = self.transport.protocol();
                let hello = client.hello.as_deref();
                let presentation = Presentation { client: &client.info, protocol, hello, login: None };
                let mut lines: VecDeque<_> = presentation.lines(&capabilities.parameters("XCLIENT"))?.into();
                let first = lines.pop_front().ok_or(Error::BackendLacks("XCLIENT"))?;
                out.extend_from_slice(first.as_bytes());
                self.xclient = false;
                self.state = State::Xclient(lines);
                Ok(None)
            }
            Some(_) => {
                self.capabilities = capabilities;
                self.state = State::Ready;
                self.replies = Replies::default();
                Ok(Some(ClientStep::Success(Success::default())))
            }
        }
    }
}

impl Client for Delivery {
    fn advance(&mut self, input: &mut Input, out: &mut Vec<u8>) -> Result<ClientStep, Error> {
        loop {
            let sent = out.len();
            let step = match self.state {
                State::Done(_) | State::Ready | State::Transaction(_) => return Ok(ClientStep::More),
                State::Secured => {
                    self.state = self.hello(out);
                    None
                }
                _ => match self.replies.next(input, self.phase())? {
                    Some(reply) => self.reply(&reply, out)?,
                    None => return Ok(ClientStep::More),
                },
            };
            if matches!(step, Some(ClientStep::StartTls)) && !input.is_empty() {
                return Err(Error::BytesBehindBackendStarttls);
            }
            if out.len() > sent && !input.is_empty() {
                return Err(Error::BackendProtocol("a reply before it was asked for"));
            }
            if let Some(step) = step {
                return Ok(step);
            }
        }
    }

    /// Nobody logs in here, so nothing is asked of a client.
    fn respond(&mut self, _: &Secret, _: &mut Vec<u8>) {}

    fn secured(&mut self) {
        self.starttls = false;
        self.replies = Replies::default();
        self.state = State::Secured;
    }

    fn phase(&self) -> &'static str {
        match &self.state {
            State::Done(phase) | State::Transaction(phase) => phase,
            State::Greeting => "greeting",
            State::Hello => "ehlo",
            State::Ready => "ready",
            State::Secured => "secured",
            State::StartTls => "starttls",
            State::Xclient(_) => "xclient",
        }
    }
}
