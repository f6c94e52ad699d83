//! The cookie by which a browser that has logged in by a form comes back to its server, at whichever edge.
//!
//! Sealed by keys that control gives to all edges: it opens at the host that it was made for, for 30 days, and has one
//! length whatever is in it. It names an account and a backend, neither of them by address, and proves nothing: where
//! the account lives is asked as ever. Until control has spoken no cookie is made and none opens: a key of our own would
//! make cookies that no other edge knows, for logins that cannot be routed without control anyway. When control is gone
//! for longer than its keys last, the newest goes on.

#[cfg(test)]
mod tests;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::header::HeaderValue;
use tokio::sync::watch;
use tokio::time::timeout;
use zproxy_protocol::Name;
use zproxy_protocol::http::Host;
use zproxy_protocol::http::cookies::ROUTE_COOKIE;

use crate::pool::BackendMark;
use crate::rotating_keys::{AROUND, BadKeys, Pace, RotatingKeys};
use crate::wire;

/// The first octet of what is sealed; whatever comes after may change with it.
const VERSION: u8 = 1;
/// How long a cookie counts. Control keeps the keys for it, `COOKIE_SECONDS` there.
const LIFE: Duration = Duration::from_secs(30 * 24 * 3600);
/// Longest name, in octets: an address has no more (RFC 5321, 4.5.3.1).
const MAX_NAME: usize = 254;
/// Version, time, mark, length of the name, name.
const PLAIN: usize = 1 + 8 + 8 + 1 + MAX_NAME;
/// In base64: four characters for three octets, the last one cut short.
const SEALED: usize = ((PLAIN + AROUND) * 4).div_ceil(3);

/// What a browser is made to remember.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Memory {
    /// Who logged in.
    pub name: Name,
    /// Which backend served the login.
    pub backend: BackendMark,
}

/// What seals and opens the cookies of all hosts.
pub struct RouteCookies {
    keys: RotatingKeys,
    told: watch::Sender<bool>,
}

impl RouteCookies {
    /// Takes control's keys into force instead of all others; wipes the message.
    ///
    /// # Errors
    /// They cannot be used; those of before stay.
    pub fn take(&self, message: wire::RotatingKeys) -> Result<(), BadKeys> {
        self.keys.take(message)?;
        self.told.send_replace(true);
        Ok(())
    }

    /// Waits until there are keys: an edge that just started listens before control has sent them, and a good cookie
    /// does not open then. Returns whether there are.
    pub async fn await_first(&self, patience: Duration) -> bool {
        if *self.told.borrow() {
            return true;
        }
        timeout(patience, self.told.subscribe().wait_for(|told| *told)).await.is_ok_and(|told| told.is_ok())
    }

    /// A whole `Set-Cookie`. None: the name is too long, or there is no key.
    #[must_use]
    pub fn seal(&self, host: &Host, memory: &Memory) -> Option<HeaderValue> {
        self.seal_at(host, memory, SystemTime::now())
    }

    /// What a cookie's value says; none: it is not ours, not this host's, or too old.
    #[must_use]
    pub fn open(&self, host: &Host, sealed: &[u8]) -> Option<Memory> {
        self.open_at(host, sealed, SystemTime::now())
    }

    fn seal_at(&self, host: &Host, memory: &Memory, now: SystemTime) -> Option<HeaderValue> {
        let sealed = self.keys.seal(host.as_str().as_bytes(), &memory.write(now)?, now)?;
        let value = URL_SAFE_NO_PAD.encode(sealed);
        let cookie = format!("{ROUTE_COOKIE}={value}; Path=/; Secure; HttpOnly; SameSite=Lax");
        let mut cookie = HeaderValue::try_from(cookie).ok()?;
        cookie.set_sensitive(true);
        Some(cookie)
    }

    fn open_at(&self, host: &Host, sealed: &[u8], now: SystemTime) -> Option<Memory> {
        // First, so that 8 KiB cost nothing.
        if sealed.len() != SEALED {
            return None;
        }
        let sealed = URL_SAFE_NO_PAD.decode(sealed).ok()?;
        Memory::read(&self.keys.open(host.as_str().as_bytes(), &sealed, now)?, now)
    }
}

impl Default for RouteCookies {
    fn default() -> Self {
        // The pace is control's, with the first keys.
        let pace = Pace { rotation: Duration::ZERO, opens_for: LIFE };
        Self { keys: RotatingKeys::new(b"zproxy route cookie", pace), told: watch::channel(false).0 }
    }
}

impl std::fmt::Debug for RouteCookies {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RouteCookies")
    }
}

impl Memory {
    fn write(&self, now: SystemTime) -> Option<Vec<u8>> {
        let name = self.name.as_str().as_bytes();
        let length = u8::try_from(name.len()).ok().filter(|_| name.len() <= MAX_NAME)?;
        let made = now.duration_since(UNIX_EPOCH).ok()?.as_secs();
        let mut plain = Vec::with_capacity(PLAIN);
        plain.push(VERSION);
        plain.extend(made.to_be_bytes());
        plain.extend(self.backend.to_be_bytes());
        plain.push(length);
        plain.extend(name);
        plain.resize(PLAIN, 0);
        Some(plain)
    }

    fn read(plain: &[u8], now: SystemTime) -> Option<Self> {
        let (&[VERSION], plain) = plain.split_first_chunk()? else { return None };
        let (&made, plain) = plain.split_first_chunk()?;
        let (&backend, plain) = plain.split_first_chunk()?;
        let (&length, name) = plain.split_first()?;
        // An edge whose clock is ahead makes cookies of a time to come.
        let until = UNIX_EPOCH.checked_add(Duration::from_secs(u64::from_be_bytes(made)))?.checked_add(LIFE)?;
        let name = Name::new(name.get(..length.into())?).ok()?;
        (now < until).then_some(Self { name, backend: BackendMark::from_be_bytes(backend) })
    }
}
