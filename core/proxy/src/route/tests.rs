//! Times of a route, on a clock that the test moves.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::advance;
use zproxy_protocol::Name;

use super::{Batch, Context, Route, Routes, Setting};
use crate::control::Batch as _;
use crate::{Error, wire};

const SETTING: Setting = Setting { cached_routes: 1024, pending_lookups: 10, timeout: Duration::from_secs(3) };
const SOFT: u64 = 600;
const HARD: u64 = 3600;

fn routes() -> Arc<Routes> {
    Arc::new(Routes::new(SETTING))
}

async fn find(routes: &Routes, login: &str) -> Result<Option<Route>, Error> {
    let context = Context { virtual_host: None, local: "127.0.0.1".parse().unwrap() };
    routes.find(&Name::new(login.as_bytes()).unwrap(), &context).await
}

/// Plays control: answers what is asked with a route to that home.
fn reply(mut batch: Batch, home: &str) {
    let mut answers = Vec::new();
    for (index, question) in batch.message(1).questions.into_iter().enumerate() {
        let route = wire::Route {
            account: String::from_utf8(question.login).unwrap(),
            home: home.into(),
            soft_ttl_seconds: u32::try_from(SOFT).unwrap(),
            hard_ttl_seconds: u32::try_from(HARD).unwrap(),
            ..wire::Route::default()
        };
        let result = Some(wire::answer::Result::Route(route));
        answers.push(wire::Answer { question: u32::try_from(index).unwrap(), result, epoch: 1 });
    }
    batch.take(wire::LookupReply { id: 1, answers });
}

/// A look-up that control answers.
async fn learn(routes: &Arc<Routes>, login: &str, home: &str) -> Arc<str> {
    let answering = async { reply(routes.next_batch().await, home) };
    let (found, ()) = tokio::join!(find(routes, login), answering);
    found.unwrap().unwrap().home
}

/// A look-up that control is not asked for, or does not answer.
async fn home(routes: &Routes, login: &str) -> Arc<str> {
    find(routes, login).await.unwrap().unwrap().home
}

#[tokio::test(start_paused = true)]
async fn a_route_is_asked_for_anew_in_the_last_tenth_of_its_soft_ttl_while_it_is_served() {
    let routes = routes();
    assert_eq!(&*learn(&routes, "siti@tgg.net.id", "mbox-1").await, "mbox-1");
    advance(Duration::from_secs(SOFT * 9 / 10 - 1)).await;
    assert_eq!(&*home(&routes, "siti@tgg.net.id").await, "mbox-1");
    assert_eq!(routes.pending(), 0);
    advance(Duration::from_secs(1)).await;
    for _ in 0..2 {
        assert_eq!(&*home(&routes, "siti@tgg.net.id").await, "mbox-1");
        assert_eq!(routes.pending(), 1, "once, however many log in");
    }
    reply(routes.next_batch().await, "mbox-2");
    assert_eq!(&*home(&routes, "siti@tgg.net.id").await, "mbox-2");
    assert_eq!(routes.pending(), 0);
}

#[tokio::test(start_paused = true)]
async fn past_its_soft_ttl_control_is_asked_first() {
    let routes = routes();
    learn(&routes, "siti@tgg.net.id", "mbox-1").await;
    advance(Duration::from_secs(SOFT)).await;
    assert_eq!(&*learn(&routes, "siti@tgg.net.id", "mbox-2").await, "mbox-2");
}

#[tokio::test(start_paused = true)]
async fn an_outage_costs_a_name_one_wait_in_a_while_until_its_hard_ttl() {
    let routes = routes();
    learn(&routes, "siti@tgg.net.id", "mbox-1").await;
    advance(Duration::from_secs(SOFT)).await;
    let began = tokio::time::Instant::now();
    for _ in 0..100 {
        assert_eq!(&*home(&routes, "siti@tgg.net.id").await, "mbox-1");
    }
    assert_eq!(began.elapsed(), SETTING.timeout, "one wait for all");
    advance(Duration::from_secs(HARD)).await;
    assert!(matches!(find(&routes, "siti@tgg.net.id").await, Err(Error::LookupTimeout)));
}

#[tokio::test(start_paused = true)]
async fn questions_nobody_waits_for_are_not_asked() {
    let routes = routes();
    for _ in 0..SETTING.pending_lookups {
        assert!(matches!(find(&routes, "siti@tgg.net.id").await, Err(Error::LookupTimeout)));
    }
    let answering = async { reply(routes.next_batch().await, "mbox-1") };
    let (found, ()) = tokio::join!(find(&routes, "budi@tgg.net.id"), answering);
    assert!(found.unwrap().is_some());
    assert_eq!(routes.pending(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_late_answer_is_kept_and_leaves_the_question_that_followed_alone() {
    let routes = routes();
    let (found, mut late) = tokio::join!(find(&routes, "siti@tgg.net.id"), routes.next_batch());
    assert!(matches!(found, Err(Error::LookupTimeout)));
    late.expire();
    assert_eq!(routes.pending(), 0);
    let mut again = std::pin::pin!(find(&routes, "siti@tgg.net.id"));
    assert!(tokio::time::timeout(Duration::ZERO, &mut again).await.is_err());
    reply(late, "mbox-1");
    assert_eq!(&*home(&routes, "siti@tgg.net.id").await, "mbox-1");
    assert_eq!(routes.pending(), 1);
    reply(routes.next_batch().await, "mbox-2");
    assert_eq!(&*again.await.unwrap().unwrap().home, "mbox-2");
}

#[tokio::test(start_paused = true)]
async fn no_more_routes_are_kept_than_allowed() {
    let routes = routes();
    for number in 0..2 * SETTING.cached_routes {
        learn(&routes, &format!("user-{number}@tgg.net.id"), "mbox-1").await;
    }
    assert!(routes.cached() <= SETTING.cached_routes);
    routes.set(Setting { cached_routes: 64, ..SETTING });
    assert!(routes.cached() <= 64);
}
