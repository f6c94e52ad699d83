//! Facing the backend: from its greeting to its success or refusal.

use super::capability::Capabilities;
use super::response::{Done, Response, Responses};
use super::words::is_quotable;
use crate::sasl::{Answer, Credential, Mechanism, Responses as SaslResponses};
use crate::turns::{self, Turn, Turns, write};
use crate::{
    Client, ClientSetting, ClientStep, Error, Forward, Goal, Input, LoginAtBackend, Refusal, Secret, Success, xclient,
};

const AUTH: &str = "auth";

/// The conversation with a backend.
pub(super) struct SieveClient {
    /// STARTTLS is still to come.
    starttls: bool,
    goal: Goal,
    responses: Responses,
    state: State,
}

/// What was sent and is not answered.
enum State {
    /// AUTHENTICATE.
    Auth(SaslResponses),
    /// Nothing: backends list their capabilities when they greet, and again after TLS.
    Capability(&'static str, Capabilities),
    /// Nothing, and nothing will be: the conversation is over, or TLS has it. Keeps what was awaited last.
    Done(&'static str),
    /// AUTHENTICATE, and the backend has let the client in; its last words are for the client to answer.
    Proved(SaslResponses, Vec<u8>),
    StartTls,
    Xclient(Capabilities),
}

impl SieveClient {
    pub(super) fn new(setting: ClientSetting) -> Self {
        let ClientSetting { starttls, goal } = setting;
        let state = State::Capability("greeting", Capabilities::default());
        Self { starttls, goal, responses: Responses::default(), state }
    }

    /// What a response leads to; none: go on with the next.
    fn response(&mut self, response: Response, out: &mut Vec<u8>) -> Result<Option<ClientStep>, Error> {
        let phase = self.phase();
        self.state = match (std::mem::replace(&mut self.state, State::Done(phase)), response) {
            (_, Response::Bye) => return Err(Error::BackendQuit(phase)),
            (State::Capability(phase, mut capabilities), Response::Strings(name, value)) => {
                capabilities.add(&name, value.as_deref())?;
                State::Capability(phase, capabilities)
            }
            (State::Capability(_, capabilities), Response::Ok(_)) => return self.capable(capabilities, out),
            (State::Capability(..), Response::No(_)) => return Err(Error::BackendQuit(phase)),
            (State::StartTls, Response::Ok(_)) => return Ok(Some(ClientStep::StartTls)),
            (State::StartTls, Response::No(_)) => return Err(Error::BackendLacks("STARTTLS")),
            (State::Xclient(capabilities), Response::Ok(_)) => return self.authenticate(&capabilities, out),
            (State::Xclient(_), Response::No(_)) => return Err(Error::BackendLacks("XCLIENT")),
            (State::Auth(mut responses), Response::Strings(challenge, None)) => {
                let answer = responses.answer(&challenge).ok_or(Error::BackendProtocol(phase))?;
                self.state = State::Auth(responses);
                match answer {
                    Answer::Ask(challenge) => return Ok(Some(ClientStep::Challenge(challenge))),
                    Answer::Say(response) => write_base64(b"", response.expose(), out),
                }
                return Ok(None);
            }
            (State::Auth(responses), Response::Ok(done)) if responses.may_succeed() => {
                return Ok(Some(success(done.text)));
            }
            (State::Auth(mut responses), Response::Ok(Done { text, last: Some(last) })) => {
                let Some(Answer::Ask(challenge)) = responses.answer(&last) else {
                    return Err(Error::BackendProtocol(phase));
                };
                self.state = State::Proved(responses, text);
                return Ok(Some(ClientStep::Challenge(challenge)));
            }
            (State::Auth(responses), Response::No(refusal)) => {
                return Ok(Some(ClientStep::Refused(responses.refusal(refusal))));
            }
            _ => return Err(Error::BackendProtocol(phase)),
        };
        Ok(None)
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
        match &self.goal {
            Goal::Probe => {
                out.extend_from_slice(b"LOGOUT\r\n");
                Ok(Some(ClientStep::Probed(capabilities.into_lines())))
            }
            Goal::Login(login) if login.forward == Forward::Xclient => {
                if !capabilities.has("XCLIENT") {
                    return Err(Error::BackendLacks("XCLIENT"));
                }
                out.extend_from_slice(xclient::line(&login.client).as_bytes());
                out.extend_from_slice(b"\r\n");
                self.state = State::Xclient(capabilities);
                Ok(None)
            }
            Goal::Login(_) => self.authenticate(&capabilities, out),
        }
    }

    fn authenticate(&mut self, capabilities: &Capabilities, out: &mut Vec<u8>) -> Result<Option<ClientStep>, Error> {
        let Goal::Login(login) = &self.goal else { return Ok(None) };
        match authenticate(login, capabilities, out)? {
            Ok(responses) => self.state = State::Auth(responses),
            Err(refusal) => return Ok(Some(ClientStep::Refused(refusal))),
        }
        Ok(None)
    }
}

fn success(text: Vec<u8>) -> ClientStep {
    ClientStep::Success(Success { text, ..Success::default() })
}

/// Begins the login, unless the backend cannot carry it.
fn authenticate(
    login: &LoginAtBackend,
    capabilities: &Capabilities,
    out: &mut Vec<u8>,
) -> Result<Result<SaslResponses, Refusal>, Error> {
    let Some(credential) = &login.credential else { return Ok(Err(Refusal::Cannot)) };
    let (mechanism, response) = match login.message(credential) {
        Ok(message) => message,
        Err(refusal) => return Ok(Err(refusal)),
    };
    if !capabilities.takes(mechanism) {
        let is_password = matches!(credential, Credential::Password(_));
        return if is_password { Err(Error::BackendLacks("SASL PLAIN")) } else { Ok(Err(Refusal::Cannot)) };
    }
    write_base64(&command(mechanism), response.expose(), out);
    Ok(Ok(SaslResponses::single(credential, response, true)))
}

fn command(mechanism: Mechanism) -> Vec<u8> {
    format!("AUTHENTICATE \"{}\" ", mechanism.name()).into_bytes()
}

/// Writes a line that ends in a string of base64.
fn write_base64(before: &[u8], base64: &[u8], out: &mut Vec<u8>) {
    if is_quotable(base64) {
        write(out, &[before, b"\"", base64, b"\"\r\n"]);
    } else {
        write(out, &[before, format!("{{{}+}}\r\n", base64.len()).as_bytes(), base64, b"\r\n"]);
    }
}

impl Turns for SieveClient {
    fn goal(&self) -> &Goal {
        &self.goal
    }

    fn turn(&mut self, input: &mut Input, out: &mut Vec<u8>) -> Result<Turn, Error> {
        match &mut self.state {
            State::Done(_) => Ok(Turn::Nothing),
            State::Proved(responses, text) => {
                let text = std::mem::take(text);
                let proved = responses.may_succeed();
                self.state = State::Done(AUTH);
                if proved { Ok(Turn::Heard(Some(success(text)))) } else { Err(Error::BackendProtocol(AUTH)) }
            }
            _ => match self.responses.next(input)? {
                Some(response) => {
                    let response = Response::parse(&response).ok_or(Error::BackendProtocol(self.phase()))?;
                    self.response(response, out).map(Turn::Heard)
                }
                None => Ok(Turn::Nothing),
            },
        }
    }
}

impl Client for SieveClient {
    fn advance(&mut self, input: &mut Input, out: &mut Vec<u8>) -> Result<ClientStep, Error> {
        turns::advance(self, input, out)
    }

    fn respond(&mut self, response: &Secret, out: &mut Vec<u8>) {
        match &mut self.state {
            State::Auth(responses) => {
                responses.responded();
                write_base64(b"", response.expose(), out);
            }
            // The backend has said all, and awaits no answer.
            State::Proved(responses, _) => responses.responded(),
            _ => {}
        }
    }

    fn secured(&mut self) {
        self.starttls = false;
        self.responses = Responses::default();
        self.state = State::Capability("capability", Capabilities::default());
    }

    fn phase(&self) -> &'static str {
        match &self.state {
            State::Auth(_) | State::Proved(..) => AUTH,
            State::Capability(phase, _) | State::Done(phase) => phase,
            State::StartTls => "starttls",
            State::Xclient(_) => "xclient",
        }
    }
}
