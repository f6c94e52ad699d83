//! How long things took, as a histogram: a run of any length has percentiles to three digits in little memory.

use std::time::Duration;

use hdrhistogram::Histogram;
use hdrhistogram::iterators::IterationValue;
use serde_json::{Value, json};

/// Times of one kind.
#[derive(Clone, Debug)]
pub(crate) struct Latencies(Histogram<u64>);

impl Default for Latencies {
    fn default() -> Self {
        Self(Histogram::new_with_max(LONGEST_US, DIGITS).expect("the bounds are sound"))
    }
}

impl Latencies {
    /// Adds one.
    pub(crate) fn push(&mut self, latency: Duration) {
        self.0.saturating_record(u64::try_from(latency.as_micros()).unwrap_or(u64::MAX));
    }

    /// How many there are.
    pub(crate) fn len(&self) -> u64 {
        self.0.len()
    }

    /// Adds those of others.
    pub(crate) fn add(&mut self, others: &Self) {
        self.0.add(&others.0).expect("the bounds of all are the same");
    }

    /// How often each time was taken, as pairs of milliseconds and a count.
    pub(crate) fn counts(&self) -> Value {
        let pair = |at: IterationValue<u64>| json!([at.value_iterated_to() as f64 / 1e3, at.count_at_value()]);
        self.0.iter_recorded().map(pair).collect()
    }

    /// Percentiles in milliseconds; null where nothing was measured.
    pub(crate) fn summary(&self) -> Value {
        let milliseconds = |micros: f64| (!self.0.is_empty()).then_some(micros / 1e3);
        let at = |quantile: f64| milliseconds(self.0.value_at_quantile(quantile) as f64);
        json!({
            "mean": milliseconds(self.0.mean()),
            "p50": at(0.5),
            "p90": at(0.9),
            "p99": at(0.99),
            "p999": at(0.999),
            "max": milliseconds(self.0.max() as f64),
        })
    }
}

/// Longer than the patience of every step together.
const LONGEST_US: u64 = 3_600_000_000;
const DIGITS: u8 = 3;

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
        for (name, expected) in [("p50", 100.0), ("p90", 180.0), ("p99", 198.0), ("max", 200.0), ("mean", 100.5)] {
            let found = summary[name].as_f64().unwrap();
            assert!((found - expected).abs() <= expected / 1e3, "{summary}");
        }
    }

    #[test]
    fn counts_how_often_each_time_was_taken() {
        let mut latencies = Latencies::default();
        for microseconds in [250, 1000, 250] {
            latencies.push(Duration::from_micros(microseconds));
        }
        let mut sum = Latencies::default();
        sum.add(&latencies);
        assert_eq!(sum.counts(), json!([[0.25, 2], [1.0, 1]]));
    }

    #[test]
    fn nothing_measured_is_null() {
        let summary = Latencies::default().summary();
        assert!(summary.as_object().unwrap().values().all(Value::is_null), "{summary}");
    }
}
