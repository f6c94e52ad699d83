//! One login, one straight line: accept, TLS, greet, route, dial, authenticate, splice, record.
//!
//! The steps are named here and done elsewhere. What is logged in goes on in a task of its own, so that an idle session
//! keeps nothing of its login.

mod attempt;
mod relay;
mod resolve;
mod way;

use std::sync::Arc;

use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until, timeout_at};
use zproxy_protocol::sasl::TokenMechanism;
use zproxy_protocol::{Protocol, ServerSetting, Then};

use crate::accept::Ends;
use crate::config::ListenerTls;
use crate::error::EndedBy;
use crate::greet::{Asked, Greeting};
use crate::metrics::LoginLabels;
use crate::pool::Lease;
use crate::record::Step;
use crate::server::Shared;
use crate::service::Service;
use crate::sessions::{Entry, Facts};
use crate::splice::{Ended, Splice, Terms};
use crate::stream::Stream;
use crate::visit::{Admitted, Arrival, Visit};
use crate::{Error, http, transactions};
use attempt::{Attempt, LoggedIn};

/// Serves a connection to its end.
pub async fn run(arrival: Arrival, shared: Arc<Shared>) {
    let service = arrival.listening.listener.service;
    let Some(protocol) = service.protocol() else {
        return match service {
            Service::Http | Service::HttpAdmin => http::run(arrival, shared).await,
            _ => transactions::run(arrival, shared).await,
        };
    };
    let (mut visit, tcp, peer) = Visit::begin(arrival, shared);
    match visit.log_in(protocol, tcp, peer).await {
        Ok(Some(logged_in)) => logged_in.go_on(visit),
        Ok(None) => visit.end(EndedBy::Client, None, (0, 0)),
        Err(error) => visit.end(error.ended_by(), Some(&error), (0, 0)),
    }
}

/// Logins of one connection that did not succeed.
#[derive(Default)]
struct Tries {
    /// For whatever reason.
    failed: u32,
    /// For want of the right credentials: what makes the delay grow. A fault of ours does not.
    refused: u32,
}

/// A login under way.
#[derive(Clone, Copy)]
struct Trial {
    /// When the client said its last word.
    at: Instant,
    /// How a token came; none: it was a password.
    token: Option<TokenMechanism>,
}

/// A session whose client was told that it is logged in.
struct Joined {
    splice: Splice,
    entry: Entry,
    lease: Lease,
}

impl Visit {
    async fn log_in(
        &mut self,
        protocol: &'static dyn Protocol,
        tcp: TcpStream,
        peer: std::net::SocketAddr,
    ) -> Result<Option<Joined>, Error> {
        let deadline = Instant::now() + self.setup.config.timeouts.login;
        let (stream, ends) = match self.admit(tcp, peer).await? {
            Admitted::Client(stream, ends) => (stream, ends),
            Admitted::TooMany(tcp) => return Err(self.turn_away(protocol, tcp).await),
        };
        let mut client = self.greet(protocol, stream).await?;
        let mut tries = Tries::default();
        loop {
            self.record.step(Step::Greet);
            let login = match self.hear(&mut client, deadline).await? {
                Asked::Goodbye => return Ok(None),
                Asked::Login(login) => login,
            };
            let token = login.credential.token_mechanism();
            let era = self.shared.sessions.era();
            self.record.login(login.mechanism);
            let (mut relay, mut clerk) = relay::open(&login.credential, deadline);
            let attempt = Attempt {
                protocol,
                shared: &self.shared,
                setup: &self.setup,
                listening: &self.listening,
                ends: &ends,
                number: tries.failed + 1,
            };
            let attempted = tokio::select! {
                attempted = timeout_at(deadline, attempt.run(login, &mut relay, &mut self.record)) => attempted,
                error = clerk.attend(&mut client) => Ok(Err(error)),
            };
            match attempted.unwrap_or(Err(Error::BackendTimeout("login"))) {
                Ok(logged_in) => {
                    let (splice, entry, lease) = self.join(client, logged_in, &ends, era).await?;
                    return Ok(Some(Joined { splice, entry, lease }));
                }
                // It knows.
                Err(error @ Error::ClientGaveUp) => self.shared.records.put(self.record.refused(&error)),
                Err(Error::ClientTimeout(step)) => return Err(too_slow(&mut client, step).await),
                Err(error) if error.ended_by() == EndedBy::Client => return Err(error),
                Err(error) => {
                    self.record.step(Step::Refuse);
                    let trial = Trial { at: clerk.answered(), token };
                    self.refuse(&mut client, &error, &mut tries, trial).await?;
                }
            }
        }
    }

    /// A polite word costs nothing in clear; a handshake for it would cost what the limit is to save.
    async fn turn_away(&self, protocol: &dyn Protocol, tcp: TcpStream) -> Error {
        if self.listening.listener.tls != ListenerTls::Implicit
            && let Ok(mut client) = self.greet(protocol, Stream::Plain(tcp)).await
        {
            client.goodbye("too many sessions from your address").await;
        }
        Error::TooManySessions
    }

