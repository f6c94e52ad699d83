//! The watch: pools are applied, acknowledged or refused, and outlive control and the process.

use zproxy_proxy::pool::Stake;
use zproxy_proxy::service::Service;
use zproxy_proxy::wire::edge_report::Report;
use zproxy_proxy::wire::edge_update::Update;
use zproxy_proxy::wire::{
    Ack, Attach, Backend, BackendTls, Change, Defaults, EdgeUpdate, Endpoint, Endpoints, Forward, LoginStyle,
    MasterUser, MembersDown, Nack, Pool, Snapshot,
};

use super::edge::{Directory, Edge, backend};
use super::fake::{Control, Watch, until};

fn mbox(number: u8) -> Backend {
    backend(&format!("mbox-{number}"), &format!("127.0.0.{number}"), 143)
}

fn snapshot(version: u64, backends: Vec<Backend>) -> Snapshot {
    let pool = Pool { version, backends, ..Pool::default() };
    Snapshot { pool: Some(pool), ..Snapshot::default() }
}

fn update(update: Update) -> EdgeUpdate {
    EdgeUpdate { update: Some(update) }
}

/// An edge's first two messages; returns the version it holds.
async fn attached(watch: &mut Watch) -> u64 {
    let Some(Report::Attach(Attach { edge_id, pool_version })) = watch.hear().await.report else {
        panic!("Attach comes first");
    };
    assert!(!edge_id.is_empty());
    assert!(matches!(watch.hear().await.report, Some(Report::Health(_))), "health makes it a voter");
    pool_version
}

/// The edge's answer to a pool; probes of the backends, which are not there, may come in between.
async fn answer(watch: &mut Watch) -> Result<u64, Nack> {
    loop {
        match watch.hear().await.report {
            Some(Report::Ack(Ack { pool_version })) => return Ok(pool_version),
            Some(Report::Nack(nack)) => return Err(nack),
            Some(Report::Health(_)) => {}
            other => panic!("{other:?}"),
        }
    }
}

async fn applied(watch: &mut Watch, snapshot: Snapshot) -> Result<u64, Nack> {
    watch.say(update(Update::Snapshot(snapshot))).await;
    answer(watch).await
}

async fn changed(watch: &mut Watch, change: Change) -> Result<u64, Nack> {
    watch.say(update(Update::Change(change))).await;
    answer(watch).await
}

fn home_of(edge: &Edge, home: &str) -> Option<String> {
    let candidates = edge.shared.pools.candidates(home, Stake::Login("siti@tgg.net.id"), Service::Imap).ok()?;
    Some(candidates.first()?.address.to_string())
}

#[tokio::test]
async fn snapshot_and_changes_are_applied_in_order_and_acknowledged() {
    let directory = Directory::new();
    let mut control = Control::start(&directory.socket());
    let edge = Edge::start(&directory);
    let mut watch = control.watch().await;
    assert_eq!(attached(&mut watch).await, 0);
    assert_eq!(applied(&mut watch, snapshot(1, vec![mbox(1), mbox(2)])).await, Ok(1));
    assert_eq!(home_of(&edge, "MBOX-1").as_deref(), Some("127.0.0.1:143"));
    assert_eq!(home_of(&edge, "127.0.0.2").as_deref(), Some("127.0.0.2:143"), "a host is a home too");

    let removed_backends = vec!["Mbox-2".into()];
    let defaults = Some(Defaults { mail: "mbox-3".into(), ..Defaults::default() });
    let change =
        Change { base: 1, version: 2, backends: vec![mbox(3)], removed_backends, defaults, ..Change::default() };
    assert_eq!(changed(&mut watch, change).await, Ok(2));
    assert_eq!(home_of(&edge, "mbox-2"), None);
    assert_eq!(home_of(&edge, "").as_deref(), Some("127.0.0.3:143"), "no home of his own: the default");
    let moved = Backend { host: "127.0.0.9".into(), ..mbox(1) };
    assert_eq!(
        changed(&mut watch, Change { base: 2, version: 3, backends: vec![moved], ..Change::default() }).await,
        Ok(3)
    );
    assert_eq!(home_of(&edge, "mbox-1").as_deref(), Some("127.0.0.9:143"));
    assert!(edge.shared.metrics.encode().contains("zproxy_edge_pool_version 3"));
    assert!(edge.shared.metrics.encode().contains("zproxy_edge_control_attached 1"));
}

