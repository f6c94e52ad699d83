//! Step 4: whose credential it is, whose mailbox is meant, and whether the one is proved to be the other's.
//!
//! A proof is asked for once a login, and only where the way to the backend needs it. The account is then the one that
//! the proof names, never the one that was typed: that one it may act as, if its route says so.

use std::net::IpAddr;
use std::sync::Arc;

use zproxy_protocol::{Credential, Login, Name, Secret};

use super::attempt::Attempt;
use crate::Error;
use crate::pool::{Endpoint, LoginStyle};
use crate::record::{Record, Step};
use crate::route::{Context, Route, Status};
use crate::verify::{Evidence, Proof, Verified};

/// Ends the user in what a client types to log in as him by a master user's password; Dovecot's usual separator.
const MASTER_SEPARATOR: char = '*';

/// A client: whose credential it is and whose mailbox is meant.
pub(super) struct Resolved {
    pub own: Route,
    /// Another one's mailbox, granted by the directory.
    pub other: Option<Route>,
    /// A `user*master` that goes on as it was typed; the mailbox is the user's.
    pub as_typed: Option<Name>,
    /// None: the client has proved nothing to us.
    pub proved: Option<Proved>,
}

/// That a client is who `own` says. Made of a verdict or of a certificate alone.
pub(super) struct Proved {
    /// What this login goes by at the backend; none: the client's own.
    pub password: Option<Secret>,
}

impl Resolved {
    fn of(own: Route) -> Self {
        Self { own, other: None, as_typed: None, proved: None }
    }

    /// The account whose mailbox is meant.
    pub(super) fn target(&self) -> &Route {
        self.other.as_ref().unwrap_or(&self.own)
    }

    /// Whether its verifier gave the password that the backend shall hear.
    pub(super) fn goes_by_given_password(&self) -> bool {
        self.proved.as_ref().is_some_and(|proved| proved.password.is_some())
    }

    /// How it is logged in at an endpoint.
    pub(super) fn style(&self, endpoint: &Endpoint) -> LoginStyle {
        self.target().login_style.unwrap_or(endpoint.login_style)
    }

    /// Whether a proof must be had wherever the login goes.
    pub(super) fn lacks_proof_by_route(&self) -> bool {
        self.proved.is_none() && (self.own.verify || self.target().verify)
    }

    /// Whether a proof must be had before any of these is dialled.
    pub(super) fn lacks_proof_at<'a>(&self, mut endpoints: impl Iterator<Item = &'a Endpoint>) -> bool {
        self.proved.is_none() && endpoints.any(|endpoint| self.style(endpoint).needs_proof())
    }
}

