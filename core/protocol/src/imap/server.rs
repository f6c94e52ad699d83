//! The conversation with a client, from the greeting to its login.
//!
//! Nothing that the client said is said back but a legal tag (ALPACA: a browser can be made to talk to a mail port, and
//! must find no words of its own in the answer).

use std::sync::Arc;

use crate::sasl::{self, Challenge, Credential, Credentials, Exchange, Mechanism, Progress, TokenMechanism};
use crate::text::{is_http, printable};
use crate::{Error, Input, Login, LoginOffer, Refusal, Replay, Secret, Server, ServerSetting, Step, Success, Then};

use super::capability;
use super::command::{self, Command, Endless, Parameters, Read, Reader, Refused, Verb};
use super::tag::Tag;

/// Longest text of a refusal that is not ours.
const MAX_TOLD: usize = 200;

/// What a refusal of credentials says; never more.
const FAILED: &str = "NO [AUTHENTICATIONFAILED] Authentication failed.";
const NO_PASSWORDS: &str = "NO [CANNOT] No server here takes passwords.";
const PRIVACY_REQUIRED: &str = "NO [PRIVACYREQUIRED] Use TLS first; a password that was sent without it is not safe.";

/// Faces a client.
pub(super) struct ImapServer {
    setting: ServerSetting,
    /// Commands that were refused.
    bad: u32,
    /// The client's last ID.
    id: Parameters,
    state: State,
}

enum State {
    /// Between commands, or within one.
    Command(Reader),
    /// A login is with the session, which will say what became of it. That of a token is refused with a challenge before.
    Deciding { tag: Tag, token: Option<TokenMechanism> },
    /// Nothing more is read.
    Over,
    /// The client is asked for a SASL response.
    Responding(Asked),
    /// TLS begins.
    Securing,
    /// The client was told what is wrong with its token; a line says that it heard, and the refusal follows.
    TokenRefused(Tag),
}

struct Asked {
    tag: Tag,
    mechanism: Mechanism,
    exchange: Exchange,
}

/// What became of one piece of input; none: there may be more to do.
type Outcome = Result<Option<Step>, Error>;

impl ImapServer {
    pub(super) fn new(setting: ServerSetting) -> Self {
        Self { setting, bad: 0, id: Parameters::default(), state: State::Command(Reader::default()) }
    }

    fn command(&mut self, mut reader: Reader, input: &mut Input, out: &mut Vec<u8>) -> Outcome {
        if is_http(input.bytes()) {
            return Err(Error::SpeaksHttp);
        }
        match reader.read(input, command::limit(input.bytes(), &self.setting)) {
            Ok(Read::More) => {
                self.state = State::Command(reader);
                Ok(Some(Step::More))
            }
            Ok(Read::Bad { tag, refused }) => self.bad(tag.as_ref(), refused, out),
            Ok(Read::Command { tag, command }) => {
                self.state = State::Command(reader);
                self.obey(tag, command, input, out)
            }
            Ok(Read::Literal { tag: Some(_), verb: Verb::Id }) => self.let_in(reader, out),
            Ok(Read::Literal { tag: Some(_), verb: Verb::Login }) if self.may_log_in() && self.setting.passwords => {
                self.let_in(reader, out)
            }
            Ok(Read::Literal { tag, verb }) => {
                reader.drop_command(input);
                match (tag, verb) {
                    (None, _) => self.bad(None, Refused::Tag, out),
                    // Refused now, the password is never sent.
                    (tag, Verb::Login) if !self.may_log_in() => {
                        self.refuse_command(tag.as_ref(), PRIVACY_REQUIRED, out)
                    }
                    (tag, Verb::Login) => self.refuse_command(tag.as_ref(), NO_PASSWORDS, out),
                    (tag, Verb::Other) => self.bad(tag.as_ref(), Refused::Unknown, out),
                    (tag, _) => self.bad(tag.as_ref(), Refused::Syntax, out),
                }
            }
            Err(Endless { tag }) => {
                say(tag.as_ref(), "BAD Command is longer than allowed.", out);
                Err(self.end(Error::CommandTooLong, "Command is longer than allowed.", out))
            }
        }
    }