#[tokio::test]
async fn what_cannot_be_applied_is_refused_and_the_pool_in_force_stays() {
    let directory = Directory::new();
    let mut control = Control::start(&directory.socket());
    let edge = Edge::start(&directory);
    let mut watch = control.watch().await;
    attached(&mut watch).await;
    assert_eq!(applied(&mut watch, snapshot(5, vec![mbox(1)])).await, Ok(5));

    let of_another = Change { base: 6, version: 7, backends: vec![mbox(2)], ..Change::default() };
    let nack = changed(&mut watch, of_another).await.unwrap_err();
    assert_eq!((nack.pool_version, nack.reason.contains("holds 5")), (7, true), "{}", nack.reason);
    let stranger = Backend { group: "nowhere".into(), ..mbox(2) };
    let nack = applied(&mut watch, snapshot(8, vec![stranger])).await.unwrap_err();
    assert!(nack.reason.contains("no group \"nowhere\""), "{}", nack.reason);
    let nack = applied(&mut watch, snapshot(9, vec![])).await.unwrap_err();
    assert!(nack.reason.contains("empties"), "{}", nack.reason);
    assert_eq!((edge.shared.pools.version(), home_of(&edge, "mbox-1").is_some()), (5, true));
    assert!(edge.told().contains("empties"));

    let forced = Snapshot { force: true, ..snapshot(9, vec![]) };
    assert_eq!(applied(&mut watch, forced).await, Ok(9));
    assert_eq!(home_of(&edge, "mbox-1"), None);
}

#[tokio::test]
async fn an_acknowledged_pool_survives_a_restart_without_control() {
    let directory = Directory::new();
    let mut control = Control::start(&directory.socket());
    let edge = Edge::start(&directory);
    let mut watch = control.watch().await;
    attached(&mut watch).await;
    assert_eq!(applied(&mut watch, snapshot(4, vec![mbox(1)])).await, Ok(4));
    drop((edge, watch, control));

    std::fs::remove_file(directory.socket()).unwrap();
    let edge = Edge::start(&directory);
    assert_eq!(home_of(&edge, "mbox-1").as_deref(), Some("127.0.0.1:143"));
    let mut control = Control::start(&directory.socket());
    assert_eq!(attached(&mut control.watch().await).await, 4, "it says what it holds");
}

#[tokio::test]
async fn a_damaged_pool_on_disk_is_told_and_not_used() {
    let directory = Directory::new();
    std::fs::write(directory.path().join("pool.pb"), b"zpool\0\0\x01 and then nothing good").unwrap();
    let mut control = Control::start(&directory.socket());
    let edge = Edge::start(&directory);
    let mut watch = control.watch().await;
    assert_eq!(attached(&mut watch).await, 0);
    assert!(edge.told().contains("pool.pb is damaged"));
    assert_eq!(applied(&mut watch, snapshot(1, vec![mbox(1)])).await, Ok(1), "control's is taken and kept");
    drop(edge);
    assert_eq!(Edge::start(&directory).shared.pools.version(), 1);
}

#[tokio::test]
async fn an_edge_serves_on_without_control_and_attaches_again() {
    let directory = Directory::new();
    let mut control = Control::start(&directory.socket());
    let edge = Edge::start(&directory);
    let mut watch = control.watch().await;
    attached(&mut watch).await;
    assert_eq!(applied(&mut watch, snapshot(2, vec![mbox(1)])).await, Ok(2));
    drop(watch);
    let mut again = control.watch().await;
    assert_eq!(attached(&mut again).await, 2);
    assert!(home_of(&edge, "mbox-1").is_some());
    assert_eq!(applied(&mut again, snapshot(3, vec![mbox(1)])).await, Ok(3));
}

#[tokio::test]
async fn members_called_down_get_nobody_until_the_next_list() {
    let directory = Directory::new();
    let mut control = Control::start(&directory.socket());
    let edge = Edge::start(&directory);
    let mut watch = control.watch().await;
    attached(&mut watch).await;
    let group = zproxy_proxy::wire::Group { name: "store".into(), kind: zproxy_proxy::wire::GroupKind::Shared.into() };
    let members = [1, 2].map(|number| Backend { group: "store".into(), ..mbox(number) });
    let mut pool = snapshot(1, members.to_vec());
    pool.pool.as_mut().unwrap().groups.push(group);
    assert_eq!(applied(&mut watch, pool).await, Ok(1));

    let usual = home_of(&edge, "store").unwrap();
    let usual_name = if usual == "127.0.0.1:143" { "mbox-1" } else { "mbox-2" };
    let told = |backends: Vec<String>| update(Update::MembersDown(MembersDown { backends }));
    watch.say(told(vec![usual_name.to_uppercase()])).await;
    until(|| home_of(&edge, "store").is_some_and(|now| now != usual)).await;
    assert!(home_of(&edge, usual_name).is_some(), "a home of its own is no member's business");
    watch.say(told(vec![])).await;
    until(|| home_of(&edge, "store") == Some(usual.clone())).await;
}

