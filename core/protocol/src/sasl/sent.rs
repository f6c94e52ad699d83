//! What was said to a backend to log in, and what may come of its challenges.

use super::error_object::TokenSent;
use super::scram::ScramSent;
use super::{Challenge, Credential};
use crate::Refusal;

/// By kind of credential.
#[derive(Debug)]
pub(crate) enum Sent {
    /// All that there is to say, without being asked again.
    Whole,
    /// An exchange between the client and the backend.
    Scram(ScramSent),
    /// A token, to which the backend may object before it refuses.
    Token(TokenSent),
}

/// What a challenge that came behind it all leads to.
#[derive(Debug)]
pub(crate) enum Challenged {
    /// It is for the client to answer.
    Ask(Challenge),
    /// It is answered by this line.
    Say(&'static [u8]),
}

impl Sent {
    pub(crate) fn new(credential: &Credential) -> Self {
        match credential {
            Credential::Certificate | Credential::Password(_) => Self::Whole,
            Credential::Scram(first) => Self::Scram(ScramSent::new(first)),
            Credential::Token(token) => Self::Token(TokenSent::new(token.mechanism())),
        }
    }

    /// Hears a challenge in base64; none: there is nothing to ask.
    pub(crate) fn challenged(&mut self, base64: &[u8]) -> Option<Challenged> {
        match self {
            Self::Whole => None,
            Self::Scram(sent) => sent.challenged(base64),
            Self::Token(sent) => sent.challenged(base64).map(Challenged::Say),
        }
    }

    /// The client has answered the challenge.
    pub(crate) fn responded(&mut self) {
        if let Self::Scram(sent) = self {
            sent.responded();
        }
    }

    /// Whether the backend may say yes: before the exchange is over, or behind an objection, it answers another question.
    pub(crate) fn may_succeed(&self) -> bool {
        match self {
            Self::Whole => true,
            Self::Scram(sent) => sent.is_done(),
            Self::Token(sent) => !sent.is_refused(),
        }
    }

    /// What the refusal that ends it means.
    pub(crate) fn refusal(self, said: Refusal) -> Refusal {
        match self {
            Self::Token(sent) => sent.refusal(said),
            Self::Scram(_) | Self::Whole => said,
        }
    }
}
