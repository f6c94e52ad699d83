//! A connection to a backend that mail is brought to: opened for one message, one command after the other.

use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::time::timeout;
use zproxy_protocol::smtp::{Answer, Delivery, Sender};
use zproxy_protocol::{Client as _, ClientStep, Input};

use super::courier::Courier;
use crate::Error;
use crate::authenticate::{Conversed, converse};
use crate::dial::{self, Target, Terms};
use crate::pool::{Candidate, EndpointTls, Lease};
use crate::stream::Stream;

/// Octets of a reply that one read brings at most.
const ROOM: usize = 4096;
/// A goodbye is not waited for any longer.
const GOODBYE: Duration = Duration::from_secs(5);

/// One that is open.
pub(super) struct Connection {
    stream: Stream,
    input: Input,
    machine: Delivery,
    candidate: Candidate,
    /// The place among its sessions.
    _lease: Lease,
}

impl Connection {
    /// Connects, and says whose mail it is; the answer to that may be no.
    pub(super) async fn open(
        courier: &Courier<'_>,
        candidate: &Candidate,
        sender: &Sender,
    ) -> Result<(Self, Answer), Error> {
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
        let answer = connection.ask(courier, |machine, out| machine.mail(sender, out)).await?;
        Ok((connection, answer))
    }

    /// Which backend it is.
    pub(super) fn candidate(&self) -> &Candidate {
        &self.candidate
    }

    /// Says something, and waits for the answer as long as for one to a login.
    pub(super) async fn ask(
        &mut self,
        courier: &Courier<'_>,
        command: impl FnOnce(&mut Delivery, &mut Vec<u8>) -> Result<(), zproxy_protocol::Error>,
    ) -> Result<Answer, Error> {
        let asked = async {
            let mut out = Vec::new();
            let said = command(&mut self.machine, &mut out);
            said.map_err(|error| Error::of_backend(self.machine.phase(), error))?;
            self.say(&mut out).await?;
            self.answer().await
        };
        let patience = courier.config().timeouts.backend_login;
        timeout(patience, asked).await.unwrap_or_else(|_| Err(Error::BackendTimeout(self.machine.phase())))
    }

    /// Sends a piece of the message.
    pub(super) async fn send(&mut self, piece: &[u8]) -> std::io::Result<()> {
        self.stream.write_all(piece).await
    }

    /// Ends the message.
    pub(super) async fn end(&mut self) -> Result<(), Error> {
        let mut out = Vec::new();
        self.machine.end(&mut out);
        self.say(&mut out).await
    }

    /// Sends a command. What the backend said before it was asked would be taken for the answer.
    async fn say(&mut self, out: &mut Vec<u8>) -> Result<(), Error> {
        let step = self.machine.phase();
        // Looks once, and does not wait.
        let _ = timeout(Duration::ZERO, self.stream.fill(&mut self.input, ROOM)).await;
        if !self.input.is_empty() {
            let early = zproxy_protocol::Error::BackendProtocol("a reply before it was asked for");
            return Err(Error::of_backend(step, early));
        }
        self.stream.send(out).await.map_err(|error| Error::BackendIo { step, kind: error.kind() })
    }

    /// The next answer, whenever it comes.
    pub(super) async fn answer(&mut self) -> Result<Answer, Error> {
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
    pub(super) fn leave(mut self) {
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
