//! Steps 4 to 6 of a login, with credentials in hand: route, dial, authenticate.

use std::sync::Arc;

use tokio::time::{sleep_until, timeout};
use zproxy_protocol::{
    ClientSetting, ClientStep, Credential, Goal, Input, Login, LoginAtBackend, Protocol, Refusal, Success,
};

use super::relay::Relay;
use super::resolve::Resolved;
use crate::Error;
use crate::accept::Ends;
use crate::authenticate::{Conversed, Open, converse};
use crate::dial::{self, Target, Terms};
use crate::pool::{Candidate, EndpointTls, Lease, LoginStyle, Stake};
use crate::record::{Record, Step};
use crate::server::{Listening, Setup, Shared};
use crate::stream::Stream;

/// Members of a group that one login tries before it gives up: enough to step over two that just died.
const MOST_CANDIDATES: usize = 3;
/// Of a backend's refusals of our master user, those that are about the mailbox: the client may know them.
const OF_MAILBOX: [&str; 7] = ["IN-USE", "INUSE", "LIMIT", "LOGIN-DELAY", "OVERQUOTA", "SYS/TEMP", "UNAVAILABLE"];

/// What an attempt needs to know of its session.
#[derive(Clone, Copy)]
pub(super) struct Attempt<'a> {
    pub protocol: &'a dyn Protocol,
    pub shared: &'a Shared,
    pub setup: &'a Setup,
    pub listening: &'a Listening,
    pub ends: &'a Ends,
    /// Of this connection, from 1.
    pub number: u32,
}

/// A backend that has let the client in.
pub(super) struct LoggedIn {
    pub stream: Stream,
    /// What the backend sent behind its success line.
    pub rest: Input,
    pub success: Success,
    pub account: Arc<str>,
    pub backend: Arc<str>,
    pub lease: Lease,
}

