//! All listeners in force, and how a new config opens, keeps and shuts them.

use std::collections::HashMap;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use tokio::net::TcpStream;

use super::Setup;
use super::door::{Door, Listening};
use super::worker::Worker;
use crate::config::{Invalid, Listener, ListenerTls, invalid};
use crate::record::Writer;
use crate::sys;
use crate::tls::{self, ServerTls, Tickets};

/// A listener as operators see it: name, service, address as bound.
type Bound = (Arc<str>, &'static str, SocketAddr);

type ByName = HashMap<Arc<str>, Arc<Door>>;

/// The doors, by the names of their listeners.
#[derive(Debug)]
pub(super) struct Doors {
    by_name: Mutex<ByName>,
    bound: ArcSwap<Vec<SocketAddr>>,
    /// They outlive a reload, so that clients resume over it.
    tickets: Arc<Tickets>,
    records: Writer,
}

impl Doors {
    pub(super) fn new(tickets: Arc<Tickets>, records: Writer) -> Self {
        Self { by_name: Mutex::default(), bound: ArcSwap::default(), tickets, records }
    }

    /// Where each listener of a config is bound.
    pub(super) fn listeners(&self, listeners: &[Arc<Listener>]) -> Vec<Bound> {
        let doors = self.by_name.lock().unwrap_or_else(PoisonError::into_inner);
        let bound = |listener: &Arc<Listener>| {
            let door = doors.get(&listener.name)?;
            Some((Arc::clone(&listener.name), listener.service.name(), door.bound()))
        };
        listeners.iter().filter_map(bound).collect()
    }

    /// Whether a connection of ours came out at one of these doors.
    pub(super) fn lead_here(&self, connection: &TcpStream) -> bool {
        let (Ok(local), Ok(peer)) = (connection.local_addr(), connection.peer_addr()) else { return false };
        // A door on all addresses is met at any of this machine's, and there both ends have the same one.
        let here = |door: &SocketAddr| *door == peer || (door.ip().is_unspecified() && local.ip() == peer.ip());
        self.bound.load().iter().any(|door| door.port() == peer.port() && here(door))
    }

    /// No door takes another client.
    pub(super) fn shut(&self) {
        self.by_name.lock().unwrap_or_else(PoisonError::into_inner).values().for_each(|door| door.shut());
    }

    /// Opens new doors, gives old ones their new settings and shuts those that are gone: all or nothing.
    ///
    /// # Errors
    /// Each listener that cannot be had; then nothing has changed.
    pub(super) fn open(&self, setup: &Setup, workers: &[Worker]) -> Result<(), Vec<Invalid>> {
        let mut doors = self.by_name.lock().unwrap_or_else(PoisonError::into_inner);
        let mut faults = Vec::new();
        let mut wanted = Vec::new();
        for index in 0..setup.config.listeners.len() {
            match self.listening(index, setup, &doors, workers.len()) {
                Ok(it) => wanted.push(it),
                Err(problem) => faults.push(invalid(&format!("listeners[{index}].address"), problem)),
            }
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        let mut kept = HashMap::new();
        for (listening, opening) in wanted {
            let name = Arc::clone(&listening.listener.name);
            let door = match opening {
                Opening::Known(door) => {
                    door.set(listening);
                    door
                }
                Opening::New { bound, sockets } => {
                    let door = Arc::new(Door::new(bound, listening));
                    for (worker, socket) in workers.iter().zip(sockets) {
                        worker.watch(Arc::clone(&door), socket);
                    }
                    door
                }
            };
            kept.insert(name, door);
        }
        for door in std::mem::replace(&mut *doors, kept).into_values() {
            if !doors.values().any(|kept| Arc::ptr_eq(kept, &door)) {
                door.shut();
            }
        }
        self.bound.store(Arc::new(doors.values().map(|door| door.bound()).collect()));
        Ok(())
    }

    fn listening(
        &self,
        index: usize,
        setup: &Setup,
        known: &ByName,
        threads: usize,
    ) -> Result<(Listening, Opening), String> {
        let listener = &setup.config.listeners[index];
        let terms = tls::Terms {
            listener,
            certificates: &setup.certificates,
            verifier: &setup.client_verifiers[index],
            tickets: &self.tickets,
            post_quantum: setup.config.tls.post_quantum,
            records: &self.records,
        };
        let tls = match listener.tls {
            ListenerTls::Off => None,
            _ => Some(ServerTls::new(terms).map(Arc::new).map_err(|error| format!("TLS cannot be set up: {error}"))?),
        };
        let listening = Listening { listener: Arc::clone(listener), tls };
        // By its name first; by its address, which is one listener's only, it may have been renamed.
        let renamed = || known.values().find(|door| listener.address.port() != 0 && door.serves(listener));
        if let Some(door) = known.get(&listener.name).filter(|door| door.serves(listener)).or_else(renamed) {
            return Ok((listening, Opening::Known(Arc::clone(door))));
        }
        let unbound = |error| format!("{} cannot be listened on: {error}; {}", listener.address, mend(&error));
        // A door of ours on the port, for another address, is no stranger: `127.0.0.1:143` may become `0.0.0.0:143`.
        if !known.values().any(|door| door.bound().port() == listener.address.port()) {
            sys::probe_free(listener.address).map_err(unbound)?;
        }
        let first = sys::listen(listener.address).map_err(unbound)?;
        let bound = first.local_addr().map_err(unbound)?;
        let mut sockets = vec![first];
        for _ in 1..threads {
            sockets.push(sys::listen(bound).map_err(unbound)?);
        }
        Ok((listening, Opening::New { bound, sockets }))
    }
}

/// What an operator can do about an address that is not to be had.
fn mend(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => "`ss -ltnp` says who listens there: stop it, or choose another",
        io::ErrorKind::AddrNotAvailable => "no interface has this address: choose another",
        io::ErrorKind::PermissionDenied => "ports below 1024 are for root and CAP_NET_BIND_SERVICE",
        _ => "choose another",
    }
}

/// How a listener gets its door.
enum Opening {
    Known(Arc<Door>),
    New { bound: SocketAddr, sockets: Vec<TcpListener> },
}
