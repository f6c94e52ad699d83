//! Look-ups: batched, one question a name, out of order, with a stream that breaks and a control that is silent.

use std::time::Duration;

use zproxy_proxy::Error;
use zproxy_proxy::wire::{
    Answer, EdgeUpdate, Fault, Invalidation, Limits, LookupBatch, LookupReply, NoRoute, Route, Timeouts, answer,
    edge_update,
};

use super::edge::{Directory, Edge, Found, duration};
use super::fake::{Control, Lookups, soon, until};

/// A route that holds for long.
fn route(account: &str) -> Route {
    Route {
        account: account.into(),
        account_id: format!("id of {account}"),
        home: "mbox-1".into(),
        soft_ttl_seconds: 600,
        hard_ttl_seconds: 86_400,
        ..Route::default()
    }
}

fn answer(question: usize, result: answer::Result) -> Answer {
    Answer { question: u32::try_from(question).unwrap(), result: Some(result), epoch: 10 }
}

/// Answers a batch: everybody is who he says he is.
fn echo(batch: &LookupBatch) -> LookupReply {
    let names = batch.questions.iter().map(|question| String::from_utf8(question.login.clone()).unwrap());
    let answers = names.enumerate().map(|(index, name)| answer(index, answer::Result::Route(route(&name))));
    LookupReply { id: batch.id, answers: answers.collect() }
}

fn logins(batch: &LookupBatch) -> Vec<&str> {
    batch.questions.iter().map(|question| std::str::from_utf8(&question.login).unwrap()).collect()
}

fn account(found: Found) -> String {
    found.unwrap().unwrap().account.to_string()
}

/// Asks for a name and answers it, of an epoch.
async fn learn(edge: &Edge, lookups: &mut Lookups, route: Route, epoch: u64) -> Found {
    let finding = edge.finding(&route.account.clone());
    let batch = lookups.hear().await;
    let answers = vec![Answer { question: 0, result: Some(answer::Result::Route(route)), epoch }];
    lookups.say(LookupReply { id: batch.id, answers }).await;
    soon(finding).await.unwrap()
}

#[tokio::test]
async fn many_callers_of_a_name_are_one_question() {
    let directory = Directory::new();
    let mut control = Control::start(&directory.socket());
    let edge = Edge::start(&directory);
    let callers: Vec<_> = (0..100).map(|_| edge.finding("siti@tgg.net.id")).collect();
    let mut lookups = control.lookups().await;
    let batch = lookups.hear().await;
    assert_eq!(logins(&batch), ["siti@tgg.net.id"]);
    assert_eq!(batch.questions[0].virtual_host, "", "no context where there is an @");
    lookups.say(echo(&batch)).await;
    for caller in callers {
        assert_eq!(account(soon(caller).await.unwrap()), "siti@tgg.net.id");
    }
    assert_eq!(account(edge.find("siti@tgg.net.id").await), "siti@tgg.net.id", "from the cache");
    assert_eq!(edge.shared.routes.pending(), 0);
}

#[tokio::test]
async fn a_bare_name_is_asked_for_with_its_context() {
    let directory = Directory::new();
    let mut control = Control::start(&directory.socket());
    let edge = Edge::start(&directory);
    let finding = edge.finding("siti");
    let mut lookups = control.lookups().await;
    let batch = lookups.hear().await;
    let question = &batch.questions[0];
    assert_eq!((&question.virtual_host[..], &question.local_address[..]), ("mail.tgg.net.id", "127.0.0.1"));
    lookups.say(echo(&batch)).await;
    assert_eq!(account(soon(finding).await.unwrap()), "siti");
}

#[tokio::test]
async fn what_is_asked_while_four_batches_are_out_is_the_next_batch() {
    let directory = Directory::new();
    let mut control = Control::start(&directory.socket());
    let edge = Edge::start(&directory);
    let mut lookups = control.lookups().await;
    let mut callers = Vec::new();
    let mut batches = Vec::new();
    for number in 0..4 {
        callers.push(edge.finding(&format!("first-{number}@tgg.net.id")));
        batches.push(lookups.hear().await);
    }
    callers.push(edge.finding("fifth@tgg.net.id"));
    edge.pending(5).await;
    callers.extend((0..100).map(|number| edge.finding(&format!("next-{number}@tgg.net.id"))));
    edge.pending(105).await;

    // Out of order, and the last batch in two replies.
    for batch in batches.iter().rev() {
        lookups.say(echo(batch)).await;
    }
    let next = lookups.hear().await;
    assert_eq!((next.questions.len(), logins(&next)[0]), (64, "fifth@tgg.net.id"));
    let rest = lookups.hear().await;
    assert_eq!(rest.questions.len(), 37);
    let LookupReply { id, mut answers } = echo(&next);
    let half = answers.split_off(32);
    lookups.say(LookupReply { id, answers: half }).await;
    lookups.say(echo(&rest)).await;
    lookups.say(LookupReply { id, answers }).await;
    for caller in callers {
        assert!(soon(caller).await.unwrap().unwrap().is_some());
    }
    edge.pending(0).await;
}

