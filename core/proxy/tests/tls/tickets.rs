//! Who may resume what.

use std::sync::Arc;

use rustls::NamedGroup;
use rustls::client::{ClientSessionMemoryCache, ClientSessionStore, Resumption};
use rustls::client::{Tls12ClientSessionValue, Tls13ClientSessionValue};
use rustls::pki_types::ServerName;
use rustls::version::{TLS12, TLS13};

use super::handshake::Edge;

const NAME: &str = "mail.tgg.net.id";

/// A client that shows its tickets under every name.
#[derive(Debug)]
struct ForAnyName(ClientSessionMemoryCache);

impl ForAnyName {
    fn name() -> ServerName<'static> {
        ServerName::try_from(NAME).unwrap()
    }
}

impl ClientSessionStore for ForAnyName {
    fn set_kx_hint(&self, _: ServerName<'static>, group: NamedGroup) {
        self.0.set_kx_hint(Self::name(), group);
    }

    fn kx_hint(&self, _: &ServerName<'_>) -> Option<NamedGroup> {
        self.0.kx_hint(&Self::name())
    }

    fn set_tls12_session(&self, _: ServerName<'static>, value: Tls12ClientSessionValue) {
        self.0.set_tls12_session(Self::name(), value);
    }

    fn tls12_session(&self, _: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        self.0.tls12_session(&Self::name())
    }

    fn remove_tls12_session(&self, _: &ServerName<'static>) {
        self.0.remove_tls12_session(&Self::name());
    }

    fn insert_tls13_ticket(&self, _: ServerName<'static>, value: Tls13ClientSessionValue) {
        self.0.insert_tls13_ticket(Self::name(), value);
    }

    fn take_tls13_ticket(&self, _: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        self.0.take_tls13_ticket(&Self::name())
    }
}

#[tokio::test]
async fn a_ticket_resumes_under_the_name_it_was_given_for_and_no_other() {
    for version in [&TLS12, &TLS13] {
        let edge = Edge::with(|_, _| {});
        let mut client = edge.client_of(version);
        client.resumption = Resumption::store(Arc::new(ForAnyName(ClientSessionMemoryCache::new(8))));
        let client = Arc::new(client);
        assert!(!edge.meet(&client, NAME).await.unwrap().resumed);
        assert!(edge.meet(&client, NAME).await.unwrap().resumed);
        assert!(!edge.meet(&client, "mail.gec-course.com").await.unwrap().resumed);
    }
}