    /// Gives leave to send a literal.
    fn let_in(&mut self, reader: Reader, out: &mut Vec<u8>) -> Outcome {
        out.extend_from_slice(b"+ Go on.\r\n");
        self.state = State::Command(reader);
        Ok(None)
    }

    fn obey(&mut self, tag: Tag, command: Command, input: &Input, out: &mut Vec<u8>) -> Outcome {
        match command {
            Command::Authenticate { .. } | Command::Login { .. } if !self.may_log_in() => {
                self.refuse_command(Some(&tag), PRIVACY_REQUIRED, out)
            }
            Command::Login { .. } if !self.setting.passwords => self.refuse_command(Some(&tag), NO_PASSWORDS, out),
            Command::Authenticate { mechanism, initial } => self.authenticate(tag, mechanism, initial.as_ref(), out),
            Command::Capability => {
                out.extend(format!("* CAPABILITY {}\r\n", capability::offered(&self.setting)).into_bytes());
                Ok(done(&tag, "Capability", out))
            }
            Command::Id(parameters) => {
                self.id = parameters;
                out.extend_from_slice(b"* ID (\"name\" \"zproxy\")\r\n");
                Ok(done(&tag, "ID", out))
            }
            Command::Login { name, password } => {
                let credential = Credential::Password(password);
                Ok(Some(self.decide(tag, "LOGIN", Credentials { authzid: None, name: Some(name), credential })))
            }
            Command::Logout => {
                self.goodbye("Logging out", out);
                done(&tag, "Logout", out);
                Ok(Some(Step::Goodbye))
            }
            Command::Noop => Ok(done(&tag, "Noop", out)),
            Command::StartTls => self.start_tls(&tag, input, out),
        }
    }

    fn start_tls(&mut self, tag: &Tag, input: &Input, out: &mut Vec<u8>) -> Outcome {
        if self.setting.login == LoginOffer::Now {
            return self.refuse_command(Some(tag), "BAD STARTTLS is not offered.", out);
        }
        if !input.is_empty() {
            say(Some(tag), "BAD Nothing may follow STARTTLS.", out);
            return Err(self.end(Error::BytesBehindStarttls, "Nothing may follow STARTTLS.", out));
        }
        say(Some(tag), "OK Begin TLS now.", out);
        self.state = State::Securing;
        Ok(Some(Step::StartTls))
    }

    fn authenticate(
        &mut self,
        tag: Tag,
        mechanism: Option<Mechanism>,
        initial: Option<&Secret>,
        out: &mut Vec<u8>,
    ) -> Outcome {
        let Some(mechanism) = mechanism.filter(|&mechanism| self.setting.offers(mechanism)) else {
            return self.refuse_command(Some(&tag), "NO Unknown authentication mechanism.", out);
        };
        let exchange = Exchange::begin(mechanism);
        let progress = match initial {
            Some(response) => exchange.initial(response.expose()),
            None => Ok(Progress::Challenge(exchange)),
        };
        self.progress(tag, mechanism, progress, out)
    }

    fn respond(&mut self, asked: Asked, input: &mut Input, out: &mut Vec<u8>) -> Outcome {
        let Some(length) = self.response_len(&asked.tag, input, out)? else {
            self.state = State::Responding(asked);
            return Ok(Some(Step::More));
        };
        let Asked { tag, mechanism, exchange } = asked;
        let relayed = exchange.is_relayed();
        let line = input.bytes().get(..length).unwrap_or_default();
        let progress = line.strip_suffix(b"\r\n").map(|response| exchange.respond(response));
        input.consume(length);
        let outcome = match progress {
            Some(progress) => self.progress(tag, mechanism, progress, out)?,
            None => self.bad(Some(&tag), Refused::BareLf, out)?,
        };
        Ok(outcome.or(relayed.then_some(Step::Abandoned)))
    }

