//! What is said to a backend that asks for it, challenge by challenge, as POP3 and SMTP carry it.

use std::collections::VecDeque;

use super::Credential;
use super::error_object::TokenSent;
use crate::{Refusal, Secret};

/// The responses of a login under way, in base64.
#[derive(Debug)]
pub(crate) struct Responses {
    /// Those that the backend has not asked for.
    unsent: VecDeque<Secret>,
    /// The first of them went with the command too: a backend that overlooks it may ask.
    at_once: bool,
    /// None: it is a password that is said.
    token: Option<TokenSent>,
}

impl Responses {
    /// A mechanism that says all in one response; `at_once`: it went with the command.
    pub(crate) fn single(credential: &Credential, response: Secret, at_once: bool) -> Self {
        Self { unsent: [response].into(), at_once, token: TokenSent::new(credential) }
    }

    /// LOGIN: a name and a password, each asked for.
    pub(crate) fn login(name: Secret, password: Secret) -> Self {
        Self { unsent: [name, password].into(), at_once: false, token: None }
    }

    /// The answer to a challenge; none: it is one too many.
    pub(crate) fn answer(&mut self, challenge: &[u8]) -> Option<Secret> {
        let heard_it = self.unsent.is_empty() || (self.at_once && !challenge.is_empty());
        match &mut self.token {
            Some(token) if heard_it => {
                self.unsent.clear();
                token.challenged(challenge).map(Secret::new)
            }
            _ => self.unsent.pop_front(),
        }
    }

    /// Whether the backend may say yes: before all was said, or behind an objection, it answers another question.
    pub(crate) fn may_succeed(&self) -> bool {
        let all_said = self.at_once || self.unsent.is_empty();
        all_said && !self.token.as_ref().is_some_and(TokenSent::is_refused)
    }

    /// What the backend's no means.
    pub(crate) fn refusal(self, said: Refusal) -> Refusal {
        match self.token {
            Some(token) => token.refusal(said),
            None => said,
        }
    }
}
