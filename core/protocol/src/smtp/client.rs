//! Facing the backend: from its greeting to its success or refusal.

use std::collections::VecDeque;
use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::capability::Capabilities;
use super::guard::Guard;
use super::response::{Replies, Reply};
use super::xclient;
use crate::sasl::{Answer, Credential, Mechanism, Responses};
use crate::turns::{self, Turn, Turns, write_auth, write_line};
use crate::{Client, ClientSetting, ClientStep, Error, Forward, Goal, Input, LoginAtBackend, Refusal, Secret, Success};

/// Octets of an AUTH command with its initial response, CRLF included (RFC 4954, section 4); a longer response waits
/// for the backend to ask.
const MAX_AUTH: usize = 512;
/// What a probe calls itself: a name that every syntax check lets pass, and no lookup can belie.
pub(super) const PROBE: &str = "[127.0.0.1]";

/// The conversation with a backend.
pub(super) struct SmtpClient {
    /// STARTTLS is still to come.
    starttls: bool,
    /// XCLIENT is still to come.
    xclient: bool,
    /// The backend does not like what the client calls itself.
    nameless: bool,
    goal: Goal,
    replies: Replies,
    /// A backend that goes on to take a proxy's commands, of which the client must be kept.
    guard: Option<Guard>,
    state: State,
}

/// What was sent and is not answered.
enum State {
    /// AUTH.
    Auth(Responses),
    /// Nothing, and nothing will be: the conversation is over, or TLS has it. Keeps what was awaited last.
    Done(&'static str),
    Ehlo,
    /// Nothing yet: backends greet.
    Greeting,
    /// Nothing yet: backends do not greet again after TLS.
    Secured,
    StartTls,
    /// XCLIENT, and the lines of it that wait for the answer.
    Xclient(VecDeque<String>),
}

impl SmtpClient {
    pub(super) fn new(setting: ClientSetting) -> Self {
        let ClientSetting { starttls, goal } = setting;
        let xclient = matches!(&goal, Goal::Login(login) if login.forward == Forward::Xclient);
        Self {
            starttls,
            xclient,
            nameless: false,
            goal,
            replies: Replies::default(),
            guard: None,
            state: State::Greeting,
        }
    }

    /// What a reply leads to; none: go on with the next.
    fn reply(&mut self, reply: &Reply, out: &mut Vec<u8>) -> Result<Option<ClientStep>, Error> {
        let phase = self.phase();
        self.state = match (std::mem::replace(&mut self.state, State::Done(phase)), reply.code) {
            (_, 421) => return Err(Error::BackendQuit(phase)),
            (State::Greeting, 220) => self.ehlo(out),
            (State::Greeting, 400..) => return Err(Error::BackendQuit(phase)),
            (State::Ehlo, 250) => return self.capable(Capabilities::new(&reply.lines), out),
            // Some are particular about names (Exim about `_`), and nobody's EHLO shall speak against a backend.
            (State::Ehlo, 500..) if self.calls_itself().is_some() => {
                self.nameless = true;
                self.ehlo(out)
            }
            (State::Ehlo, 400..) => return Err(Error::BackendLacks("EHLO")),
            (State::StartTls, 220) => return Ok(Some(ClientStep::StartTls)),
            (State::StartTls, 400..) => return Err(Error::BackendLacks("STARTTLS")),
            (State::Xclient(mut unsent), 220) => match unsent.pop_front() {
                Some(line) => {
                    out.extend_from_slice(line.as_bytes());
                    State::Xclient(unsent)
                }
                None => self.ehlo(out),
            },
            (State::Xclient(_), 400..) => return Err(Error::BackendLacks("XCLIENT")),
            (State::Auth(mut responses), 334) => {
                let answer = responses.answer(reply.text()).ok_or(Error::BackendProtocol(phase))?;
                self.state = State::Auth(responses);
                match answer {
                    Answer::Ask(challenge) => return Ok(Some(ClientStep::Challenge(challenge))),
                    Answer::Say(response) => write_line(out, &[response.expose()]),
                }
                return Ok(None);
            }
            (State::Auth(responses), 235) if responses.may_succeed() => return Ok(Some(self.success(reply.text()))),
            (State::Auth(responses), 400..) => {
                return Ok(Some(ClientStep::Refused(responses.refusal(reply.refusal()))));
            }
            _ => return Err(Error::BackendProtocol(phase)),
        };
        Ok(None)
    }

    /// The client's own name, if the backend takes it.
    fn calls_itself(&self) -> Option<&str> {
        match &self.goal {
            Goal::Login(login) if !self.nameless => login.replay.ehlo.as_deref(),
            _ => None,
        }
    }

