//! Many clients at once, each taking turns until all are taken: as fast as they are answered, or at a rate of ours.

use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::task::spawn_local;
use tokio::time::sleep_until;

use crate::options::Options;
use crate::tally::{Tally, Watch};

pub(crate) const OPTIONS: &[&str] = &["concurrency", "rate"];

/// One who takes turns.
pub(crate) trait Client {
    /// Takes one; who succeeds tells the tally.
    fn turn(&mut self, number: u64, tally: &Tally, watch: Watch) -> impl Future<Output = Result<(), String>>;
}

/// How many turns, how many at once, how fast.
pub(crate) struct Crowd {
    turns: u64,
    concurrency: u64,
    /// Turns a second.
    rate: Option<f64>,
}

impl Crowd {
    /// As the options say; `turns` is the option that says how many.
    pub(crate) fn new(options: &Options, turns: &str) -> Result<Self, String> {
        let rate: Option<f64> = options.value("rate")?;
        if rate.is_some_and(|rate| rate.is_nan() || rate <= 0.0) {
            return Err("--rate: more than 0 turns a second".to_owned());
        }
        let usual = if rate.is_some() { WAITING } else { 1 };
        let concurrency = options.value("concurrency")?.unwrap_or(usual).max(1);
        Ok(Self { turns: options.required(turns)?, concurrency, rate })
    }

    /// Has all turns taken by clients that `make` makes; returns how many seconds that took.
    pub(crate) async fn run<C: Client + 'static>(self, tally: &Rc<Tally>, make: impl Fn() -> C) -> Result<f64, String> {
        let clients = self.concurrency.min(self.turns);
        let queue = Rc::new(Queue { crowd: self, begun: Instant::now(), taken: Cell::new(0) });
        let take_turns = |mut client: C| {
            let (queue, tally) = (queue.clone(), tally.clone());
            async move {
                while let Some((number, watch)) = queue.next().await {
                    if let Err(error) = client.turn(number, &tally, watch).await {
                        tally.failed(error);
                    }
                }
            }
        };
        let clients: Vec<_> = (0..clients).map(|_| spawn_local(take_turns(make()))).collect();
        for client in clients {
            client.await.map_err(|error| error.to_string())?;
        }
        Ok(queue.begun.elapsed().as_secs_f64())
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
        if number >= self.crowd.turns {
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
