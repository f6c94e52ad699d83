//! Sessions: listed, counted and ended when control asks.

use std::sync::Arc;

use zproxy_proxy::service::Service;
use zproxy_proxy::sessions::{Entry, Facts};
use zproxy_proxy::wire::session_answer::Answer;
use zproxy_proxy::wire::session_query::Query;
use zproxy_proxy::wire::{
    CountSessionsRequest, KickRequest, ListSessionsRequest, SessionAnswer, SessionFilter, SessionQuery,
};

use super::edge::{Directory, Edge};
use super::fake::{Control, Serve};

fn enter(edge: &Edge, account: &str, backend: &str) -> Entry {
    let facts = Facts {
        id: edge.shared.next_session_id().into(),
        account: account.into(),
        backend: Arc::from(backend),
        client: "192.0.2.7:40000".parse().unwrap(),
        service: Service::Imap,
        listener: Arc::from("imaps"),
        tls: "TLSv1.3",
    };
    edge.shared.sessions.enter(facts, edge.shared.sessions.era())
}

/// The edge's stream, past its first message.
async fn served(control: &mut Control, edge: &Edge) -> Serve {
    let mut serve = control.serve().await;
    let SessionAnswer { id, edge_id, answer } = serve.hear().await;
    assert_eq!((id, edge_id.as_str(), answer), (0, edge.shared.edge_id.as_str(), None));
    serve
}

async fn ask(serve: &mut Serve, query: Query) -> Answer {
    serve.say(SessionQuery { id: 7, query: Some(query) }).await;
    let answer = serve.hear().await;
    assert_eq!(answer.id, 7);
    answer.answer.unwrap()
}

fn of_account(account: &str) -> Option<SessionFilter> {
    Some(SessionFilter { account: account.into(), ..SessionFilter::default() })
}

#[tokio::test]
async fn lists_and_counts_what_matches() {
    let directory = Directory::new();
    let mut control = Control::start(&directory.socket());
    let edge = Edge::start(&directory);
    let _live = [("siti@tgg.net.id", "mbox-1"), ("siti@tgg.net.id", "mbox-1"), ("budi@tgg.net.id", "mbox-2")]
        .map(|(account, backend)| enter(&edge, account, backend));
    let mut serve = served(&mut control, &edge).await;

    let request = ListSessionsRequest { filter: of_account("SITI@tgg.net.id"), limit: 1 };
    let Answer::List(list) = ask(&mut serve, Query::List(request)).await else { panic!("a list") };
    assert!(list.truncated);
    let session = &list.sessions[0];
    assert_eq!((&session.account[..], &session.client[..]), ("siti@tgg.net.id", "192.0.2.7:40000"));
    assert_eq!((&session.service[..], &session.tls[..], &session.listener[..]), ("imap", "TLSv1.3", "imaps"));
    assert_eq!(session.edge_id, edge.shared.edge_id);

    let Answer::Count(count) = ask(&mut serve, Query::Count(CountSessionsRequest::default())).await else {
        panic!("a count")
    };
    assert_eq!((count.sessions, count.by_backend["mbox-1"], count.by_backend["mbox-2"]), (3, 2, 1));
    assert_eq!(count.by_service["imap"], 3);
}

#[tokio::test]
async fn a_kick_is_answered_when_the_session_is_gone_and_others_meanwhile() {
    let directory = Directory::new();
    let mut control = Control::start(&directory.socket());
    let edge = Edge::start(&directory);
    let entry = enter(&edge, "siti@tgg.net.id", "mbox-1");
    let _other = enter(&edge, "budi@tgg.net.id", "mbox-1");
    let mut serve = served(&mut control, &edge).await;

    let kick = KickRequest { filter: of_account("siti@tgg.net.id"), patience_ms: 1500, ..KickRequest::default() };
    serve.say(SessionQuery { id: 1, query: Some(Query::Kick(kick)) }).await;
    let ending = entry.live().ending().await;
    assert!(!ending.text.is_empty());
    assert_eq!(ending.patience.as_millis(), 1500);
    let count = ask(&mut serve, Query::Count(CountSessionsRequest::default())).await;
    assert!(matches!(count, Answer::Count(count) if count.sessions == 2), "not gone, so the kick is not answered");
    drop(entry);
    let SessionAnswer { id, answer, .. } = serve.hear().await;
    assert!(matches!((id, answer), (1, Some(Answer::Kick(kick))) if kick.sessions == 1));
    assert_eq!(edge.shared.sessions.count(&<_>::default()), 1);
}

#[tokio::test]
async fn a_query_that_makes_no_sense_is_answered_by_an_error() {
    let directory = Directory::new();
    let mut control = Control::start(&directory.socket());
    let edge = Edge::start(&directory);
    let _live = enter(&edge, "siti@tgg.net.id", "mbox-1");
    let mut serve = served(&mut control, &edge).await;
    let nowhere = SessionFilter { client_address: "nowhere".into(), ..SessionFilter::default() };
    for query in [
        Query::Kick(KickRequest::default()),
        Query::Kick(KickRequest { all: true, text: "two\r\nlines".into(), ..KickRequest::default() }),
        Query::Count(CountSessionsRequest { filter: Some(nowhere) }),
    ] {
        let answer = ask(&mut serve, query.clone()).await;
        assert!(matches!(answer, Answer::Error(_)), "{query:?}: {answer:?}");
    }
    assert_eq!(edge.shared.sessions.count(&<_>::default()), 1);
}
