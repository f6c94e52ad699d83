//! One message on its way: its sender, its recipients, and the legs that carry it.

use std::sync::Arc;
use std::time::Instant;

use zproxy_protocol::smtp::{Answer, Recipient, Sender, Transport};

use super::answers;
use super::courier::Courier;
use super::leg::Leg;
use super::recipient::Destination;
use super::together::together;
use crate::Error;

/// A transaction between its MAIL and what became of its message.
pub(super) struct Transaction {
    sender: Sender,
    legs: Vec<Leg>,
    /// The leg of each recipient that was taken, in order.
    recipients: Vec<usize>,
    refused: u32,
    /// Octets of the message so far.
    size: u64,
    began: Instant,
}

/// What a transaction came to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Outcome {
    /// It ended before its message did.
    Aborted,
    /// All recipients have it.
    Delivered,
    /// Nobody has it, for a reason that may pass.
    Failed,
    /// Some recipients have it.
    Partly,
    /// Nobody has it, and nobody will.
    Refused,
}

impl Outcome {
    /// As in records.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Aborted => "aborted",
            Self::Delivered => "delivered",
            Self::Failed => "failed",
            Self::Partly => "partly",
            Self::Refused => "refused",
        }
    }

    fn of(answers: &[Answer]) -> Self {
        let taken = answers.iter().filter(|answer| answer.is_positive()).count();
        match taken {
            0 if answers.iter().any(|answer| answer.code() < 500) => Self::Failed,
            0 => Self::Refused,
            all if all == answers.len() => Self::Delivered,
            _ => Self::Partly,
        }
    }
}

/// What is recorded of a transaction.
pub(crate) struct Summary<'a> {
    pub(crate) from: &'a str,
    pub(crate) recipients: usize,
    pub(crate) refused: u32,
    pub(crate) size: u64,
    pub(crate) backends: Vec<&'a Arc<str>>,
    pub(crate) outcome: &'static str,
    pub(crate) error: Option<&'a Error>,
    pub(crate) began: Instant,
}

impl Transaction {
    pub(super) fn new(sender: Sender) -> Self {
        Self { sender, legs: Vec::new(), recipients: Vec::new(), refused: 0, size: 0, began: Instant::now() }
    }

    /// Whether a recipient can be taken: what his backend says of him.
    pub(super) async fn recipient(&mut self, courier: &Courier<'_>, recipient: Recipient) -> Answer {
        let answer = match courier.destination(recipient).await {
            Ok(destination) => self.ask(courier, destination).await,
            Err(refusal) => refusal,
        };
        if !answer.is_positive() {
            self.refused += 1;
        }
        answer
    }

    async fn ask(&mut self, courier: &Courier<'_>, destination: Destination) -> Answer {
        let Destination { home, account, recipient } = destination;
        let candidates = match courier.candidates(&home, &account).await {
            Ok(candidates) => candidates,
            Err(error) => return answers::of_error(&error),
        };
        let index = match self.legs.iter().position(|leg| leg.serves(&candidates)) {
            Some(index) => index,
            None => {
                if courier.transport() == Transport::Mx {
                    if !self.recipients.is_empty() {
                        return answers::come_again();
                    }
                    // Of a leg that took nobody.
                    self.leave();
                }
                self.legs.push(Leg::begin(courier, &candidates, &self.sender).await);
                self.legs.len() - 1
            }
        };
        let answer = self.legs[index].ask(courier, &recipient).await;
        if answer.is_positive() {
            self.recipients.push(index);
        }
        answer
    }

    /// Asks all legs to be let send the message; an answer: none of them will.
    pub(super) async fn begin_message(&mut self, courier: &Courier<'_>) -> Result<(), Answer> {
        let needed = self.legs.iter_mut().filter(|leg| leg.recipients > 0);
        together(needed.map(|leg| leg.begin_message(courier))).await;
        if self.legs.iter().any(|leg| leg.recipients > 0 && leg.is_open()) {
            return Ok(());
        }
        let answers = self.finish(courier).await;
        let temporary = answers.iter().find(|answer| answer.code() < 500);
        Err(temporary.or(answers.first()).cloned().unwrap_or_else(|| answers::of_error(&Error::BackendEvasive)))
    }

    /// Sends a piece of the message to all legs, and returns when each has taken it or failed.
    pub(super) async fn send(&mut self, courier: &Courier<'_>, piece: &[u8]) {
        self.size += piece.len() as u64;
        let needed = self.legs.iter_mut().filter(|leg| leg.recipients > 0);
        together(needed.map(|leg| leg.send(courier, piece))).await;
    }

    /// Ends the message; what became of it, in LMTP for each recipient in order.
    pub(super) async fn finish(&mut self, courier: &Courier<'_>) -> Vec<Answer> {
        let mut told: Vec<_> = together(self.legs.iter_mut().map(async |leg| {
            if leg.recipients > 0 { leg.finish(courier).await.into_iter() } else { Vec::new().into_iter() }
        }))
        .await;
        let mut next = |index: usize| told[index].next();
        match courier.transport() {
            Transport::Lmtp => self.recipients.iter().filter_map(|&index| next(index)).collect(),
            Transport::Mx => self.recipients.first().and_then(|&index| next(index)).into_iter().collect(),
        }
    }

    /// No leg shall have the message.
    pub(super) fn cut(&mut self, error: &Error) {
        self.legs.iter_mut().for_each(|leg| leg.cut(error.clone()));
    }

    /// Leaves all legs with a goodbye: between messages, not within one.
    pub(super) fn leave(&mut self) {
        self.legs.drain(..).for_each(Leg::leave);
    }

    /// Whether there is something to record of it.
    pub(super) fn has_recipients(&self) -> bool {
        !self.recipients.is_empty() || self.refused > 0
    }

    pub(super) fn summary(&self, outcome: Outcome) -> Summary<'_> {
        Summary {
            from: self.sender.path().as_str(),
            recipients: self.recipients.len(),
            refused: self.refused,
            size: self.size,
            backends: self.legs.iter().filter_map(Leg::name).collect(),
            outcome: outcome.name(),
            error: self.legs.iter().find_map(Leg::failure),
            began: self.began,
        }
    }

    /// What answers make of it.
    pub(super) fn outcome(answers: &[Answer]) -> Outcome {
        Outcome::of(answers)
    }
}
