//! What a run has come to: how long each step took, what failed, what was counted.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};

use crate::body::Body;
use crate::latency::Latencies;

/// Of all clients of a run.
#[derive(Default)]
pub(crate) struct Tally(RefCell<Counts>);

#[derive(Default)]
struct Counts {
    whole: Latencies,
    parts: BTreeMap<&'static str, Latencies>,
    errors: BTreeMap<String, u64>,
    /// Handshakes that went on with a session of before.
    resumed: u64,
    /// Of bodies, that came or went as they must.
    octets: u64,
}

impl Tally {
    /// A turn has succeeded.
    pub(crate) fn done(&self, watch: &Watch) {
        let mut counts = self.0.borrow_mut();
        counts.whole.push(watch.begun.elapsed());
        for (part, time) in &watch.parts {
            counts.parts.entry(part).or_default().push(*time);
        }
    }

    /// A turn has failed.
    pub(crate) fn failed(&self, error: String) {
        *self.0.borrow_mut().errors.entry(error).or_default() += 1;
    }

    /// A handshake was short.
    pub(crate) fn resumed(&self) {
        self.0.borrow_mut().resumed += 1;
    }

    /// A body has come or gone.
    pub(crate) fn moved(&self, body: Body) {
        self.0.borrow_mut().octets += body.len() as u64;
    }

    /// All of it; `turns` is what a turn is called, in the plural.
    pub(crate) fn report(&self, turns: &str, seconds: f64) -> Value {
        let counts = self.0.borrow();
        let parts: Map<_, _> = counts.parts.iter().map(|(part, times)| ((*part).to_owned(), times.summary())).collect();
        json!({
            turns: counts.whole.len(),
            "seconds": seconds,
            format!("{turns}_per_second"): counts.whole.len() as f64 / seconds,
            "latency_ms": counts.whole.summary(),
            "parts_ms": parts,
            "resumed": counts.resumed,
            "octets": counts.octets,
            "errors": counts.errors,
        })
    }
}

/// Takes one turn's time.
pub(crate) struct Watch {
    begun: Instant,
    part: Instant,
    parts: Vec<(&'static str, Duration)>,
}

impl Watch {
    /// `begun` may be earlier than now: when the turn was due.
    pub(crate) fn new(begun: Instant) -> Self {
        Self { begun, part: Instant::now(), parts: Vec::new() }
    }

    /// A part ends here, and the next one begins.
    pub(crate) fn lap(&mut self, part: &'static str) {
        let now = Instant::now();
        self.parts.push((part, now - std::mem::replace(&mut self.part, now)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_turns_parts_and_errors_by_text() {
        let tally = Tally::default();
        let mut watch = Watch::new(Instant::now());
        watch.lap("connect");
        tally.done(&watch);
        tally.failed("connect: refused".to_owned());
        tally.failed("connect: refused".to_owned());
        tally.moved(Body::from(5));
        tally.moved(Body::from(6));
        tally.resumed();
        let report = tally.report("logins", 2.0);
        assert_eq!((&report["logins"], &report["logins_per_second"]), (&json!(1), &json!(0.5)));
        assert_eq!((&report["errors"], &report["octets"]), (&json!({"connect: refused": 2}), &json!(11)));
        assert_eq!(report["resumed"], json!(1));
        assert!(report["parts_ms"]["connect"]["p50"].is_number(), "{report}");
    }

    #[test]
    fn a_turn_that_began_late_took_since_it_was_due() {
        let tally = Tally::default();
        tally.done(&Watch::new(Instant::now() - Duration::from_secs(5)));
        assert!(tally.report("logins", 1.0)["latency_ms"]["p50"].as_f64().unwrap() >= 4995.0);
    }
}
