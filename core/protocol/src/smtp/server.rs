//! Facing the client: from the greeting to its credentials, and the outcome told.
//!
//! Nothing that the client said is said back (ALPACA), its EHLO name included.

use std::sync::Arc;

use super::answer::say;
use super::capability;
use super::command::{self, AUTH_LIMIT, Bad, Command, Hello, Line};
use super::response::split_enhanced;
use crate::sasl::{Challenge, Credentials, Exchange, Mechanism, Progress, TokenMechanism};
use crate::text::{is_http, printable};
use crate::{Error, Input, Login, LoginOffer, Refusal, Replay, Server, ServerSetting, Step, Success, Then};

/// Octets of a text that is not ours.
const MAX_TEXT: usize = 400;
/// What a refusal of credentials says; never more.
const FAILED: &str = "535 5.7.8 Authentication failed.";
/// What begins a refusal that shall be taken for no more than that.
const TEMPORARY: &str = "454 4.7.0";

/// The conversation with a client.
pub(super) struct SmtpServer {
    setting: ServerSetting,
    /// What the client called itself, once it did.
    hello: Option<Hello>,
    state: State,
    /// Commands that were refused.
    bad: u32,
}

#[derive(Default)]
enum State {
    /// The rest of a BDAT chunk comes, and is thrown away.
    Chunk(u64),
    /// The next line is a command.
    #[default]
    Command,
    /// A login by a token is with the session: its refusal begins with a challenge.
    DecidingToken(TokenMechanism),
    /// The next line is a response.
    Exchange(Mechanism, Exchange),
    /// The rest of a line that is too long comes, and is thrown away.
    Rest,
    /// The client was told what is wrong with its token; the next line says that it heard, and the refusal follows.
    TokenRefused,
}

impl SmtpServer {
    pub(super) fn new(setting: ServerSetting) -> Self {
        Self { setting, hello: None, state: State::Command, bad: 0 }
    }

    /// Throws away what is neither a command nor a response; false: more of it is to come.
    fn skip(&mut self, input: &mut Input) -> bool {
        match self.state {
            State::Chunk(left) => {
                let count = usize::try_from(left).unwrap_or(usize::MAX).min(input.len());
                input.consume(count);
                let left = left.saturating_sub(u64::try_from(count).unwrap_or(left));
                self.state = if left == 0 { State::Command } else { State::Chunk(left) };
                left == 0
            }
            State::Rest => {
                let (count, ended) = command::past_crlf(input.bytes());
                input.consume(count);
                if ended {
                    self.state = State::Command;
                }
                ended
            }
            State::Command | State::DecidingToken(_) | State::Exchange(..) | State::TokenRefused => true,
        }
    }

    /// Octets that the next line may have, if it is none that ends the conversation, and what a longer one is told.
    fn limit(&self, bytes: &[u8]) -> Result<(usize, Bad), Error> {
        match self.state {
            State::Exchange(..) | State::TokenRefused => Ok(AUTH_LIMIT),
            _ if is_http(bytes) => Err(Error::SpeaksHttp),
            _ => Ok(command::limit(bytes, self.setting.max_command)),
        }
    }

    /// What a line leads to; none: go on with the next.
    fn line(&mut self, line: Result<&[u8], Bad>, out: &mut Vec<u8>) -> Result<Option<Step>, Bad> {
        match std::mem::take(&mut self.state) {
            State::Exchange(mechanism, exchange) => {
                let progress = exchange.respond(line?)?;
                Ok(self.progress(mechanism, progress, out))
            }
            State::TokenRefused => {
                say(out, FAILED);
                Ok(None)
            }
            _ => self.command(Command::parse(line?)?, out),
        }
    }

    fn command(&mut self, command: Command<'_>, out: &mut Vec<u8>) -> Result<Option<Step>, Bad> {
        match command {
            Command::Auth(argument) => return self.auth(argument, out),
            Command::Bdat(count) => {
                self.state = State::Chunk(count);
                return Err(self.not_yet());
            }
            Command::Ehlo(hello) => {
                self.hello = Some(hello);
                self.offer_all(out);
            }
            Command::Helo(hello) => {
                self.hello = Some(hello);
                say(out, &format!("250 {}", self.setting.hostname));
            }
            Command::Help => say(out, "214 2.0.0 See RFC 5321, RFC 4954 and RFC 6409."),
            Command::Noop => say(out, "250 2.0.0 Ok."),
            Command::Quit => {
                say(out, &format!("221 2.0.0 {} Bye.", self.setting.hostname));
                return Ok(Some(Step::Goodbye));
            }
            Command::Rset => say(out, "250 2.0.0 Ok."),
            Command::StartTls if self.setting.login == LoginOffer::Now => return Err(Bad::StartTlsNotOffered),
            Command::StartTls => return Ok(Some(Step::StartTls)),
            Command::Transaction => return Err(self.not_yet()),
            Command::Vrfy => say(out, "252 2.0.0 Send it and see."),
        }
        Ok(None)
    }

    /// Why there is no transaction before the login.
    fn not_yet(&self) -> Bad {
        if self.setting.login == LoginOffer::OnlyAfterTls { Bad::MustStartTls } else { Bad::MustLogIn }
    }

    fn offer_all(&self, out: &mut Vec<u8>) {
        let lines = capability::offered(&self.setting);
        let mut said = &*self.setting.hostname;
        for line in &lines {
            say(out, &format!("250-{said}"));
            said = line;
        }
        say(out, &format!("250 {said}"));
    }