impl Attempt<'_> {
    /// Where the user lives, and whether he may come in.
    pub(super) async fn resolve(&self, login: &Login, record: &mut Record) -> Result<Resolved, Error> {
        let certified = Self::certified(login, record)?;
        let Some(name) = certified.as_ref().or(login.name.as_ref()) else {
            return self.resolve_token(login, record).await;
        };
        let mut resolved = self.resolve_name(name, login, record).await?;
        if certified.is_some() {
            // It proves who comes, and knows nothing of where to.
            if resolved.own.verify || resolved.target().verify {
                return Err(Error::BackendLacksMechanism);
            }
            record.verified("certificate");
            resolved.proved = Some(Proved { password: None });
        }
        Ok(resolved)
    }

    /// Whom the client's certificate proves; none: that is not what it came by.
    fn certified(login: &Login, record: &Record) -> Result<Option<Name>, Error> {
        if !matches!(login.credential, Credential::Certificate) {
            return Ok(None);
        }
        record.tls_facts().and_then(|facts| facts.identity.clone()).map(Some).ok_or(Error::Nameless)
    }

    async fn resolve_name(&self, name: &Name, login: &Login, record: &mut Record) -> Result<Resolved, Error> {
        if let Some(user) = self.user_of_master(name, login)? {
            let own = self.admit(&user, record).await?;
            return Ok(Resolved { as_typed: Some(name.clone()), ..Resolved::of(own) });
        }
        let own = self.admit(name, record).await?;
        let Some(authzid) = &login.authzid else { return Ok(Resolved::of(own)) };
        let other = self.find(authzid, record).await?.ok_or(Error::AuthzidRefused)?;
        if other.account == own.account {
            return Ok(Resolved::of(own));
        }
        if !own.lets_act_as(&other.account) {
            return Err(Error::AuthzidRefused);
        }
        self.permit(&other)?;
        record.account(&other.account);
        Ok(Resolved { other: Some(other), ..Resolved::of(own) })
    }

    /// Asks control for a proof, and lets it count.
    pub(super) async fn prove(
        &self,
        login: &Login,
        resolved: Resolved,
        record: &mut Record,
    ) -> Result<Resolved, Error> {
        if resolved.as_typed.is_some() {
            return Err(Error::MasterLogin);
        }
        // Where the client names nobody, the name was only the way here.
        let account = if login.name.is_some() { Arc::clone(&resolved.own.account) } else { Arc::default() };
        let verified = self.verdict(login, account, record).await?;
        if verified.account == resolved.own.account {
            return Ok(resolved.proved_by(verified));
        }
        let actor = self.proved_account(&verified, record).await?;
        if login.name.is_none() {
            return Ok(Resolved::of(actor).proved_by(verified));
        }
        let target = resolved.other.unwrap_or(resolved.own);
        record.account(&target.account);
        if target.account == actor.account {
            return Ok(Resolved::of(actor).proved_by(verified));
        }
        if !actor.lets_act_as(&target.account) {
            return Err(Error::AuthzidRefused);
        }
        Ok(Resolved { other: Some(target), ..Resolved::of(actor) }.proved_by(verified))
    }

    /// A token that comes without a name: it says itself where it leads, or control can tell.
    async fn resolve_token(&self, login: &Login, record: &mut Record) -> Result<Resolved, Error> {
        let Credential::Token(token) = &login.credential else { return Err(Error::Nameless) };
        let claimed = token.claim(&self.setup.config.sasl.token_claim);
        let claimed = claimed.filter(|name| !name.as_str().contains(MASTER_SEPARATOR));
        let route = match &claimed {
            Some(name) => self.find(name, record).await?,
            None => None,
        };
        if let Some(own) = route {
            record.account(&own.account);
            self.permit(&own)?;
            return Ok(Resolved::of(own));
        }
        if !self.shared.proofs.verifiers().is_some_and(|verifiers| verifiers.tokens) {
            return Err(if claimed.is_some() { Error::UnknownUser } else { Error::Nameless });
        }
        let verified = self.verdict(login, Arc::default(), record).await?;
        let own = self.proved_account(&verified, record).await?;
        Ok(Resolved::of(own).proved_by(verified))
    }

    /// The user of a `user*master`; none: the name is no such thing.
    fn user_of_master(&self, name: &Name, login: &Login) -> Result<Option<Name>, Error> {
        if login.authzid.as_ref().is_some_and(|authzid| authzid.as_str().contains(MASTER_SEPARATOR)) {
            return Err(Error::MasterLogin);
        }
        let Some((user, master)) = name.as_str().split_once(MASTER_SEPARATOR) else { return Ok(None) };
        let from = &self.listening.listener.master_logins_from;
        let by_password = matches!(login.credential, Credential::Password(_)) && login.authzid.is_none();
        if master.is_empty() || !by_password || !from.contain(self.ends.client.ip()) {
            return Err(Error::MasterLogin);
        }
        Name::new(user.as_bytes()).map(Some).map_err(|_| Error::MasterLogin)
    }

    async fn admit(&self, name: &Name, record: &mut Record) -> Result<Route, Error> {
        let route = self.find(name, record).await?.ok_or(Error::UnknownUser)?;
        record.account(&route.account);
        self.permit(&route)?;
        Ok(route)
    }

    async fn proved_account(&self, verified: &Verified, record: &mut Record) -> Result<Route, Error> {
        let name = Name::new(verified.account.as_bytes());
        let name = name.map_err(|error| Error::VerifyFailed(format!("verified account: {error}").into()))?;
        let route = self.admit(&name, record).await?;
        if route.account == verified.account {
            return Ok(route);
        }
        Err(Error::VerifyFailed("control verified an account that its own routes call by another name".into()))
    }

    async fn verdict(&self, login: &Login, account: Arc<str>, record: &mut Record) -> Result<Verified, Error> {
        let evidence = Evidence::of(&login.credential).ok_or(Error::BackendLacksMechanism)?;
        record.step(Step::Verify);
        let by = evidence.name();
        let proof = Proof {
            question: login.name.as_ref().map(|name| self.context(record).question(name)),
            evidence,
            account,
            service: self.listening.listener.service,
            client: self.ends.client.ip(),
            attempt: self.number,
            tls_version: record.tls_facts().map_or("", |facts| facts.version),
            ehlo: login.replay.ehlo.clone().unwrap_or_default(),
        };
        let verified = self.shared.proofs.prove(proof).await?;
        record.verified(by);
        record.step(Step::Route);
        Ok(verified)
    }

    /// An account whose name would be `user*master` to its backend is nobody's: a name that looks otherwise as it is typed,
    /// with U+FF0A, becomes one by Unicode's rules.
    async fn find(&self, name: &Name, record: &Record) -> Result<Option<Route>, Error> {
        let route = self.shared.routes.find(name, &self.context(record)).await?;
        Ok(route.filter(|route| !route.account.contains(MASTER_SEPARATOR)))
    }

    fn context<'a>(&'a self, record: &'a Record) -> Context<'a> {
        let server_name = record.tls_facts().and_then(|facts| facts.server_name.as_deref());
        let virtual_host = server_name.or(self.ends.authority.as_deref());
        Context { virtual_host, local: self.ends.local.ip() }
    }

    fn permit(&self, route: &Route) -> Result<(), Error> {
        match route.status {
            Status::Active => {}
            Status::Closed => return Err(Error::AccountClosed("closed")),
            Status::Locked => return Err(Error::AccountClosed("locked")),
            Status::Maintenance => return Err(Error::AccountMaintenance),
        }
        let from: IpAddr = self.ends.client.ip();
        if route.allows(from) { Ok(()) } else { Err(Error::AddressNotAllowed) }
    }
}

impl Resolved {
    /// What a verdict says of the way to the backend is the way of the account it names, and of no other.
    fn proved_by(mut self, verified: Verified) -> Self {
        let itself = self.other.is_none();
        if itself {
            self.own.home = verified.home.unwrap_or(self.own.home);
            self.own.backend_login = verified.backend_login.or(self.own.backend_login);
        }
        self.proved = Some(Proved { password: verified.backend_password.filter(|_| itself) });
        self
    }
}
