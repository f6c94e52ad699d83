//! One backend's part in a transaction: its connection, its recipients, and what it says of them.
//!
//! A leg that is dropped is cut: the backend gets no end of a message, and so no message. One that is not needed any more
//! [leaves](Leg::leave) with a goodbye.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::time::timeout;
use zproxy_protocol::smtp::{Answer, Delivery, Recipient, Sender, Transport};
use zproxy_protocol::{Client as _, ClientStep, Input};

use super::answers;
use super::courier::Courier;
use crate::Error;
use crate::authenticate::{Conversed, converse};
use crate::dial::{self, Target, Terms};
use crate::pool::{Candidate, EndpointTls, Lease};
use crate::stream::Stream;

/// Members of a group that one transaction tries: as many as a login.
const MOST_CANDIDATES: usize = 3;
/// Octets of a reply that one read brings at most.
const ROOM: usize = 4096;
/// A goodbye is not waited for any longer.
const GOODBYE: Duration = Duration::from_secs(5);
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

struct Connection {
    stream: Stream,
    input: Input,
    machine: Delivery,
    candidate: Candidate,
    /// The place among its sessions.
    _lease: Lease,
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
                    courier.shared.pools.failed(candidate, &error);
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

    /// Whether one of these is where it leads to, or would have.
    pub(super) fn serves(&self, candidates: &[Candidate]) -> bool {
        candidates.iter().any(|candidate| self.backends.contains(&candidate.backend.name))
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
        let patience = courier.config().timeouts.backend_login;
        let Standing::Open(connection) = &mut self.standing else { return self.obstacle() };
        let asked = async {
            let mut out = Vec::new();
            connection.machine.recipient(recipient, &mut out).map_err(|error| Error::of_backend("rcpt", error))?;
            connection.say(&mut out).await?;
            connection.answer().await
        };
        match timeout(patience, asked).await.unwrap_or(Err(Error::BackendTimeout("rcpt"))) {
            Ok(answer) => {
                courier.shared.pools.succeeded(&connection.candidate);
                self.recipients += usize::from(answer.is_positive());
                answer
            }
            Err(error) => self.fail(courier, error),
        }
    }

