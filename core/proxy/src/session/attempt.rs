//! Steps 4 to 6 of a login, with credentials in hand: route, dial, authenticate.

use std::net::IpAddr;
use std::sync::Arc;

use tokio::time::{Instant, sleep_until, timeout};
use zproxy_protocol::{
    ClientInfo, ClientSetting, ClientStep, Credential, Forward as InProtocol, Goal, Input, Login, LoginAtBackend, Name,
    Refusal, Success,
};

use super::relay::Relay;
use crate::Error;
use crate::accept::Ends;
use crate::authenticate::{Conversed, Open, converse};
use crate::dial::{self, Target, Terms};
use crate::pool::{Candidate, EndpointTls, Forward, Lease};
use crate::record::Record;
use crate::route::{Context, Route, Status};
use crate::server::{Listening, Setup, Shared};
use crate::stream::Stream;

/// Members of a group that one login tries before it gives up: enough to step over two that just died.
const MOST_CANDIDATES: usize = 3;
/// Hops a login may take from proxy to proxy, as Dovecot's: more is a loop.
const HOPS: u8 = 5;

/// What an attempt needs to know of its session.
#[derive(Clone, Copy)]
pub(super) struct Attempt<'a> {
    pub shared: &'a Shared,
    pub setup: &'a Setup,
    pub listening: &'a Listening,
    pub ends: &'a Ends,
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

/// A client, resolved: whose credential it is and whose mailbox is meant.
struct Resolved {
    own: Route,
    /// Another one's mailbox, granted by the directory.
    other: Option<Route>,
}

