//! Counting what a client address, or everybody, may have at once. Drop gives back.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Shards of the table: enough that cores do not meet.
const SHARDS: usize = 16;
/// IPv6 clients are counted by /64: that is what one customer gets.
const V6_KEPT: u128 = !0 << 64;

/// Sessions by client address, and in all. Entries exist only while sessions do, so the table is bounded by them.
#[derive(Debug, Default)]
pub struct Limits {
    addresses: [Mutex<HashMap<IpAddr, u32>>; SHARDS],
    sessions: AtomicUsize,
}

impl Limits {
    /// How many sessions there are.
    #[must_use]
    pub fn sessions(&self) -> usize {
        self.sessions.load(Ordering::Relaxed)
    }

    /// Counts a session.
    #[must_use]
    pub fn enter(self: &Arc<Self>) -> Place {
        self.sessions.fetch_add(1, Ordering::Relaxed);
        Place { limits: Arc::clone(self) }
    }

    /// Counts a session of an address; none: it has `most` already.
    #[must_use]
    pub fn enter_address(self: &Arc<Self>, address: IpAddr, most: u32) -> Option<AddressPlace> {
        let key = key(address);
        let mut shard = self.shard(key);
        let count = shard.entry(key).or_insert(0);
        if *count >= most {
            return None;
        }
        *count += 1;
        drop(shard);
        Some(AddressPlace { key, limits: Arc::clone(self) })
    }

    fn shard(&self, key: IpAddr) -> MutexGuard<'_, HashMap<IpAddr, u32>> {
        let low = match key {
            IpAddr::V4(v4) => u64::from(u32::from(v4)),
            IpAddr::V6(v6) => (u128::from(v6) >> 64) as u64,
        };
        let index = usize::try_from(low.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 60).unwrap_or(0);
        self.addresses[index].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What an address counts as.
pub(crate) fn key(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from(u128::from(v6) & V6_KEPT)),
        v4 => v4,
    }
}

/// A session's place among all.
#[derive(Debug)]
pub struct Place {
    limits: Arc<Limits>,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.limits.sessions.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A session's place among those of its address.
#[derive(Debug)]
pub struct AddressPlace {
    key: IpAddr,
    limits: Arc<Limits>,
}

impl Drop for AddressPlace {
    fn drop(&mut self) {
        let mut shard = self.limits.shard(self.key);
        if let Some(count) = shard.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                shard.remove(&self.key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_gets_its_places_back() {
        let limits = Arc::new(Limits::default());
        let address = "192.0.2.1".parse().unwrap();
        let first = limits.enter_address(address, 1);
        assert!(first.is_some());
        assert!(limits.enter_address(address, 1).is_none());
        drop(first);
        assert!(limits.enter_address(address, 1).is_some());
        assert!(limits.addresses.iter().all(|shard| shard.lock().unwrap().is_empty()));
    }

    #[test]
    fn one_customer_of_ipv6_is_one_64() {
        let limits = Arc::new(Limits::default());
        let first = limits.enter_address("2001:db8::1".parse().unwrap(), 1);
        assert!(first.is_some());
        assert!(limits.enter_address("2001:db8::ffff:1".parse().unwrap(), 1).is_none());
        assert!(limits.enter_address("2001:db8:0:1::1".parse().unwrap(), 1).is_some());
    }
}
