//! What a backend has seen.

use std::collections::{BTreeMap, HashSet};

use hdrhistogram::Histogram;
use serde_json::{Value, json};

/// Of all its connections.
pub(super) struct Counts {
    /// Who lives here; none: everybody.
    serves: Option<HashSet<String>>,
    logins: BTreeMap<String, u64>,
    strangers: BTreeMap<String, u64>,
    connections: u64,
    messages: u64,
    octets: u64,
    /// Messages of each connection that has ended.
    per_connection: Histogram<u64>,
    errors: BTreeMap<String, u64>,
}

/// What has happened on one connection since it was last asked.
#[derive(Default)]
pub(super) struct Happened {
    /// Who has logged in.
    pub(super) logins: Vec<String>,
    /// Messages, or bodies of HTTP.
    pub(super) messages: u64,
    /// Octets of them.
    pub(super) octets: u64,
}

impl Counts {
    pub(super) fn new(serves: Option<HashSet<String>>) -> Self {
        Self {
            serves,
            logins: BTreeMap::new(),
            strangers: BTreeMap::new(),
            connections: 0,
            messages: 0,
            octets: 0,
            per_connection: Histogram::new(DIGITS).expect("so few digits are sound"),
            errors: BTreeMap::new(),
        }
    }

    /// A connection has been made.
    pub(super) fn connected(&mut self) {
        self.connections += 1;
    }

    /// A body came otherwise than it must be.
    pub(super) fn damaged(&mut self, error: String) {
        *self.errors.entry(error).or_default() += 1;
    }

    /// More has happened.
    pub(super) fn add(&mut self, happened: Happened) {
        self.messages += happened.messages;
        self.octets += happened.octets;
        for account in happened.logins {
            if self.serves.as_ref().is_some_and(|serves| !serves.contains(&account)) {
                *self.strangers.entry(account.clone()).or_default() += 1;
            }
            *self.logins.entry(account).or_default() += 1;
        }
    }

    /// A connection has ended, after so many messages.
    pub(super) fn ended(&mut self, messages: u64) {
        self.per_connection.saturating_record(messages);
    }

    /// All of it.
    pub(super) fn report(&self) -> Value {
        let per_connection = &self.per_connection;
        json!({
            "logins": self.logins.values().sum::<u64>(),
            "accounts": self.logins,
            "strangers": self.strangers.values().sum::<u64>(),
            "stranger_accounts": self.strangers,
            "connections": self.connections,
            "messages": self.messages,
            "octets": self.octets,
            "messages_per_connection": {
                "p50": per_connection.value_at_quantile(0.5),
                "p99": per_connection.value_at_quantile(0.99),
                "max": per_connection.max(),
            },
            "errors": self.errors,
        })
    }
}

const DIGITS: u8 = 3;

#[cfg(test)]
mod tests {
    use super::*;

    fn logins(accounts: &[&str]) -> Happened {
        Happened { logins: accounts.iter().map(|account| (*account).to_owned()).collect(), ..Happened::default() }
    }

    #[test]
    fn who_does_not_live_here_is_a_stranger() {
        let mut counts = Counts::new(Some(HashSet::from(["siti".to_owned()])));
        counts.add(logins(&["siti", "budi", "budi"]));
        let report = counts.report();
        assert_eq!((&report["logins"], &report["strangers"]), (&json!(3), &json!(2)));
        assert_eq!(report["stranger_accounts"], json!({"budi": 2}));
    }

    #[test]
    fn where_nobody_is_named_everybody_lives_here() {
        let mut counts = Counts::new(None);
        counts.add(logins(&["budi"]));
        assert_eq!(counts.report()["strangers"], json!(0));
    }

    #[test]
    fn tells_what_one_connection_has_carried() {
        let mut counts = Counts::new(None);
        for messages in [1, 1, 500] {
            counts.ended(messages);
        }
        assert_eq!(counts.report()["messages_per_connection"], json!({"p50": 1, "p99": 500, "max": 500}));
    }
}
