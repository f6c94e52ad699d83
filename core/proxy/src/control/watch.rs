//! The watch: pool, invalidations, members called down and keys come in; acknowledgements and health go out.

use std::collections::HashMap;

use tonic::Status;

use super::connect::{Connection, LARGEST_MESSAGE, Link, keep};
use crate::metrics::Metrics;
use crate::pool::{Refused, snapshot};
use crate::rotating_keys::BadKeys;
use crate::server::Shared;
use crate::verify::Verifiers;
use crate::wire::edge_report::Report;
use crate::wire::edge_service_client::EdgeServiceClient;
use crate::wire::edge_update::Update;
use crate::wire::{Ack, Attach, EdgeReport, EdgeUpdate, EndpointHealth, HealthReport, Nack};

/// Keeps the stream up. Never returns.
pub(super) async fn run(shared: &Shared) {
    keep(shared, "pool", async |connection| life(shared, connection).await, std::future::pending).await;
}

async fn life(shared: &Shared, connection: Connection) -> Status {
    let mut client = EdgeServiceClient::new(connection).max_decoding_message_size(LARGEST_MESSAGE);
    let link = Link::open(|reports| async move { client.watch(reports).await });
    match attached(shared, link).await {
        Err(status) => status,
    }
}

async fn attached(shared: &Shared, mut link: Link<EdgeReport, EdgeUpdate>) -> Result<Never, Status> {
    let attach = Attach { edge_id: shared.edge_id.clone(), pool_version: shared.pools.version() };
    link.send(report(Report::Attach(attach))).await?;
    let mut judged = shared.pools.judged();
    let mut told = Told::default();
    // Right after Attach, even if there is nothing to tell: it makes this edge a voter.
    link.send(report(Report::Health(told.news(shared.pools.verdicts())))).await?;
    let mut attached = None;
    let mut masters = shared.pools.masters_changed();
    let mut refused = false;
    loop {
        tokio::select! {
            update = link.read() => {
                let update = update?.update;
                attached.get_or_insert_with(|| {
                    shared.records.log("info", "attached to control");
                    Attached::to(&shared.metrics)
                });
                if let Some(answer) = take(shared, update).await {
                    refused = matches!(answer, Report::Nack(_));
                    link.send(report(answer)).await?;
                }
            }
            _ = masters.changed() => {
                // Control does not offer the same pool again but to whoever attaches anew.
                if refused {
                    return Err(Status::cancelled("the config was reloaded"));
                }
            }
            _ = judged.changed() => {
                let news = told.news(shared.pools.verdicts());
                link.send(report(Report::Health(news))).await?;
            }
        }
    }
}

enum Never {}

fn report(report: Report) -> EdgeReport {
    EdgeReport { report: Some(report) }
}

/// Applies an update; a pool is answered.
async fn take(shared: &Shared, update: Option<Update>) -> Option<Report> {
    match update {
        Some(Update::Snapshot(snapshot)) => {
            shared.routes.invalidate_before(snapshot.epoch);
            let pool = snapshot.pool.unwrap_or_default();
            let version = pool.version;
            Some(answer(shared, version, shared.pools.apply_snapshot(pool, snapshot.force)).await)
        }
        Some(Update::Change(change)) => {
            let version = change.version;
            Some(answer(shared, version, shared.pools.apply_change(change)).await)
        }
        Some(Update::Invalidation(invalidation)) => {
            shared.routes.invalidate(&invalidation);
            None
        }
        Some(Update::MembersDown(down)) => {
            shared.pools.set_members_down(&down.backends);
            None
        }
        Some(Update::TicketKeys(keys)) => {
            tell_refused(shared, "ticket", shared.tickets.take(keys));
            None
        }
        Some(Update::CookieKeys(keys)) => {
            tell_refused(shared, "cookie", shared.route_cookies.take(keys));
            None
        }
        Some(Update::Verifiers(verifiers)) => {
            let verifiers = Verifiers { passwords: verifiers.passwords, tokens: verifiers.tokens };
            shared.proofs.set_verifiers(verifiers);
            shared.pools.set_verifiers(verifiers);
            None
        }
        // Of a younger control; what it needs answered it would not send to an edge that cannot.
        None => None,
    }
}

fn tell_refused(shared: &Shared, of: &str, taken: Result<(), BadKeys>) {
    if let Err(problem) = taken {
        shared.records.log("error", &format!("{of} keys of control are refused: {problem}"));
    }
}

async fn answer(shared: &Shared, pool_version: u64, result: Result<(), Refused>) -> Report {
    if let Err(refused) = result {
        let reason = refused.to_string();
        shared.records.log("error", &format!("pool {pool_version} of control is refused: {reason}"));
        return Report::Nack(Nack { pool_version, reason });
    }
    shared.metrics.pool_version.set(pool_version);
    let directory = shared.setup.load().config.state_directory.clone();
    let message = shared.pools.message();
    // Acknowledged only when a restart would have it, but a full disk keeps no pool from being served.
    let saved = tokio::task::spawn_blocking(move || snapshot::save(&directory, &message)).await;
    if let Ok(Err(error)) = saved {
        let told = format!("pool {pool_version} cannot be kept for a restart without control: {error}");
        shared.records.log("error", &told);
    }
    Report::Ack(Ack { pool_version })
}

/// Shows that control is attached, until it is dropped.
struct Attached<'a>(&'a Metrics);

impl<'a> Attached<'a> {
    fn to(metrics: &'a Metrics) -> Self {
        metrics.control_attached.set(1);
        Self(metrics)
    }
}

impl Drop for Attached<'_> {
    fn drop(&mut self) {
        self.0.control_attached.set(0);
    }
}

/// The verdicts control was told on this stream, by backend and service.
#[derive(Default)]
struct Told(HashMap<(String, String), EndpointHealth>);

impl Told {
    /// What has changed since. An endpoint that is gone is no longer called down.
    fn news(&mut self, verdicts: Vec<EndpointHealth>) -> HealthReport {
        let mut before = std::mem::take(&mut self.0);
        let mut endpoints = Vec::new();
        for verdict in verdicts {
            let key = (verdict.backend.clone(), verdict.service.clone());
            if before.remove(&key).is_none_or(|told| told != verdict) {
                endpoints.push(verdict.clone());
            }
            self.0.insert(key, verdict);
        }
        let gone = before.into_values().filter(|told| !told.up);
        endpoints.extend(gone.map(|told| EndpointHealth { up: true, reason: String::new(), ..told }));
        HealthReport { endpoints }
    }
}
