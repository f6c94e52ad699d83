//! Facing the client: from the banner to its credentials, and the outcome told.

use std::sync::Arc;

use super::command::{self, Bad, Command, Line};
use super::{OFFERABLE, UTF8};
use crate::sasl::{Challenge, Credential, Credentials, Exchange, Mechanism, Progress, TokenMechanism};
use crate::text::is_http;
use crate::{
    Error, Input, Login, LoginOffer, Name, Refusal, Replay, Secret, Server, ServerSetting, Step, Success, Then,
};

/// What a refusal of credentials says; never more.
const FAILED: &str = "-ERR [AUTH] Authentication failed.\r\n";

/// The conversation with a client.
pub(super) struct Pop3Server {
    setting: ServerSetting,
    state: State,
    /// The client asked for UTF8.
    utf8: bool,
    bad_commands: u32,
}

#[derive(Default)]
enum State {
    /// A login by a token is with the session: its refusal begins with a challenge.
    DecidingToken(TokenMechanism),
    /// The next line is a response.
    Exchange(Mechanism, Exchange),
    /// The next line is a command.
    #[default]
    Idle,
    /// The client was told what is wrong with its token; the next line says that it heard, and the refusal follows.
    TokenRefused,
    /// The next line is a command, and USER was said.
    User(Name),
}

impl Pop3Server {
    pub(super) fn new(setting: ServerSetting) -> Self {
        Self { setting, state: State::Idle, utf8: false, bad_commands: 0 }
    }

    /// What a line leads to; none: go on with the next.
    fn line(&mut self, line: Result<&[u8], Bad>, out: &mut Vec<u8>) -> Result<Option<Step>, Bad> {
        match std::mem::take(&mut self.state) {
            State::Exchange(mechanism, exchange) => {
                let progress = exchange.respond(line?)?;
                Ok(self.progress(mechanism, progress, out))
            }
            State::TokenRefused => {
                out.extend_from_slice(FAILED.as_bytes());
                Ok(None)
            }
            state => {
                self.state = state;
                self.command(Command::parse(line?)?, out)
            }
        }
    }

    fn command(&mut self, command: Command<'_>, out: &mut Vec<u8>) -> Result<Option<Step>, Bad> {
        match command {
            Command::Auth { mechanism, initial } => return self.auth(mechanism, initial, out),
            Command::AuthList => {
                self.may_log_in()?;
                out.extend_from_slice(b"+OK\r\n");
                for mechanism in self.setting.mechanisms() {
                    out.extend_from_slice(format!("{}\r\n", mechanism.name()).as_bytes());
                }
                out.extend_from_slice(b".\r\n");
            }
            Command::Capa => self.capa(out),
            Command::Noop => out.extend_from_slice(b"+OK\r\n"),
            Command::Pass(password) => return self.pass(password).map(Some),
            Command::Quit => {
                out.extend_from_slice(b"+OK Bye.\r\n");
                return Ok(Some(Step::Goodbye));
            }
            Command::Stls if self.setting.login == LoginOffer::Now => return Err(Bad::StlsNotOffered),
            Command::Stls => {
                out.extend_from_slice(b"+OK Begin TLS negotiation now.\r\n");
                return Ok(Some(Step::StartTls));
            }
            Command::User(name) => {
                self.may_log_in()?;
                if !self.setting.passwords {
                    return Err(Bad::NoPasswords);
                }
                self.state = State::User(name);
                out.extend_from_slice(b"+OK\r\n");
            }
            Command::Utf8 if !self.setting.shares(UTF8) => return Err(Bad::Unknown),
            Command::Utf8 => {
                self.utf8 = true;
                out.extend_from_slice(b"+OK\r\n");
            }
        }
        Ok(None)
    }

    fn auth(&mut self, mechanism: Mechanism, initial: Option<&[u8]>, out: &mut Vec<u8>) -> Result<Option<Step>, Bad> {
        self.may_log_in()?;
        if !self.setting.offers(mechanism) {
            return Err(Bad::Mechanism);
        }
        self.state = State::Idle;
        let exchange = Exchange::begin(mechanism);
        let progress = match initial {
            Some(response) => exchange.initial(response)?,
            None => Progress::Challenge(exchange),
        };
        Ok(self.progress(mechanism, progress, out))
    }

    fn pass(&mut self, password: Secret) -> Result<Step, Bad> {
        self.may_log_in()?;
        match std::mem::take(&mut self.state) {
            State::User(name) => {
                let credential = Credential::Password(password);
                Ok(self.login("USER", Credentials { authzid: None, name: Some(name), credential }))
            }
            _ => Err(Bad::PassBeforeUser),
        }
    }

    fn may_log_in(&self) -> Result<(), Bad> {
        if self.setting.login == LoginOffer::OnlyAfterTls { Err(Bad::TlsRequired) } else { Ok(()) }
    }