    /// Takes whatever a client says to the objection to its token.
    fn dismissed(&mut self, tag: Tag, input: &mut Input, out: &mut Vec<u8>) -> Outcome {
        let Some(length) = self.response_len(&tag, input, out)? else {
            self.state = State::TokenRefused(tag);
            return Ok(Some(Step::More));
        };
        input.consume(length);
        say(Some(&tag), FAILED, out);
        self.state = State::Command(Reader::default());
        Ok(None)
    }

    /// The octets of the line of a response; none: it is not complete.
    fn response_len(&mut self, tag: &Tag, input: &Input, out: &mut Vec<u8>) -> Result<Option<usize>, Error> {
        let length = input.line_len();
        if length.unwrap_or(input.len()) > self.setting.max_response.saturating_add(b"\r\n".len()) {
            say(Some(tag), "BAD Response is longer than allowed.", out);
            return Err(self.end(Error::CommandTooLong, "Response is longer than allowed.", out));
        }
        Ok(length)
    }

    fn progress(
        &mut self,
        tag: Tag,
        mechanism: Mechanism,
        progress: Result<Progress, sasl::Refused>,
        out: &mut Vec<u8>,
    ) -> Outcome {
        match progress {
            Ok(Progress::Challenge(exchange)) => {
                self.ask(Asked { tag, mechanism, exchange }, out);
                Ok(None)
            }
            Ok(Progress::Done(credentials)) => Ok(Some(self.decide(tag, mechanism.name(), credentials))),
            Ok(Progress::Response(response)) => {
                self.state = State::Deciding { tag, token: None };
                Ok(Some(Step::Response(response)))
            }
            Err(refused) if refused.is_of_credentials() => {
                self.refuse_command(Some(&tag), &format!("NO Cannot log in: {refused}."), out)
            }
            Err(refused) => self.refuse_command(Some(&tag), &format!("BAD Cannot log in: {refused}."), out),
        }
    }

    fn ask(&mut self, asked: Asked, out: &mut Vec<u8>) {
        out.extend(format!("+ {}\r\n", asked.exchange.challenge()).into_bytes());
        self.state = State::Responding(asked);
    }

    fn decide(&mut self, tag: Tag, mechanism: &'static str, credentials: Credentials) -> Step {
        let Credentials { authzid, name, credential } = credentials;
        self.state = State::Deciding { tag, token: credential.token_mechanism() };
        Step::Login(Login {
            name,
            authzid,
            credential,
            mechanism,
            replay: Replay { id: self.id.said.clone(), hops: self.id.hops, ..Replay::default() },
        })
    }

    fn bad(&mut self, tag: Option<&Tag>, refused: Refused, out: &mut Vec<u8>) -> Outcome {
        let condition = match refused {
            Refused::EmptyPassword | Refused::Name(_) => "NO Cannot log in",
            _ => "BAD Not done",
        };
        self.refuse_command(tag, &format!("{condition}: {refused}."), out)
    }

    /// Refuses a command and counts it.
    fn refuse_command(&mut self, tag: Option<&Tag>, text: &str, out: &mut Vec<u8>) -> Outcome {
        say(tag, text, out);
        self.bad = self.bad.saturating_add(1);
        if self.bad > self.setting.bad_commands {
            return Err(self.end(Error::TooManyBadCommands, "Too many bad commands.", out));
        }
        self.state = State::Command(Reader::default());
        Ok(None)
    }

    fn may_log_in(&self) -> bool {
        self.setting.login != LoginOffer::OnlyAfterTls
    }

    fn end(&mut self, error: Error, text: &str, out: &mut Vec<u8>) -> Error {
        self.goodbye(text, out);
        error
    }
}

impl Server for ImapServer {
    fn greet(&mut self, out: &mut Vec<u8>) {
        let offered = capability::offered(&self.setting);
        out.extend(format!("* OK [CAPABILITY {offered}] {} ready.\r\n", self.setting.hostname).into_bytes());
    }

