//! Facing the backend: from its banner to its success or refusal.

use super::UTF8;
use super::response::{Capabilities, Lines, Reply};
use crate::sasl::{Answer, Credential, Responses};
use crate::turns::{self, Turn, Turns, write_auth, write_line};
use crate::{
    Client, ClientInfo, ClientSetting, ClientStep, Error, Forward, Goal, Input, Refusal, Secret, Success, xclient,
};

/// Octets of an AUTH command with its initial response, CRLF included (RFC 5034, section 4); a longer response waits
/// for the backend to ask.
const MAX_AUTH: usize = 255;

/// The conversation with a backend.
pub(super) struct Pop3Client {
    starttls: bool,
    goal: Goal,
    lines: Lines,
    state: State,
}

/// What was sent and is not answered.
enum State {
    /// AUTH.
    Auth(Responses),
    Capa,
    /// CAPA, and `+OK` came.
    CapaLines(Capabilities),
    /// Nothing, and nothing will be: the conversation is over, or TLS has it. Keeps what was awaited last.
    Done(&'static str),
    /// XCLIENT or XOIP.
    Forward(&'static str),
    /// Nothing yet: backends greet.
    Greeting,
    Pass,
    /// Nothing yet: backends do not greet again after TLS.
    Secured,
    Stls,
    /// USER; the password, unless PASS was sent too.
    User(Option<Secret>),
    Utf8(Capabilities),
}

impl Pop3Client {
    pub(super) fn new(setting: ClientSetting) -> Self {
        let ClientSetting { starttls, goal } = setting;
        Self { starttls, goal, lines: Lines::default(), state: State::Greeting }
    }

    /// What a line leads to; none: go on with the next.
    fn line(&mut self, line: &[u8], out: &mut Vec<u8>) -> Result<Option<ClientStep>, Error> {
        let phase = self.phase();
        match std::mem::replace(&mut self.state, State::Done(phase)) {
            State::CapaLines(mut capabilities) => {
                if capabilities.line(line)? {
                    return self.capable(capabilities, out);
                }
                self.state = State::CapaLines(capabilities);
                Ok(None)
            }
            state => {
                let reply = Reply::parse(line).ok_or(Error::BackendProtocol(phase))?;
                self.reply(state, reply, out)
            }
        }
    }

    fn reply(&mut self, state: State, reply: Reply<'_>, out: &mut Vec<u8>) -> Result<Option<ClientStep>, Error> {
        self.state = match (state, reply) {
            (State::Greeting, Reply::Ok(_)) if self.starttls => ask(out, "STLS", State::Stls),
            (State::Greeting, Reply::Ok(_)) => self.begin(out),
            (State::Greeting, Reply::Err(_)) => return Err(Error::BackendQuit("greeting")),
            (State::Stls, Reply::Ok(_)) => return Ok(Some(ClientStep::StartTls)),
            (State::Stls, Reply::Err(_)) => return Err(Error::BackendLacks("STLS")),
            (State::Forward(_), Reply::Ok(_)) => ask(out, "CAPA", State::Capa),
            (State::Forward(command), Reply::Err(_)) => return Err(Error::BackendLacks(command)),
            (State::Capa, Reply::Ok(_)) => State::CapaLines(Capabilities::default()),
            // A backend older than RFC 2449 can do what RFC 1939 says.
            (State::Capa, Reply::Err(_)) => return self.capable(Capabilities::default(), out),
            (State::Utf8(capabilities), Reply::Ok(_)) => return self.authenticate(&capabilities, out),
            (State::Utf8(_), Reply::Err(_)) => return Err(Error::BackendLacks(UTF8)),
            (State::Auth(mut responses), Reply::Continue(challenge)) => {
                let answer = responses.answer(challenge).ok_or(Error::BackendProtocol("auth"))?;
                self.state = State::Auth(responses);
                match answer {
                    Answer::Ask(challenge) => return Ok(Some(ClientStep::Challenge(challenge))),
                    Answer::Say(response) => write_line(out, &[response.expose()]),
                }
                return Ok(None);
            }
            (State::User(Some(password)), Reply::Ok(_)) => {
                write_line(out, &[b"PASS ", password.expose()]);
                State::Pass
            }
            (State::User(None), Reply::Ok(_)) => State::Pass,
            (State::Auth(responses), Reply::Ok(text)) if responses.may_succeed() => return Ok(Some(success(text))),
            (State::Pass, Reply::Ok(text)) => return Ok(Some(success(text))),
            (State::Auth(responses), Reply::Err(refusal)) => {
                return Ok(Some(ClientStep::Refused(responses.refusal(refusal))));
            }
            (State::Pass | State::User(_), Reply::Err(refusal)) => {
                return Ok(Some(ClientStep::Refused(refusal)));
            }
            (state, _) => return Err(Error::BackendProtocol(state.phase())),
        };
        Ok(None)
    }

    /// The first command of the login or probe: where the client is, because what Dovecot can do depends on it.
    fn begin(&self, out: &mut Vec<u8>) -> State {
        let forward = match &self.goal {
            Goal::Login(login) => forward(login.forward, &login.client),
            Goal::Probe => None,
        };
        match forward {
            Some((command, line)) => ask(out, &line, State::Forward(command)),
            None => ask(out, "CAPA", State::Capa),
        }
    }

    fn capable(&mut self, capabilities: Capabilities, out: &mut Vec<u8>) -> Result<Option<ClientStep>, Error> {
        self.state = match &self.goal {
            Goal::Probe => {
                write_line(out, &[b"QUIT"]);
                return Ok(Some(ClientStep::Probed(capabilities.into_words())));
            }
            Goal::Login(login) if login.replay.utf8 => ask(out, UTF8, State::Utf8(capabilities)),
            Goal::Login(_) => return self.authenticate(&capabilities, out),
        };
        Ok(None)
    }

    fn authenticate(&mut self, capabilities: &Capabilities, out: &mut Vec<u8>) -> Result<Option<ClientStep>, Error> {
        let Goal::Login(login) = &self.goal else { return Ok(None) };
        let Some(credential) = &login.credential else { return Ok(Some(ClientStep::Refused(Refusal::Cannot))) };
        let (mechanism, response) = match login.message(credential) {
            Ok(message) => message,
            Err(refusal) => return Ok(Some(ClientStep::Refused(refusal))),
        };
        if capabilities.takes(mechanism) {
            let at_once = write_auth(mechanism, &response, MAX_AUTH, out);
            self.state = State::Auth(Responses::single(credential, response, at_once));
            return Ok(None);
        }
        let Credential::Password(password) = credential else {
            return Ok(Some(ClientStep::Refused(Refusal::Cannot)));
        };
        if login.authzid.is_some() {
            return Err(Error::BackendLacks("SASL PLAIN"));
        }
        if password.expose().iter().any(|octet| b"\r\n".contains(octet)) {
            // Nobody can have set one that this server cannot hear; that a client says it is no fault of the server's.
            return Ok(Some(ClientStep::Refused(Refusal::Credentials)));
        }
        write_line(out, &[b"USER ", login.name.as_str().as_bytes()]);
        self.state = State::User(if capabilities.pipelining() {
            write_line(out, &[b"PASS ", password.expose()]);
            None
        } else {
            Some(password.clone())
        });
        Ok(None)
    }
}

impl Turns for Pop3Client {
    fn goal(&self) -> &Goal {
        &self.goal
    }

    fn turn(&mut self, input: &mut Input, out: &mut Vec<u8>) -> Result<Turn, Error> {
        match self.state {
            State::Done(_) => Ok(Turn::Nothing),
            State::Secured => {
                self.state = self.begin(out);
                Ok(Turn::Heard(None))
            }
            _ => match self.lines.next(input)? {
                Some(line) => self.line(&line, out).map(Turn::Heard),
                None => Ok(Turn::Nothing),
            },
        }
    }
}

impl Client for Pop3Client {
    fn advance(&mut self, input: &mut Input, out: &mut Vec<u8>) -> Result<ClientStep, Error> {
        turns::advance(self, input, out)
    }

    fn respond(&mut self, response: &Secret, out: &mut Vec<u8>) {
        if let State::Auth(responses) = &mut self.state {
            responses.responded();
            write_line(out, &[response.expose()]);
        }
    }

    fn secured(&mut self) {
        self.lines = Lines::default();
        self.state = State::Secured;
    }

    fn phase(&self) -> &'static str {
        self.state.phase()
    }
}

impl State {
    fn phase(&self) -> &'static str {
        match self {
            Self::Auth(_) => "auth",
            Self::Capa | Self::CapaLines(_) => "capa",
            Self::Done(phase) => phase,
            Self::Forward(_) => "forward",
            Self::Greeting => "greeting",
            Self::Pass => "pass",
            Self::Secured => "secured",
            Self::Stls => "stls",
            Self::User(_) => "user",
            Self::Utf8(_) => "utf8",
        }
    }
}

/// The command that tells the client's address, and its line.
fn forward(forward: Forward, client: &ClientInfo) -> Option<(&'static str, String)> {
    match forward {
        Forward::Id | Forward::None => None,
        Forward::Xclient => Some(("XCLIENT", xclient::line(client))),
        Forward::Xoip => Some(("XOIP", format!("XOIP {}", client.address.ip().to_canonical()))),
    }
}

fn success(text: &[u8]) -> ClientStep {
    ClientStep::Success(Success { text: text.to_vec(), ..Success::default() })
}

fn ask(out: &mut Vec<u8>, line: &str, awaited: State) -> State {
    write_line(out, &[line.as_bytes()]);
    awaited
}
