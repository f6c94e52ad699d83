//! The kinds of turns a run has, the order they are taken in, and what each of them has come to.

use serde_json::{Map, Value, json};

use crate::tally::Tally;

/// Of one run.
pub(crate) struct Kinds {
    kinds: Vec<(String, Tally)>,
    /// By a turn's number, and again from the start.
    order: Vec<usize>,
}

impl Kinds {
    /// All turns alike.
    pub(crate) fn one(name: &str) -> Self {
        Self::shared(&[(name.to_owned(), 1)])
    }

    /// Several, each with its share of the turns, spread evenly among the others'.
    pub(crate) fn shared(shares: &[(String, u32)]) -> Self {
        let mut places: Vec<(f64, usize)> = Vec::new();
        for (kind, (_, share)) in shares.iter().enumerate() {
            places.extend((0..*share).map(|turn| ((f64::from(turn) + 0.5) / f64::from(*share), kind)));
        }
        places.sort_by(|one, other| one.0.total_cmp(&other.0));
        Self {
            kinds: shares.iter().map(|(name, _)| (name.clone(), Tally::default())).collect(),
            order: places.into_iter().map(|(_, kind)| kind).collect(),
        }
    }

    /// Which kind the turn of this number is of.
    pub(crate) fn of(&self, number: u64) -> usize {
        let place = number % self.order.len() as u64;
        self.order[usize::try_from(place).expect("less than the order's length")]
    }

    /// What turns of that kind have come to.
    pub(crate) fn tally(&self, number: u64) -> &Tally {
        &self.kinds[self.of(number)].1
    }

    /// A report of each.
    pub(crate) fn reports(&self, seconds: f64) -> Map<String, Value> {
        self.kinds.iter().map(|(name, tally)| (name.clone(), tally.report("turns", seconds))).collect()
    }

    /// The report of the only one, whose turns are called by its name.
    pub(crate) fn report(&self, seconds: f64) -> Value {
        let (name, tally) = &self.kinds[0];
        tally.report(name, seconds)
    }

    /// What has happened since this was last asked.
    pub(crate) fn interval(&self, at: f64) -> Value {
        let kinds: Map<_, _> = self.kinds.iter().map(|(name, tally)| (name.clone(), tally.interval())).collect();
        json!({"at": at, "interval": kinds})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_has_its_share_and_none_waits_for_the_others() {
        let kinds = Kinds::shared(&[("imap".to_owned(), 4), ("pop3".to_owned(), 2), ("get".to_owned(), 0)]);
        let taken: Vec<usize> = (0..12).map(|number| kinds.of(number)).collect();
        assert_eq!(taken, [0, 1, 0, 0, 1, 0, 0, 1, 0, 0, 1, 0]);
    }

    #[test]
    fn tells_of_each_kind_apart() {
        let kinds = Kinds::shared(&[("imap".to_owned(), 1), ("pop3".to_owned(), 1)]);
        kinds.tally(1).failed("PASS: -ERR".to_owned());
        assert_eq!(kinds.reports(1.0)["pop3"]["errors"], json!({"PASS: -ERR": 1}));
        assert_eq!(kinds.reports(1.0)["imap"]["errors"], json!({}));
    }
}
