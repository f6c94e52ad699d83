//! The cache in the edge: what was answered, for how long it holds, and which names are unknown.
//!
//! A hit takes two keyed hashes, one shard's read lock and a few reference counts. Keys are hashes with keys of this
//! process, so nobody can aim at a slot, and no typed name is kept.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Arc, Mutex, PoisonError};

use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{DefaultHashBuilder, OptionsBuilder, UnitWeighter};
use tokio::time::Instant;
use zproxy_protocol::Name;

use super::answer::{Answer, Found, Place};
use super::epoch::{Epochs, Named, Subject};
use super::{Context, Route, Status};
use crate::pool::LoginStyle;
use crate::wire;

/// Unknown names kept. They are cheap to ask again, so a flood of them pushes out only each other.
const MAX_UNKNOWN: usize = 65_536;
/// Share of the cache that remembers keys seen once. More would cost each route its bytes again.
const GHOSTS: f64 = 0.05;
/// The last part of the soft TTL in which a hit asks anew.
const AHEAD: u32 = 10;
/// How long a route past its soft TTL is served without asking again once control could not answer: an outage costs
/// each name one wait in that time.
const PAUSE_SECONDS: u32 = 5;
/// Homes are few; beyond this many the table of shared places begins anew.
const MAX_PLACES: usize = 4096;

/// A login and what qualifies it, as a hash of 128 bits.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(super) struct Key([u64; 2]);

/// What a look at the cache gives.
pub(super) enum Cached {
    /// Serve it.
    Fresh(Option<Route>),
    /// Serve it and ask anew.
    Ageing(Route),
    /// Ask; serve it only if there is no answer.
    Stale(Known),
    /// Ask.
    Miss,
}

/// A cached route. Every octet counts: there may be a million of them.
#[derive(Clone)]
pub(super) struct Known {
    account: Arc<str>,
    place: Arc<Place>,
    id: Subject,
    epoch: u64,
    /// In seconds since the cache began, like all times here.
    answered: u32,
    /// Seconds it is served without asking.
    soft: u32,
}

/// A cached name without account.
#[derive(Clone)]
struct Unknown {
    subjects: [Subject; 2],
    epoch: u64,
    until: u32,
}

/// By all that plain ones may differ in.
type Places = HashMap<(Arc<str>, Status, u32, Option<LoginStyle>, bool), Arc<Place>>;

type Table<V> = Cache<Key, V, UnitWeighter, DefaultHashBuilder, DefaultLifecycle<Key, V>>;

/// All that was answered.
pub(super) struct L1 {
    known: Table<Known>,
    unknown: Table<Unknown>,
    /// Those of accounts with nothing special about them, to be shared.
    places: Mutex<Places>,
    epochs: Epochs,
    hash: [RandomState; 2],
    began: Instant,
}

impl L1 {
    pub(super) fn new(routes: usize) -> Self {
        Self {
            known: table(routes),
            unknown: table(MAX_UNKNOWN),
            places: Mutex::default(),
            epochs: Epochs::new(),
            hash: [RandomState::new(), RandomState::new()],
            began: Instant::now(),
        }
    }

    pub(super) fn key(&self, login: &Name, context: &Context<'_>) -> Key {
        let login = login.as_str();
        if login.contains('@') {
            return self.qualified(login);
        }
        Key(self.hash.each_ref().map(|hash| hash.hash_one((login, context.virtual_host, context.local))))
    }

    pub(super) fn look(&self, key: Key) -> Cached {
        if let Some(known) = self.known.get(&key) {
            return self.judge(key, known);
        }
        match self.unknown.get(&key) {
            Some(unknown) if self.now() < unknown.until && !self.outdated(&unknown) => Cached::Fresh(None),
            _ => Cached::Miss,
        }
    }

    /// Keeps an answer and returns it for those who wait. `Err` has one that was invalidated on its way and is not kept.
    pub(super) fn keep(&self, key: Key, login: &str, answer: Answer) -> Result<Option<Route>, Option<Route>> {
        let epoch = answer.epoch;
        match answer.found {
            Found::None { ttl, .. } => {
                let until = self.now().saturating_add(ttl);
                let unknown = Unknown { subjects: self.subjects_of_login(login), epoch, until };
                if self.outdated(&unknown) {
                    return Err(None);
                }
                self.known.remove(&key);
                self.unknown.insert(key, unknown);
                Ok(None)
            }
            Found::Route { account, id, place, soft } => {
                let (id, place) = (self.epochs.subject(Named::Id(&id)), self.share(place));
                let known = Known { account, place, id, epoch, answered: self.now(), soft };
                if self.invalidated(key, &known) {
                    return Err(Some(known.into()));
                }
                self.known.insert(key, known.clone());
                Ok(Some(known.into()))
            }
        }
    }

