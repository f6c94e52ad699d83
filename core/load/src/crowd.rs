//! Many clients at once, each taking turns until all are taken, or stdin is closed: as fast as they are answered, or at
//! a rate of ours.

use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep_until};

use crate::kinds::Kinds;
use crate::options::Options;
use crate::report::{report, stdin_closed};
use crate::tally::{Tally, Watch};

pub(crate) const OPTIONS: &[&str] = &["concurrency", "rate", "every"];

/// One who takes turns.
pub(crate) trait Client {
    /// Takes one; who succeeds tells the tally.
    fn turn(&mut self, number: u64, tally: &Tally, watch: Watch) -> impl Future<Output = Result<(), String>>;
}

/// How many turns, how many at once, how fast.
pub(crate) struct Crowd {
    /// None: as many as there are until stdin is closed.
    turns: Option<u64>,
    concurrency: u64,
    /// Turns a second.
    rate: Option<f64>,
    /// How often to tell what is new.
    every: Option<Duration>,
}

impl Crowd {
    /// As the options say; `turns` is the option that says how many.
    pub(crate) fn new(options: &Options, turns: &str) -> Result<Self, String> {
        let positive = |name: &str| match options.value::<f64>(name)? {
            Some(number) if number.is_nan() || number <= 0.0 => Err(format!("--{name}: more than 0")),
            other => Ok(other),
        };
        let rate = positive("rate")?;
        let usual = if rate.is_some() { WAITING } else { 1 };
        Ok(Self {
            turns: options.value(turns)?,
            concurrency: options.value("concurrency")?.unwrap_or(usual).max(1),
            rate,
            every: positive("every")?.map(Duration::from_secs_f64),
        })
    }

    /// Has all turns taken by clients that `make` makes; returns how many seconds that took.
    pub(crate) async fn run<C: Client + 'static>(self, kinds: &Rc<Kinds>, make: impl Fn() -> C) -> Result<f64, String> {
        let begun = Instant::now();
        let (counted, every) = (self.turns.is_some(), self.every);
        let clients = self.concurrency.min(self.turns.unwrap_or(u64::MAX));
        let queue = Rc::new(Queue { crowd: self, begun, taken: Cell::new(0) });
        // What is under way when nobody listens any more is broken off.
        let mut tasks = JoinSet::new();
        for _ in 0..clients {
            tasks.spawn_local(take_turns(make(), queue.clone(), kinds.clone()));
        }
        let ended = async {
            while let Some(ended) = tasks.join_next().await {
                ended.map_err(|error| error.to_string())?;
            }
            Ok(())
        };
        tokio::select! {
            ended = ended => ended,
            () = stdin_closed(), if !counted => Ok(()),
            told = tell(kinds, begun, every.unwrap_or_default()), if every.is_some() => told,
        }?;
        if every.is_some() {
            report(&kinds.interval(begun.elapsed().as_secs_f64()))?;
        }
        Ok(begun.elapsed().as_secs_f64())
    }
}

async fn take_turns<C: Client>(mut client: C, queue: Rc<Queue>, kinds: Rc<Kinds>) {
    while let Some((number, watch)) = queue.next().await {
        let tally = kinds.tally(number);
        if let Err(error) = client.turn(number, tally, watch).await {
            tally.failed(error);
        }
    }
}

/// Tells what is new, again and again.
async fn tell(kinds: &Kinds, begun: Instant, every: Duration) -> Result<(), String> {
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks.tick().await;
    loop {
        ticks.tick().await;
        report(&kinds.interval(begun.elapsed().as_secs_f64()))?;
    }
}

/// The turns that are still to be taken.
struct Queue {
    crowd: Crowd,
    begun: Instant,
    taken: Cell<u64>,
}

impl Queue {
    /// The next one, when it is due.
    async fn next(&self) -> Option<(u64, Watch)> {
        let number = self.taken.get();
        if self.crowd.turns.is_some_and(|turns| number >= turns) {
            return None;
        }
        self.taken.set(number + 1);
        let now = Instant::now();
        let Some(rate) = self.crowd.rate else { return Some((number, Watch::new(now))) };
        let due = self.begun + Duration::from_secs_f64(number as f64 / rate);
        if due > now {
            // The timer's own lateness, of up to a millisecond, is nobody's waiting.
            sleep_until(due.into()).await;
            return Some((number, Watch::new(Instant::now())));
        }
        // All were busy. Who came at that moment would have waited since.
        Some((number, Watch::new(due)))
    }
}

/// At a rate more are under way when answers are slow: up to so many.
const WAITING: u64 = 1000;
