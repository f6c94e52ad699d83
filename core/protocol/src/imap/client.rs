//! The conversation with a backend, from its greeting to its success line.
//!
//! A backend that offers SASL-IR (Dovecot, Cyrus, Zimbra) and says its capabilities in the greeting takes one round
//! trip: ID and login go together. Whatever the backend sends, what is held of it is bounded.

use std::collections::VecDeque;

use crate::sasl::{Challenged, Sent};
use crate::text::printable;
use crate::{Client, ClientSetting, ClientStep, Error, Goal, Input, Refusal, Secret, Success};

use super::capability::Capabilities;
use super::identity;
use super::response::{Condition, Lines, Response, Text};

/// Octets of untagged lines that are kept for the client.
const MAX_BEFORE: usize = 8192;
/// Octets of a refusal's text that are passed on.
const MAX_TOLD: usize = 200;

/// The codes (RFC 5530 and its like) whose meaning a client may learn. A wrong password is none of them.
const TOLD: [&str; 11] = [
    "ALERT",
    "CONTACTADMIN",
    "CORRUPTION",
    "EXPIRED",
    "INUSE",
    "LIMIT",
    "NOPERM",
    "OVERQUOTA",
    "PRIVACYREQUIRED",
    "SERVERBUG",
    "UNAVAILABLE",
];

/// Faces a backend.
pub(super) struct ImapClient {
    /// STARTTLS is still to come.
    starttls: bool,
    goal: Goal,
    state: State,
    /// The last state's name; outlives it, for the record of an error.
    phase: &'static str,
    lines: Lines,
    /// Tags given.
    tags: u32,
    /// Lines for the client: CAPABILITY and ALERT.
    before: Vec<u8>,
}

enum State {
    /// CAPABILITY was asked, before the login.
    Capability { tag: String, known: Option<Capabilities> },
    /// The greeting is awaited.
    Greeting,
    /// ID was sent, and the login behind it if it is a single piece.
    Id { tag: String, login: Attempt },
    /// The login was sent, but what waits for the backend's leave.
    Login(Attempt),
    /// Logged in without a word of capabilities: they were asked.
    Named { tag: String, text: Vec<u8> },
    /// Nothing more is read.
    Over,
    /// TLS is up, nothing was asked yet.
    Secured,
    /// TLS begins.
    Securing,
    /// STARTTLS was asked.
    StartTls { tag: String },
}

/// A login command under way.
struct Attempt {
    tag: String,
    unsent: VecDeque<Secret>,
    sent: Sent,
    /// The backend has said what it can do since.
    named: bool,
}

/// What became of one line.
type Outcome = Result<Option<ClientStep>, Error>;

/// A tagged status response.
struct Answer<'a> {
    tag: &'a [u8],
    condition: Condition,
    text: Text<'a>,
}

impl ImapClient {
    pub(super) fn new(setting: ClientSetting) -> Self {
        Self {
            starttls: setting.starttls,
            goal: setting.goal,
            state: State::Greeting,
            phase: "greeting",
            lines: Lines::default(),
            tags: 0,
            before: Vec::new(),
        }
    }

    fn hear(&mut self, line: &[u8], input: &Input, out: &mut Vec<u8>) -> Outcome {
        let response = Response::new(line).ok_or_else(|| self.broken())?;
        match response {
            Response::Continue(challenge) => self.go_on(challenge, input, out),
            Response::Status { tag: None, condition: Condition::Bye, .. } => Err(Error::BackendQuit(self.phase)),
            Response::Status { tag: Some(tag), condition, text } => {
                self.answered(&Answer { tag, condition, text }, input, out)
            }
            Response::Capability(_) | Response::Data | Response::Status { .. } => {
                self.untagged(&response, line, input, out)
            }
        }
    }

    fn untagged(&mut self, response: &Response, line: &[u8], input: &Input, out: &mut Vec<u8>) -> Outcome {
        if response.has_code("ALERT") {
            self.keep(line)?;
        }
        match (&mut self.state, response) {
            (State::Greeting, Response::Status { condition: Condition::Ok, text, .. }) => {
                if let Some(words) = text.code("CAPABILITY") {
                    return self.known(Capabilities::new(words), input, out);
                }
                self.ask(input, out);
                Ok(())
            }
            (State::Greeting, _) => Err(self.broken()),
            (State::Capability { known, .. }, Response::Capability(words)) => {
                *known = Some(Capabilities::new(words));
                Ok(())
            }
            (State::Login(login), Response::Capability(_)) => {
                login.named = true;
                self.keep(line)
            }
            (State::Named { .. }, Response::Capability(_)) => self.keep(line),
            _ => Ok(()),
        }?;
        Ok(None)
    }

