//! Routes in the edge: what one costs in memory, how long a hit takes, how fast the look-up stream fills the cache.
//!
//! `cargo bench --bench routes` prints the figures and fails where one misses its target. Memory is the growth of the
//! resident set under the allocator of the product, so nothing is left out.
#![allow(clippy::print_stdout, reason = "figures are for people")]

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use zproxy_protocol::Name;
use zproxy_proxy::route::{Context, Routes};
use zproxy_proxy::wire::{Answer, LookupBatch, LookupReply, Route, answer};

#[path = "../tests/control/edge.rs"]
#[allow(dead_code, reason = "tests use more of it")]
mod edge;
#[path = "../tests/control/fake.rs"]
#[allow(dead_code, reason = "tests use more of it")]
mod fake;

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

const ROUTES: usize = 1_000_000;
const MAX_BYTES: f64 = 160.0;
const MAX_HIT: Duration = Duration::from_micros(1);
/// Logins under way while the cache is filled.
const AT_ONCE: usize = 4096;
/// Hits of one measurement: some milliseconds, so that on a busy machine some are not interrupted.
const HITS: usize = 4096;
const CONTEXT: Context<'_> = Context { virtual_host: None, local: IpAddr::V4(Ipv4Addr::LOCALHOST) };

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let directory = edge::Directory::new();
    let mut control = fake::Control::start(&directory.socket());
    let edge = edge::Edge::with(&directory, |config| {
        let limits = config.limits.get_or_insert_default();
        (limits.cached_routes, limits.pending_lookups) = (2 * ROUTES as u32, 2 * AT_ONCE as u32);
    });
    let mut lookups = control.lookups().await;
    tokio::spawn(async move {
        loop {
            let batch = lookups.hear().await;
            lookups.say(echo(batch)).await;
        }
    });

    let routes = &edge.shared.routes;
    fill(routes, 0..AT_ONCE).await;
    let (before, began) = (resident(), Instant::now());
    fill(routes, AT_ONCE..AT_ONCE + ROUTES).await;
    let (grown, took) = (resident() - before, began.elapsed());
    assert_eq!(routes.cached(), AT_ONCE + ROUTES);
    let bytes = grown as f64 / ROUTES as f64;
    println!("a cached route, account name included: {bytes:.0} B (target: under {MAX_BYTES})");
    println!("look-ups over the stream, edge and control on one machine: {:.0}/s", ROUTES as f64 / took.as_secs_f64());

    let one = hit(routes, &vec![name(AT_ONCE); 32 * HITS]).await;
    let any = hit(routes, &scattered()).await;
    println!("a hit, the same name again: {one:?}");
    println!("a hit, any of {ROUTES} names: {any:?} (target: under {MAX_HIT:?})");
    assert!(bytes < MAX_BYTES && any < MAX_HIT, "a target is missed");
}

/// As long as names of a provider are.
fn name(number: usize) -> Name {
    Name::new(format!("user-{number:07}@gec-course.com").as_bytes()).expect("it is a name")
}

/// A part of the names, each once, far from each other in memory.
fn scattered() -> Vec<Name> {
    // 7919 is a prime that does not divide the count.
    (0..64 * HITS).map(|step| name(AT_ONCE + step * 7919 % ROUTES)).collect()
}

async fn fill(routes: &Arc<Routes>, numbers: std::ops::Range<usize>) {
    let mut finding = JoinSet::new();
    for number in numbers {
        if finding.len() == AT_ONCE {
            finding.join_next().await;
        }
        let routes = Arc::clone(routes);
        finding.spawn(async move {
            let found = routes.find(&name(number), &CONTEXT).await;
            assert!(found.is_ok_and(|route| route.is_some()));
        });
    }
    finding.join_all().await;
}

/// The time of a hit over these names in the quickest measurement: interruptions and neighbours only ever add.
async fn hit(routes: &Routes, names: &[Name]) -> Duration {
    let mut quickest = Duration::MAX;
    for names in names.chunks(HITS) {
        let began = Instant::now();
        for name in names {
            black_box(routes.find(name, &CONTEXT).await.expect("it is cached"));
        }
        quickest = quickest.min(began.elapsed() / HITS as u32);
    }
    quickest
}

fn echo(batch: LookupBatch) -> LookupReply {
    let answer = |(question, asked): (u32, zproxy_proxy::wire::Question)| {
        let route = Route {
            account: String::from_utf8(asked.login).expect("the bench's own names"),
            account_id: format!("4f5e2f0a-0000-4000-8000-{question:012}"),
            home: format!("mbox-{}", question % 20),
            soft_ttl_seconds: 600,
            hard_ttl_seconds: 86_400,
            ..Route::default()
        };
        Answer { question, result: Some(answer::Result::Route(route)), epoch: 1 }
    };
    LookupReply { id: batch.id, answers: (0..).zip(batch.questions).map(answer).collect() }
}

/// Bytes of this process in memory.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a process with memory");
    let kibibytes: usize = line.trim().trim_end_matches(" kB").parse().expect("a number");
    kibibytes * 1024
}
