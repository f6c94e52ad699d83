//! Session tickets that resume at every edge: sealed by keys that control gives to all of them and rotates.
//!
//! Until control has spoken, and when it is gone for longer than its keys last, an edge seals by keys of its own.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_lc_rs::digest::{SHA256, digest};
use rustls::server::ProducesTickets;

use crate::config::Listener;
use crate::rotating_keys::{BadKeys, Pace, RotatingKeys};
use crate::wire;

/// How long a key of our own seals.
const ROTATION: Duration = Duration::from_secs(12 * 3600);
/// RFC 8446, 4.6.1: no ticket lives longer than a week.
const LONGEST_LIFE: Duration = Duration::from_secs(7 * 24 * 3600);
/// What is sealed holds a host name and a secret, and never a client's certificate.
const LONGEST: usize = 1024;

/// The ticket keys in force.
pub struct Tickets(RotatingKeys);

impl Tickets {
    /// Draws a key of our own.
    ///
    /// # Errors
    /// The operating system gives no random numbers.
    pub fn new() -> Result<Self, rustls::Error> {
        let keys = RotatingKeys::new(b"zproxy ticket", Pace { rotation: ROTATION, opens_for: ROTATION });
        keys.draw_when_outlived(SystemTime::now()).ok_or(rustls::Error::FailedToGetRandomBytes)?;
        Ok(Self(keys))
    }

    /// Takes control's keys into force instead of all others; wipes the message.
    ///
    /// # Errors
    /// They cannot be used; those of before stay.
    pub fn take(&self, message: wire::RotatingKeys) -> Result<(), BadKeys> {
        self.0.take(message)
    }

    /// What seals and opens tickets of a listener.
    #[must_use]
    pub fn of(self: &Arc<Self>, listener: &Listener) -> Arc<dyn ProducesTickets> {
        Arc::new(Ticketer { tickets: Arc::clone(self), settings: settings(listener) })
    }

    fn seal(&self, settings: &[u8], plain: &[u8], now: SystemTime) -> Option<Vec<u8>> {
        self.0.draw_when_outlived(now)?;
        self.0.seal(settings, plain, now).filter(|ticket| ticket.len() <= LONGEST)
    }

    fn open(&self, settings: &[u8], ticket: &[u8], now: SystemTime) -> Option<Vec<u8>> {
        if ticket.len() > LONGEST {
            return None;
        }
        self.0.open(settings, ticket, now)
    }
}

impl std::fmt::Debug for Tickets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tickets")
    }
}

/// What must be alike where a ticket is sealed and where it is opened. Listeners that ask for clients' certificates have
/// none, and the host name is in the ticket, where rustls compares it.
fn settings(listener: &Listener) -> [u8; 32] {
    let text = format!("{} {:?} {}", listener.service.name(), listener.tls_min_version, listener.alpn_strict);
    let mut hash = [0; 32];
    hash.copy_from_slice(digest(&SHA256, text.as_bytes()).as_ref());
    hash
}

/// Seals and opens the tickets of handshakes under the same settings.
#[derive(Debug)]
struct Ticketer {
    tickets: Arc<Tickets>,
    settings: [u8; 32],
}

impl ProducesTickets for Ticketer {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        // Of the first ticket that a key seals; a later one may be tried in vain, which costs a full handshake.
        let life = self.tickets.0.life().min(LONGEST_LIFE);
        u32::try_from(life.as_secs()).unwrap_or(u32::MAX)
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        self.tickets.seal(&self.settings, plain, SystemTime::now())
    }

    fn decrypt(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        self.tickets.open(&self.settings, ticket, SystemTime::now())
    }
}