    fn capa(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"+OK\r\n");
        if self.setting.login != LoginOffer::Now {
            out.extend_from_slice(b"STLS\r\n");
        }
        if self.setting.login != LoginOffer::OnlyAfterTls {
            out.extend_from_slice(if self.setting.passwords { b"USER\r\nSASL" } else { b"SASL" });
            for mechanism in self.setting.mechanisms() {
                out.extend_from_slice(format!(" {}", mechanism.name()).as_bytes());
            }
            out.extend_from_slice(b"\r\n");
        }
        out.extend_from_slice(b"PIPELINING\r\nRESP-CODES\r\nAUTH-RESP-CODE\r\n");
        for word in OFFERABLE.iter().filter(|word| !word.starts_with("AUTH=") && self.setting.shares(word)) {
            out.extend_from_slice(word.as_bytes());
            out.extend_from_slice(b"\r\n");
        }
        out.extend_from_slice(b".\r\n");
    }

    fn progress(&mut self, mechanism: Mechanism, progress: Progress, out: &mut Vec<u8>) -> Option<Step> {
        match progress {
            Progress::Challenge(exchange) => {
                self.ask(mechanism, exchange, out);
                None
            }
            Progress::Done(said) => Some(self.login(mechanism.name(), said)),
            Progress::Response(response) => Some(Step::Response(response)),
        }
    }

    fn ask(&mut self, mechanism: Mechanism, exchange: Exchange, out: &mut Vec<u8>) {
        out.extend_from_slice(format!("+ {}\r\n", exchange.challenge()).as_bytes());
        self.state = State::Exchange(mechanism, exchange);
    }

    fn login(&mut self, mechanism: &'static str, said: Credentials) -> Step {
        let Credentials { authzid, name, credential } = said;
        if let Some(mechanism) = credential.token_mechanism() {
            self.state = State::DecidingToken(mechanism);
        }
        let replay = Replay { utf8: self.utf8, ..Replay::default() };
        Step::Login(Login { name, authzid, credential, mechanism, replay })
    }

    fn bad(&mut self, bad: Bad, out: &mut Vec<u8>) -> Result<(), Error> {
        self.bad_commands = self.bad_commands.saturating_add(1);
        if self.bad_commands > self.setting.bad_commands {
            out.extend_from_slice(b"-ERR too many bad commands\r\n");
            return Err(Error::TooManyBadCommands);
        }
        out.extend_from_slice(format!("-ERR {bad}\r\n").as_bytes());
        Ok(())
    }

    /// Octets that the next line may have, if it is none that ends the conversation.
    fn limit(&self, bytes: &[u8]) -> Result<usize, Error> {
        match self.state {
            State::Exchange(..) | State::TokenRefused => Ok(self.setting.max_response),
            _ if is_http(bytes) => Err(Error::SpeaksHttp),
            _ => Ok(command::limit(bytes, &self.setting)),
        }
    }
}

impl Server for Pop3Server {
    /// No `<…>`: it would offer APOP (RFC 1939, section 7).
    fn greet(&mut self, out: &mut Vec<u8>) {
        out.extend_from_slice(format!("+OK {} POP3 ready.\r\n", self.setting.hostname).as_bytes());
    }

    fn advance(&mut self, input: &mut Input, out: &mut Vec<u8>) -> Result<Step, Error> {
        loop {
            let limit = self.limit(input.bytes())?;
            let line = command::line(input.bytes(), limit)
                .inspect_err(|_| out.extend_from_slice(b"-ERR line too long\r\n"))?;
            let Some(Line { text, length }) = line else {
                return Ok(Step::More);
            };
            let relayed = matches!(&self.state, State::Exchange(_, exchange) if exchange.is_relayed());
            let step = self.line(text, out);
            input.consume(length);
            match step {
                Ok(Some(Step::StartTls)) if !input.is_empty() => return Err(Error::BytesBehindStarttls),
                Ok(Some(step)) => return Ok(step),
                Ok(None) => {}
                Err(bad) => self.bad(bad, out)?,
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
        out.extend_from_slice(if success.text.is_empty() { b"+OK" } else { b"+OK " });
        out.extend_from_slice(&success.text);
        out.extend_from_slice(b"\r\n");
    }

    /// POP3 has no goodbye of its own: whatever follows, the refusal is the last word. One that closes does not wait for
    /// the client's answer to a challenge.
    fn refuse(&mut self, refusal: &Refusal, then: Then, out: &mut Vec<u8>) {
        if let State::DecidingToken(mechanism) = std::mem::take(&mut self.state)
            && let Some(object) = refusal.error_object(mechanism)
        {
            out.extend_from_slice(format!("+ {}\r\n", object.challenge()).as_bytes());
            if then == Then::TryAgain {
                self.state = State::TokenRefused;
                return;
            }
        }
        let line = match refusal {
            Refusal::Cannot => {
                "-ERR [SYS/PERM] The server of this mailbox does not take this mechanism.\r\n".to_owned()
            }
            Refusal::Credentials | Refusal::Token(_) => FAILED.to_owned(),
            Refusal::Expired => "-ERR [AUTH] Password has expired.\r\n".to_owned(),
            Refusal::Temporary => "-ERR [SYS/TEMP] Temporary failure, please try again later.\r\n".to_owned(),
            Refusal::Told { code, text } if code.is_empty() => format!("-ERR {text}\r\n"),
            Refusal::Told { code, text } => format!("-ERR [{code}] {text}\r\n"),
        };
        out.extend_from_slice(line.as_bytes());
    }

    fn goodbye(&mut self, text: &str, out: &mut Vec<u8>) {
        out.extend_from_slice(format!("-ERR [SYS/TEMP] {text}\r\n").as_bytes());
    }
}