impl Attempt<'_> {
    /// Leads the login to its end. Whoever has a SCRAM exchange is asked for his proof also where no backend is there to
    /// ask, before he is refused for his credentials.
    pub(super) async fn run(self, login: Login, relay: &mut Relay, record: &mut Record) -> Result<LoggedIn, Error> {
        let attempted = self.log_in(&login, relay, record).await;
        if let (Err(error), Credential::Scram(first), Some(name)) = (&attempted, &login.credential, &login.name)
            && error.refusal().is_of_credentials()
            && !relay.has_asked()
        {
            let service = self.listening.listener.service;
            let (terms, took) = self.shared.decoys.terms(service, first, (name, login.authzid.as_ref()));
            sleep_until(relay.began() + took).await;
            relay.ask(first.ask(terms)).await?;
        }
        attempted
    }

    async fn log_in(self, login: &Login, relay: &mut Relay, record: &mut Record) -> Result<LoggedIn, Error> {
        record.step(Step::Route);
        let mut resolved = self.resolve(login, record).await?;
        // The verdict may be what says where to.
        if resolved.lacks_proof_by_route() {
            resolved = self.prove(login, resolved, record).await?;
        }
        let mut candidates = self.candidates(&resolved).await?;
        if resolved.lacks_proof_at(candidates.iter().map(|candidate| &*candidate.endpoint)) {
            resolved = self.prove(login, resolved, record).await?;
            candidates = self.candidates(&resolved).await?;
        }
        let target = resolved.target();
        let down = |reason| Error::BackendDown { home: target.home.as_ref().into(), reason };
        record.step(Step::Dial);
        let mut last = None;
        for candidate in &candidates {
            let Some(lease) = self.shared.pools.take(candidate) else {
                last = Some(down("max_sessions reached"));
                continue;
            };
            record.backend(&candidate.backend.name);
            let as_seen = self.login_at_backend(&candidate.endpoint, login, &resolved, record)?;
            let error = match self.at_backend(candidate, (login, as_seen), relay, record).await {
                Ok(Conversed { stream, rest, end: ClientStep::Success(success) }) => {
                    self.shared.pools.succeeded(candidate);
                    let (account, backend) = (Arc::clone(&target.account), Arc::clone(&candidate.backend.name));
                    return Ok(LoggedIn { stream, rest, success, account, backend, lease });
                }
                Ok(conversed) => {
                    // It answered: that the client is refused says nothing against the backend.
                    self.shared.pools.succeeded(candidate);
                    self.refused(conversed.end, candidate, &resolved)
                }
                Err(error) => {
                    self.shared.pools.failed(candidate, &error);
                    error
                }
            };
            if resolved.proved.is_some() {
                self.alarm(&error, candidate);
            }
            if !error.another_backend_may_help() || relay.has_asked() {
                return Err(error);
            }
            last = Some(error);
        }
        Err(last.unwrap_or_else(|| down("no candidate")))
    }

    async fn candidates(&self, resolved: &Resolved) -> Result<Vec<Candidate>, Error> {
        if !self.shared.pools.await_first(self.setup.config.timeouts.lookup).await {
            return Err(Error::NoPool);
        }
        let (target, service) = (resolved.target(), self.listening.listener.service);
        let mut candidates = self.shared.pools.candidates(&target.home, Stake::Login(&target.account), service)?;
        candidates.truncate(MOST_CANDIDATES);
        Ok(candidates)
    }

    /// Steps 5 and 6, at one backend.
    async fn at_backend(
        &self,
        candidate: &Candidate,
        (login, as_seen): (&Login, LoginAtBackend),
        relay: &mut Relay,
        record: &mut Record,
    ) -> Result<Conversed, Error> {
        let timeouts = &self.setup.config.timeouts;
        let endpoint = &candidate.endpoint;
        let target = Target { address: candidate.address, host: &candidate.backend.host, endpoint };
        let terms = Terms { trust: &self.setup.trust, timeout: timeouts.connect, tcp_user: timeouts.tcp_user };
        let stream = dial::open(target, terms, Some((self.ends.client, self.ends.local))).await?;
        if self.shared.leads_back(stream.tcp()) {
            return Err(Error::BackendIsUs(candidate.address));
        }
        record.step(Step::Authenticate);
        let mut machine = self.protocol.client(ClientSetting {
            starttls: endpoint.tls == EndpointTls::Starttls,
            goal: Goal::Login(Box::new(as_seen)),
        });
        let mut open = Open::from(stream);
        loop {
            let conversed = timeout(timeouts.backend_login, converse(open, machine.as_mut(), target, terms)).await;
            let conversed = conversed.unwrap_or_else(|_| Err(Error::BackendTimeout(machine.phase())))?;
            let ClientStep::Challenge(challenge) = &conversed.end else { return Ok(conversed) };
            if let (Some(terms), Credential::Scram(first), Some(name)) =
                (challenge.terms(), &login.credential, &login.name)
            {
                self.shared.decoys.saw(endpoint.service, first, (name, terms), relay.began().elapsed());
            }
            let response = relay.ask(challenge.clone()).await?;
            open = conversed.answered(machine.as_mut(), &response);
        }
    }

    /// A login that came to its end, and not to success. A master user's, or one by a password that is not the client's
    /// own, is not the client's fault, and still says nothing against the backend: else a client whose mailbox is missing
    /// there could have it ejected.
    fn refused(&self, end: ClientStep, candidate: &Candidate, resolved: &Resolved) -> Error {
        let error = match end {
            ClientStep::Refused(Refusal::Cannot) => Error::BackendLacksMechanism,
            ClientStep::Refused(Refusal::Credentials) => Error::WrongPassword,
            ClientStep::Refused(Refusal::Told { code, text }) => Error::BackendRefused { code, text },
            ClientStep::Refused(Refusal::Token(object)) => Error::TokenRefused(object),
            _ => Error::BackendEvasive,
        };
        let of_mailbox = |code: &str| OF_MAILBOX.contains(&code);
        match (resolved.style(&candidate.endpoint), error) {
            (LoginStyle::VerifyThenMaster, Error::BackendRefused { code, text }) if of_mailbox(&code) => {
                Error::BackendRefused { code, text }
            }
            (LoginStyle::VerifyThenMaster, Error::BackendRefused { .. } | Error::WrongPassword) => {
                let name = self.master(&candidate.endpoint).map_or("", |master| &master.name);
                Error::MasterRefused(name.into())
            }
            (_, Error::WrongPassword) if resolved.goes_by_given_password() => Error::GivenPasswordRefused,
            (_, error) => error,
        }
    }

    /// A backend that shall believe us and does not concerns the operator: told of at growing distances, and counted.
    fn alarm(&self, error: &Error, candidate: &Candidate) {
        let mistrusts = match error {
            Error::GivenPasswordRefused | Error::MasterRefused(_) => true,
            Error::BackendProtocol { source, .. } => matches!(source, zproxy_protocol::Error::BackendLacks(_)),
            _ => false,
        };
        if mistrusts {
            let times = self.shared.metrics.proved_refused.inc() + 1;
            if times.is_power_of_two() {
                let told =
                    format!("backend {}: {error} ({times} logins of proved clients so far)", candidate.backend.name);
                self.shared.records.log("error", &told);
            }
        }
    }
}
