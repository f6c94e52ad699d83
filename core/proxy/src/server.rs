//! Owns the threads: one a core that accepts and serves, one for the control plane, one for records.
//!
//! A session never changes its thread. Each thread has its own listening sockets on the same addresses, so the kernel
//! spreads connections and no lock is shared.

mod attached;
mod door;
mod doors;
mod worker;

use std::hash::{BuildHasher as _, RandomState};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::net::TcpStream;
use tokio::sync::watch;

use attached::Attached;
pub use door::Listening;
use doors::Doors;
use worker::Worker;

use crate::config::{self, Api, Config, Invalid, ListenerTls, Records, invalid};
use crate::control::check_credentials;
use crate::decoys::{self, Decoys};
use crate::limits::Limits;
use crate::metrics::Metrics;
use crate::objections::Objections;
use crate::pool::{BadPool, Pools};
use crate::record::{self, Writer};
use crate::route::{self, Routes};
use crate::route_cookie::RouteCookies;
use crate::service::Service;
use crate::sessions::{Ending, Filter, Sessions};
use crate::sys;
use crate::tls::{self, Certificates, Tickets, Trust};
use crate::transactions::harvest::Harvest;
use crate::verify::{self, Proofs};

/// What a config becomes when it takes force.
#[derive(Debug)]
pub struct Setup {
    /// The config.
    pub config: Config,
    /// Shown to clients.
    pub certificates: Arc<Certificates>,
    /// How backends are verified.
    pub trust: Trust,
    /// How clients' own certificates are judged, a listener.
    pub client_verifiers: Vec<tls::Verifier>,
}

impl Setup {
    /// Decodes and checks a serialized config and reads the files it names.
    ///
    /// # Errors
    /// All faults at once.
    pub fn load(config: &[u8]) -> Result<Self, Vec<Invalid>> {
        let (config, mut faults) = Config::decode(config).map_err(|fault| vec![fault])?;
        let certificates = Arc::new(Certificates::load(&config, &mut faults));
        let client_verifiers = tls::load_client_auth(&config.listeners, &mut faults);
        let trust = Trust::load(&config.backend_tls, config.tls.post_quantum, &mut faults);
        if let Api::Tls(remote) = &config.api {
            check_credentials(remote, &mut faults);
        }
        if faults.is_empty() { Ok(Self { config, certificates, trust, client_verifiers }) } else { Err(faults) }
    }
}

/// What all threads share.
pub struct Shared {
    /// The settings in force; a session keeps those it began with.
    pub setup: ArcSwap<Setup>,
    /// Where users live.
    pub routes: Arc<Routes>,
    /// Credentials that control is to prove.
    pub proofs: Proofs,
    /// Backends and groups.
    pub pools: Arc<Pools>,
    /// What seals session tickets.
    pub tickets: Arc<Tickets>,
    /// What seals route cookies.
    pub route_cookies: RouteCookies,
    /// Who is logged in.
    pub sessions: Arc<Sessions>,
    /// What backends ask in exchanges.
    pub decoys: Decoys,
    /// What backends say of tokens.
    pub objections: Objections,
    /// Counts by address and in all.
    pub limits: Arc<Limits>,
    /// Unknown recipients by address.
    pub harvest: Harvest,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// Where records go.
    pub records: Writer,
    /// Unique among edges and restarts.
    pub edge_id: String,
    doors: Doors,
    next_session: AtomicU64,
    random: RandomState,
    stopping: watch::Sender<bool>,
}

impl Shared {
    /// Nobody is connected yet; the pool is the last good one of the state directory, if there is one.
    #[must_use]
    pub fn new(setup: Setup, tickets: Arc<Tickets>, metrics: Arc<Metrics>, records: Writer) -> Self {
        let pools = Pools::new(setup.config.health.clone());
        pools.set_masters(setup.config.master_users.clone());
        if let Err(error) = pools.restore(&setup.config.state_directory) {
            records.log("warning", &format!("the last good pool cannot be used, so control must give one: {error}"));
        }
        metrics.pool_version.set(pools.version());
        let (salts, unkept) = decoys::key(&setup.config);
        if let Some(error) = unkept {
            let problem = "the state directory cannot keep the key of false salts, so it lasts until the next start";
            records.log("warning", &format!("{problem}: {error}"));
        }
        Self {
            decoys: Decoys::new(&salts),
            routes: Arc::new(Routes::new(routing(&setup))),
            proofs: Proofs::new(verifying(&setup)),
            pools: Arc::new(pools),
            setup: ArcSwap::from_pointee(setup),
            sessions: Arc::default(),
            objections: Objections::default(),
            limits: Arc::default(),
            harvest: Harvest::default(),
            metrics,
            doors: Doors::new(Arc::clone(&tickets), records.clone()),
            tickets,
            route_cookies: RouteCookies::default(),
            records,
            edge_id: edge_id(),
            next_session: AtomicU64::new(1),
            random: RandomState::new(),
            stopping: watch::channel(false).0,
        }
    }

    /// An id that no other session of any edge has or will have.
    #[must_use]
    pub fn next_session_id(&self) -> String {
        format!("{}-{:x}", self.edge_id, self.next_session.fetch_add(1, Ordering::Relaxed))
    }

    /// Resolves when the edge shuts down.
    pub async fn stopping(&self) {
        // The sender is ours: it does not go away before we do.
        let _ = self.stopping.subscribe().wait_for(|stopping| *stopping).await;
    }

