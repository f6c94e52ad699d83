//! One login, one straight line: accept, TLS, greet, route, dial, authenticate, splice, record.
//!
//! The steps are named here and done elsewhere. What is logged in goes on in a task of its own, so that an idle session
//! keeps nothing of its login.

mod attempt;
mod relay;
mod resolve;
mod way;

use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until, timeout, timeout_at};
use zproxy_protocol::sasl::TokenMechanism;
use zproxy_protocol::{LoginOffer, ServerSetting, Then};

use crate::accept::{self, Ends};
use crate::config::ListenerTls;
use crate::error::EndedBy;
use crate::greet::{Asked, Greeting, Starttls};
use crate::limits::{AddressPlace, Place};
use crate::metrics::{EndLabels, LoginLabels};
use crate::pool::Lease;
use crate::record::Record;
use crate::server::{Listening, Setup, Shared};
use crate::sessions::{Entry, Facts};
use crate::splice::{Ended, Splice};
use crate::stream::Stream;
use crate::{Error, sys};
use attempt::{Attempt, LoggedIn};

/// A connection that was just accepted.
#[derive(Debug)]
pub struct Arrival {
    /// The connection.
    pub tcp: TcpStream,
    /// Where it came from.
    pub peer: std::net::SocketAddr,
    /// The listener it came to.
    pub listening: Arc<Listening>,
    /// Its place among all sessions.
    pub place: Place,
}

/// What a session holds from its accept to its end.
struct Session {
    shared: Arc<Shared>,
    /// The settings it began with; a reload does not touch it.
    setup: Arc<Setup>,
    listening: Arc<Listening>,
    record: Record,
    address_place: Option<AddressPlace>,
    _place: Place,
}

