//! Facing the client: from the greeting to its credentials, and the outcome told.

use std::sync::Arc;

use super::capability;
use super::command::{self, Bad, Command};
use super::words::{write_status, write_string};
use crate::cutter::{Cut, Cutter, Most};
use crate::sasl::{Challenge, Credentials, Exchange, Mechanism, Progress, TokenMechanism};
use crate::text::{is_http, printable};
use crate::{Error, Input, Login, LoginOffer, Refusal, Replay, Secret, Server, ServerSetting, Step, Success, Then};

/// Octets of a text that is not ours.
const MAX_TEXT: usize = 256;
/// What a refusal of credentials says; never more.
const FAILED: &str = "Authentication failed.";

/// The conversation with a client.
pub(super) struct SieveServer {
    setting: ServerSetting,
    state: State,
    /// How far the next command or response has been read.
    cutter: Cutter,
    /// Commands that were refused.
    bad: u32,
}

#[derive(Default)]
enum State {
    /// A command is next.
    #[default]
    Command,
    /// A login by a token is with the session: its refusal begins with a challenge.
    DecidingToken(TokenMechanism),
    /// A response is next.
    Exchange(Mechanism, Exchange),
    /// TLS is up, and the client waits for the capabilities (RFC 5804, section 2.2).
    Secured,
    /// The client was told what is wrong with its token; whatever it says next, the refusal follows.
    TokenRefused,
}

impl SieveServer {
    pub(super) fn new(setting: ServerSetting) -> Self {
        Self { setting, state: State::Command, cutter: Cutter::default(), bad: 0 }
    }

    /// What a command or response leads to; none: go on with the next.
    fn whole(&mut self, octets: &[u8], out: &mut Vec<u8>) -> Result<Option<Step>, Bad> {
        match std::mem::take(&mut self.state) {
            State::Exchange(mechanism, exchange) => {
                let progress = exchange.respond(command::response(octets)?.expose())?;
                Ok(self.progress(mechanism, progress, out))
            }
            State::TokenRefused => {
                no("", FAILED, out);
                Ok(None)
            }
            _ => self.command(Command::parse(octets)?, out),
        }
    }

    fn command(&mut self, command: Command, out: &mut Vec<u8>) -> Result<Option<Step>, Bad> {
        match command {
            Command::Authenticate { mechanism, initial } => return self.authenticate(mechanism, initial.as_ref(), out),
            Command::Capability => self.capabilities("Capability completed.", out),
            Command::Logout => {
                write_status("OK", "", b"Bye.", out);
                return Ok(Some(Step::Goodbye));
            }
            Command::Noop(None) => write_status("OK", "", b"Done.", out),
            Command::Noop(Some(tag)) => {
                out.extend_from_slice(b"OK (TAG ");
                write_string(&tag, out);
                out.extend_from_slice(b") \"Done.\"\r\n");
            }
            Command::StartTls if self.setting.login == LoginOffer::Now => return Err(Bad::StartTlsNotOffered),
            Command::StartTls => return Ok(Some(Step::StartTls)),
        }
        Ok(None)
    }

    fn authenticate(
        &mut self,
        mechanism: Mechanism,
        initial: Option<&Secret>,
        out: &mut Vec<u8>,
    ) -> Result<Option<Step>, Bad> {
        if self.setting.login == LoginOffer::OnlyAfterTls {
            return Err(Bad::TlsRequired);
        }
        if !self.setting.offers(mechanism) {
            return Err(Bad::Mechanism);
        }
        let exchange = Exchange::begin(mechanism);
        let progress = match initial {
            Some(response) => exchange.initial(response.expose())?,
            None => Progress::Challenge(exchange),
        };
        Ok(self.progress(mechanism, progress, out))
    }

    fn progress(&mut self, mechanism: Mechanism, progress: Progress, out: &mut Vec<u8>) -> Option<Step> {
        match progress {
            Progress::Challenge(exchange) => {
                self.ask(mechanism, exchange, out);
                None
            }
            Progress::Done(said) => {
                let Credentials { authzid, name, credential } = said;
                if let Some(mechanism) = credential.token_mechanism() {
                    self.state = State::DecidingToken(mechanism);
                }
                let mechanism = mechanism.name();
                Some(Step::Login(Login { name, authzid, credential, mechanism, replay: Replay::default() }))
            }
            Progress::Response(response) => Some(Step::Response(response)),
        }
    }

    fn ask(&mut self, mechanism: Mechanism, exchange: Exchange, out: &mut Vec<u8>) {
        write_challenge(&exchange.challenge(), out);
        self.state = State::Exchange(mechanism, exchange);
    }

    fn capabilities(&self, text: &str, out: &mut Vec<u8>) {
        capability::write(&self.setting, out);
        write_status("OK", "", text.as_bytes(), out);
    }

    /// Tells the client what was wrong, and counts it.
    fn refuse_command(&mut self, bad: Bad, out: &mut Vec<u8>) -> Result<(), Error> {
        self.bad = self.bad.saturating_add(1);
        if self.bad > self.setting.bad_commands {
            write_status("BYE", "", b"Too many bad commands.", out);
            return Err(Error::TooManyBadCommands);
        }
        no(bad.code(), &bad.to_string(), out);
        Ok(())
    }

