//! Control asks who is connected, and has sessions ended. A kick is answered when the sessions are really gone.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::task::JoinSet;
use tonic::Status;

use super::connect::{Connection, Link, keep};
use crate::server::Shared;
use crate::sessions::{Ending, Filter, Live, Sessions};
use crate::wire;
use crate::wire::session_answer::Answer;
use crate::wire::session_query::Query;
use crate::wire::session_service_client::SessionServiceClient;

/// Where the operator gave none.
const NEUTRAL: &str = "this session was ended by an operator";
/// Sessions of one list where proto3 leaves the limit out.
const LISTED: usize = 1000;

/// Keeps the stream up. Never returns.
pub(super) async fn run(shared: &Shared) {
    keep(shared, "session", async |connection| life(shared, connection).await, std::future::pending).await;
}

async fn life(shared: &Shared, connection: Connection) -> Status {
    let mut client = SessionServiceClient::new(connection);
    let mut link = Link::open(|answers| async move { client.serve(answers).await });
    let edge_id = shared.edge_id.clone();
    let mut answering = JoinSet::new();
    let hello = wire::SessionAnswer { id: 0, edge_id: edge_id.clone(), answer: None };
    if let Err(status) = link.send(hello).await {
        return status;
    }
    loop {
        tokio::select! {
            query = link.read() => match query {
                Ok(query) => {
                    let (sessions, edge_id) = (Arc::clone(&shared.sessions), edge_id.clone());
                    // A kick takes its time; others are answered meanwhile.
                    answering.spawn(async move {
                        let answer = answer(&sessions, &edge_id, query.query).await;
                        wire::SessionAnswer { id: query.id, edge_id, answer: Some(answer) }
                    });
                }
                Err(status) => return status,
            },
            Some(answered) = answering.join_next() => {
                if let Ok(answer) = answered
                    && let Err(status) = link.send(answer).await
                {
                    return status;
                }
            }
        }
    }
}

async fn answer(sessions: &Sessions, edge_id: &str, query: Option<Query>) -> Answer {
    let answered = match query {
        Some(Query::List(request)) => list(sessions, edge_id, request).map(Answer::List),
        Some(Query::Count(request)) => count(sessions, request).map(Answer::Count),
        Some(Query::Kick(request)) => kick(sessions, request).await.map(Answer::Kick),
        None => Err("a query this edge does not know: upgrade it".to_owned()),
    };
    answered.unwrap_or_else(Answer::Error)
}

fn list(
    sessions: &Sessions,
    edge_id: &str,
    request: wire::ListSessionsRequest,
) -> Result<wire::ListSessionsResponse, String> {
    let filter = filter(request.filter)?;
    let limit = if request.limit == 0 { LISTED } else { request.limit as usize };
    let mut answer = wire::ListSessionsResponse::default();
    sessions.each(&filter, |live| {
        if answer.sessions.len() < limit {
            answer.sessions.push(session(live, edge_id));
        } else {
            answer.truncated = true;
        }
    });
    Ok(answer)
}

fn session(live: &Live, edge_id: &str) -> wire::Session {
    let facts = &live.facts;
    wire::Session {
        id: facts.id.to_string(),
        account: facts.account.to_string(),
        backend: facts.backend.to_string(),
        client: facts.client.to_string(),
        service: facts.service.name().to_owned(),
        listener: facts.listener.to_string(),
        tls: facts.tls.to_owned(),
        started: Some(live.started.into()),
        bytes_from_client: live.from_client.load(Ordering::Relaxed),
        bytes_from_backend: live.from_backend.load(Ordering::Relaxed),
        edge_id: edge_id.to_owned(),
    }
}

fn count(sessions: &Sessions, request: wire::CountSessionsRequest) -> Result<wire::CountSessionsResponse, String> {
    let filter = filter(request.filter)?;
    let (mut total, mut by_backend, mut by_service) = (0, HashMap::new(), HashMap::new());
    sessions.each(&filter, |live| {
        total += 1;
        *by_backend.entry(Arc::clone(&live.facts.backend)).or_insert(0) += 1;
        *by_service.entry(live.facts.service).or_insert(0) += 1;
    });
    Ok(wire::CountSessionsResponse {
        sessions: total,
        by_backend: by_backend.into_iter().map(|(name, count)| (name.to_string(), count)).collect(),
        by_service: by_service.into_iter().map(|(service, count)| (service.name().to_owned(), count)).collect(),
    })
}

async fn kick(sessions: &Sessions, request: wire::KickRequest) -> Result<wire::KickResponse, String> {
    if request.filter.clone().unwrap_or_default() == wire::SessionFilter::default() && !request.all {
        return Err("an empty filter without `all` kicks nobody".to_owned());
    }
    // It goes into a line of the protocol.
    if !request.text.bytes().all(|octet| (b' '..=b'~').contains(&octet)) {
        return Err("the text is not printable ASCII".to_owned());
    }
    let text = if request.text.is_empty() { NEUTRAL } else { request.text.as_str() };
    let ending = Ending { text: Arc::from(text), patience: Duration::from_millis(request.patience_ms.into()) };
    let ended = sessions.kick(&filter(request.filter)?, &ending).await;
    Ok(wire::KickResponse { sessions: ended as u64 })
}

fn filter(message: Option<wire::SessionFilter>) -> Result<Filter, String> {
    let wire::SessionFilter { account, backend, client_address, id } = message.unwrap_or_default();
    let set = |text: String| (!text.is_empty()).then_some(text);
    let address = |text: String| text.parse::<IpAddr>().map_err(|_| format!("{text:?} is no address"));
    Ok(Filter {
        account: set(account),
        backend: set(backend),
        client: set(client_address).map(address).transpose()?,
        id: set(id),
    })
}
