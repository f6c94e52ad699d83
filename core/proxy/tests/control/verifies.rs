//! Proofs: each credential a question of its own, with a stream that breaks, a control that is silent and one that has
//! nothing to prove with.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use zproxy_protocol::Secret;
use zproxy_proxy::Error;
use zproxy_proxy::service::Service;
use zproxy_proxy::verify::{Evidence, Proof, Verified};
use zproxy_proxy::wire::edge_update::Update;
use zproxy_proxy::wire::{
    self, EdgeUpdate, Fault, Limits, Refused, Timeouts, Verdict, Verifiers, VerifyBatch, VerifyReply, proof, verdict,
};

use super::edge::{Directory, Edge, duration};
use super::fake::{Control, soon, until};

const ALL: Verifiers = Verifiers { passwords: true, tokens: true };

fn password(text: &str) -> Evidence {
    Evidence::Password(Secret::new(text.as_bytes()))
}

fn token() -> Evidence {
    Evidence::Token(Secret::new(b"geheim"))
}

fn prove(edge: &Edge, login: Option<&str>, evidence: Evidence) -> JoinHandle<Result<Verified, Error>> {
    let question = login.map(|login| wire::Question { login: login.into(), ..wire::Question::default() });
    let proof = Proof {
        question,
        evidence,
        account: login.map_or_else(Arc::default, Arc::from),
        service: Service::Imap,
        client: "::ffff:192.0.2.7".parse().unwrap(),
        attempt: 2,
        tls_version: "TLSv1.3",
        ehlo: "laptop".into(),
    };
    let shared = Arc::clone(&edge.shared);
    tokio::spawn(async move { shared.proofs.prove(proof).await })
}

/// A control that has said what it can prove, and an edge that has heard it.
async fn attached(edge: &Edge, control: &mut Control, verifiers: Verifiers) -> super::fake::Watch {
    let mut watch = control.watch().await;
    watch.hear().await;
    watch.say(EdgeUpdate { update: Some(Update::Verifiers(verifiers)) }).await;
    until(|| edge.shared.proofs.verifiers().is_some()).await;
    watch
}

fn verified(account: &str) -> verdict::Result {
    verdict::Result::Verified(wire::Verified { account: account.into(), ..wire::Verified::default() })
}

fn reply(batch: &VerifyBatch, results: Vec<verdict::Result>) -> VerifyReply {
    let verdict = |(index, result)| Verdict { proof: u32::try_from(index).unwrap(), result: Some(result) };
    VerifyReply { id: batch.id, verdicts: results.into_iter().enumerate().map(verdict).collect() }
}

#[tokio::test]
async fn a_proof_holds_what_a_verifier_may_ask_for() {
    let directory = Directory::new();
    let mut control = Control::start(&directory.socket());
    let edge = Edge::start(&directory);
    let _watch = attached(&edge, &mut control, ALL).await;
    let proving = prove(&edge, Some("siti@tgg.net.id"), password("demo"));
    let mut verifies = control.verifies().await;
    let batch = verifies.hear().await;
    let expected = wire::Proof {
        question: Some(wire::Question { login: b"siti@tgg.net.id".to_vec(), ..wire::Question::default() }),
        credential: Some(proof::Credential::Password(b"demo".to_vec())),
        account: "siti@tgg.net.id".into(),
        service: "imap".into(),
        client_address: "192.0.2.7".into(),
        attempt: 2,
        tls_version: "TLSv1.3".into(),
        ehlo: "laptop".into(),
    };
    assert_eq!(batch.proofs, [expected]);
    verifies.say(reply(&batch, vec![verified("siti@tgg.net.id")])).await;
    assert_eq!(&*soon(proving).await.unwrap().unwrap().account, "siti@tgg.net.id");

    let proving = prove(&edge, None, token());
    let batch = verifies.hear().await;
    assert_eq!(batch.proofs[0].question, None);
    assert_eq!(batch.proofs[0].credential, Some(proof::Credential::Token(b"geheim".to_vec())));
    let budi = wire::Verified {
        account: "budi@tgg.net.id".into(),
        home: "mbox-2".into(),
        backend_login: "budi".into(),
        backend_password: b"other".to_vec(),
    };
    verifies.say(reply(&batch, vec![verdict::Result::Verified(budi)])).await;
    let verified = soon(proving).await.unwrap().unwrap();
    assert_eq!((verified.home.as_deref(), verified.backend_login.as_deref()), (Some("mbox-2"), Some("budi")));
    assert_eq!(verified.backend_password.unwrap().expose(), b"other");
}

#[tokio::test]
async fn no_two_proofs_are_joined_however_alike() {
    let directory = Directory::new();
    let mut control = Control::start(&directory.socket());
    let edge = Edge::start(&directory);
    let _watch = attached(&edge, &mut control, ALL).await;
    let mut verifies = control.verifies().await;
    let proving = [(); 3].map(|()| prove(&edge, Some("siti@tgg.net.id"), password("demo")));
    let (mut asked, mut results) = (0, Vec::new());
    while asked < proving.len() {
        let batch = verifies.hear().await;
        asked += batch.proofs.len();
        let refused = Refused { reason: "wrong password".into(), expired: false };
        let answers: Vec<_> = batch.proofs.iter().map(|_| verdict::Result::Refused(refused.clone())).collect();
        verifies.say(reply(&batch, answers)).await;
    }
    for it in proving {
        results.push(soon(it).await.unwrap());
    }
    assert_eq!(asked, 3);
    assert!(results.iter().all(|it| matches!(it, Err(Error::VerifyRefused { expired: false, .. }))), "{results:?}");
}

