//! An answer of control as a checked value.

use std::sync::Arc;

use super::Status;
use super::lookup::Domain;
use crate::Error;
use crate::config::Network;
use crate::pool::LoginStyle;
use crate::wire;

/// What control said of one login.
pub(super) struct Answer {
    pub(super) found: Found,
    /// An invalidation of a later epoch that names it makes it a miss.
    pub(super) epoch: u64,
}

pub(super) enum Found {
    /// No such account, for so many seconds.
    None { ttl: u32, domain: Domain },
    /// An account.
    Route {
        account: Arc<str>,
        /// May be empty.
        id: String,
        place: Place,
        /// Seconds it may be served without asking.
        soft: u32,
    },
}

/// The part of a route that accounts of one home mostly have in common.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) home: Arc<str>,
    pub(super) status: Status,
    /// Seconds after which it is not served at all.
    pub(super) hard: u32,
    pub(super) backend_login: Option<Arc<str>>,
    pub(super) login_style: Option<LoginStyle>,
    pub(super) verify: bool,
    pub(super) may_act_as: Arc<[Box<str>]>,
    pub(super) allowed_nets: Arc<[Network]>,
}

impl Place {
    /// Whether nothing in it is an account's own.
    pub(super) fn is_plain(&self) -> bool {
        self.backend_login.is_none() && self.may_act_as.is_empty() && self.allowed_nets.is_empty()
    }
}

impl Answer {
    /// Checks an answer. One that cannot be understood is a temporary failure: nobody is let in by half a rule.
    pub(super) fn check(answer: wire::Answer) -> Result<Self, Error> {
        let found = match answer.result {
            Some(wire::answer::Result::Route(route)) => route_of(route)?,
            Some(wire::answer::Result::None(none)) => {
                let domain = match none.domain() {
                    wire::Domain::Unspecified => Domain::Unsaid,
                    wire::Domain::Ours => Domain::Ours,
                    wire::Domain::Foreign => Domain::Foreign,
                };
                Found::None { ttl: none.ttl_seconds, domain }
            }
            Some(wire::answer::Result::Fault(wire::Fault { reason })) => {
                return Err(Error::LookupFailed(reason.into()));
            }
            None => return Err(not_understood("a result this edge does not know")),
        };
        Ok(Self { found, epoch: answer.epoch })
    }
}

fn route_of(route: wire::Route) -> Result<Found, Error> {
    let status = match wire::AccountStatus::try_from(route.status) {
        // A directory without such an attribute: all its accounts are active.
        Ok(wire::AccountStatus::Unspecified | wire::AccountStatus::Active) => Status::Active,
        Ok(wire::AccountStatus::Locked) => Status::Locked,
        Ok(wire::AccountStatus::Closed) => Status::Closed,
        Ok(wire::AccountStatus::Maintenance) => Status::Maintenance,
        Err(_) => return Err(not_understood("an account status this edge does not know")),
    };
    let Ok(login_style) = LoginStyle::of_message(route.login_style) else {
        return Err(not_understood("a login style this edge does not know"));
    };
    if route.account.is_empty() {
        return Err(not_understood("a route without account"));
    }
    let networks = route.allowed_nets.iter().map(|text| text.parse::<Network>());
    let Ok(allowed_nets) = networks.collect() else {
        return Err(not_understood("an allowed network that is none"));
    };
    let place = Place {
        home: route.home.into(),
        status,
        hard: route.hard_ttl_seconds,
        backend_login: (!route.backend_login.is_empty()).then(|| route.backend_login.into()),
        login_style,
        verify: route.verify,
        may_act_as: route.may_act_as.into_iter().map(Into::into).collect(),
        allowed_nets,
    };
    Ok(Found::Route { account: route.account.into(), id: route.account_id, place, soft: route.soft_ttl_seconds })
}

fn not_understood(what: &str) -> Error {
    Error::LookupFailed(format!("control answered {what}").into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(route: wire::Route) -> Result<Answer, Error> {
        Answer::check(wire::Answer { result: Some(wire::answer::Result::Route(route)), ..wire::Answer::default() })
    }

    #[test]
    fn half_a_rule_lets_nobody_in() {
        let good = wire::Route { account: "siti@tgg.net.id".into(), ..wire::Route::default() };
        assert!(check(good.clone()).is_ok());
        for bad in [
            wire::Route::default(),
            wire::Route { status: 99, ..good.clone() },
            wire::Route { login_style: 99, ..good.clone() },
            wire::Route { allowed_nets: vec!["10.0.0.0/8".into(), "10.0.0.0/33".into()], ..good },
        ] {
            assert!(matches!(check(bad), Err(Error::LookupFailed(_))));
        }
    }
}
