//! What is said to a backend that asks for it, challenge by challenge, as POP3 and SMTP carry it.

use std::collections::VecDeque;

use super::sent::{Challenged, Sent};
use super::{Challenge, Credential};
use crate::{Refusal, Secret};

/// The responses of a login under way, in base64.
#[derive(Debug)]
pub(crate) struct Responses {
    /// Those that the backend has not asked for.
    unsent: VecDeque<Secret>,
    /// The first of them went with the command too: a backend that overlooks it may ask.
    at_once: bool,
    sent: Sent,
}

/// What a challenge is answered by.
#[derive(Debug)]
pub(crate) enum Answer {
    /// What the client says to it.
    Ask(Challenge),
    /// This line.
    Say(Secret),
}

impl Responses {
    /// A mechanism that begins with a response; `at_once`: it went with the command.
    pub(crate) fn single(credential: &Credential, response: Secret, at_once: bool) -> Self {
        Self { unsent: [response].into(), at_once, sent: Sent::new(credential) }
    }

    /// LOGIN: a name and a password, each asked for.
    pub(crate) fn login(name: Secret, password: Secret) -> Self {
        Self { unsent: [name, password].into(), at_once: false, sent: Sent::Whole }
    }

    /// Hears a challenge; none: it is one too many.
    pub(crate) fn answer(&mut self, challenge: &[u8]) -> Option<Answer> {
        let heard_it = self.unsent.is_empty() || (self.at_once && !challenge.is_empty());
        if heard_it && !matches!(self.sent, Sent::Whole) {
            self.unsent.clear();
            return Some(match self.sent.challenged(challenge)? {
                Challenged::Ask(challenge) => Answer::Ask(challenge),
                Challenged::Say(line) => Answer::Say(Secret::new(line)),
            });
        }
        self.unsent.pop_front().map(Answer::Say)
    }

    /// The client has answered the challenge.
    pub(crate) fn responded(&mut self) {
        self.sent.responded();
    }

    /// Whether the backend may say yes: before all was said it answers another question.
    pub(crate) fn may_succeed(&self) -> bool {
        (self.at_once || self.unsent.is_empty()) && self.sent.may_succeed()
    }

    /// What the backend's no means.
    pub(crate) fn refusal(self, said: Refusal) -> Refusal {
        self.sent.refusal(said)
    }
}