    /// Octets that come next, if nothing of them ends the conversation.
    fn most(&self, bytes: &[u8]) -> Result<Most, Error> {
        let all = match self.state {
            State::Exchange(..) | State::TokenRefused => self.setting.max_response,
            _ if is_http(bytes) => return Err(Error::SpeaksHttp),
            _ => command::limit(bytes, &self.setting),
        };
        Ok(Most { all, literal: all })
    }

    /// What the next command or response leads to; [`Step::More`]: it is not complete.
    fn next(&mut self, input: &mut Input, out: &mut Vec<u8>) -> Result<Result<Option<Step>, Bad>, Error> {
        let most = self.most(input.bytes())?;
        let step = match self.cutter.cut(input.bytes(), most) {
            // RFC 5804, section 1.2: literals come at once, and most clients say so; there is no leave to give.
            Cut::Leave => return Ok(Ok(None)),
            Cut::More => return Ok(Ok(Some(Step::More))),
            Cut::Endless | Cut::TooLong => {
                write_status("BYE", "", b"Command is longer than allowed.", out);
                return Err(Error::CommandTooLong);
            }
            Cut::BareLf => {
                self.state = State::Command;
                Err(Bad::LineEnd)
            }
            Cut::Whole => self.whole(input.bytes().get(..self.cutter.len()).unwrap_or_default(), out),
        };
        input.consume(std::mem::take(&mut self.cutter).len());
        Ok(step)
    }
}

impl Server for SieveServer {
    fn greet(&mut self, out: &mut Vec<u8>) {
        let ready = format!("{} ready.", self.setting.hostname);
        self.capabilities(&ready, out);
    }

    fn advance(&mut self, input: &mut Input, out: &mut Vec<u8>) -> Result<Step, Error> {
        if matches!(self.state, State::Secured) {
            self.state = State::Command;
            self.capabilities("TLS is up.", out);
        }
        loop {
            let relayed = matches!(&self.state, State::Exchange(_, exchange) if exchange.is_relayed());
            match self.next(input, out)? {
                Ok(Some(Step::StartTls)) if !input.is_empty() => {
                    write_status("BYE", "", b"Nothing may follow STARTTLS before TLS.", out);
                    return Err(Error::BytesBehindStarttls);
                }
                Ok(Some(step)) => {
                    if matches!(step, Step::StartTls) {
                        write_status("OK", "", b"Begin TLS now.", out);
                    }
                    return Ok(step);
                }
                Ok(None) => {}
                Err(bad) => {
                    self.refuse_command(bad, out)?;
                    if relayed {
                        return Ok(Step::Abandoned);
                    }
                }
            }
        }
    }

    fn secured(&mut self, certificate: bool) {
        let setting = ServerSetting { login: LoginOffer::Now, certificate, ..self.setting.clone() };
        *self = Self { state: State::Secured, ..Self::new(setting) };
    }

    fn offer(&mut self, shared: Arc<[String]>) {
        self.setting.shared = shared;
    }

    fn challenge(&mut self, challenge: Challenge, out: &mut Vec<u8>) {
        self.ask(challenge.mechanism(), Exchange::relayed(challenge), out);
    }

    fn welcome(&mut self, success: &Success, out: &mut Vec<u8>) {
        let text = if success.text.is_empty() { b"Logged in." } else { success.text.as_slice() };
        write_status("OK", "", text, out);
    }

    /// One that closes does not wait for the client's answer to a challenge.
    fn refuse(&mut self, refusal: &Refusal, then: Then, out: &mut Vec<u8>) {
        if let State::DecidingToken(mechanism) = std::mem::take(&mut self.state)
            && let Some(object) = refusal.error_object(mechanism)
        {
            write_challenge(&object.challenge(), out);
            if then == Then::TryAgain {
                self.state = State::TokenRefused;
                return;
            }
        }
        match refusal {
            Refusal::Cannot => no("", "The server of this mailbox does not take this mechanism.", out),
            Refusal::Credentials | Refusal::Token(_) => no("", FAILED, out),
            Refusal::Expired => no("", "Password has expired.", out),
            Refusal::Temporary => no("TRYLATER", "Temporary failure, please try again later.", out),
            Refusal::Told { code, text } => {
                let text = printable(text.as_bytes(), MAX_TEXT);
                no(code, if text.trim().is_empty() { "Login refused." } else { &text }, out);
            }
        }
        if then == Then::Close {
            write_status("BYE", "", b"Too many failed logins.", out);
        }
    }

    fn goodbye(&mut self, text: &str, out: &mut Vec<u8>) {
        write_status("BYE", "TRYLATER", printable(text.as_bytes(), MAX_TEXT).as_bytes(), out);
    }
}

fn no(code: &str, text: &str, out: &mut Vec<u8>) {
    write_status("NO", code, text.as_bytes(), out);
}

fn write_challenge(base64: &str, out: &mut Vec<u8>) {
    write_string(base64.as_bytes(), out);
    out.extend_from_slice(b"\r\n");
}
