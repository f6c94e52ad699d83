//! Which member a stake comes to, and when it moves.

use std::collections::HashSet;

use super::*;

const ABLE: Member<'static> =
    Member { name: "", weight: 100, state: State::Active, standing: Standing::Able, called_down: false };
const NAMES: [&str; 4] = ["web-1", "web-2", "web-3", "web-4"];

fn members() -> [Member<'static>; 4] {
    NAMES.map(|name| Member { name, ..ABLE })
}

fn account(account: &str) -> Stake<'_> {
    Stake::Account { account, before: None }
}

fn client(address: &str) -> Stake<'_> {
    Stake::Client { address: address.parse().unwrap(), before: None }
}

/// The indexes to try; each call draws another lot.
fn order(kind: Kind, members: &[Member<'_>], stake: Stake<'_>) -> Vec<usize> {
    static DRAWS: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
    choose(kind, members, stake, DRAWS.fetch_add(1, std::sync::atomic::Ordering::Relaxed)).unwrap()
}

fn first(kind: Kind, members: &[Member<'_>], stake: Stake<'_>) -> usize {
    order(kind, members, stake)[0]
}

#[test]
fn a_login_draws_a_lot_in_a_stateless_group_and_requests_stay() {
    let places =
        |stake: Stake<'_>| -> HashSet<_> { (0..200).map(|_| first(Kind::Stateless, &members(), stake)).collect() };
    assert_eq!(places(Stake::Login("siti@tgg.net.id")).len(), 4);
    assert_eq!(places(account("siti@tgg.net.id")).len(), 1);
    assert_eq!(places(client("192.0.2.7")).len(), 1);
}

#[test]
fn an_account_has_one_member_of_a_shared_group_whatever_came_before() {
    for account in ["siti@tgg.net.id", "budi@gec-course.com"] {
        let chosen = order(Kind::Shared, &members(), Stake::Login(account));
        assert_eq!(chosen.len(), 1);
        for before in NAMES.map(BackendMark::of).map(Some).into_iter().chain([None]) {
            assert_eq!(order(Kind::Shared, &members(), Stake::Account { account, before }), chosen, "{account}");
        }
    }
}

#[test]
fn a_name_that_nobody_has_comes_to_where_an_account_would() {
    for kind in [Kind::Shared, Kind::Stateless] {
        for name in ["siti@tgg.net.id", "budi@gec-course.com", "nobody"] {
            let ways = (0..20).map(|_| order(kind, &members(), Stake::Name(name))).collect::<HashSet<_>>();
            assert_eq!(ways.len(), 1, "{name}");
            let order = ways.into_iter().next().unwrap();
            assert_eq!((order.len(), order[0]), (4, first(kind, &members(), account(name))), "{name}");
        }
    }
}

#[test]
fn stakes_are_shared_out_and_keep_their_member_when_another_leaves() {
    let stakes: Vec<_> = (0..400).map(|number| format!("192.0.{}.{}", number / 250, number % 250)).collect();
    let before: Vec<_> = stakes.iter().map(|it| first(Kind::Stateless, &members(), client(it))).collect();
    let mut without = members();
    without[2].state = State::Draining;
    for (stake, before) in stakes.iter().zip(&before) {
        let after = first(Kind::Stateless, &without, client(stake));
        assert!(after == *before || *before == 2, "{stake}");
        assert_ne!(after, 2);
    }
    for index in 0..4 {
        assert!((60..140).contains(&before.iter().filter(|it| **it == index).count()), "{before:?}");
    }
}

#[test]
fn a_client_is_its_network_and_may_come_to_any_member_of_a_shared_group() {
    for kind in [Kind::Shared, Kind::Stateless] {
        let at = |address| order(kind, &members(), client(address));
        assert_eq!(at("192.0.2.7").len(), 4);
        assert_eq!(at("192.0.2.7"), at("::ffff:192.0.2.7"));
        assert_eq!(at("2001:db8::1"), at("2001:db8::ffff:2"));
        let places: HashSet<_> =
            (0..64).map(|net| first(kind, &members(), client(&format!("2001:db8:0:{net}::1")))).collect();
        assert_eq!(places.len(), 4);
    }
    let mut one_down = members();
    one_down[0].called_down = true;
    assert_eq!(order(Kind::Shared, &one_down, client("192.0.2.7"))[3], 0, "tried, but last");
}

#[test]
fn who_served_before_comes_first_as_long_as_it_looks_well_and_is_never_added() {
    let served =
        |name: &str| Stake::Client { address: "192.0.2.7".parse().unwrap(), before: Some(BackendMark::of(name)) };
    let usual = order(Kind::Stateless, &members(), client("192.0.2.7"));
    for (index, name) in ["WEB-1", "web-2", "web-3", "web-4"].into_iter().enumerate() {
        let others = usual.iter().copied().filter(|other| *other != index);
        let expected: Vec<_> = [index].into_iter().chain(others).collect();
        assert_eq!(order(Kind::Stateless, &members(), served(name)), expected, "{name}");
    }
    assert_eq!(order(Kind::Stateless, &members(), served("web-9")), usual);
    let place = |changed: Member<'static>| {
        let mut members = members();
        members[1] = Member { name: "web-2", ..changed };
        order(Kind::Stateless, &members, served("web-2")).iter().position(|index| *index == 1)
    };
    let table = [
        (Member { state: State::Standby, ..ABLE }, Some(0)),
        (Member { standing: Standing::Ejected, ..ABLE }, Some(3)),
        (Member { standing: Standing::Down, ..ABLE }, Some(3)),
        (Member { called_down: true, ..ABLE }, Some(3)),
        (Member { standing: Standing::Unable("max_sessions reached"), ..ABLE }, None),
        (Member { state: State::Draining, ..ABLE }, None),
        (Member { state: State::Maintenance, ..ABLE }, None),
        (Member { weight: 0, ..ABLE }, None),
    ];
    for (changed, expected) in table {
        assert_eq!(place(changed), expected, "{changed:?}");
    }
}
