//! A client that logs in by a mechanism, before a server machine.

use zproxy_protocol::sasl::Challenge;
use zproxy_protocol::{Error, Input, LoginOffer, Refusal, Server, ServerSetting, Step, Success, Then};

use crate::words::Words;

/// Octets of a response that the machine takes.
pub(crate) const MAX_RESPONSE: usize = 9000;

/// What the machine begins with.
pub(crate) fn setting(shared: &[&str]) -> ServerSetting {
    ServerSetting {
        hostname: "mail.test".into(),
        login: LoginOffer::Now,
        shared: shared.iter().map(|&word| word.to_owned()).collect(),
        passwords: true,
        certificate: false,
        bad_commands: 9,
        max_command: 8192,
        max_response: MAX_RESPONSE,
    }
}

/// A conversation.
pub(crate) struct Talk {
    pub(crate) server: Box<dyn Server>,
    input: Input,
    /// What the client was last told.
    pub(crate) said: String,
}

impl Talk {
    /// The client has said all up to the login.
    pub(crate) fn open(words: &Words, setting: ServerSetting) -> Self {
        let mut talk = Self { server: words.protocol.server(setting), input: Input::new(), said: String::new() };
        assert!(matches!(talk.hear(words.hello), Step::More));
        talk
    }

    pub(crate) fn advance(&mut self, octets: &str) -> Result<Step, Error> {
        self.input.extend(octets.as_bytes());
        let mut out = Vec::new();
        let step = self.server.advance(&mut self.input, &mut out);
        self.said = String::from_utf8(out).unwrap();
        step
    }

    pub(crate) fn hear(&mut self, octets: &str) -> Step {
        self.advance(octets).unwrap()
    }

    pub(crate) fn ask(&mut self, challenge: Challenge) {
        let mut out = Vec::new();
        self.server.challenge(challenge, &mut out);
        self.said = String::from_utf8(out).unwrap();
    }

    pub(crate) fn refuse(&mut self, refusal: &Refusal, then: Then) {
        let mut out = Vec::new();
        self.server.refuse(refusal, then, &mut out);
        self.said = String::from_utf8(out).unwrap();
    }

    /// What the client is told of a backend that says hello.
    pub(crate) fn welcome(&mut self) -> String {
        let mut out = Vec::new();
        self.server.welcome(&Success { text: b"Hello.".to_vec(), ..Success::default() }, &mut out);
        String::from_utf8(out).unwrap()
    }
}
