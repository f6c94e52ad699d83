//! Counting what a client address is told of recipients that there are not, against those who try names.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::limits;

/// An address begins anew after this.
const WINDOW: Duration = Duration::from_secs(600);
/// Addresses remembered. Beyond them the oldest windows are forgotten: who has so many addresses is not held up by this.
const MAX_ADDRESSES: usize = 65_536;

/// Unknown recipients by client address.
#[derive(Debug, Default)]
pub struct Harvest(Mutex<HashMap<IpAddr, Count>>);

#[derive(Clone, Copy, Debug)]
struct Count {
    began: Instant,
    unknown: u32,
}

impl Harvest {
    /// Counts one, and says how many that makes.
    pub fn count(&self, address: IpAddr) -> u32 {
        let now = Instant::now();
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = limits::key(address);
        if counts.len() >= MAX_ADDRESSES && !counts.contains_key(&key) {
            counts.retain(|_, count| now - count.began < WINDOW / 2);
            if counts.len() >= MAX_ADDRESSES {
                counts.clear();
            }
        }
        let count = counts.entry(key).or_insert(Count { began: now, unknown: 0 });
        if now - count.began >= WINDOW {
            *count = Count { began: now, unknown: 0 };
        }
        count.unknown += 1;
        count.unknown
    }

    /// How many an address has been told of.
    #[must_use]
    pub fn of(&self, address: IpAddr) -> u32 {
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.get(&limits::key(address)).filter(|count| count.began.elapsed() < WINDOW);
        count.map_or(0, |count| count.unknown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_address_begins_anew_after_its_window() {
        let harvest = Harvest::default();
        let address = "2001:db8::1".parse().unwrap();
        assert_eq!(harvest.of(address), 0);
        assert_eq!((harvest.count(address), harvest.count("2001:db8::2".parse().unwrap())), (1, 2));
        assert_eq!(harvest.of(address), 2);
        tokio::time::advance(WINDOW).await;
        assert_eq!(harvest.of(address), 0);
        assert_eq!(harvest.count(address), 1);
    }
}