    /// The port of the first listener that speaks HTTP with TLS.
    #[must_use]
    pub fn https_port(&self) -> Option<u16> {
        let setup = self.setup.load();
        let first =
            setup.config.listeners.iter().find(|it| it.service == Service::Http && it.tls != ListenerTls::Off)?;
        self.doors.listeners(std::slice::from_ref(first)).first().map(|(_, _, bound)| bound.port())
    }

    /// Whether a connection of ours came out at a listener of ours: a login sent there would come back for ever.
    #[must_use]
    pub fn leads_back(&self, connection: &TcpStream) -> bool {
        self.doors.lead_here(connection)
    }

    /// A duration, give or take a tenth: so that the moment of a refusal tells nothing, and crowds spread.
    #[must_use]
    pub fn jitter(&self, around: Duration) -> Duration {
        let draw = self.random.hash_one(self.next_session.fetch_add(1, Ordering::Relaxed)) % 2001;
        around.mul_f64(0.9 + draw as f64 / 10_000.0)
    }
}

/// A running edge.
pub struct Server {
    shared: Arc<Shared>,
    workers: Vec<Worker>,
    control: Attached,
}

impl Server {
    /// Starts everything; when it returns, all listeners accept.
    ///
    /// # Errors
    /// All faults of the config at once, or what the operating system refuses.
    pub fn start(config: &[u8]) -> Result<Self, Vec<Invalid>> {
        let setup = Setup::load(config)?;
        sys::forbid_core_files();
        let _ = sys::raise_descriptor_limit();
        let tickets =
            Tickets::new().map(Arc::new).map_err(|error| vec![invalid("", format!("no random numbers: {error}"))])?;
        let metrics = Arc::new(Metrics::default());
        let records = Writer::start(&setup.config.records, io::stderr(), Arc::clone(&metrics))
            .map_err(|error| vec![unwritable(&setup.config.records, &error)])?;
        let threads = setup.config.threads;
        let shared = Arc::new(Shared::new(setup, tickets, metrics, records));
        let control = Attached::start(&shared)
            .map_err(|error| vec![invalid("", format!("the control thread cannot be started: {error}"))])?;
        let workers = (0..threads)
            .map(|number| Worker::start(number, &shared))
            .collect::<Result<_, _>>()
            .map_err(|error| vec![invalid("threads", format!("a thread cannot be started: {error}"))])?;
        let server = Self { shared, workers, control };
        server.shared.doors.open(&server.shared.setup.load(), &server.workers)?;
        Ok(server)
    }

    /// Each listener's name, service and address, as bound.
    #[must_use]
    pub fn listeners(&self) -> Vec<(Arc<str>, &'static str, SocketAddr)> {
        self.shared.doors.listeners(&self.shared.setup.load().config.listeners)
    }

    /// Takes a new config into force without touching a session; `threads`,
    /// `state_directory` and `sasl.salt_key` keep their values.
    ///
    /// # Errors
    /// All faults at once; the old config stays in force.
    pub fn reload(&self, config: &[u8]) -> Result<(), Vec<Invalid>> {
        let setup = Setup::load(config)?;
        let records =
            record::open(&setup.config.records).map_err(|error| vec![unwritable(&setup.config.records, &error)])?;
        let masters = &setup.config.master_users;
        let missing = |error: BadPool| vec![invalid("master_users", error.to_string())];
        self.shared.pools.check_masters(masters).map_err(missing)?;
        self.shared.doors.open(&setup, &self.workers)?;
        self.shared.records.reopen(records);
        self.shared.setup.store(Arc::new(setup));
        let setup = self.shared.setup.load();
        self.shared.pools.set_health(setup.config.health.clone());
        self.shared.pools.set_masters(setup.config.master_users.clone());
        self.shared.routes.set(routing(&setup));
        self.shared.proofs.set(verifying(&setup));
        Ok(())
    }

    /// Ends the edge: no new client, live sessions are told goodbye in a quiet moment, or cut when `patience` ends.
    /// Returns how many sessions were live.
    pub fn stop(self, patience: Duration) -> usize {
        self.shared.doors.shut();
        self.shared.stopping.send_replace(true);
        let ending = Ending { text: Arc::from("shutting down, come back in a moment"), patience };
        let live = match tokio::runtime::Builder::new_current_thread().build() {
            Ok(runtime) => runtime.block_on(self.shared.sessions.kick(&Filter::default(), &ending)),
            Err(_) => 0,
        };
        for worker in self.workers {
            worker.stop();
        }
        self.control.stop();
        self.shared.records.flush();
        live
    }

    /// The counters as Prometheus text.
    #[must_use]
    pub fn metrics(&self) -> String {
        self.shared.metrics.connections.set(i64::try_from(self.shared.limits.sessions()).unwrap_or(i64::MAX));
        self.shared.metrics.encode()
    }
}

fn routing(setup: &Setup) -> route::Setting {
    let config::Limits { cached_routes, pending_lookups, .. } = setup.config.limits;
    route::Setting { cached_routes, pending_lookups, timeout: setup.config.timeouts.lookup }
}

fn verifying(setup: &Setup) -> verify::Setting {
    verify::Setting { pending: setup.config.limits.pending_lookups, timeout: setup.config.timeouts.verify }
}

fn unwritable(records: &Records, error: &io::Error) -> Invalid {
    let file = if let Records::File(file) = records { file.display().to_string() } else { "stderr".into() };
    invalid("log.records", format!("{file} cannot be opened for append: {error}; let this user write there"))
}

/// Unique among edges and restarts: 48 random bits.
fn edge_id() -> String {
    format!("{:012x}", RandomState::new().hash_one(std::time::SystemTime::now()) >> 16)
}