#[tokio::test]
async fn a_lost_stream_fails_those_who_wait_and_the_next_one_serves() {
    let directory = Directory::new();
    let mut control = Control::start(&directory.socket());
    let edge = Edge::start(&directory);
    let finding = edge.finding("siti@tgg.net.id");
    let mut lookups = control.lookups().await;
    lookups.hear().await;
    drop(lookups);
    assert!(matches!(soon(finding).await.unwrap(), Err(Error::LookupFailed(_))));
    let mut again = control.lookups().await;
    assert_eq!(account(learn(&edge, &mut again, route("siti@tgg.net.id"), 1).await), "siti@tgg.net.id");
}

#[tokio::test]
async fn a_route_past_its_soft_ttl_is_served_when_control_cannot_answer() {
    let directory = Directory::new();
    let mut control = Control::start(&directory.socket());
    let edge = Edge::start(&directory);
    let mut lookups = control.lookups().await;
    for (account, hard) in [("siti@tgg.net.id", 3600), ("budi@tgg.net.id", 0)] {
        let stale = Route { soft_ttl_seconds: 0, hard_ttl_seconds: hard, ..route(account) };
        learn(&edge, &mut lookups, stale, 1).await.unwrap();
    }
    let finding = edge.finding("siti@tgg.net.id");
    let batch = lookups.hear().await;
    let fault = Fault { reason: "LDAP is gone".into() };
    let answers = vec![answer(0, answer::Result::Fault(fault.clone()))];
    lookups.say(LookupReply { id: batch.id, answers }).await;
    assert_eq!(account(soon(finding).await.unwrap()), "siti@tgg.net.id");
    assert_eq!(account(edge.find("siti@tgg.net.id").await), "siti@tgg.net.id", "an outage costs one wait, not each");

    let finding = edge.finding("budi@tgg.net.id");
    let batch = lookups.hear().await;
    lookups.say(LookupReply { id: batch.id, answers: vec![answer(0, answer::Result::Fault(fault))] }).await;
    match soon(finding).await.unwrap() {
        Err(Error::LookupFailed(reason)) => assert_eq!(reason.as_ref(), "LDAP is gone"),
        other => panic!("beyond its hard TTL: {other:?}"),
    }
}

#[tokio::test]
async fn an_unknown_user_is_remembered_until_invalidated_and_a_fault_is_not() {
    let directory = Directory::new();
    let mut control = Control::start(&directory.socket());
    let edge = Edge::start(&directory);
    let mut lookups = control.lookups().await;
    let fault = answer::Result::Fault(Fault { reason: "busy".into() });
    let none = answer::Result::None(NoRoute { ttl_seconds: 30, ..NoRoute::default() });
    for (result, fails) in [(fault, true), (none, false)] {
        let finding = edge.finding("nobody@tgg.net.id");
        let batch = lookups.hear().await;
        lookups.say(LookupReply { id: batch.id, answers: vec![answer(0, result)] }).await;
        assert_eq!(soon(finding).await.unwrap().is_err(), fails);
    }
    assert_eq!(edge.find("nobody@tgg.net.id").await.unwrap(), None, "without a word of control");
    edge.shared.routes.invalidate(&Invalidation {
        epoch: 11,
        accounts: vec!["Nobody@tgg.net.id".into()],
        ..Invalidation::default()
    });
    assert!(learn(&edge, &mut lookups, route("nobody@tgg.net.id"), 11).await.unwrap().is_some());
}

#[tokio::test]
async fn callers_that_leave_disturb_nobody() {
    let directory = Directory::new();
    let mut control = Control::start(&directory.socket());
    let edge = Edge::start(&directory);
    let leaving = edge.finding("siti@tgg.net.id");
    edge.pending(1).await;
    let staying = edge.finding("siti@tgg.net.id");
    let mut lookups = control.lookups().await;
    let batch = lookups.hear().await;
    leaving.abort();
    lookups.say(echo(&batch)).await;
    assert_eq!(account(soon(staying).await.unwrap()), "siti@tgg.net.id");
}

