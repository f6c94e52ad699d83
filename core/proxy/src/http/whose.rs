//! Whose a request is, and where he lives.

use std::net::IpAddr;

use zproxy_protocol::Name;
use zproxy_protocol::http::Host;

use super::connection::Connection;
use crate::Error;
use crate::pool::BackendMark;
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

/// What a look-up needs to know of a request.
#[derive(Clone, Copy)]
pub(super) struct Asker<'a> {
    pub(super) connection: &'a Connection,
    /// It completes names without a domain.
    pub(super) host: Option<&'a Host>,
    pub(super) client: IpAddr,
}

impl Asker<'_> {
    /// Whose a request is that names somebody. Nobody has a name that no account has, and a locked account is treated
    /// like none: that a name is known shows nowhere.
    ///
    /// # Errors
    /// The account cannot be served now, or not from there.
    pub(super) async fn account(&self, name: &Name) -> Result<Whose, Error> {
        let context = Context { virtual_host: self.host.map(Host::as_str), local: self.connection.ends.local.ip() };
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
        if route.allows(self.client) { Ok(Whose::Account(route)) } else { Err(Error::AddressNotAllowed) }
    }
}