#[tokio::test]
async fn a_fault_is_no_refusal_and_a_verdict_that_nobody_awaits_is_nothing() {
    let directory = Directory::new();
    let mut control = Control::start(&directory.socket());
    let edge = Edge::start(&directory);
    let _watch = attached(&edge, &mut control, ALL).await;
    let mut verifies = control.verifies().await;
    let gone = prove(&edge, Some("budi@tgg.net.id"), password("demo"));
    let batch = verifies.hear().await;
    gone.abort();
    verifies.say(reply(&batch, vec![verified("budi@tgg.net.id"); 3])).await;
    verifies.say(VerifyReply { id: 99, verdicts: Vec::new() }).await;
    let proving = prove(&edge, Some("siti@tgg.net.id"), password("demo"));
    let batch = verifies.hear().await;
    let fault = verdict::Result::Fault(Fault { reason: "LDAP is down".into() });
    verifies.say(reply(&batch, vec![fault])).await;
    let error = soon(proving).await.unwrap().unwrap_err();
    assert_eq!(error.to_string(), "verification failed: LDAP is down");
}

#[tokio::test]
async fn what_control_cannot_prove_is_never_sent() {
    let directory = Directory::new();
    let mut control = Control::start(&directory.socket());
    let edge = Edge::start(&directory);
    let _watch = attached(&edge, &mut control, Verifiers { passwords: false, tokens: true }).await;
    let error = soon(prove(&edge, Some("siti@tgg.net.id"), password("demo"))).await.unwrap().unwrap_err();
    assert!(matches!(error, Error::NoVerifier("passwords")), "{error}");
    let proving = prove(&edge, None, token());
    let mut verifies = control.verifies().await;
    assert_eq!(verifies.hear().await.proofs.len(), 1);
    proving.abort();
}

#[tokio::test]
async fn without_a_stream_it_fails_at_once() {
    let directory = Directory::new();
    let edge = Edge::start(&directory);
    let proving = prove(&edge, Some("siti@tgg.net.id"), password("demo"));
    let error = soon(proving).await.unwrap().unwrap_err();
    assert_eq!(error.to_string(), "verification failed: no connection to the control plane");

    let mut control = Control::start(&directory.socket());
    let _watch = attached(&edge, &mut control, ALL).await;
    let mut verifies = control.verifies().await;
    let proving = prove(&edge, Some("siti@tgg.net.id"), password("demo"));
    verifies.hear().await;
    drop(verifies);
    assert!(matches!(soon(proving).await.unwrap(), Err(Error::VerifyFailed(_))));
}

#[tokio::test]
async fn a_silent_control_costs_the_deadline() {
    let directory = Directory::new();
    let mut control = Control::start(&directory.socket());
    let verify = Some(duration(Duration::from_millis(30)));
    let edge = Edge::with(&directory, |config| config.timeouts = Some(Timeouts { verify, ..Timeouts::default() }));
    let _watch = attached(&edge, &mut control, ALL).await;
    let mut verifies = control.verifies().await;
    let mut silences = 0;
    while silences < 4 {
        let mut proving = prove(&edge, Some("siti@tgg.net.id"), password("demo"));
        let error = tokio::select! {
            _ = verifies.hear() => {
                silences += 1;
                soon(proving).await
            }
            // Too late to be sent at all, on a busy machine.
            error = &mut proving => error,
        };
        assert!(matches!(error.unwrap(), Err(Error::VerifyTimeout)));
    }
    // A stream that owes so many batches gives none.
    verifies.end().await;
    control.verifies().await;
}

#[tokio::test]
async fn more_than_allowed_are_refused_at_once() {
    let directory = Directory::new();
    let mut control = Control::start(&directory.socket());
    let edge =
        Edge::with(&directory, |config| config.limits = Some(Limits { pending_lookups: 2, ..Limits::default() }));
    let _watch = attached(&edge, &mut control, ALL).await;
    let mut verifies = control.verifies().await;
    let mut proving = Vec::new();
    for _ in 0..4 {
        proving.push(prove(&edge, Some("siti@tgg.net.id"), password("demo")));
        verifies.hear().await;
    }
    // Four batches are out: what comes now waits.
    for count in 1..=2 {
        proving.push(prove(&edge, Some("siti@tgg.net.id"), password("demo")));
        until(|| edge.shared.proofs.pending() == count).await;
    }
    let one_more = prove(&edge, Some("siti@tgg.net.id"), password("demo"));
    assert!(matches!(soon(one_more).await.unwrap(), Err(Error::VerifyOverload)));
    // Whoever has left makes room.
    for gone in proving.drain(4..) {
        gone.abort();
        let _ = soon(gone).await;
    }
    let waits = prove(&edge, Some("siti@tgg.net.id"), password("demo"));
    until(|| edge.shared.proofs.pending() == 1).await;
    waits.abort();
}

#[tokio::test]
async fn a_message_holds_so_many_proofs_and_so_many_octets() {
    let directory = Directory::new();
    let mut control = Control::start(&directory.socket());
    let edge = Edge::start(&directory);
    let _watch = attached(&edge, &mut control, ALL).await;
    let mut verifies = control.verifies().await;
    for (count, octets) in [(100, 8), (30, 100_000)] {
        let proving: Vec<_> =
            (0..count).map(|_| prove(&edge, Some("siti@tgg.net.id"), password(&"x".repeat(octets)))).collect();
        let mut asked = 0;
        while asked < count {
            let batch = verifies.hear().await;
            assert!(batch.proofs.len() <= 64 && batch.proofs.len() * octets <= (1 << 20) + octets);
            asked += batch.proofs.len();
            verifies.say(reply(&batch, vec![verified("siti@tgg.net.id"); batch.proofs.len()])).await;
        }
        for it in proving {
            assert!(soon(it).await.unwrap().is_ok());
        }
    }
}
