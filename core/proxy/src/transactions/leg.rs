//! One backend's part in a transaction: its connection, its recipients, and what it says of them.
//!
//! A leg that is dropped is cut: the backend gets no end of a message, and so no message. One that is not needed any more
//! [leaves](Leg::leave) with a goodbye.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;
use zproxy_protocol::smtp::{Answer, Delivery, Recipient, Sender, Transport};

use super::answers;
use super::connection::Connection;
use super::courier::Courier;
use crate::Error;
use crate::pool::Candidate;

/// Members of a group that one transaction tries: as many as a login.
const MOST_CANDIDATES: usize = 3;
/// What a backend that stopped reading has already said comes at once.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// A backend's part.
pub(super) struct Leg {
    /// Those that were tried; the last one it is.
    pub(super) backends: Vec<Arc<str>>,
    standing: Standing,
    /// Recipients that it has taken.
    pub(super) recipients: usize,
}

enum Standing {
    Open(Box<Connection>),
    /// It takes nothing, and says why.
    Refused(Answer),
    /// It takes nothing for a reason of ours.
    Failed(Error),
}

impl Leg {
    /// Connects to the first of the candidates that can be had, and says whose mail it is.
    pub(super) async fn begin(courier: &Courier<'_>, candidates: &[Candidate], sender: &Sender) -> Self {
        let mut leg = Self { backends: Vec::new(), standing: Standing::Failed(Error::NoPool), recipients: 0 };
        for candidate in candidates.iter().take(MOST_CANDIDATES) {
            leg.backends.push(Arc::clone(&candidate.backend.name));
            leg.standing = match Connection::open(courier, candidate, sender).await {
                Ok((connection, answer)) if answer.is_positive() => Standing::Open(Box::new(connection)),
                Ok((connection, answer)) => {
                    connection.leave();
                    Standing::Refused(answer)
                }
                Err(error) => {
                    courier.failed(candidate, &error);
                    let next = error.another_backend_may_help() || matches!(error, Error::BackendDown { .. });
                    leg.standing = Standing::Failed(error);
                    if next {
                        continue;
                    }
                    break;
                }
            };
            break;
        }
        leg
    }

    /// Whether one of these is where it leads to, or would have. Those that were tried before it are not: who may only go
    /// to one of them must not end up here.
    pub(super) fn serves(&self, candidates: &[Candidate]) -> bool {
        self.name().is_some_and(|name| candidates.iter().any(|candidate| candidate.backend.name == *name))
    }

    /// The backend.
    pub(super) fn name(&self) -> Option<&Arc<str>> {
        self.backends.last()
    }

    /// What stands in its way, for the record.
    pub(super) fn failure(&self) -> Option<&Error> {
        match &self.standing {
            Standing::Failed(error) => Some(error),
            Standing::Open(_) | Standing::Refused(_) => None,
        }
    }

    /// Says whom the message is for.
    pub(super) async fn ask(&mut self, courier: &Courier<'_>, recipient: &Recipient) -> Answer {
        let Standing::Open(connection) = &mut self.standing else { return self.obstacle() };
        match connection.ask(courier, |machine, out| machine.recipient(recipient, out)).await {
            Ok(answer) => {
                courier.shared.pools.succeeded(connection.candidate());
                self.recipients += usize::from(answer.is_positive());
                answer
            }
            Err(error) => self.fail(courier, error),
        }
    }

    /// Asks to be let send the message. Nobody's recipients need no message.
    pub(super) async fn begin_message(&mut self, courier: &Courier<'_>) {
        let Standing::Open(connection) = &mut self.standing else { return };
        let data = |machine: &mut Delivery, out: &mut Vec<u8>| {
            machine.data(out);
            Ok(())
        };
        match connection.ask(courier, data).await {
            Ok(answer) if answer.code() == 354 => {}
            Ok(answer) if answer.code() >= 400 => self.refuse(answer),
            Ok(_) => {
                let broken = zproxy_protocol::Error::BackendProtocol("data");
                self.fail(courier, Error::of_backend("data", broken));
            }
            Err(error) => {
                self.fail(courier, error);
            }
        }
    }

    /// Whether it takes the message.
    pub(super) fn is_open(&self) -> bool {
        matches!(self.standing, Standing::Open(_))
    }

    /// Sends a piece of the message, as soon as the backend takes it.
    pub(super) async fn send(&mut self, courier: &Courier<'_>, piece: &[u8]) {
        let Standing::Open(connection) = &mut self.standing else { return };
        let sent = timeout(courier.config().timeouts.backend_stall, connection.send(piece)).await;
        let error = match sent {
            Ok(Ok(())) => return,
            Ok(Err(error)) => Error::BackendIo { step: "message", kind: error.kind() },
            Err(_) => Error::BackendTimeout("message"),
        };
        self.broke(courier, error).await;
    }

    /// Ends the message; what became of it, in LMTP for each recipient.
    pub(super) async fn finish(&mut self, courier: &Courier<'_>) -> Vec<Answer> {
        let count = match courier.transport() {
            Transport::Lmtp => self.recipients,
            Transport::Mx => 1,
        };
        self.end(courier).await;
        let mut answers = Vec::with_capacity(count);
        if let Standing::Open(connection) = &mut self.standing {
            let verdict = async {
                while answers.len() < count {
                    answers.push(connection.answer().await?);
                }
                Ok(())
            };
            let patience = courier.config().timeouts.backend_verdict;
            match timeout(patience, verdict).await.unwrap_or(Err(Error::BackendTimeout("message"))) {
                Ok(()) => courier.shared.pools.succeeded(connection.candidate()),
                Err(error) => {
                    self.fail(courier, error);
                }
            }
        }
        while answers.len() < count {
            answers.push(self.obstacle());
        }
        answers
    }

    /// Says that the message is at its end.
    async fn end(&mut self, courier: &Courier<'_>) {
        let Standing::Open(connection) = &mut self.standing else { return };
        let said = timeout(courier.config().timeouts.backend_stall, connection.end()).await;
        if let Err(error) = said.unwrap_or(Err(Error::BackendTimeout("message"))) {
            self.broke(courier, error).await;
        }
    }

    /// Leaves with a goodbye, for which nobody waits.
    pub(super) fn leave(self) {
        if let Standing::Open(connection) = self.standing {
            connection.leave();
        }
    }

    /// Cuts it, whatever is under way.
    pub(super) fn cut(&mut self, error: Error) {
        if self.is_open() {
            self.standing = Standing::Failed(error);
        }
    }

    /// It failed within a message: the backend may have said why.
    async fn broke(&mut self, courier: &Courier<'_>, error: Error) {
        let Standing::Open(connection) = &mut self.standing else { return };
        match timeout(LAST_WORDS, connection.answer()).await {
            Ok(Ok(answer)) if answer.code() >= 400 => self.refuse(answer),
            _ => {
                self.fail(courier, error);
            }
        }
    }

    fn fail(&mut self, courier: &Courier<'_>, error: Error) -> Answer {
        if let Standing::Open(connection) = &self.standing {
            courier.failed(connection.candidate(), &error);
        }
        self.standing = Standing::Failed(error);
        self.obstacle()
    }

    fn refuse(&mut self, answer: Answer) {
        self.standing = Standing::Refused(answer);
    }

    /// What those hear whose mail it does not take.
    fn obstacle(&self) -> Answer {
        match &self.standing {
            Standing::Refused(answer) => answer.clone(),
            Standing::Failed(error) => answers::of_error(error),
            // Not reached: who is open has answers of its own.
            Standing::Open(_) => answers::of_error(&Error::BackendEvasive),
        }
    }
}