    fn keep(&mut self, line: &[u8]) -> Result<(), Error> {
        if self.before.len().saturating_add(line.len()) > MAX_BEFORE {
            return Err(Error::BackendOverflow);
        }
        self.before.extend_from_slice(line);
        Ok(())
    }

    /// A tagged reply, of which there must be exactly the one that is awaited.
    fn answered(&mut self, answer: &Answer, input: &Input, out: &mut Vec<u8>) -> Outcome {
        match std::mem::replace(&mut self.state, State::Over) {
            State::Capability { tag, known: Some(known) } if answer.is_ok(&tag) => self.known(known, input, out),
            // Whatever the backend thinks of ID, the login does not hang on it.
            State::Id { tag, login } if answer.is_for(&tag) => Ok(self.log_in(login, input, out)),
            State::Login(login) if answer.is_for(&login.tag) => self.logged_in(login, answer, input, out),
            State::Named { tag, text } if answer.is_for(&tag) => Ok(Some(self.success(text))),
            State::StartTls { tag } if answer.is_ok(&tag) && input.is_empty() => {
                self.enter(State::Securing);
                Ok(Some(ClientStep::StartTls))
            }
            State::StartTls { tag } if answer.is_ok(&tag) => Err(Error::BytesBehindBackendStarttls),
            State::StartTls { tag } if answer.is_for(&tag) => Err(Error::BackendLacks("STARTTLS")),
            _ => Err(self.broken()),
        }
    }

    /// What the backend can do is known: takes the next step.
    fn known(&mut self, known: Capabilities, input: &Input, out: &mut Vec<u8>) -> Outcome {
        if self.starttls {
            if !known.has("STARTTLS") {
                return Err(Error::BackendLacks("STARTTLS"));
            }
            let tag = self.send(b"STARTTLS", input, out);
            self.enter(State::StartTls { tag });
            return Ok(None);
        }
        let tag = self.tag();
        let (mut login, id) = match &self.goal {
            Goal::Login(login) => {
                let unsent = match identity::log_in(login, &known, &tag)? {
                    Ok(unsent) => unsent,
                    Err(refusal) => {
                        self.enter(State::Over);
                        return Ok(Some(ClientStep::Refused(refusal)));
                    }
                };
                let sent = login.credential.as_ref().map_or(Sent::Whole, Sent::new);
                (Attempt { tag, unsent, sent, named: false }, identity::id(login, &known))
            }
            Goal::Probe => {
                self.send(b"LOGOUT", input, out);
                self.enter(State::Over);
                return Ok(Some(ClientStep::Probed(known.into_words())));
            }
        };
        let Some(id) = id else { return Ok(self.log_in(login, input, out)) };
        let tag = self.send(&[b"ID ", id.as_slice()].concat(), input, out);
        if login.unsent.len() == 1 {
            login.send_next(out);
        }
        self.enter(State::Id { tag, login });
        Ok(None)
    }

    /// Begins the login, unless it went with the ID.
    fn log_in(&mut self, mut login: Attempt, input: &Input, out: &mut Vec<u8>) -> Option<ClientStep> {
        if login.send_next(out) {
            self.lines.asked(input);
        }
        self.enter(State::Login(login));
        None
    }

    /// The backend gives leave to send the next piece, or has something to ask or to object.
    fn go_on(&mut self, challenge: &[u8], input: &Input, out: &mut Vec<u8>) -> Outcome {
        let State::Login(login) = &mut self.state else { return Err(self.broken()) };
        if !login.send_next(out) {
            match login.sent.challenged(challenge) {
                Some(Challenged::Ask(challenge)) if input.is_empty() => {
                    return Ok(Some(ClientStep::Challenge(challenge)));
                }
                Some(Challenged::Say(line)) => out.extend([line, b"\r\n"].concat()),
                _ => return Err(self.broken()),
            }
        }
        self.lines.asked(input);
        Ok(None)
    }