    fn auth(&mut self, argument: &[u8], out: &mut Vec<u8>) -> Result<Option<Step>, Bad> {
        if self.setting.login == LoginOffer::OnlyAfterTls {
            return Err(Bad::TlsRequired);
        }
        if self.hello.is_none() {
            return Err(Bad::EhloFirst);
        }
        let (mechanism, initial) = command::auth(argument)?;
        if !self.setting.offers(mechanism) {
            return Err(Bad::Mechanism);
        }
        let exchange = Exchange::begin(mechanism);
        let progress = match initial {
            Some(response) => exchange.initial(response)?,
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
                let ehlo = self.hello.as_ref().and_then(|hello| hello.0.clone());
                let replay = Replay { ehlo, ..Replay::default() };
                Some(Step::Login(Login { name, authzid, credential, mechanism: mechanism.name(), replay }))
            }
            Progress::Response(response) => Some(Step::Response(response)),
        }
    }

    fn ask(&mut self, mechanism: Mechanism, exchange: Exchange, out: &mut Vec<u8>) {
        say(out, &format!("334 {}", exchange.challenge()));
        self.state = State::Exchange(mechanism, exchange);
    }

    /// Tells the client what was wrong, and counts it.
    fn refuse_line(&mut self, bad: Bad, out: &mut Vec<u8>) -> Result<(), Error> {
        self.bad = self.bad.saturating_add(1);
        if self.bad > self.setting.bad_commands {
            say(out, &format!("421 4.7.0 {} Too many bad commands.", self.setting.hostname));
            return Err(Error::TooManyBadCommands);
        }
        say(out, &bad.to_string());
        Ok(())
    }
}

impl Server for SmtpServer {
    fn greet(&mut self, out: &mut Vec<u8>) {
        say(out, &format!("220 {} ESMTP ready.", self.setting.hostname));
    }

    fn advance(&mut self, input: &mut Input, out: &mut Vec<u8>) -> Result<Step, Error> {
        loop {
            if !self.skip(input) {
                return Ok(Step::More);
            }
            let (limit, too_long) = self.limit(input.bytes())?;
            let relayed = matches!(&self.state, State::Exchange(_, exchange) if exchange.is_relayed());
            let step = match command::line(input.bytes(), limit) {
                Line::More => return Ok(Step::More),
                Line::TooLong => {
                    self.state = State::Rest;
                    Err(too_long)
                }
                Line::Whole { text, length } => {
                    let step = self.line(text, out);
                    input.consume(length);
                    step
                }
            };
            match step {
                Ok(Some(Step::StartTls)) if !input.is_empty() => {
                    say(out, "501 5.5.1 Nothing may follow STARTTLS before TLS.");
                    return Err(Error::BytesBehindStarttls);
                }
                Ok(Some(step)) => {
                    if matches!(step, Step::StartTls) {
                        say(out, "220 2.0.0 Begin TLS.");
                    }
                    return Ok(step);
                }
                Ok(None) => {}
                Err(bad) => self.refuse_line(bad, out)?,
            }
            if relayed {
                return Ok(Step::Abandoned);
            }
        }
    }

    fn secured(&mut self, certificate: bool) {
        let setting = ServerSetting { login: LoginOffer::Now, certificate, ..self.setting.clone() };
        *self = Self::new(setting);
    }

    fn offer(&mut self, shared: Arc<[String]>) {
        self.setting.shared = shared;
    }

    fn challenge(&mut self, challenge: Challenge, out: &mut Vec<u8>) {
        self.ask(challenge.mechanism(), Exchange::relayed(challenge), out);
    }

    fn welcome(&mut self, success: &Success, out: &mut Vec<u8>) {
        let (enhanced, text) = split_enhanced(&success.text);
        out.extend_from_slice(format!("235 {} ", enhanced.unwrap_or("2.7.0")).as_bytes());
        out.extend_from_slice(if text.is_empty() { b"Logged in." } else { text });
        out.extend_from_slice(b"\r\n");
    }

    /// One that closes does not wait for the client's answer to a challenge.
    fn refuse(&mut self, refusal: &Refusal, then: Then, out: &mut Vec<u8>) {
        if let State::DecidingToken(mechanism) = std::mem::take(&mut self.state)
            && let Some(object) = refusal.error_object(mechanism)
        {
            say(out, &format!("334 {}", object.challenge()));
            if then == Then::TryAgain {
                self.state = State::TokenRefused;
                return;
            }
        }
        match refusal {
            Refusal::Cannot => say(out, "504 5.5.4 The server of this mailbox does not take this mechanism."),
            Refusal::Credentials | Refusal::Token(_) => say(out, FAILED),
            // No code says it, but that of a wrong password has clients ask for another.
            Refusal::Expired => say(out, "535 5.7.8 Password has expired."),
            Refusal::Temporary => say(out, &format!("{TEMPORARY} Temporary failure, please try again later.")),
            Refusal::Told { code, text } => {
                let code = if code.is_empty() { TEMPORARY } else { code };
                say(out, &format!("{code} {}", printable(text.as_bytes(), MAX_TEXT)));
            }
        }
        if then == Then::Close {
            // RFC 5321, section 3.8: who closes without QUIT says 421, whatever was asked last.
            say(out, &format!("421 4.7.0 {} Too many failed logins.", self.setting.hostname));
        }
    }

    fn goodbye(&mut self, text: &str, out: &mut Vec<u8>) {
        say(out, &format!("421 4.3.2 {} {}", self.setting.hostname, printable(text.as_bytes(), MAX_TEXT)));
    }
}
