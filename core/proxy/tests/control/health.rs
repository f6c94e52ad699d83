//! Probes: what backends can do is learned, who is down is refused and told to control.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use zproxy_proxy::Error;
use zproxy_proxy::pool::Stake;
use zproxy_proxy::service::Service;
use zproxy_proxy::wire::edge_report::Report;
use zproxy_proxy::wire::edge_update::Update;
use zproxy_proxy::wire::{Backend, EdgeUpdate, EndpointHealth, Health, Pool, Snapshot};

use super::edge::{Directory, Edge, backend, duration};
use super::fake::{Control, Watch, until};

/// A backend that greets with its capabilities, as Dovecot does.
struct Greeter {
    port: u16,
    serving: JoinHandle<()>,
}

impl Greeter {
    async fn start(greeting: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let serving = tokio::spawn(async move {
            loop {
                let (mut client, _) = listener.accept().await.unwrap();
                tokio::spawn(async move {
                    client.write_all(greeting.as_bytes()).await.unwrap();
                    let _ = client.read_to_end(&mut Vec::new()).await;
                });
            }
        });
        Self { port, serving }
    }

    /// Nobody listens there any more.
    async fn stop(self) {
        self.serving.abort();
        let _ = self.serving.await;
    }
}

/// An edge that probes often.
fn edge(directory: &Directory) -> Edge {
    Edge::with(directory, |config| {
        let interval = Some(duration(Duration::from_millis(20)));
        config.health = Some(Health { interval, fall: 2, ..Health::default() });
    })
}

async fn give(watch: &Watch, backends: Vec<Backend>) {
    let pool = Some(Pool { version: 1, backends, ..Pool::default() });
    let snapshot = Snapshot { pool, ..Snapshot::default() };
    watch.say(EdgeUpdate { update: Some(Update::Snapshot(snapshot)) }).await;
}

/// The next endpoints whose health changed.
async fn news(watch: &mut Watch) -> Vec<EndpointHealth> {
    loop {
        if let Some(Report::Health(report)) = watch.hear().await.report
            && !report.endpoints.is_empty()
        {
            return report.endpoints;
        }
    }
}

async fn shared(edge: &Edge, words: &[&str]) {
    until(|| *edge.shared.pools.offer(Service::Imap).capabilities == *words).await;
}

#[tokio::test]
async fn what_all_backends_can_do_is_shared_and_who_is_down_is_told() {
    let directory = Directory::new();
    let mut control = Control::start(&directory.socket());
    let edge = edge(&directory);
    let one = Greeter::start("* OK [CAPABILITY IMAP4rev1 LITERAL+ IDLE MOVE X-OWN] ready\r\n").await;
    let two = Greeter::start("* OK [CAPABILITY IMAP4rev1 IDLE LITERAL+] ready\r\n").await;
    let mut watch = control.watch().await;
    give(&watch, vec![backend("mbox-1", "127.0.0.1", one.port), backend("mbox-2", "127.0.0.1", two.port)]).await;
    let mut up: Vec<_> = Vec::new();
    while up.len() < 2 {
        up.extend(news(&mut watch).await);
    }
    assert!(up.iter().all(|it| it.up && it.service == "imap" && it.reason.is_empty()), "{up:?}");
    shared(&edge, &["LITERAL+", "IDLE"]).await;

    two.stop().await;
    let down = news(&mut watch).await;
    assert_eq!((&down[0].backend[..], down[0].up), ("mbox-2", false));
    assert!(down[0].reason.contains("connection refused"), "{}", down[0].reason);
    let refused = edge.shared.pools.candidates("mbox-2", Stake::Login("siti@tgg.net.id"), Service::Imap);
    assert!(matches!(refused, Err(Error::BackendDown { reason: "down", .. })));
    shared(&edge, &["LITERAL+", "IDLE"]).await;

    give(&watch, vec![backend("mbox-1", "127.0.0.1", one.port)]).await;
    shared(&edge, &["LITERAL+", "IDLE", "MOVE"]).await;
}

#[tokio::test]
async fn a_backend_never_reached_hides_no_capability_once_it_is_down() {
    let directory = Directory::new();
    let mut control = Control::start(&directory.socket());
    let edge = edge(&directory);
    let one = Greeter::start("* OK [CAPABILITY IMAP4rev1 IDLE] ready\r\n").await;
    let liar = Greeter::start("HTTP/1.1 400 Bad Request\r\n\r\n").await;
    let mut watch = control.watch().await;
    give(&watch, vec![backend("mbox-1", "127.0.0.1", one.port), backend("web", "127.0.0.1", liar.port)]).await;
    shared(&edge, &["IDLE"]).await;
    let mut seen = Vec::new();
    while seen.len() < 2 {
        seen.extend(news(&mut watch).await);
    }
    assert!(seen.iter().all(|it| it.up == (it.backend == "mbox-1")), "{seen:?}");
}

#[tokio::test]
async fn a_host_name_is_resolved_before_anybody_logs_in() {
    let directory = Directory::new();
    let mut control = Control::start(&directory.socket());
    let edge = edge(&directory);
    let one = Greeter::start("* OK [CAPABILITY IMAP4rev1 IDLE] ready\r\n").await;
    let watch = control.watch().await;
    give(&watch, vec![backend("mbox-1", "localhost", one.port)]).await;
    let candidates = || edge.shared.pools.candidates("LOCALHOST.", Stake::Login("siti@tgg.net.id"), Service::Imap);
    until(|| candidates().is_ok()).await;
    assert!(candidates().unwrap().iter().all(|it| it.address.ip().is_loopback() && it.address.port() == one.port));
}

#[tokio::test]
async fn sessions_held_outlive_a_change_of_their_backend() {
    let directory = Directory::new();
    let edge = edge(&directory);
    let pools = &edge.shared.pools;
    let limited = |host: &str| Backend { max_sessions: 1, ..backend("mbox-1", host, 143) };
    let pool = |host: &str| Pool { version: 1, backends: vec![limited(host)], ..Pool::default() };
    pools.apply_snapshot(pool("127.0.0.1"), false).unwrap();
    let candidates = || pools.candidates("mbox-1", Stake::Login("siti@tgg.net.id"), Service::Imap);
    let candidate = candidates().unwrap().remove(0);
    let lease = pools.take(&candidate).unwrap();
    assert!(pools.take(&candidate).is_none());
    pools.apply_snapshot(pool("127.0.0.2"), false).unwrap();
    assert!(matches!(candidates(), Err(Error::BackendDown { reason: "max_sessions reached", .. })));
    drop(lease);
    assert!(pools.take(&candidates().unwrap()[0]).is_some());
}
