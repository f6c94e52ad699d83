//! Where does this login live? Answers come from the cache in the edge or, one question a name at a time, from control.
//!
//! [`Routes`] is shared by all cores. It knows nothing of gRPC: questions wait here until [`control`](crate::control)
//! fetches them, and its answers are checked here before anything else sees them.

mod answer;
mod cache;
mod epoch;
mod lookup;
#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use zproxy_protocol::Name;

use crate::Error;
use crate::config::Network;
use crate::pool::LoginStyle;
use crate::wire;
use cache::{Cached, Key, Known, L1};
use lookup::{Desk, Domain, Flight, Outcome, Purpose, Told};

pub(crate) use lookup::Batch;

/// What may qualify a login without `@`. Where there is one, nothing of this is looked at.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// The host name the client asked for.
    pub virtual_host: Option<&'a str>,
    /// The address it connected to.
    pub local: IpAddr,
}

impl Context<'_> {
    /// What qualifies this very login, if anything does.
    fn qualifier(&self, login: &Name) -> Option<(&str, IpAddr)> {
        let bare = !login.as_str().contains('@');
        bare.then(|| (self.virtual_host.unwrap_or_default(), self.local))
    }

    /// The question that control is asked of a login.
    pub(crate) fn question(&self, login: &Name) -> wire::Question {
        question(login, self.qualifier(login))
    }
}

fn question(login: &Name, qualifier: Option<(&str, IpAddr)>) -> wire::Question {
    let (virtual_host, local_address) =
        qualifier.map_or_else(<_>::default, |(host, local)| (host.to_owned(), local.to_string()));
    wire::Question {
        login: login.as_str().as_bytes().to_vec(),
        virtual_host,
        local_address,
        ..wire::Question::default()
    }
}

/// Where an account lives and what it may do. Cheap to clone.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Route {
    /// The one normalised name: limits, hashing, kicks and records use it.
    pub account: Arc<str>,
    /// The name of a backend or group; empty: the default for the service.
    pub home: Arc<str>,
    /// Whether it may log in.
    pub status: Status,
    /// The name to log in with at the backend; none: the account.
    pub backend_login: Option<Arc<str>>,
    /// How it is logged in; none: as the endpoint has it.
    pub login_style: Option<LoginStyle>,
    /// Whether it must be proved first in any style.
    pub verify: bool,
    /// Accounts it may act as.
    pub may_act_as: Arc<[Box<str>]>,
    /// Networks its client must come from; empty: any.
    pub allowed_nets: Arc<[Network]>,
}

/// Whether an account may log in.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Status {
    /// It may.
    Active,
    /// Refused like a wrong password.
    Closed,
    /// Refused like a wrong password.
    Locked,
    /// A temporary failure.
    Maintenance,
}

/// Whom mail is for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Addressee {
    /// This account.
    Account(Route),
    /// Somebody elsewhere.
    Foreign,
    /// Nobody, and it cannot be said whose the domain is.
    Nobody,
    /// Nobody, in a domain of ours.
    Unknown,
}

impl Route {
    /// Whether a client may come from this address.
    #[must_use]
    pub fn allows(&self, client: IpAddr) -> bool {
        self.allowed_nets.is_empty() || self.allowed_nets.iter().any(|network| network.contains(client))
    }

    /// Whether the account may act as another one.
    #[must_use]
    pub fn lets_act_as(&self, account: &str) -> bool {
        self.may_act_as.iter().any(|other| **other == *account)
    }
}

/// All that the edge knows of routes, and the questions it has.
pub struct Routes {
    cache: L1,
    desk: Desk,
    setting: ArcSwap<Setting>,
}

/// Bounds of [`Routes`].
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// Routes kept.
    pub cached_routes: usize,
    /// Names asked for at one time.
    pub pending_lookups: usize,
    /// One look-up.
    pub timeout: Duration,
}

impl Routes {
    /// Knows nothing yet.
    #[must_use]
    pub fn new(setting: Setting) -> Self {
        Self { cache: L1::new(setting.cached_routes), desk: Desk::default(), setting: ArcSwap::from_pointee(setting) }
    }

    /// Puts other bounds in force.
    pub fn set(&self, setting: Setting) {
        self.cache.set_capacity(setting.cached_routes);
        self.setting.store(Arc::new(setting));
    }