    fn logged_in(&mut self, login: Attempt, answer: &Answer, input: &Input, out: &mut Vec<u8>) -> Outcome {
        match answer.condition {
            Condition::No => Ok(Some(ClientStep::Refused(login.sent.refusal(refusal(&answer.text))))),
            // It does not take the command, a password too long for it maybe: no word on the password, and none against
            // the backend's health.
            Condition::Bad => Ok(Some(ClientStep::Refused(Refusal::Temporary))),
            Condition::Ok if login.may_succeed() => {
                // RFC 2221: a referral would lead the client round us.
                let referral = answer.text.has_code("REFERRAL");
                let text = if referral { answer.text.human } else { answer.text.whole }.to_vec();
                if login.named || answer.text.has_code("CAPABILITY") {
                    return Ok(Some(self.success(text)));
                }
                let tag = self.send(b"CAPABILITY", input, out);
                self.enter(State::Named { tag, text });
                Ok(None)
            }
            _ => Err(self.broken()),
        }
    }

    fn success(&mut self, text: Vec<u8>) -> ClientStep {
        ClientStep::Success(Success { before: std::mem::take(&mut self.before), text, guard: None })
    }

    fn ask(&mut self, input: &Input, out: &mut Vec<u8>) {
        let tag = self.send(b"CAPABILITY", input, out);
        self.enter(State::Capability { tag, known: None });
    }

    fn send(&mut self, command: &[u8], input: &Input, out: &mut Vec<u8>) -> String {
        let tag = self.tag();
        for part in [tag.as_bytes(), b" ", command, b"\r\n"] {
            out.extend_from_slice(part);
        }
        self.lines.asked(input);
        tag
    }

    /// A tag that no client's tag or chatter is mistaken for.
    fn tag(&mut self) -> String {
        self.tags = self.tags.saturating_add(1);
        format!("zproxy{}", self.tags)
    }

    fn enter(&mut self, state: State) {
        self.phase = match state {
            State::Capability { .. } | State::Named { .. } | State::Secured => "capability",
            State::Greeting => "greeting",
            State::Id { .. } => "id",
            State::Login(_) => "login",
            State::Over => self.phase,
            State::Securing | State::StartTls { .. } => "starttls",
        };
        self.state = state;
    }

    fn broken(&self) -> Error {
        Error::BackendProtocol(self.phase)
    }
}

impl Client for ImapClient {
    fn advance(&mut self, input: &mut Input, out: &mut Vec<u8>) -> Result<ClientStep, Error> {
        match &self.state {
            State::Greeting => self.goal.check_hops()?,
            State::Over | State::Securing => return Ok(ClientStep::More),
            State::Secured => self.ask(input, out),
            _ => {}
        }
        while let Some(line) = self.lines.next(input)? {
            if line.early && Response::new(&line.bytes).is_some_and(|response| response.is_answer()) {
                return Err(self.broken());
            }
            if let Some(step) = self.hear(&line.bytes, input, out)? {
                return Ok(step);
            }
        }
        Ok(ClientStep::More)
    }

    fn respond(&mut self, response: &Secret, out: &mut Vec<u8>) {
        let State::Login(login) = &mut self.state else { return };
        login.sent.responded();
        // Nothing came behind the challenge, so nothing that comes now is too early.
        for part in [response.expose(), b"\r\n"] {
            out.extend_from_slice(part);
        }
    }

    fn secured(&mut self) {
        self.starttls = false;
        self.lines = Lines::default();
        self.before.clear();
        self.enter(State::Secured);
    }

    fn phase(&self) -> &'static str {
        self.phase
    }
}

impl Answer<'_> {
    fn is_for(&self, tag: &str) -> bool {
        self.tag == tag.as_bytes()
    }

    fn is_ok(&self, tag: &str) -> bool {
        self.is_for(tag) && self.condition == Condition::Ok
    }
}

impl Attempt {
    /// Sends the next piece, if there is one.
    fn send_next(&mut self, out: &mut Vec<u8>) -> bool {
        let Some(piece) = self.unsent.pop_front() else { return false };
        out.extend_from_slice(piece.expose());
        true
    }

    /// A yes before all was said is the answer to another question.
    fn may_succeed(&self) -> bool {
        self.unsent.is_empty() && self.sent.may_succeed()
    }
}

/// What a NO to the login means. What is neither a wrong password nor fit for the client is a temporary failure: better
/// an odd "try later" than a password that a client throws away.
fn refusal(text: &Text) -> Refusal {
    let Some((code, _)) = text.code else { return Refusal::Credentials };
    let code = String::from_utf8_lossy(code).to_ascii_uppercase();
    match code.as_str() {
        "AUTHENTICATIONFAILED" | "AUTHORIZATIONFAILED" => Refusal::Credentials,
        told if TOLD.contains(&told) => Refusal::Told { code, text: printable(text.human, MAX_TOLD) },
        _ => Refusal::Temporary,
    }
}
