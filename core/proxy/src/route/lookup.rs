//! Questions on their way: callers on any core put them in, the control thread fetches them by the batch.
//!
//! A name is asked for once at a time, however many wait for it. A question belongs to the desk and then to its
//! [`Batch`], never to a caller, so callers may go; a batch that is dropped answers what is left of it with a failure.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;
use zproxy_protocol::Name;

use super::answer::{Answer, Found};
use super::cache::Key;
use super::{Context, Route, Routes};
use crate::{Error, control, wire};

/// Questions of one batch: where the cost a question has stopped falling, and one LDAP filter still holds them.
pub(crate) const MAX_QUESTIONS: usize = 64;

/// Where questions wait to be fetched.
#[derive(Default)]
pub(super) struct Desk {
    state: Mutex<State>,
    arrived: Notify,
}

#[derive(Default)]
struct State {
    /// Waiting and fetched ones.
    flights: HashMap<(Key, Purpose), Arc<Flight>>,
    waiting: VecDeque<Question>,
}

/// One question, seen by those who wait for its answer.
pub(super) struct Flight {
    outcome: OnceLock<Outcome>,
    landed: Notify,
}

/// What became of a question.
#[derive(Clone)]
pub(super) enum Outcome {
    Answered(Told),
    Failed(Error),
    /// Answered, but invalidated on the way.
    Outdated(Told),
}

/// What was answered.
#[derive(Clone)]
pub(super) enum Told {
    Account(Route),
    /// There is no such account.
    Nobody(Domain),
}

/// Whether mail of a name's domain is ours to take.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Domain {
    Foreign,
    Ours,
    /// It was not asked for, or the directory could not say.
    Unsaid,
}

/// What a name is asked for. Only those that ask for the same wait for one answer.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(super) enum Purpose {
    Login,
    /// Mail is for it.
    Recipient {
        /// It is refused if there is no such account now, so nothing may be remembered of that.
        fresh: bool,
    },
}

/// One name to ask for.
pub(super) struct Question {
    key: Key,
    purpose: Purpose,
    login: Name,
    /// Only of a login without `@`.
    qualifier: Option<(String, IpAddr)>,
    deadline: Instant,
    flight: Arc<Flight>,
}

impl Flight {
    /// Waits for it.
    pub(super) async fn outcome(&self) -> Outcome {
        loop {
            // Registered before the look, so that a landing in between is not missed.
            let mut landed = std::pin::pin!(self.landed.notified());
            landed.as_mut().enable();
            if let Some(outcome) = self.outcome.get() {
                return outcome.clone();
            }
            landed.await;
        }
    }

    fn land(&self, outcome: Outcome) {
        if self.outcome.set(outcome).is_ok() {
            self.landed.notify_waiters();
        }
    }
}

impl Question {
    pub(super) fn new(asked: (Key, Purpose), login: &Name, context: &Context<'_>, patience: Duration) -> Self {
        let (key, purpose) = asked;
        Self {
            key,
            purpose,
            login: login.clone(),
            qualifier: context.qualifier(login).map(|(host, local)| (host.to_owned(), local)),
            deadline: Instant::now() + patience,
            flight: Arc::new(Flight { outcome: OnceLock::new(), landed: Notify::new() }),
        }
    }

    fn wire(&self) -> wire::Question {
        let qualifier = self.qualifier.as_ref().map(|(host, local)| (host.as_str(), *local));
        wire::Question {
            recipient: matches!(self.purpose, Purpose::Recipient { .. }),
            fresh: matches!(self.purpose, Purpose::Recipient { fresh: true }),
            ..super::question(&self.login, qualifier)
        }
    }

    fn asked(&self) -> (Key, Purpose) {
        (self.key, self.purpose)
    }
}

impl Desk {
    /// Takes a question and returns its flight, or the one that is under way for its key.
    pub(super) fn ask(&self, limit: usize, question: Question) -> Result<Arc<Flight>, Error> {
        let mut state = self.state();
        if let Some(flight) = state.flights.get(&question.asked()) {
            return Ok(Arc::clone(flight));
        }
        if state.flights.len() >= limit {
            return Err(Error::LookupOverload);
        }
        let flight = Arc::clone(&question.flight);
        state.flights.insert(question.asked(), Arc::clone(&flight));
        state.waiting.push_back(question);
        drop(state);
        self.arrived.notify_one();
        Ok(flight)
    }

