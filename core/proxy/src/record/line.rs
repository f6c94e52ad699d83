//! A record's line of JSON, written as it is told: there are many, and nobody looks into one before it is written.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Serialize;

/// A line that is not at its end yet.
pub(crate) struct Line(Vec<u8>);

impl Line {
    /// Begins with what happened, and when.
    pub(crate) fn begin(event: &str, at: SystemTime) -> Self {
        let since_epoch = at.duration_since(UNIX_EPOCH).unwrap_or_default();
        let mut line = Self(Vec::with_capacity(USUAL));
        line.0.extend_from_slice(b"{\"event\":");
        line.value(event);
        line.put("time", &((since_epoch.as_millis() as f64) / 1000.0));
        line
    }

    /// Tells something.
    pub(crate) fn put<T: Serialize + ?Sized>(&mut self, key: &str, value: &T) {
        self.0.push(b',');
        self.value(key);
        self.0.push(b':');
        self.value(value);
    }

    /// Tells something, if it is known.
    pub(crate) fn put_known<T: Serialize>(&mut self, key: &str, value: Option<T>) {
        if let Some(value) = value {
            self.put(key, &value);
        }
    }

    /// The whole line.
    pub(crate) fn end(mut self) -> Vec<u8> {
        self.0.push(b'}');
        self.0
    }

    fn value<T: Serialize + ?Sized>(&mut self, value: &T) {
        // Writing to memory cannot fail, and no value of ours is one that JSON cannot say.
        let _ = serde_json::to_writer(&mut self.0, value);
    }
}

/// Milliseconds with three digits behind the point.
pub(crate) fn millis(took: Duration) -> f64 {
    took.as_micros() as f64 / 1000.0
}

/// Octets of most lines.
const USUAL: usize = 768;