    /// Step 3: the greeting.
    async fn greet(&self, protocol: &dyn Protocol, stream: Stream) -> Result<Greeting, Error> {
        let listener = &self.listening.listener;
        let config = &self.setup.config;
        let offer = self.shared.pools.offer(listener.service);
        let setting = ServerSetting {
            hostname: Arc::clone(&config.hostname),
            login: self.login_offer(),
            shared: Arc::clone(&offer.capabilities),
            passwords: offer.passwords,
            certificate: self.record.tls_facts().is_some_and(|facts| facts.identity.is_some()),
            bad_commands: config.limits.bad_commands,
            max_command: config.limits.line,
            max_response: config.sasl.max_line,
        };
        let most = config.limits.line.max(config.sasl.max_line);
        Greeting::begin(stream, protocol.server(setting), self.starttls(), most).await
    }

    /// Step 3, goes on: who the client says it is.
    async fn hear(&mut self, client: &mut Greeting, deadline: Instant) -> Result<Asked, Error> {
        let record = &mut self.record;
        tokio::select! {
            asked = timeout_at(deadline, client.asked(|facts| record.tls(facts))) => {
                if let Ok(asked) = asked {
                    return asked;
                }
                Err(too_slow(client, "login").await)
            }
            () = self.shared.stopping() => {
                client.goodbye("shutting down, come back in a moment").await;
                Err(Error::Shutdown)
            }
        }
    }

    /// Tells the client why it is not logged in: a wrong password and an unknown user at the same moment.
    async fn refuse(
        &mut self,
        client: &mut Greeting,
        error: &Error,
        tries: &mut Tries,
        trial: Trial,
    ) -> Result<(), Error> {
        let service = self.listening.listener.service;
        let refusal = match trial.token {
            Some(mechanism) => self.shared.objections.refusal(service, mechanism, error.refusal()),
            None => error.refusal(),
        };
        self.shared.records.put(self.record.refused(error));
        tries.failed += 1;
        let outcome = if refusal.is_of_credentials() { "refused" } else { "temporary" };
        self.count_login(outcome);
        if refusal.is_of_credentials() {
            tries.refused += 1;
            let delay = self.setup.config.timeouts.auth_failure_delay * tries.refused;
            tokio::select! {
                () = sleep_until(trial.at + self.shared.jitter(delay)) => {}
                error = client.gone() => return Err(error),
            }
        }
        if tries.failed < self.setup.config.limits.login_attempts {
            return client.refuse(&refusal, Then::TryAgain).await;
        }
        client.refuse(&refusal, Then::Close).await?;
        client.close().await;
        Err(error.clone())
    }

    /// Step 7: the client hears that it is logged in, and both connections become one.
    async fn join(
        &mut self,
        client: Greeting,
        logged_in: LoggedIn,
        ends: &Ends,
        era: u64,
    ) -> Result<(Splice, Entry, Lease), Error> {
        let LoggedIn { stream, rest, success, account, backend, lease } = logged_in;
        // Listed before the client hears of it: who drains or kicks in between must not miss it.
        let facts = Facts {
            id: Arc::clone(self.record.id()),
            account,
            backend,
            client: ends.client,
            service: self.listening.listener.service,
            listener: Arc::clone(&self.listening.listener.name),
            tls: self.record.tls_facts().map_or("", |facts| facts.version),
        };
        let entry = self.shared.sessions.enter(facts, era);
        self.record.step(Step::Welcome);
        let front = client.welcome(&success).await?;
        let back = (stream, rest);
        let splice = match success.guard {
            None => Splice::new(front, back),
            Some(guard) => Splice::guarded(front, back, guard),
        };
        self.record.step(Step::Splice);
        self.count_login("ok");
        Ok((splice, entry, lease))
    }

    fn count_login(&self, outcome: &'static str) {
        let service = self.listening.listener.service.name();
        self.shared.metrics.logins.get_or_create(&LoginLabels { service, outcome }).inc();
    }
}

/// Last words to a client that lets us wait.
async fn too_slow(client: &mut Greeting, step: &'static str) -> Error {
    client.goodbye("login took too long").await;
    Error::ClientTimeout(step)
}

impl Joined {
    /// The rest of the session, in a task of its own.
    fn go_on(mut self, visit: Visit) {
        // Of no use before the end; in a task it would be moved, and so have its room twice.
        let visit = Box::new(visit);
        tokio::task::spawn_local(async move {
            let service = visit.listening.listener.service;
            let idle = visit.setup.config.timeouts.idle[service.index()];
            let terms = Terms { protocol: service.protocol(), idle };
            let Ended { by, error } = self.splice.run(self.entry.live(), &terms).await;
            let bytes = self.entry.live().bytes();
            visit.end(by, error.as_ref(), bytes);
            drop((self.entry, self.lease));
        });
    }
}
