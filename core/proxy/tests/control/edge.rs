//! An edge without listeners: what it shares, and its control tasks on a thread of their own, as in the product.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use prost::Message as _;
use tokio::sync::oneshot;
use zproxy_proxy::config::Records;
use zproxy_proxy::metrics::Metrics;
use zproxy_proxy::record::Writer;
use zproxy_proxy::route::Context;
use zproxy_proxy::server::{Setup, Shared};
use zproxy_proxy::tls::Tickets;
use zproxy_proxy::wire::{self, Config, Limits, Listener, ListenerTls, Protocol, Timeouts};

use super::fake::until;

/// A directory of its own, gone with the test.
pub(super) struct Directory(PathBuf);

impl Directory {
    pub(super) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("zproxy-control-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    /// Where control listens unless the config says otherwise.
    pub(super) fn socket(&self) -> PathBuf {
        self.0.join("api.sock")
    }

    fn log(&self) -> PathBuf {
        self.0.join("log")
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The running edge.
pub(super) struct Edge {
    pub(super) shared: Arc<Shared>,
    log: PathBuf,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Edge {
    pub(super) fn start(directory: &Directory) -> Self {
        Self::with(directory, |_| {})
    }

    /// With a config that differs from the usual one.
    pub(super) fn with(directory: &Directory, change: impl FnOnce(&mut Config)) -> Self {
        let mut config = config(directory);
        change(&mut config);
        let metrics = Arc::new(Metrics::default());
        let log = File::create(directory.log()).unwrap();
        let records = Writer::start(&Records::Stderr, log, Arc::clone(&metrics)).unwrap();
        let setup = Setup::load(&config.encode_to_vec()).unwrap();
        let shared = Arc::new(Shared::new(setup, Arc::new(Tickets::new().unwrap()), metrics, records));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (stop, stopped) = oneshot::channel();
        let running = Arc::clone(&shared);
        let thread = std::thread::spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    _ = stopped => {}
                    () = zproxy_proxy::control::run(running) => {}
                }
            });
        });
        Self { shared, log: directory.log(), stop: Some(stop), thread: Some(thread) }
    }

    /// What it has told its operator so far.
    pub(super) fn told(&self) -> String {
        self.shared.records.flush();
        std::fs::read_to_string(&self.log).unwrap()
    }

    /// Asks for a login's route.
    pub(super) async fn find(&self, login: &str) -> Found {
        find(Arc::clone(&self.shared), login.to_owned()).await
    }

    /// Asks in a task of its own.
    pub(super) fn finding(&self, login: &str) -> tokio::task::JoinHandle<Found> {
        tokio::spawn(find(Arc::clone(&self.shared), login.to_owned()))
    }

    /// Waits until so many names are being asked for.
    pub(super) async fn pending(&self, count: usize) {
        until(|| self.shared.routes.pending() == count).await;
    }
}

pub(super) type Found = Result<Option<zproxy_proxy::route::Route>, zproxy_proxy::Error>;

async fn find(shared: Arc<Shared>, login: String) -> Found {
    let context = Context { virtual_host: Some("mail.tgg.net.id"), local: "127.0.0.1".parse().unwrap() };
    shared.routes.find(&zproxy_protocol::Name::new(login.as_bytes()).unwrap(), &context).await
}

impl Drop for Edge {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
            && !std::thread::panicking()
        {
            panic!("the control thread panicked");
        }
    }
}

fn config(directory: &Directory) -> Config {
    let listener = Listener {
        name: "imap".into(),
        protocol: Protocol::Imap.into(),
        address: "127.0.0.1:0".into(),
        tls: ListenerTls::Off.into(),
        ..Listener::default()
    };
    Config {
        hostname: "mail.tgg.net.id".into(),
        state_directory: directory.path().to_str().unwrap().into(),
        listeners: vec![listener],
        limits: Some(Limits { pending_lookups: 1000, ..Limits::default() }),
        timeouts: Some(Timeouts { lookup: Some(duration(Duration::from_secs(20))), ..Timeouts::default() }),
        ..Config::default()
    }
}

/// As the message has it.
pub(super) fn duration(duration: Duration) -> prost_types::Duration {
    duration.try_into().unwrap()
}

/// A backend that serves IMAP.
pub(super) fn backend(name: &str, host: &str, port: u16) -> wire::Backend {
    let imap = wire::Endpoint { port: port.into(), ..wire::Endpoint::default() };
    wire::Backend {
        name: name.into(),
        host: host.into(),
        endpoints: Some(wire::Endpoints { imap: Some(imap), ..wire::Endpoints::default() }),
        ..wire::Backend::default()
    }
}
