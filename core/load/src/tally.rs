//! What a run has come to: how long each step took, what failed, what was counted.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};

use crate::body::Body;
use crate::latency::Latencies;

/// Of all clients of a run.
#[derive(Default)]
pub(crate) struct Tally {
    /// What was told in intervals before.
    before: RefCell<Counts>,
    recent: RefCell<Counts>,
}

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
        let mut counts = self.recent.borrow_mut();
        counts.whole.push(watch.begun.elapsed());
        for (part, time) in &watch.parts {
            counts.parts.entry(part).or_default().push(*time);
        }
    }

    /// A turn has failed.
    pub(crate) fn failed(&self, error: String) {
        *self.recent.borrow_mut().errors.entry(error).or_default() += 1;
    }

    /// A handshake was short.
    pub(crate) fn resumed(&self) {
        self.recent.borrow_mut().resumed += 1;
    }

    /// A body has come or gone.
    pub(crate) fn moved(&self, body: Body) {
        self.recent.borrow_mut().octets += body.len() as u64;
    }

    /// What has happened since this was last asked: of each part how often it took how many milliseconds, and errors.
    pub(crate) fn interval(&self) -> Value {
        let recent = self.recent.take();
        let mut times: Map<_, _> =
            recent.parts.iter().map(|(part, times)| ((*part).to_owned(), times.counts())).collect();
        times.insert(WHOLE.to_owned(), recent.whole.counts());
        let interval = json!({"times": times, "octets": recent.octets, "errors": recent.errors});
        self.before.borrow_mut().add(recent);
        interval
    }

    /// All of it; `turns` is what a turn is called, in the plural.
    pub(crate) fn report(&self, turns: &str, seconds: f64) -> Value {
        let mut counts = self.before.borrow_mut();
        counts.add(self.recent.take());
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

impl Counts {
    fn add(&mut self, more: Self) {
        self.whole.add(&more.whole);
        for (part, times) in &more.parts {
            self.parts.entry(part).or_default().add(times);
        }
        for (error, times) in more.errors {
            *self.errors.entry(error).or_default() += times;
        }
        self.resumed += more.resumed;
        self.octets += more.octets;
    }
}

/// The name of a turn beside those of its parts.
const WHOLE: &str = "whole";

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
    fn an_interval_has_what_is_new_and_the_report_has_all() {
        let tally = Tally::default();
        tally.done(&Watch::new(Instant::now()));
        tally.failed("connect: refused".to_owned());
        let interval = tally.interval();
        assert_eq!(
            (&interval["times"]["whole"][0][1], &interval["errors"]["connect: refused"]),
            (&json!(1), &json!(1))
        );
        assert_eq!(tally.interval(), json!({"times": {"whole": []}, "octets": 0, "errors": {}}));
        tally.done(&Watch::new(Instant::now()));
        let report = tally.report("logins", 1.0);
        assert_eq!((&report["logins"], &report["errors"]["connect: refused"]), (&json!(2), &json!(1)));
    }

    #[test]
    fn a_turn_that_began_late_took_since_it_was_due() {
        let tally = Tally::default();
        tally.done(&Watch::new(Instant::now() - Duration::from_secs(5)));
        assert!(tally.report("logins", 1.0)["latency_ms"]["p50"].as_f64().unwrap() >= 4995.0);
    }
}
