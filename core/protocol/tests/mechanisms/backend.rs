//! A backend that lists mechanisms, before a client machine that is to log in by one.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zproxy_protocol::sasl::{Exchange, Mechanism, Progress};
use zproxy_protocol::{Client, ClientSetting, ClientStep, Error, Goal, Input, LoginAtBackend, Refusal, Secret};

use crate::login::siti;
use crate::words::Words;

/// What a client has begun with a message.
pub(crate) fn login(mechanism: Mechanism, message: &str) -> LoginAtBackend {
    let exchange = Exchange::begin(mechanism);
    let Ok(Progress::Done(said)) = exchange.respond(STANDARD.encode(message).as_bytes()) else { panic!("{message}") };
    LoginAtBackend { name: said.name.unwrap(), authzid: said.authzid, credential: Some(said.credential), ..siti() }
}

/// A conversation.
pub(crate) struct Talk {
    words: &'static Words,
    client: Box<dyn Client>,
    input: Input,
    /// What the backend was last told.
    pub(crate) heard: String,
    pub(crate) end: Result<ClientStep, Error>,
}

impl Talk {
    /// The backend has said all up to the login.
    pub(crate) fn open(words: &'static Words, mechanisms: &[&str], login: LoginAtBackend) -> Self {
        let client = words.protocol.client(ClientSetting { starttls: false, goal: Goal::Login(Box::new(login)) });
        let mut talk = Self { words, client, input: Input::new(), heard: String::new(), end: Ok(ClientStep::More) };
        for line in words.opening {
            talk.say(&line.replace("{}", &words.listed(mechanisms)));
        }
        talk
    }

    pub(crate) fn say(&mut self, line: &str) {
        self.input.extend(line.as_bytes());
        let mut out = Vec::new();
        self.end = self.client.advance(&mut self.input, &mut out);
        self.heard = String::from_utf8(out).unwrap();
    }

    pub(crate) fn ask(&mut self, message: &str) {
        self.say(&self.words.asked(message));
    }

    /// What is passed on to the client.
    pub(crate) fn passed(&self) -> String {
        match &self.end {
            Ok(ClientStep::Challenge(challenge)) => {
                assert_eq!(self.heard, "");
                String::from_utf8(STANDARD.decode(challenge.base64()).unwrap()).unwrap()
            }
            other => panic!("nothing asked: {other:?}"),
        }
    }

    /// The client's answer, as the backend hears it.
    pub(crate) fn answer(&mut self, message: &str) -> String {
        let mut out = Vec::new();
        self.client.respond(&Secret::new(STANDARD.encode(message).as_bytes()), &mut out);
        String::from_utf8(out).unwrap()
    }

    pub(crate) fn more(&mut self) {
        self.say("");
        assert!(matches!(self.end, Ok(ClientStep::More)), "{:?}", self.end);
        assert_eq!(self.heard, "");
    }

    pub(crate) fn let_in(&self) {
        assert!(
            matches!(&self.end, Ok(ClientStep::Success(success)) if success.text.ends_with(b"in")),
            "{:?}",
            self.end
        );
    }

    pub(crate) fn refusal(self) -> Refusal {
        match self.end {
            Ok(ClientStep::Refused(refusal)) => refusal,
            other => panic!("not refused: {other:?}"),
        }
    }

    pub(crate) fn broken(&self) {
        assert!(matches!(self.end, Err(Error::BackendProtocol(phase)) if phase == self.words.phase), "{:?}", self.end);
    }
}
