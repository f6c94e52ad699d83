//! What a session is at, one word a step.

/// A step; a record tells how long each took.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[allow(missing_docs, reason = "DESIGN's words")]
pub enum Step {
    Accept,
    Tls,
    Greet,
    Route,
    Verify,
    Dial,
    Authenticate,
    Refuse,
    Welcome,
    Splice,
    Transactions,
}

impl Step {
    /// In the order of a session.
    pub(super) const ALL: [Self; 11] = [
        Self::Accept,
        Self::Tls,
        Self::Greet,
        Self::Route,
        Self::Verify,
        Self::Dial,
        Self::Authenticate,
        Self::Refuse,
        Self::Welcome,
        Self::Splice,
        Self::Transactions,
    ];

    /// As records have it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Accept => "accept",
            Self::Tls => "tls",
            Self::Greet => "greet",
            Self::Route => "route",
            Self::Verify => "verify",
            Self::Dial => "dial",
            Self::Authenticate => "authenticate",
            Self::Refuse => "refuse",
            Self::Welcome => "welcome",
            Self::Splice => "splice",
            Self::Transactions => "transactions",
        }
    }
}

/// How long each step took, in as many octets whatever steps there were: an idle session keeps them to its end.
#[derive(Debug, Default)]
pub(super) struct Times([u64; Step::ALL.len()]);

impl Times {
    /// A step that came again took longer.
    pub(super) fn add(&mut self, step: Step, took: std::time::Duration) {
        self.0[step as usize] += u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
    }

    /// Milliseconds of each step that took time, in the order of a session.
    pub(super) fn told(&self) -> impl Iterator<Item = (&'static str, f64)> {
        let told = |step: Step| (step.name(), self.0[step as usize] as f64 / 1000.0);
        Step::ALL.into_iter().map(told).filter(|(_, took)| *took > 0.0)
    }
}