    /// Says the client's own name, so that it is the one in the message's trace.
    fn ehlo(&self, out: &mut Vec<u8>) -> State {
        let name = match (self.calls_itself(), &self.goal) {
            (Some(name), _) => name.to_owned(),
            (None, Goal::Login(login)) => address_literal(login.client.address.ip()),
            (None, Goal::Probe) => PROBE.to_owned(),
        };
        write_line(out, &[b"EHLO ", name.as_bytes()]);
        State::Ehlo
    }

    fn capable(&mut self, capabilities: Capabilities, out: &mut Vec<u8>) -> Result<Option<ClientStep>, Error> {
        if self.starttls {
            if !capabilities.has("STARTTLS") {
                return Err(Error::BackendLacks("STARTTLS"));
            }
            write_line(out, &[b"STARTTLS"]);
            self.state = State::StartTls;
            return Ok(None);
        }
        self.state = match &self.goal {
            Goal::Probe => {
                write_line(out, &[b"QUIT"]);
                return Ok(Some(ClientStep::Probed(capabilities.into_lines())));
            }
            Goal::Login(login) if self.xclient => {
                let mut lines: VecDeque<_> = xclient::lines(login, &capabilities.parameters("XCLIENT"))?.into();
                let first = lines.pop_front().ok_or(Error::BackendLacks("XCLIENT"))?;
                out.extend_from_slice(first.as_bytes());
                self.xclient = false;
                State::Xclient(lines)
            }
            Goal::Login(login) => {
                let guarded = capabilities.has("XCLIENT") || capabilities.has("XFORWARD");
                self.guard = guarded.then(|| Guard::new(capabilities.has("CHUNKING")));
                let Some(credential) = &login.credential else {
                    // It was told who logs in, and has taken it. Whom nobody told it of is not logged in.
                    let told = login.forward == Forward::Xclient;
                    return if told { Ok(Some(self.success(b""))) } else { Err(Error::BackendLacks("XCLIENT LOGIN")) };
                };
                match authenticate(login, credential, &capabilities, out)? {
                    Ok(responses) => State::Auth(responses),
                    Err(refusal) => return Ok(Some(ClientStep::Refused(refusal))),
                }
            }
        };
        Ok(None)
    }

    fn success(&mut self, text: &[u8]) -> ClientStep {
        ClientStep::Success(Success { before: Vec::new(), text: text.to_vec(), guard: self.guard.take() })
    }
}

/// Begins the login, unless the backend cannot carry it.
fn authenticate(
    login: &LoginAtBackend,
    credential: &Credential,
    capabilities: &Capabilities,
    out: &mut Vec<u8>,
) -> Result<Result<Responses, Refusal>, Error> {
    let (mechanism, response) = match login.message(credential) {
        Ok(message) => message,
        Err(refusal) => return Ok(Err(refusal)),
    };
    if capabilities.takes(mechanism) {
        let at_once = write_auth(mechanism, &response, MAX_AUTH, out);
        return Ok(Ok(Responses::single(credential, response, at_once)));
    }
    let Credential::Password(password) = credential else { return Ok(Err(Refusal::Cannot)) };
    if login.authzid.is_some() {
        return Err(Error::BackendLacks("AUTH PLAIN"));
    }
    if !capabilities.takes(Mechanism::Login) {
        return Err(Error::BackendLacks("AUTH PLAIN or LOGIN"));
    }
    write_line(out, &[b"AUTH LOGIN"]);
    Ok(Ok(Responses::login(encoded(login.name.as_str().as_bytes()), encoded(password.expose()))))
}

impl Turns for SmtpClient {
    fn goal(&self) -> &Goal {
        &self.goal
    }

    fn turn(&mut self, input: &mut Input, out: &mut Vec<u8>) -> Result<Turn, Error> {
        match self.state {
            State::Done(_) => Ok(Turn::Nothing),
            State::Secured => {
                self.state = self.ehlo(out);
                Ok(Turn::Heard(None))
            }
            _ => match self.replies.next(input, self.phase())? {
                Some(reply) => self.reply(&reply, out).map(Turn::Heard),
                None => Ok(Turn::Nothing),
            },
        }
    }
}

impl Client for SmtpClient {
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
        self.starttls = false;
        self.replies = Replies::default();
        self.state = State::Secured;
    }

    fn phase(&self) -> &'static str {
        match &self.state {
            State::Auth(_) => "auth",
            State::Done(phase) => phase,
            State::Ehlo => "ehlo",
            State::Greeting => "greeting",
            State::Secured => "secured",
            State::StartTls => "starttls",
            State::Xclient(_) => "xclient",
        }
    }
}

/// RFC 5321, section 4.1.3: the name of a client that has none.
pub(super) fn address_literal(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(address) => format!("[{address}]"),
        IpAddr::V6(address) => format!("[IPv6:{address}]"),
    }
}

fn encoded(octets: &[u8]) -> Secret {
    Secret::new(Zeroizing::new(STANDARD.encode(octets)).as_bytes())
}