    /// A route past its soft TTL, which goes on to be served for a moment without asking; none: it was invalidated.
    pub(super) fn serve_stale(&self, key: Key, stale: Known) -> Option<Route> {
        // Another caller's question may have been answered meanwhile.
        let mut known = self.known.peek(&key).unwrap_or(stale);
        if self.invalidated(key, &known) {
            return None;
        }
        let pause = self.age(&known).saturating_add(PAUSE_SECONDS).min(known.place.hard);
        known.soft = known.soft.max(pause);
        // An entry that was evicted meanwhile is not put back: nothing depends on it.
        let _ = self.known.replace(key, known.clone(), true);
        Some(known.into())
    }

    pub(super) fn invalidate(&self, message: &wire::Invalidation) {
        let wire::Invalidation { epoch, accounts, account_ids, domains, homes } = message;
        if accounts.is_empty() && account_ids.is_empty() && domains.is_empty() && homes.is_empty() {
            return self.invalidate_before(*epoch);
        }
        let subject = |named| self.epochs.subject(named);
        let mut subjects = Vec::new();
        for account in accounts {
            subjects.extend([subject(Named::Account(account)), self.qualified(account).subject()]);
            subjects.extend(account.rsplit_once('@').map(|(local, _)| subject(Named::Local(local))));
        }
        for domain in domains {
            subjects.extend([subject(Named::Domain(domain)), subject(Named::AnyDomain)]);
        }
        subjects.extend(account_ids.iter().map(|id| subject(Named::Id(id))));
        subjects.extend(homes.iter().map(|home| subject(Named::Home(home))));
        self.epochs.mark(*epoch, subjects.into_iter());
    }

    pub(super) fn invalidate_before(&self, epoch: u64) {
        self.epochs.mark_all(epoch);
    }

    pub(super) fn set_capacity(&self, routes: usize) {
        self.known.set_capacity(routes as u64);
    }

    pub(super) fn len(&self) -> usize {
        self.known.len()
    }

    fn judge(&self, key: Key, known: Known) -> Cached {
        let age = self.age(&known);
        if age >= known.soft.max(known.place.hard) || self.invalidated(key, &known) {
            Cached::Miss
        } else if age >= known.soft {
            Cached::Stale(known)
        } else if age >= known.soft - known.soft / AHEAD {
            Cached::Ageing(known.into())
        } else {
            Cached::Fresh(Some(known.into()))
        }
    }

    /// The key of a login that needs no context.
    fn qualified(&self, login: &str) -> Key {
        Key(self.hash.each_ref().map(|hash| hash.hash_one(login)))
    }

    fn invalidated(&self, key: Key, known: &Known) -> bool {
        self.epochs.outdated(known.epoch, || {
            let account = &*known.account;
            let domain = account.rsplit_once('@').map_or("", |(_, domain)| domain);
            let named = [Named::Account(account), Named::Domain(domain), Named::Home(&known.place.home)];
            let [account, domain, home] = named.map(|named| self.epochs.subject(named));
            // The key, because the invalidation may name an alias that this login is.
            [account, domain, home, known.id, key.subject()]
        })
    }

    fn outdated(&self, unknown: &Unknown) -> bool {
        self.epochs.outdated(unknown.epoch, || unknown.subjects)
    }

    /// An unknown name has no account, so what was typed stands for it.
    fn subjects_of_login(&self, login: &str) -> [Subject; 2] {
        let named = match login.rsplit_once('@') {
            Some((_, domain)) => [Named::Account(login), Named::Domain(domain)],
            None => [Named::Local(login), Named::AnyDomain],
        };
        named.map(|named| self.epochs.subject(named))
    }

    fn share(&self, place: Place) -> Arc<Place> {
        if !place.is_plain() {
            return Arc::new(place);
        }
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        if places.len() >= MAX_PLACES {
            places.clear();
        }
        let key = (Arc::clone(&place.home), place.status, place.hard, place.login_style, place.verify);
        Arc::clone(places.entry(key).or_insert_with(|| Arc::new(place)))
    }

    fn age(&self, known: &Known) -> u32 {
        self.now().saturating_sub(known.answered)
    }

    fn now(&self) -> u32 {
        u32::try_from(self.began.elapsed().as_secs()).unwrap_or(u32::MAX)
    }
}

impl Key {
    fn subject(self) -> Subject {
        self.0[0]
    }
}

impl From<Known> for Route {
    fn from(Known { account, place, .. }: Known) -> Self {
        Self {
            account,
            home: Arc::clone(&place.home),
            status: place.status,
            backend_login: place.backend_login.clone(),
            login_style: place.login_style,
            verify: place.verify,
            may_act_as: Arc::clone(&place.may_act_as),
            allowed_nets: Arc::clone(&place.allowed_nets),
        }
    }
}

/// A table whose memory is asked for at once and touched as it fills: growing later would hold a shard's lock for the
/// time of a copy, and double what it owns.
fn table<V: Clone>(entries: usize) -> Table<V> {
    let mut options = OptionsBuilder::new();
    options.estimated_items_capacity(entries).weight_capacity(entries as u64).ghost_allocation(GHOSTS);
    let options = options.build().unwrap_or_else(|error| unreachable!("both capacities are set: {error}"));
    let table = Cache::with_options(options, UnitWeighter, DefaultHashBuilder::default(), DefaultLifecycle::default());
    table.reserve(entries);
    table
}