#[tokio::test]
async fn what_an_http_endpoint_cannot_do_is_refused_with_the_mend() {
    let directory = Directory::new();
    let mut control = Control::start(&directory.socket());
    let _edge = Edge::start(&directory);
    let mut watch = control.watch().await;
    attached(&mut watch).await;
    let endpoint = |tls: BackendTls, style: LoginStyle, forward: Forward| Endpoint {
        port: 80,
        tls: tls.into(),
        login_style: style.into(),
        forward: forward.into(),
        ..Endpoint::default()
    };
    let (off, replay, none) = (BackendTls::Off, LoginStyle::Replay, Forward::None);
    let both = |endpoint: Endpoint| {
        [
            Endpoints { http: Some(endpoint.clone()), ..Endpoints::default() },
            Endpoints { http_admin: Some(endpoint), ..Endpoints::default() },
        ]
    };
    for bad in [
        endpoint(BackendTls::Starttls, replay, none),
        endpoint(off, LoginStyle::Token, none),
        endpoint(off, LoginStyle::VerifyThenMaster, none),
        endpoint(off, replay, Forward::Id),
        endpoint(off, replay, Forward::Xclient),
        endpoint(off, replay, Forward::Xoip),
    ] {
        for endpoints in both(bad) {
            let backend = Backend { endpoints: Some(endpoints), ..mbox(1) };
            let nack = applied(&mut watch, snapshot(1, vec![backend])).await.unwrap_err();
            assert!(nack.reason.contains("an http endpoint has login_style replay"), "{}", nack.reason);
        }
    }
    let mut version = 1;
    for good in [
        endpoint(BackendTls::Unspecified, LoginStyle::Unspecified, Forward::Unspecified),
        endpoint(BackendTls::Implicit, replay, Forward::ProxyV1),
        endpoint(off, replay, Forward::ProxyV2),
    ] {
        for endpoints in both(good) {
            version += 1;
            let backend = Backend { endpoints: Some(endpoints), ..mbox(1) };
            assert_eq!(applied(&mut watch, snapshot(version, vec![backend])).await, Ok(version));
        }
    }
}

#[tokio::test]
async fn a_login_style_that_this_edge_cannot_go_by_is_refused_with_the_mend() {
    let directory = Directory::new();
    let mut control = Control::start(&directory.socket());
    let edge = Edge::with(&directory, |config| {
        let master = |name: &str| MasterUser { name: name.into(), user: "zproxy".into(), password: "geheim".into() };
        config.master_users = vec![master("one"), master("two")];
    });
    let mut watch = control.watch().await;
    attached(&mut watch).await;
    let styled = |style: LoginStyle, master_user: &str| {
        let mut backend = mbox(1);
        let imap = backend.endpoints.as_mut().unwrap().imap.as_mut().unwrap();
        imap.login_style = style.into();
        imap.master_user = master_user.into();
        snapshot(1, vec![backend])
    };
    for (style, master_user, told) in [
        (LoginStyle::VerifyThenMaster, "three", "no master user \"three\" for its imap endpoint"),
        (LoginStyle::VerifyThenMaster, "", "no single master user for its imap endpoint"),
        (LoginStyle::VerifyThenXclient, "", "for a submission endpoint"),
    ] {
        let nack = applied(&mut watch, styled(style, master_user)).await.unwrap_err();
        assert!(nack.reason.contains(told), "{}", nack.reason);
    }
    assert_eq!(applied(&mut watch, styled(LoginStyle::VerifyThenMaster, "two")).await, Ok(1));
    assert_eq!(applied(&mut watch, styled(LoginStyle::Token, "")).await, Ok(1));
    let offer = edge.shared.pools.offer(Service::Imap);
    assert!(!offer.passwords, "nobody takes them");
}