    /// How many names are being asked for.
    pub(super) fn pending(&self) -> usize {
        self.state().flights.len()
    }

    /// Whether no question waits to be fetched.
    pub(super) fn is_empty(&self) -> bool {
        self.state().waiting.is_empty()
    }

    /// Waits until a question waits. One task at a time may do so.
    pub(super) async fn wait(&self) {
        while self.is_empty() {
            self.arrived.notified().await;
        }
    }

    /// Fetches the oldest questions, less those that nobody can be waiting for any more.
    fn take(&self) -> Vec<Option<Question>> {
        let now = Instant::now();
        let mut state = self.state();
        let mut taken = Vec::new();
        while taken.len() < MAX_QUESTIONS
            && let Some(question) = state.waiting.pop_front()
        {
            if question.deadline > now {
                taken.push(Some(question));
            } else {
                state.land(&question, Outcome::Failed(Error::LookupTimeout));
            }
        }
        taken
    }

    fn land(&self, question: &Question, outcome: Outcome) {
        self.state().land(question, outcome);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Ends a question's flight. After a timeout another flight may be under way for the same key: that one goes on.
    fn land(&mut self, question: &Question, outcome: Outcome) {
        if self.flights.get(&question.asked()).is_some_and(|flight| Arc::ptr_eq(flight, &question.flight)) {
            self.flights.remove(&question.asked());
        }
        question.flight.land(outcome);
    }
}

/// Questions that one message asks.
pub(crate) struct Batch {
    routes: Arc<Routes>,
    questions: Vec<Option<Question>>,
}

impl Batch {
    /// The questions that wait now; maybe none.
    pub(super) fn of_waiting(routes: &Arc<Routes>) -> Self {
        Self { routes: Arc::clone(routes), questions: routes.desk.take() }
    }

    fn answer(&mut self, answer: wire::Answer) {
        let index = usize::try_from(answer.question).unwrap_or(usize::MAX);
        let Some(question) = self.questions.get_mut(index).and_then(Option::take) else { return };
        let outcome = match Answer::check(answer) {
            Ok(answer) => {
                let domain = if let Found::None { domain, .. } = answer.found { domain } else { Domain::Ours };
                let told = |route: Option<Route>| route.map_or(Told::Nobody(domain), Told::Account);
                match self.routes.cache.keep(question.key, question.login.as_str(), answer) {
                    Ok(route) => Outcome::Answered(told(route)),
                    Err(route) => Outcome::Outdated(told(route)),
                }
            }
            Err(error) => Outcome::Failed(error),
        };
        self.routes.desk.land(&question, outcome);
    }

    fn fail(&self, error: &Error) {
        for question in self.questions.iter().flatten() {
            self.routes.desk.land(question, Outcome::Failed(error.clone()));
        }
    }
}

impl control::Batch for Batch {
    type Message = wire::LookupBatch;
    type Reply = wire::LookupReply;

    fn message(&mut self, id: u64) -> wire::LookupBatch {
        wire::LookupBatch { id, questions: self.questions.iter().flatten().map(Question::wire).collect() }
    }

    fn id(reply: &wire::LookupReply) -> u64 {
        reply.id
    }

    fn take(&mut self, reply: wire::LookupReply) {
        for answer in reply.answers {
            self.answer(answer);
        }
    }

    fn is_done(&self) -> bool {
        self.questions.iter().all(Option::is_none)
    }

    fn deadline(&self) -> Option<Instant> {
        self.questions.iter().flatten().map(|question| question.deadline).max()
    }

    /// The questions stay: an answer that comes late still fills the cache.
    fn expire(&mut self) {
        self.fail(&Error::LookupTimeout);
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        self.fail(&Error::LookupFailed("no connection to the control plane".into()));
    }
}