impl Attempt<'_> {
    /// Leads the login to its end. Whoever has a SCRAM exchange is asked for his proof also where no backend is there to
    /// ask, before he is refused for his credentials.
    pub(super) async fn run(self, login: Login, relay: &mut Relay, record: &mut Record) -> Result<LoggedIn, Error> {
        let began = Instant::now();
        let attempted = self.log_in(&login, relay, record).await;
        if let (Err(error), Credential::Scram(first)) = (&attempted, &login.credential)
            && error.refusal().is_of_credentials()
            && !relay.has_asked()
        {
            let service = self.listening.listener.service;
            let (terms, took) = self.shared.decoys.terms(service, first, &login.name);
            sleep_until(began + took).await;
            relay.ask(first.ask(terms)).await?;
        }
        attempted
    }

    async fn log_in(self, login: &Login, relay: &mut Relay, record: &mut Record) -> Result<LoggedIn, Error> {
        record.step("route");
        let resolved = self.route(login, record).await?;
        let target = resolved.other.as_ref().unwrap_or(&resolved.own);
        record.step("dial");
        let service = self.listening.listener.service;
        if !self.shared.pools.await_first(self.setup.config.timeouts.lookup).await {
            return Err(Error::NoPool);
        }
        let mut last = None;
        for candidate in
            self.shared.pools.candidates(&target.home, &target.account, service)?.iter().take(MOST_CANDIDATES)
        {
            let Some(lease) = self.shared.pools.take(candidate) else {
                last = Some(Error::BackendDown { home: target.home.as_ref().into(), reason: "max_sessions reached" });
                continue;
            };
            record.backend(&candidate.backend.name);
            let logged_in = self.at_backend(candidate, (login, &resolved), relay, record).await;
            match logged_in {
                Ok(Conversed { stream, rest, end: ClientStep::Success(success) }) => {
                    self.shared.pools.succeeded(candidate);
                    let account = Arc::clone(&target.account);
                    return Ok(LoggedIn {
                        stream,
                        rest,
                        success,
                        account,
                        backend: Arc::clone(&candidate.backend.name),
                        lease,
                    });
                }
                Ok(conversed) => {
                    // It answered: that the client is refused says nothing against the backend.
                    self.shared.pools.succeeded(candidate);
                    return Err(refused(conversed.end));
                }
                Err(error) => {
                    self.shared.pools.failed(candidate, &error);
                    if !error.another_backend_may_help() || relay.has_asked() {
                        return Err(error);
                    }
                    last = Some(error);
                }
            }
        }
        Err(last.unwrap_or_else(|| Error::BackendDown { home: target.home.as_ref().into(), reason: "no candidate" }))
    }

    /// Step 4: where the user lives, and whether he may come in.
    async fn route(&self, login: &Login, record: &mut Record) -> Result<Resolved, Error> {
        let own = self.find(&login.name, record).await?.ok_or(Error::UnknownUser)?;
        record.account(&own.account);
        self.permit(&own)?;
        let Some(authzid) = &login.authzid else { return Ok(Resolved { own, other: None }) };
        let other = self.find(authzid, record).await?.ok_or(Error::AuthzidRefused)?;
        if other.account == own.account {
            return Ok(Resolved { own, other: None });
        }
        if !own.lets_act_as(&other.account) {
            return Err(Error::AuthzidRefused);
        }
        self.permit(&other)?;
        record.account(&other.account);
        Ok(Resolved { own, other: Some(other) })
    }

    async fn find(&self, name: &Name, record: &Record) -> Result<Option<Route>, Error> {
        let server_name = record.tls_facts().and_then(|facts| facts.server_name.as_deref());
        let virtual_host = server_name.or(self.ends.authority.as_deref());
        self.shared.routes.find(name, &Context { virtual_host, local: self.ends.local.ip() }).await
    }

    fn permit(&self, route: &Route) -> Result<(), Error> {
        match route.status {
            Status::Active => {}
            Status::Closed => return Err(Error::AccountClosed("closed")),
            Status::Locked => return Err(Error::AccountClosed("locked")),
            Status::Maintenance => return Err(Error::AccountMaintenance),
        }
        let from: IpAddr = self.ends.client.ip();
        if route.allows(from) { Ok(()) } else { Err(Error::AddressNotAllowed) }
    }

    /// Steps 5 and 6, at one backend.
    async fn at_backend(
        &self,
        candidate: &Candidate,
        (login, resolved): (&Login, &Resolved),
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
        record.step("authenticate");
        let mut machine = self.listening.listener.service.protocol().client(ClientSetting {
            starttls: endpoint.tls == EndpointTls::Starttls,
            goal: Goal::Login(Box::new(self.login_at_backend(endpoint.forward, login, resolved, record)?)),
        });
        let began = Instant::now();
        let mut open = Open::from(stream);
        loop {
            let conversed = timeout(timeouts.backend_login, converse(open, machine.as_mut(), target, terms)).await;
            let conversed = conversed.unwrap_or_else(|_| Err(Error::BackendTimeout(machine.phase())))?;
            let ClientStep::Challenge(challenge) = &conversed.end else { return Ok(conversed) };
            if let (Some(terms), Credential::Scram(first)) = (challenge.terms(), &login.credential) {
                self.shared.decoys.saw(endpoint.service, first, (&login.name, terms), began.elapsed());
            }
            let response = relay.ask(challenge.clone()).await?;
            open = conversed.answered(machine.as_mut(), &response);
        }
    }

    fn login_at_backend(
        &self,
        forward: Forward,
        login: &Login,
        resolved: &Resolved,
        record: &Record,
    ) -> Result<LoginAtBackend, Error> {
        // A name the directory made up and no protocol can carry.
        let carry = |route: &Route| {
            Name::new(route.backend_login.as_deref().unwrap_or(&route.account).as_bytes())
                .map_err(|error| Error::LookupFailed(format!("directory's name for the backend: {error}").into()))
        };
        Ok(LoginAtBackend {
            name: carry(&resolved.own)?,
            authzid: resolved.other.as_ref().map(carry).transpose()?,
            credential: login.credential.clone(),
            forward: match forward {
                Forward::Id => InProtocol::Id,
                Forward::Xclient => InProtocol::Xclient,
                Forward::Xoip => InProtocol::Xoip,
                Forward::None | Forward::ProxyV1 | Forward::ProxyV2 => InProtocol::None,
            },
            client: ClientInfo {
                address: self.ends.client,
                local: self.ends.local,
                server_name: record.tls_facts().and_then(|facts| facts.server_name.clone()),
                session_id: record.id().to_owned(),
                ttl: login.replay.hops.map_or(HOPS, |left| left.saturating_sub(1).min(HOPS)),
            },
            replay: login.replay.clone(),
        })
    }
}

/// A login that came to its end, and not to success.
fn refused(end: ClientStep) -> Error {
    match end {
        ClientStep::Refused(Refusal::Cannot) => Error::BackendLacksMechanism,
        ClientStep::Refused(Refusal::Credentials) => Error::WrongPassword,
        ClientStep::Refused(Refusal::Told { code, text }) => Error::BackendRefused { code, text },
        ClientStep::Refused(Refusal::Token(object)) => Error::TokenRefused(object),
        _ => Error::BackendEvasive,
    }
}
