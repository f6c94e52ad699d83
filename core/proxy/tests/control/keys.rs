//! Keys of session tickets and route cookies, as control gives them.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustls::server::ProducesTickets;
use zproxy_protocol::Name;
use zproxy_protocol::http::Host;
use zproxy_proxy::pool::BackendMark;
use zproxy_proxy::route_cookie::Memory;
use zproxy_proxy::wire::edge_update::Update;
use zproxy_proxy::wire::{EdgeUpdate, RotatingKey, RotatingKeys};

use super::edge::{Directory, Edge, duration};
use super::fake::{Control, until};

const SESSION: &[u8] = b"a session";

fn keys(update: fn(RotatingKeys) -> Update, secret: Vec<u8>) -> EdgeUpdate {
    let key = RotatingKey { name: vec![1; 16], secret, not_before: Some(SystemTime::now().into()) };
    let rotation = Some(duration(Duration::from_secs(3600)));
    EdgeUpdate { update: Some(update(RotatingKeys { keys: vec![key], rotation, opens_for: None })) }
}

fn ticketer(edge: &Edge) -> Arc<dyn ProducesTickets> {
    edge.shared.tickets.of(&edge.shared.setup.load().config.listeners[0])
}

#[tokio::test]
async fn a_ticket_of_one_edge_opens_at_another_once_both_have_the_keys_of_control() {
    let directories = [Directory::new(), Directory::new()];
    let mut controls = directories.each_ref().map(|directory| Control::start(&directory.socket()));
    let edges = directories.each_ref().map(Edge::start);
    let [one, other] = edges.each_ref().map(ticketer);
    let before = one.encrypt(SESSION).unwrap();
    assert_eq!(one.decrypt(&before).as_deref(), Some(SESSION), "without control");
    assert_eq!(other.decrypt(&before), None);
    for control in &mut controls {
        control.watch().await.say(keys(Update::TicketKeys, vec![2; 32])).await;
    }
    until(|| other.decrypt(&one.encrypt(SESSION).unwrap()).as_deref() == Some(SESSION)).await;
    assert_eq!(one.lifetime(), 7200);
}

#[tokio::test]
async fn a_cookie_of_one_edge_opens_at_another_once_both_have_the_keys_of_control() {
    let directories = [Directory::new(), Directory::new()];
    let mut controls = directories.each_ref().map(|directory| Control::start(&directory.socket()));
    let edges = directories.each_ref().map(Edge::start);
    let host = Host::parse(b"mail.tgg.net.id").unwrap();
    let memory = Memory { name: Name::new(b"siti@tgg.net.id").unwrap(), backend: BackendMark::of("mbox-1") };
    let [one, other] = edges.each_ref().map(|edge| &edge.shared.route_cookies);
    assert_eq!(one.seal(&host, &memory), None, "without control");
    for control in &mut controls {
        control.watch().await.say(keys(Update::CookieKeys, vec![2; 32])).await;
    }
    for cookies in [one, other] {
        assert!(cookies.await_first(Duration::from_secs(60)).await);
    }
    let cookie = one.seal(&host, &memory).unwrap();
    let (value, _) = cookie.to_str().unwrap().split_once(';').unwrap();
    assert_eq!(other.open(&host, value.strip_prefix("__Host-zproxy=").unwrap().as_bytes()), Some(memory));
}

#[tokio::test]
async fn keys_of_another_kind_are_refused_and_that_is_told() {
    let directory = Directory::new();
    let mut control = Control::start(&directory.socket());
    let edge = Edge::start(&directory);
    let ticket = ticketer(&edge).encrypt(SESSION).unwrap();
    let watch = control.watch().await;
    for (update, of) in [(Update::TicketKeys as fn(_) -> _, "ticket"), (Update::CookieKeys, "cookie")] {
        watch.say(keys(update, vec![2; 16])).await;
        until(|| edge.told().contains(&format!("{of} keys of control are refused: a key of another kind"))).await;
    }
    assert_eq!(ticketer(&edge).decrypt(&ticket).as_deref(), Some(SESSION));
}
