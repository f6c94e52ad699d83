//! How long each login took.

use std::time::Duration;

use serde_json::{Value, json};

/// Every login's time; exact, because a run has at most millions.
#[derive(Default)]
pub(super) struct Latencies(Vec<Duration>);

impl Latencies {
    /// Adds one.
    pub(super) fn push(&mut self, latency: Duration) {
        self.0.push(latency);
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Percentiles in milliseconds; null where there was no login.
    pub(super) fn summary(mut self) -> Value {
        self.0.sort_unstable();
        let at = |percent: usize| {
            let index = (self.0.len() * percent).div_ceil(100).saturating_sub(1);
            self.0.get(index).map(|latency| latency.as_secs_f64() * 1e3)
        };
        json!({"p50": at(50), "p90": at(90), "p99": at(99), "max": at(100)})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_the_smallest_time_that_so_many_kept() {
        let mut latencies = Latencies::default();
        for milliseconds in (1..=200).rev() {
            latencies.push(Duration::from_millis(milliseconds));
        }
        let summary = latencies.summary();
        for (name, expected) in [("p50", 100.0), ("p90", 180.0), ("p99", 198.0), ("max", 200.0)] {
            assert!((summary[name].as_f64().unwrap() - expected).abs() < 1e-9, "{summary}");
        }
    }

    #[test]
    fn nothing_measured_is_null() {
        assert_eq!(Latencies::default().summary()["p99"], Value::Null);
    }
}