    /// Asks to be let send the message. Nobody's recipients need no message.
    pub(super) async fn begin_message(&mut self, courier: &Courier<'_>) {
        let Standing::Open(connection) = &mut self.standing else { return };
        let asked = async {
            let mut out = Vec::new();
            connection.machine.data(&mut out);
            connection.say(&mut out).await?;
            connection.answer().await
        };
        let patience = courier.config().timeouts.backend_login;
        match timeout(patience, asked).await.unwrap_or(Err(Error::BackendTimeout("data"))) {
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
        let sent = timeout(courier.config().timeouts.backend_stall, connection.stream.write_all(piece)).await;
        match sent {
            Ok(Ok(())) => {}
            Ok(Err(error)) => match timeout(LAST_WORDS, connection.answer()).await {
                Ok(Ok(answer)) if answer.code() >= 400 => self.refuse(answer),
                _ => {
                    self.fail(courier, Error::BackendIo { step: "message", kind: error.kind() });
                }
            },
            Err(_) => {
                self.fail(courier, Error::BackendTimeout("message"));
            }
        }
    }

    /// Ends the message; what became of it, in LMTP for each recipient.
    pub(super) async fn finish(&mut self, courier: &Courier<'_>) -> Vec<Answer> {
        let count = match courier.transport() {
            Transport::Lmtp => self.recipients,
            Transport::Mx => 1,
        };
        let mut answers = Vec::with_capacity(count);
        if let Standing::Open(connection) = &mut self.standing {
            let verdict = async {
                let mut out = Vec::new();
                connection.machine.end(&mut out);
                connection.say(&mut out).await?;
                while answers.len() < count {
                    answers.push(connection.answer().await?);
                }
                Ok(())
            };
            let patience = courier.config().timeouts.backend_verdict;
            match timeout(patience, verdict).await.unwrap_or(Err(Error::BackendTimeout("message"))) {
                Ok(()) => courier.shared.pools.succeeded(&connection.candidate),
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

    fn fail(&mut self, courier: &Courier<'_>, error: Error) -> Answer {
        if let Standing::Open(connection) = &self.standing {
            courier.shared.pools.failed(&connection.candidate, &error);
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

impl Connection {
    /// Connects, and says whose mail it is; the answer to that may be no.
    async fn open(courier: &Courier<'_>, candidate: &Candidate, sender: &Sender) -> Result<(Self, Answer), Error> {
        let full =
            || Error::BackendDown { home: candidate.backend.name.as_ref().into(), reason: "max_sessions reached" };
        let lease = courier.shared.pools.take(candidate).ok_or_else(full)?;
        let timeouts = &courier.config().timeouts;
        let endpoint = &candidate.endpoint;
        let target = Target { address: candidate.address, host: &candidate.backend.host, endpoint };
        let terms = Terms { trust: &courier.setup.trust, timeout: timeouts.connect, tcp_user: timeouts.tcp_user };
        let stream = dial::open(target, terms, Some((courier.ends.client, courier.ends.local))).await?;
        if courier.shared.leads_back(stream.tcp()) {
            return Err(Error::BackendIsUs(candidate.address));
        }
        let starttls = endpoint.tls == EndpointTls::Starttls;
        let mut machine = Delivery::new(courier.transport(), starttls, courier.presented_to(candidate));
        let conversed = timeout(timeouts.backend_login, converse(stream.into(), &mut machine, target, terms)).await;
        let Conversed { stream, rest, end } =
            conversed.unwrap_or_else(|_| Err(Error::BackendTimeout(machine.phase())))?;
        if !matches!(end, ClientStep::Success(_)) {
            return Err(Error::BackendEvasive);
        }
        let candidate = candidate.clone();
        let mut connection = Self { stream, input: rest, machine, candidate, _lease: lease };
        let asked = async {
            let mut out = Vec::new();
            connection.machine.mail(sender, &mut out).map_err(|error| Error::of_backend("mail", error))?;
            connection.say(&mut out).await?;
            connection.answer().await
        };
        let answer = timeout(timeouts.backend_login, asked).await.unwrap_or(Err(Error::BackendTimeout("mail")))?;
        Ok((connection, answer))
    }

    /// Sends a command. What the backend said before it was asked would be taken for the answer.
    async fn say(&mut self, out: &mut Vec<u8>) -> Result<(), Error> {
        let step = self.machine.phase();
        if !self.input.is_empty() {
            let early = zproxy_protocol::Error::BackendProtocol("a reply before it was asked for");
            return Err(Error::of_backend(step, early));
        }
        self.stream.send(out).await.map_err(|error| Error::BackendIo { step, kind: error.kind() })
    }

    async fn answer(&mut self) -> Result<Answer, Error> {
        loop {
            let step = self.machine.phase();
            if let Some(answer) =
                self.machine.answer(&mut self.input).map_err(|error| Error::of_backend(step, error))?
            {
                return Ok(answer);
            }
            let broken = |kind| Error::BackendIo { step, kind };
            if self.stream.fill(&mut self.input, ROOM).await.map_err(|error| broken(error.kind()))? == 0 {
                return Err(broken(std::io::ErrorKind::UnexpectedEof));
            }
        }
    }

    /// Says goodbye, and keeps its place until the backend has closed.
    fn leave(mut self) {
        tokio::task::spawn_local(async move {
            let goodbye = async {
                self.stream.send(&mut b"QUIT\r\n".to_vec()).await?;
                while self.stream.fill(&mut Input::new(), ROOM).await? > 0 {}
                std::io::Result::Ok(())
            };
            let _ = timeout(GOODBYE, goodbye).await;
        });
    }
}