/// Serves a connection to its end.
pub async fn run(arrival: Arrival, shared: Arc<Shared>) {
    let Arrival { tcp, peer, listening, place } = arrival;
    let listener = &listening.listener;
    let record = Record::begin(shared.next_session_id(), listener.service, Arc::clone(&listener.name), peer);
    let setup = shared.setup.load_full();
    let mut session = Session { shared, setup, listening, record, address_place: None, _place: place };
    match session.log_in(tcp, peer).await {
        Ok(Some(logged_in)) => logged_in.go_on(session),
        Ok(None) => session.end(EndedBy::Client, None, (0, 0)),
        Err(error) => session.end(error.ended_by(), Some(&error), (0, 0)),
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

impl Session {
    async fn log_in(&mut self, tcp: TcpStream, peer: std::net::SocketAddr) -> Result<Option<Joined>, Error> {
        let deadline = Instant::now() + self.setup.config.timeouts.login;
        let (stream, ends) = self.admit(tcp, peer).await?;
        let mut client = self.greet(stream).await?;
        let mut tries = Tries::default();
        loop {
            self.record.step("greet");
            let login = match self.hear(&mut client, deadline).await? {
                Asked::Goodbye => return Ok(None),
                Asked::Login(login) => login,
            };
            let token = login.credential.token_mechanism();
            let era = self.shared.sessions.era();
            self.record.login(login.mechanism);
            let (mut relay, mut clerk) = relay::open(&login.credential, deadline);
            let attempt = Attempt {
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
                Ok(logged_in) => return self.join(client, logged_in, &ends, era).await.map(Some),
                // It knows.
                Err(error @ Error::ClientGaveUp) => self.shared.records.put(self.record.refused(&error)),
                Err(Error::ClientTimeout(step)) => return Err(too_slow(&mut client, step).await),
                Err(error) if error.ended_by() == EndedBy::Client => return Err(error),
                Err(error) => {
                    self.record.step("refuse");
                    let trial = Trial { at: clerk.answered(), token };
                    self.refuse(&mut client, &error, &mut tries, trial).await?;
                }
            }
        }
    }

    /// Steps 1 and 2: whose connection it is, whether there is room, and TLS if it comes with the first byte.
    async fn admit(&mut self, mut tcp: TcpStream, peer: std::net::SocketAddr) -> Result<(Stream, Ends), Error> {
        let config = &self.setup.config;
        let listener = &self.listening.listener;
        sys::tune(&tcp, config.timeouts.tcp_user).map_err(|error| Error::ClientIo(error.kind()))?;
        let ends = timeout(config.timeouts.handshake, accept::ends(&mut tcp, peer, listener))
            .await
            .map_err(|_| Error::ClientTimeout("PROXY header"))??;
        self.record.ends(ends.clone());
        if !config.limits.trusted.contain(ends.client.ip()) {
            let most = config.limits.sessions_per_address;
            self.address_place = self.shared.limits.enter_address(ends.client.ip(), most);
            if self.address_place.is_none() {
                return Err(self.turn_away(tcp).await);
            }
        }
        if listener.tls != ListenerTls::Implicit {
            return Ok((Stream::Plain(tcp), ends));
        }
        self.record.step("tls");
        let under = self.listening.tls.clone().ok_or_else(|| Error::ClientTls("no certificate".into()))?;
        let (stream, facts) = under.accept(tcp, config.timeouts.handshake).await?;
        self.record.tls(facts);
        Ok((stream, ends))
    }

    /// A polite word costs nothing in clear; a handshake for it would cost what the limit is to save.
    async fn turn_away(&self, tcp: TcpStream) -> Error {
        if self.listening.listener.tls != ListenerTls::Implicit
            && let Ok(mut client) = self.greet(Stream::Plain(tcp)).await
        {
            client.goodbye("too many sessions from your address").await;
        }
        Error::TooManySessions
    }

    /// Step 3: the greeting.
    async fn greet(&self, stream: Stream) -> Result<Greeting, Error> {
        let listener = &self.listening.listener;
        let config = &self.setup.config;
        let offer = self.shared.pools.offer(listener.service);
        let setting = ServerSetting {
            hostname: Arc::clone(&config.hostname),
            login: match listener.tls {
                ListenerTls::Implicit | ListenerTls::Off => LoginOffer::Now,
                ListenerTls::StarttlsOptional => LoginOffer::NowOrAfterTls,
                ListenerTls::StarttlsRequired => LoginOffer::OnlyAfterTls,
            },
            shared: Arc::clone(&offer.capabilities),
            passwords: offer.passwords,
            certificate: self.record.tls_facts().is_some_and(|facts| facts.identity.is_some()),
            bad_commands: config.limits.bad_commands,
            max_command: config.limits.line,
            max_response: config.sasl.max_line,
        };
        let offered = matches!(listener.tls, ListenerTls::StarttlsOptional | ListenerTls::StarttlsRequired);
        let starttls =
            Starttls { under: self.listening.tls.clone().filter(|_| offered), deadline: config.timeouts.handshake };
        let most = config.limits.line.max(config.sasl.max_line);
        Greeting::begin(stream, listener.service.protocol().server(setting), starttls, most).await
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
    async fn join(&mut self, client: Greeting, logged_in: LoggedIn, ends: &Ends, era: u64) -> Result<Joined, Error> {
        let LoggedIn { stream, rest, success, account, backend, lease } = logged_in;
        // Listed before the client hears of it: who drains or kicks in between must not miss it.
        let facts = Facts {
            id: self.record.id().into(),
            account,
            backend,
            client: ends.client,
            service: self.listening.listener.service,
            listener: Arc::clone(&self.listening.listener.name),
            tls: self.record.tls_facts().map_or("", |facts| facts.version),
        };
        let entry = self.shared.sessions.enter(facts, era);
        self.record.step("welcome");
        let front = client.welcome(&success).await?;
        let back = (stream, rest);
        let splice = match success.guard {
            None => Splice::new(front, back),
            Some(guard) => Splice::guarded(front, back, guard),
        };
        self.record.step("splice");
        self.count_login("ok");
        Ok(Joined { splice, entry, lease })
    }

    fn count_login(&self, outcome: &'static str) {
        let service = self.listening.listener.service.name();
        self.shared.metrics.logins.get_or_create(&LoginLabels { service, outcome }).inc();
    }

    /// Step 8: the record.
    fn end(self, by: EndedBy, error: Option<&Error>, bytes: (u64, u64)) {
        let labels = EndLabels { service: self.listening.listener.service.name(), by: by.name() };
        self.shared.metrics.ended.get_or_create(&labels).inc();
        self.shared.records.put(self.record.ended(by, error, bytes));
    }
}

/// Last words to a client that lets us wait.
async fn too_slow(client: &mut Greeting, step: &'static str) -> Error {
    client.goodbye("login took too long").await;
    Error::ClientTimeout(step)
}

impl Joined {
    /// The rest of the session, in a task of its own.
    fn go_on(self, session: Session) {
        let Self { splice, entry, lease } = self;
        let session = Box::new(session);
        tokio::task::spawn_local(async move {
            let service = session.listening.listener.service;
            let idle: Duration = session.setup.config.timeouts.idle[service.index()];
            let Ended { by, error } = splice.run(entry.live(), service.protocol(), idle).await;
            let bytes = entry.live().bytes();
            session.end(by, error.as_ref(), bytes);
            drop((entry, lease));
        });
    }
}