    fn advance(&mut self, input: &mut Input, out: &mut Vec<u8>) -> Result<Step, Error> {
        loop {
            let outcome = match std::mem::replace(&mut self.state, State::Over) {
                State::Command(reader) => self.command(reader, input, out)?,
                State::Responding(asked) => self.respond(asked, input, out)?,
                State::TokenRefused(tag) => self.dismissed(tag, input, out)?,
                waiting @ (State::Deciding { .. } | State::Over | State::Securing) => {
                    self.state = waiting;
                    Some(Step::More)
                }
            };
            if let Some(step) = outcome {
                return Ok(step);
            }
        }
    }

    fn secured(&mut self, certificate: bool) {
        self.bad = 0;
        self.id = Parameters::default();
        self.setting.login = LoginOffer::Now;
        self.setting.certificate = certificate;
        self.state = State::Command(Reader::default());
    }

    fn offer(&mut self, shared: Arc<[String]>) {
        self.setting.shared = shared;
    }

    fn challenge(&mut self, challenge: Challenge, out: &mut Vec<u8>) {
        let State::Deciding { tag, .. } = std::mem::replace(&mut self.state, State::Over) else { return };
        let (mechanism, exchange) = (challenge.mechanism(), Exchange::relayed(challenge));
        self.ask(Asked { tag, mechanism, exchange }, out);
    }

    fn welcome(&mut self, success: &Success, out: &mut Vec<u8>) {
        let State::Deciding { tag, .. } = std::mem::replace(&mut self.state, State::Over) else { return };
        out.extend_from_slice(&success.before);
        out.extend(format!("{} OK ", tag.as_str()).into_bytes());
        out.extend_from_slice(if success.text.is_empty() { b"Logged in." } else { &success.text });
        out.extend_from_slice(b"\r\n");
    }

    /// One that closes does not wait for the client's answer to a challenge.
    fn refuse(&mut self, refusal: &Refusal, then: Then, out: &mut Vec<u8>) {
        let State::Deciding { tag, token } = std::mem::replace(&mut self.state, State::Over) else { return };
        if let Some(object) = token.and_then(|mechanism| refusal.error_object(mechanism)) {
            out.extend(format!("+ {}\r\n", object.challenge()).into_bytes());
            if then == Then::TryAgain {
                self.state = State::TokenRefused(tag);
                return;
            }
        }
        say(Some(&tag), &refusal_text(refusal), out);
        match then {
            Then::Close => self.goodbye("Goodbye.", out),
            Then::TryAgain => self.state = State::Command(Reader::default()),
        }
    }

    fn goodbye(&mut self, text: &str, out: &mut Vec<u8>) {
        self.state = State::Over;
        out.extend(format!("* BYE {}\r\n", printable(text.as_bytes(), MAX_TOLD)).into_bytes());
    }
}

fn refusal_text(refusal: &Refusal) -> String {
    match refusal {
        Refusal::Cannot => "NO [CANNOT] The server of this mailbox does not take this mechanism.".to_owned(),
        Refusal::Credentials | Refusal::Token(_) => FAILED.to_owned(),
        Refusal::Expired => "NO [EXPIRED] Password has expired.".to_owned(),
        Refusal::Temporary => "NO [UNAVAILABLE] Temporary failure, try again later.".to_owned(),
        Refusal::Told { code, text } => {
            let mut code: String = printable(code.as_bytes(), MAX_TOLD);
            code.retain(|letter| !"[] ".contains(letter));
            let text = printable(text.as_bytes(), MAX_TOLD);
            let text = if text.trim().is_empty() { "Login refused." } else { &text };
            if code.is_empty() { format!("NO {text}") } else { format!("NO [{code}] {text}") }
        }
    }
}

/// Writes a status response.
fn say(tag: Option<&Tag>, text: &str, out: &mut Vec<u8>) {
    out.extend(format!("{} {text}\r\n", tag.map_or("*", Tag::as_str)).into_bytes());
}

/// Says that a command is done.
fn done(tag: &Tag, command: &str, out: &mut Vec<u8>) -> Option<Step> {
    say(Some(tag), &format!("OK {command} completed."), out);
    None
}