#[tokio::test]
async fn more_names_than_allowed_are_refused_at_once() {
    let directory = Directory::new();
    let _control = Control::start(&directory.socket());
    let edge =
        Edge::with(&directory, |config| config.limits = Some(Limits { pending_lookups: 2, ..Limits::default() }));
    let waiting = ["siti@tgg.net.id", "budi@tgg.net.id"].map(|login| edge.finding(login));
    edge.pending(2).await;
    assert!(matches!(edge.find("satrio@tgg.net.id").await, Err(Error::LookupOverload)));
    waiting.iter().for_each(tokio::task::JoinHandle::abort);
}

#[tokio::test]
async fn a_silent_control_costs_the_deadline_and_four_silences_the_stream() {
    let directory = Directory::new();
    let mut control = Control::start(&directory.socket());
    let lookup = Some(duration(Duration::from_millis(30)));
    let edge = Edge::with(&directory, |config| config.timeouts = Some(Timeouts { lookup, ..Timeouts::default() }));
    let mut lookups = control.lookups().await;
    let mut late = Vec::new();
    for number in 0..4 {
        let finding = edge.finding(&format!("siti-{number}@tgg.net.id"));
        late.push(lookups.hear().await);
        assert!(matches!(soon(finding).await.unwrap(), Err(Error::LookupTimeout)));
        if number == 0 {
            edge.pending(0).await;
            lookups.say(echo(&late[0])).await;
            until(|| edge.shared.routes.cached() == 1).await;
            assert_eq!(account(edge.find("siti-0@tgg.net.id").await), "siti-0@tgg.net.id", "late, but kept");
        }
    }
    let finding = edge.finding("siti-4@tgg.net.id");
    lookups.hear().await;
    assert!(soon(finding).await.unwrap().is_err());
    lookups.end().await;
    control.lookups().await;
}

#[tokio::test]
async fn an_invalidation_makes_older_routes_that_it_names_misses() {
    let directory = Directory::new();
    let mut control = Control::start(&directory.socket());
    let edge = Edge::start(&directory);
    let mut lookups = control.lookups().await;
    let mut watch = control.watch().await;
    watch.hear().await;
    let siti = "siti@tgg.net.id";
    let mut epoch = 1;
    learn(&edge, &mut lookups, route(siti), epoch).await.unwrap();
    let of_another = Invalidation { accounts: vec!["budi@tgg.net.id".into()], ..Invalidation::default() };
    let whats = [
        Invalidation { accounts: vec![siti.to_uppercase()], ..Invalidation::default() },
        Invalidation { account_ids: vec![format!("id of {siti}")], ..Invalidation::default() },
        Invalidation { domains: vec!["tgg.net.id".into()], ..Invalidation::default() },
        Invalidation { homes: vec!["MBOX-1".into()], ..Invalidation::default() },
        Invalidation::default(),
    ];
    for what in whats {
        edge.shared.routes.invalidate(&Invalidation { epoch: epoch + 1, ..of_another.clone() });
        assert!(edge.find(siti).await.is_ok(), "not named, so not asked for: {what:?}");
        epoch += 2;
        let update = edge_update::Update::Invalidation(Invalidation { epoch, ..what });
        watch.say(EdgeUpdate { update: Some(update) }).await;
        // The miss shows by its question.
        let batch = soon(async {
            loop {
                let finding = edge.finding(siti);
                tokio::select! {
                    batch = lookups.hear() => break batch,
                    found = finding => assert!(found.unwrap().is_ok()),
                }
            }
        })
        .await;
        let mut reply = echo(&batch);
        reply.answers[0].epoch = epoch;
        lookups.say(reply).await;
        edge.pending(0).await;
    }
}

#[tokio::test]
async fn an_answer_older_than_an_invalidation_is_not_kept_and_asked_for_again() {
    let directory = Directory::new();
    let mut control = Control::start(&directory.socket());
    let edge = Edge::start(&directory);
    let mut lookups = control.lookups().await;
    let siti = "siti@tgg.net.id";
    let finding = edge.finding(siti);
    let batch = lookups.hear().await;
    edge.shared.routes.invalidate(&Invalidation { epoch: 11, accounts: vec![siti.into()], ..Invalidation::default() });
    lookups.say(echo(&batch)).await;
    let again = lookups.hear().await;
    assert_eq!(logins(&again), [siti]);
    let mut reply = echo(&again);
    reply.answers[0].epoch = 11;
    reply.answers[0].result = Some(answer::Result::Route(Route { home: "mbox-2".into(), ..route(siti) }));
    lookups.say(reply).await;
    assert_eq!(soon(finding).await.unwrap().unwrap().unwrap().home.as_ref(), "mbox-2");
    assert_eq!(edge.find(siti).await.unwrap().unwrap().home.as_ref(), "mbox-2");
}
