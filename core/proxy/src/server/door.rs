//! A listener in force: its sockets stay while its settings change.

use std::net::SocketAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::sync::watch;

use crate::config::Listener;
use crate::tls::ServerTls;

/// A listener's settings in force.
#[derive(Debug)]
pub struct Listening {
    /// As configured.
    pub listener: Arc<Listener>,
    /// What handshakes run under; none: TLS is off.
    pub tls: Option<Arc<ServerTls>>,
}

/// Where clients come in.
#[derive(Debug)]
pub(super) struct Door {
    /// With the real port, where 0 was asked for.
    bound: SocketAddr,
    listening: ArcSwap<Listening>,
    open: watch::Sender<bool>,
}

impl Door {
    pub(super) fn new(bound: SocketAddr, listening: Listening) -> Self {
        Self { bound, listening: ArcSwap::from_pointee(listening), open: watch::channel(true).0 }
    }

    pub(super) fn bound(&self) -> SocketAddr {
        self.bound
    }

    /// Whether a listener of a new config wants the very sockets that are here.
    pub(super) fn serves(&self, listener: &Listener) -> bool {
        self.listening.load().listener.address == listener.address
    }

    pub(super) fn set(&self, listening: Listening) {
        self.listening.store(Arc::new(listening));
    }

    pub(super) fn listening(&self) -> Arc<Listening> {
        self.listening.load_full()
    }

    pub(super) fn shut(&self) {
        self.open.send_replace(false);
    }

    /// Resolves when the door is shut.
    pub(super) async fn is_shut(&self) {
        // The sender is ours: it does not go away before we do.
        let _ = self.open.subscribe().wait_for(|open| !open).await;
    }
}
