//! What the edge thinks of one endpoint: by its probes, up or down; by its logins, ejected for a while.
//!
//! Both count failures in a row. They are kept apart because each may miss what the other sees: a server may greet and
//! yet fail every login, or serve well and fail a probe. Pure: time is an argument.

use std::time::Duration;

use tokio::time::Instant;

use super::balance::Standing;
use crate::config;

/// First ejection; each that follows without a good login in between takes twice as long.
const EJECTION: Duration = Duration::from_secs(10);
/// Longest ejection.
const MAX_EJECTION: Duration = Duration::from_secs(300);

/// One endpoint's health.
#[derive(Debug, Default)]
pub(super) struct Health {
    verdict: Verdict,
    probes_failed: u32,
    probes_good: u32,
    logins_failed: u32,
    ejections: u32,
    ejected_until: Option<Instant>,
}

/// What probes say.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) enum Verdict {
    /// Nothing yet.
    #[default]
    Unknown,
    /// It serves.
    Up,
    /// It does not, for this reason.
    Down(Box<str>),
}

impl Health {
    pub(super) fn verdict(&self) -> &Verdict {
        &self.verdict
    }

    /// Takes a probe's result and says whether the verdict changed.
    pub(super) fn probed(&mut self, failure: Option<Box<str>>, setting: &config::Health) -> bool {
        let before = self.verdict.clone();
        match failure {
            None => {
                self.probes_failed = 0;
                self.probes_good = self.probes_good.saturating_add(1);
                let risen = matches!(self.verdict, Verdict::Down(_)) && self.probes_good >= setting.rise;
                if risen {
                    // It was gone and is back: its logins failed because it was gone.
                    self.login_succeeded();
                    self.ejected_until = None;
                }
                if risen || self.verdict == Verdict::Unknown {
                    self.verdict = Verdict::Up;
                }
            }
            Some(reason) => {
                self.probes_good = 0;
                self.probes_failed = self.probes_failed.saturating_add(1);
                if self.probes_failed >= setting.fall {
                    self.verdict = Verdict::Down(reason);
                }
            }
        }
        self.verdict != before
    }

    /// A login got through, whatever the backend thought of its password.
    pub(super) fn login_succeeded(&mut self) {
        self.logins_failed = 0;
        self.ejections = 0;
    }

    /// A login failed by the backend's fault.
    pub(super) fn login_failed(&mut self, now: Instant, setting: &config::Health) {
        self.logins_failed = self.logins_failed.saturating_add(1);
        if self.logins_failed >= setting.fall {
            let times = 2_u32.saturating_pow(self.ejections);
            self.ejected_until = Some(now + EJECTION.saturating_mul(times).min(MAX_EJECTION));
            self.ejections = self.ejections.saturating_add(1);
            self.logins_failed = 0;
        }
    }

    pub(super) fn standing(&self, now: Instant) -> Standing {
        match (&self.verdict, self.ejected_until) {
            (Verdict::Down(_), _) => Standing::Down,
            (_, Some(until)) if now < until => Standing::Ejected,
            _ => Standing::Able,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTING: config::Health =
        config::Health { interval: Duration::from_secs(5), timeout: Duration::from_secs(3), fall: 3, rise: 2 };

    #[test]
    fn probes_change_the_verdict_only_in_a_row() {
        let mut health = Health::default();
        let refused = || Some(Box::from("connection refused"));
        assert!(health.probed(None, &SETTING), "the first good probe is news");
        for _ in 0..2 {
            assert!(!health.probed(refused(), &SETTING));
        }
        assert!(!health.probed(None, &SETTING));
        for _ in 0..2 {
            assert!(!health.probed(refused(), &SETTING));
        }
        assert!(health.probed(refused(), &SETTING));
        assert_eq!(health.standing(Instant::now()), Standing::Down);
        assert!(!health.probed(None, &SETTING));
        assert!(health.probed(None, &SETTING));
        assert_eq!(*health.verdict(), Verdict::Up);
    }

    #[test]
    fn a_server_that_was_down_comes_back_without_its_ejection() {
        let mut health = Health::default();
        let now = Instant::now();
        (0..SETTING.fall).for_each(|_| health.login_failed(now, &SETTING));
        let probe = |health: &mut Health, times: u32, failure: Option<&str>| {
            for _ in 0..times {
                let _ = health.probed(failure.map(Box::from), &SETTING);
            }
        };
        probe(&mut health, SETTING.rise, None);
        assert_eq!(health.standing(now), Standing::Ejected, "good probes say nothing of logins");
        probe(&mut health, SETTING.fall, Some("connection refused"));
        probe(&mut health, SETTING.rise, None);
        assert_eq!(health.standing(now), Standing::Able);
    }

    #[test]
    fn ejections_grow_until_a_login_gets_through() {
        let mut health = Health::default();
        let mut now = Instant::now();
        let mut eject = |health: &mut Health| {
            (0..SETTING.fall).for_each(|_| health.login_failed(now, &SETTING));
            let from = now;
            while health.standing(now) == Standing::Ejected {
                now += Duration::from_secs(1);
            }
            (now - from).as_secs()
        };
        let times: Vec<_> = (0..7).map(|_| eject(&mut health)).collect();
        assert_eq!(times, [10, 20, 40, 80, 160, 300, 300]);
        health.login_succeeded();
        assert_eq!(eject(&mut health), 10);
    }
}