    /// The route of a login; none: there is no such account.
    ///
    /// Within its soft TTL a cached route is served without waiting, and in the last tenth of it asked for anew beside.
    /// A route beyond it is served only where control cannot answer. Dropping the future disturbs no other caller.
    ///
    /// # Errors
    /// [`Error::LookupFailed`], [`Error::LookupOverload`] or [`Error::LookupTimeout`] where neither control nor the
    /// cache can tell.
    pub async fn find(&self, login: &Name, context: &Context<'_>) -> Result<Option<Route>, Error> {
        let key = self.cache.key(login, context);
        match self.cache.look(key) {
            Cached::Fresh(route) => Ok(route),
            Cached::Ageing(route) => {
                // Nobody waits for it: if it cannot be asked now, a later login will.
                let _ = self.ask((key, Purpose::Login), login, context);
                Ok(Some(route))
            }
            Cached::Stale(known) => self.answer((key, Purpose::Login), login, context, Some(known)).await.map(account),
            Cached::Miss => self.answer((key, Purpose::Login), login, context, None).await.map(account),
        }
    }

    /// Whom mail to an address with a domain is for. Only routes are served from the cache: what is remembered of
    /// unknown names is no reason to refuse somebody's mail, and says nothing of domains. With `fresh`, control
    /// remembers nothing either.
    ///
    /// # Errors
    /// As of [`Routes::find`].
    pub async fn find_addressee(&self, address: &Name, local: IpAddr, fresh: bool) -> Result<Addressee, Error> {
        let context = Context { virtual_host: None, local };
        let key = self.cache.key(address, &context);
        let stale = match self.cache.look(key) {
            Cached::Fresh(Some(route)) => return Ok(Addressee::Account(route)),
            Cached::Ageing(route) => {
                let _ = self.ask((key, Purpose::Login), address, &context);
                return Ok(Addressee::Account(route));
            }
            Cached::Stale(known) => Some(known),
            Cached::Fresh(None) | Cached::Miss => None,
        };
        match self.answer((key, Purpose::Recipient { fresh }), address, &context, stale).await? {
            Told::Account(route) => Ok(Addressee::Account(route)),
            Told::Nobody(Domain::Foreign) => Ok(Addressee::Foreign),
            Told::Nobody(Domain::Ours) => Ok(Addressee::Unknown),
            Told::Nobody(Domain::Unsaid) => Ok(Addressee::Nobody),
        }
    }

    /// Makes older routes that match misses, and those now under way.
    pub fn invalidate(&self, invalidation: &wire::Invalidation) {
        self.cache.invalidate(invalidation);
    }

    /// Makes every route of an older epoch a miss.
    pub fn invalidate_before(&self, epoch: u64) {
        self.cache.invalidate_before(epoch);
    }

    /// How many routes are cached, unknown names apart.
    #[must_use]
    pub fn cached(&self) -> usize {
        self.cache.len()
    }

    /// How many names are being asked for.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.desk.pending()
    }

    /// The next questions for control, as soon as there are any.
    pub(crate) async fn next_batch(self: &Arc<Self>) -> Batch {
        self.desk.wait().await;
        Batch::of_waiting(self)
    }

    /// Asks control; where it cannot answer, an older route is served.
    async fn answer(
        &self,
        asked: (Key, Purpose),
        login: &Name,
        context: &Context<'_>,
        stale: Option<Known>,
    ) -> Result<Told, Error> {
        let answered = tokio::time::timeout(self.setting.load().timeout, self.control_answer(asked, login, context));
        let answer = answered.await.unwrap_or(Err(Error::LookupTimeout));
        match stale.filter(|_| answer.is_err()).and_then(|known| self.cache.serve_stale(asked.0, known)) {
            Some(route) => Ok(Told::Account(route)),
            None => answer,
        }
    }

    async fn control_answer(&self, asked: (Key, Purpose), login: &Name, context: &Context<'_>) -> Result<Told, Error> {
        match self.ask(asked, login, context)?.outcome().await {
            Outcome::Answered(told) => Ok(told),
            Outcome::Failed(error) => Err(error),
            // Invalidated while it was on its way, maybe before this caller joined: ask once more. A second such
            // answer is used, but like the first not kept.
            Outcome::Outdated(_) => match self.ask(asked, login, context)?.outcome().await {
                Outcome::Answered(told) | Outcome::Outdated(told) => Ok(told),
                Outcome::Failed(error) => Err(error),
            },
        }
    }

    fn ask(&self, asked: (Key, Purpose), login: &Name, context: &Context<'_>) -> Result<Arc<Flight>, Error> {
        let Setting { pending_lookups, timeout, .. } = **self.setting.load();
        self.desk.ask(pending_lookups, lookup::Question::new(asked, login, context, timeout))
    }
}

fn account(told: Told) -> Option<Route> {
    match told {
        Told::Account(route) => Some(route),
        Told::Nobody(_) => None,
    }
}

impl std::fmt::Debug for Routes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Routes").field("cached", &self.cached()).field("pending", &self.pending()).finish()
    }
}
