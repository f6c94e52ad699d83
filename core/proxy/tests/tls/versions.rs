//! What is agreed on.

use std::sync::Arc;

use rustls::version::{TLS12, TLS13};
use zproxy_proxy::config::BackendTls;
use zproxy_proxy::pool::Verify;
use zproxy_proxy::tls::Trust;
use zproxy_proxy::wire::{Tls, TlsVersion};

use super::handshake::Edge;

const NAME: &str = "mail.tgg.net.id";

#[tokio::test]
async fn the_key_exchange_is_post_quantum_unless_the_config_says_otherwise() {
    for (post_quantum, agreed) in [(None, "X25519MLKEM768"), (Some(true), "X25519MLKEM768"), (Some(false), "X25519")] {
        let edge = Edge::with(|config, _| config.tls = Some(Tls { post_quantum, ..Tls::default() }));
        let facts = edge.meet(&Arc::new(edge.client()), NAME).await.unwrap();
        assert_eq!((facts.version, facts.key_exchange), ("TLSv1.3", Some(agreed)));
    }
}

#[tokio::test]
async fn so_it_is_towards_backends() {
    let edge = Edge::with(|_, _| {});
    let ca_file = edge.directory.write("backends.pem", edge.authority.pem());
    let backend_tls = BackendTls { ca_file: Some(ca_file.into()), ..BackendTls::default() };
    for (post_quantum, agreed) in [(true, "X25519MLKEM768"), (false, "X25519")] {
        let mut faults = Vec::new();
        let trust = Trust::load(&backend_tls, post_quantum, &mut faults);
        assert_eq!(faults, []);
        let facts = edge.meet(&trust.config(&Verify::Full), NAME).await.unwrap();
        assert_eq!(facts.key_exchange, Some(agreed));
    }
}

#[tokio::test]
async fn a_client_of_an_old_version_is_served_unless_the_listener_wants_a_newer_one() {
    let edge = Edge::with(|_, _| {});
    assert_eq!(edge.meet(&Arc::new(edge.client_of(&TLS12)), NAME).await.unwrap().version, "TLSv1.2");
    let edge = Edge::with(|config, _| config.listeners[0].tls_min_version = TlsVersion::Tls13.into());
    assert_eq!(edge.meet(&Arc::new(edge.client_of(&TLS13)), NAME).await.unwrap().version, "TLSv1.3");
    let error = edge.meet(&Arc::new(edge.client_of(&TLS12)), NAME).await.unwrap_err();
    assert!(error.contains("its TLS is older than tls_min_version"), "{error}");
}
