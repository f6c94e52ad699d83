//! Whose a request is, and where it goes: whom it names, or whom its browser remembers, and which backends may serve
//! him.

use zproxy_protocol::Name;
use zproxy_protocol::http::{Host, Way, Who};

use super::exchange::Asked;
use super::record::RequestRecord;
use crate::Error;
use crate::pool::{BackendMark, Candidate, Stake};
use crate::route::{Context, Route, Status};

/// Whose a request is.
#[derive(Clone, Debug)]
pub(super) enum Whose {
    /// An account's.
    Account(Route),
    /// It goes to where everybody may log in.
    Nobody,
}

/// Where a request goes.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) whose: Whose,
    /// Of several servers that may serve it, the one where its user has logged in.
    pub(super) mark: Option<BackendMark>,
}

impl Place {
    pub(super) fn of(whose: Whose) -> Self {
        Self { whose, mark: None }
    }
}

impl Asked<'_> {
    /// Where a request goes.
    pub(super) async fn place(&self, who: &Who<'_>, record: &mut RequestRecord) -> Result<Place, Error> {
        let place = self.look_up(who).await?;
        match &place.whose {
            Whose::Account(route) => record.account(&route.account),
            Whose::Nobody => record.way(Way::None),
        }
        Ok(place)
    }

    /// The same, of which the record is not to tell.
    pub(super) async fn look_up(&self, who: &Who<'_>) -> Result<Place, Error> {
        match who {
            Who::AccountId(name) | Who::Name(name) => self.account(name).await.map(Place::of),
            Who::Cookie(sealed) => {
                let cookies = &self.connection.shared.route_cookies;
                // A good cookie that does not open yet would take its browser to a server that ends its session.
                if !cookies.await_first(self.connection.setup.config.timeouts.lookup).await {
                    return Err(Error::LookupTimeout);
                }
                let opened = self.name().and_then(|host| cookies.open(host, sealed));
                let Some(memory) = opened else { return Ok(Place::of(Whose::Nobody)) };
                let whose = self.account(&memory.name).await?;
                Ok(Place { whose, mark: Some(memory.backend) })
            }
            Who::Form(_) | Who::Nobody => Ok(Place::of(Whose::Nobody)),
        }
    }

    /// Whose a name is. One that no account has is nobody's, and a locked account is treated like none: that a name is
    /// known shows nowhere.
    pub(super) async fn account(&self, name: &Name) -> Result<Whose, Error> {
        let virtual_host = self.name().map(Host::as_str);
        let context = Context { virtual_host, local: self.connection.ends.local.ip() };
        let Some(route) = self.connection.shared.routes.find(name, &context).await? else { return Ok(Whose::Nobody) };
        match route.status {
            Status::Active => {}
            Status::Closed | Status::Locked => return Ok(Whose::Nobody),
            Status::Maintenance => return Err(Error::AccountMaintenance),
        }
        // Where he lives is known of whoever proves himself, and of nobody before.
        if route.verify {
            return Ok(Whose::Nobody);
        }
        if route.allows(self.origin.client) { Ok(Whose::Account(route)) } else { Err(Error::AddressNotAllowed) }
    }

    /// The host that was asked for.
    pub(super) fn name(&self) -> Option<&Host> {
        self.target.authority.as_ref().map(|authority| &authority.host)
    }

    /// The backends that may serve a request, in the order to try.
    pub(super) async fn candidates(&self, place: &Place) -> Result<Vec<Candidate>, Error> {
        let before = place.mark;
        match &place.whose {
            Whose::Account(route) => self.lead(&route.home, Stake::Account { account: &route.account, before }).await,
            Whose::Nobody => self.lead(&self.host.login, Stake::Client { address: self.origin.client, before }).await,
        }
    }

    /// Those that a login by a form is led to. A name that nobody has is led to where one of its own might be: that it
    /// is known would show in whether another server than the form's answers.
    pub(super) async fn candidates_of(&self, whose: &Whose, name: &Name) -> Result<Vec<Candidate>, Error> {
        match whose {
            Whose::Account(_) => self.candidates(&Place::of(whose.clone())).await,
            Whose::Nobody => self.lead(&self.host.login, Stake::Name(&name.as_str().to_ascii_lowercase())).await,
        }
    }

    async fn lead(&self, home: &str, stake: Stake<'_>) -> Result<Vec<Candidate>, Error> {
        let shared = &self.connection.shared;
        if !shared.pools.await_first(self.connection.setup.config.timeouts.lookup).await {
            return Err(Error::NoPool);
        }
        shared.pools.candidates(home, stake, self.host.service)
    }
}
