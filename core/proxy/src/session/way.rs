//! How a client is logged in at a backend: in which name, by whose credential.

use zproxy_protocol::{ClientInfo, Credential, Forward as InProtocol, Login, LoginAtBackend, Name};

use super::attempt::Attempt;
use super::resolve::Resolved;
use crate::Error;
use crate::config::MasterUser;
use crate::pool::{Endpoint, Forward, LoginStyle};
use crate::record::Record;
use crate::route::Route;

/// Hops a login may take from proxy to proxy, as Dovecot's: more is a loop.
const HOPS: u8 = 5;

/// What the backend is shown of a client.
struct Way {
    name: Name,
    authzid: Option<Name>,
    credential: Option<Credential>,
}

impl Attempt<'_> {
    /// The login as the backend of an endpoint shall see it.
    pub(super) fn login_at_backend(
        &self,
        endpoint: &Endpoint,
        login: &Login,
        resolved: &Resolved,
        record: &Record,
    ) -> Result<LoginAtBackend, Error> {
        let Way { name, authzid, credential } = self.way(endpoint, login, resolved)?;
        // What a client says of its hops must not speak against a backend: none is dialled for what it will not carry.
        let ttl = login.replay.hops.map_or(HOPS, |left| left.saturating_sub(1).min(HOPS));
        if ttl == 0 {
            return Err(Error::of_backend("route", zproxy_protocol::Error::TooManyHops));
        }
        Ok(LoginAtBackend {
            name,
            authzid,
            credential,
            forward: match endpoint.forward {
                Forward::Id => InProtocol::Id,
                Forward::Xclient => InProtocol::Xclient,
                Forward::Xoip => InProtocol::Xoip,
                Forward::None | Forward::ProxyV1 | Forward::ProxyV2 => InProtocol::None,
            },
            client: ClientInfo {
                address: self.ends.client,
                local: self.ends.local,
                server_name: record.tls_facts().and_then(|facts| facts.server_name.as_deref().map(str::to_owned)),
                session_id: record.id().to_string(),
                ttl,
            },
            replay: login.replay.clone(),
        })
    }

    fn way(&self, endpoint: &Endpoint, login: &Login, resolved: &Resolved) -> Result<Way, Error> {
        let style = resolved.style(endpoint);
        if !style.fits(endpoint) {
            return Err(Error::StyleUnfit(style.name()));
        }
        match (style, &resolved.proved) {
            (LoginStyle::Replay | LoginStyle::Token, _) => replayed(style, login, resolved),
            // Whoever comes here was proved before: this is what keeps it so.
            (LoginStyle::VerifyThenMaster | LoginStyle::VerifyThenXclient, None) => Err(Error::Unproved),
            (LoginStyle::VerifyThenMaster, Some(_)) => {
                let MasterUser { user, password, .. } = self.master(endpoint).ok_or(Error::StyleUnfit(style.name()))?;
                Ok(Way {
                    name: user.clone(),
                    authzid: Some(carried(resolved.target())?),
                    credential: Some(Credential::Password(password.clone())),
                })
            }
            (LoginStyle::VerifyThenXclient, Some(_)) => {
                Ok(Way { name: carried(resolved.target())?, authzid: None, credential: None })
            }
        }
    }

    /// Who logs in at an endpoint for all of its clients.
    pub(super) fn master(&self, endpoint: &Endpoint) -> Option<&MasterUser> {
        self.setup.config.master_users.find(endpoint.master_user.as_deref())
    }
}

/// The client's own credential, unless its verifier gave another for this login.
fn replayed(style: LoginStyle, login: &Login, resolved: &Resolved) -> Result<Way, Error> {
    let given = resolved.proved.as_ref().and_then(|proved| proved.password.clone());
    let credential = given.map_or_else(|| login.credential.clone(), Credential::Password);
    match (style, &credential) {
        (LoginStyle::Token, Credential::Password(_) | Credential::Scram(_)) | (_, Credential::Certificate) => {
            return Err(Error::BackendLacksMechanism);
        }
        _ => {}
    }
    let name = resolved.as_typed.clone().map_or_else(|| carried(&resolved.own), Ok)?;
    Ok(Way { name, authzid: resolved.other.as_ref().map(carried).transpose()?, credential: Some(credential) })
}

/// An account's name at the backend; a directory may have made up one that no protocol can carry.
fn carried(route: &Route) -> Result<Name, Error> {
    Name::new(route.backend_login.as_deref().unwrap_or(&route.account).as_bytes())
        .map_err(|error| Error::LookupFailed(format!("directory's name for the backend: {error}").into()))
}
