//! Where a recipient's mail goes, or why it is not taken.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;
use zproxy_protocol::smtp::{Answer, Path, Recipient, Transport};

use super::answers;
use super::courier::Courier;
use crate::Error;
use crate::route::{Addressee, Route, Status};

/// Before an address that tries names hears of the next one.
const DELAY: Duration = Duration::from_secs(1);

/// A recipient who may be taken.
pub(super) struct Destination {
    /// The name of a backend or group; empty: the default.
    pub(super) home: Arc<str>,
    /// Or the address, where nobody knows the account.
    pub(super) account: Arc<str>,
    /// As the backend is told of him.
    pub(super) recipient: Recipient,
}

impl Courier<'_> {
    /// Resolves a recipient.
    pub(super) async fn destination(&self, recipient: Recipient) -> Result<Destination, Answer> {
        match self.transport() {
            Transport::Lmtp => self.mailbox(recipient).await,
            Transport::Mx => self.mx(recipient).await,
        }
    }

    /// The home of an account.
    async fn mailbox(&self, recipient: Recipient) -> Result<Destination, Answer> {
        let unknown = || answers::of_error(&Error::UnknownUser);
        let name = recipient.path().name().ok_or_else(unknown)?;
        let found = if recipient.path().is_bare() {
            self.find_bare(&name).await.map(|route| route.map_or(Addressee::Nobody, Addressee::Account))
        } else {
            self.shared.routes.find_addressee(&name, self.ends.local.ip(), true).await
        };
        match found {
            Ok(Addressee::Account(route)) if route.verify => Err(known_at_login_only()),
            Ok(Addressee::Account(route)) => {
                permit(&route)?;
                let path = told(recipient.path(), &route, &self.config().detail_separator);
                let recipient = match path {
                    Some(path) => recipient.renamed(path),
                    None => recipient,
                };
                Ok(Destination { home: route.home, account: route.account, recipient })
            }
            Ok(Addressee::Foreign | Addressee::Nobody | Addressee::Unknown) => Err(unknown()),
            Err(error) => Err(answers::of_error(&error)),
        }
    }

    /// The default MTAs, or those of the home where that is the rule.
    async fn mx(&self, recipient: Recipient) -> Result<Destination, Answer> {
        let path = recipient.path();
        let anywhere =
            |account: &str, recipient| Destination { home: Arc::from(""), account: account.into(), recipient };
        if path.is_bare() {
            return Ok(anywhere(path.as_str(), recipient.clone()));
        }
        let name = path.name().ok_or_else(|| Answer::new(501, "5.1.3 That is no recipient address."))?;
        let refusing = !path.is_postmaster() && self.rules.mx.refuse_unknown.contains(path.domain());
        if refusing && self.has_asked_too_often().await {
            return Err(answers::asked_too_often());
        }
        match self.shared.routes.find_addressee(&name, self.ends.local.ip(), refusing).await {
            // Every name has such a route, in anybody's domain.
            Ok(Addressee::Account(route)) if route.verify => Err(known_at_login_only()),
            Ok(Addressee::Account(route)) => {
                if !path.is_postmaster() {
                    permit(&route)?;
                }
                let home = if self.rules.mx.by_home { route.home } else { Arc::from("") };
                Ok(Destination { home, account: route.account, recipient })
            }
            Ok(Addressee::Foreign) => Err(answers::relay_denied()),
            Ok(Addressee::Unknown) if refusing => {
                self.shared.harvest.count(self.address());
                Err(answers::of_error(&Error::UnknownUser))
            }
            Ok(Addressee::Unknown) => Ok(anywhere(name.as_str(), recipient)),
            Ok(Addressee::Nobody) => {
                let unsaid = "the directory cannot say whether the domain is ours: name it in mail_domains if it is";
                let unsaid = Error::LookupFailed(unsaid.into());
                Err(answers::of_error(&unsaid))
            }
            Err(error) => Err(answers::of_error(&error)),
        }
    }

    async fn has_asked_too_often(&self) -> bool {
        let exempt = self.config().limits.trusted.contain(self.address());
        let too_often = !exempt && self.shared.harvest.of(self.address()) >= self.rules.mx.unknown_recipients;
        if too_often {
            sleep(DELAY).await;
        }
        too_often
    }
}

/// Who he is, and where he lives, is known of whoever logs in and of nobody else.
fn known_at_login_only() -> Answer {
    let unsaid = "auth_http in verify mode tells of nobody but who logs in: mail needs another directory";
    answers::of_error(&Error::LookupFailed(unsaid.into()))
}

/// A locked account cannot log in, and gets its mail.
fn permit(route: &Route) -> Result<(), Answer> {
    match route.status {
        Status::Active | Status::Locked => Ok(()),
        Status::Closed => Err(answers::of_error(&Error::AccountClosed("closed"))),
        Status::Maintenance => Err(answers::of_error(&Error::AccountMaintenance)),
    }
}

/// The address by which a home knows an account, where the client's is another one's name for it: an alias. None: as the
/// client said it, with what stands behind the separator.
fn told(said: &Path, route: &Route, separator: &str) -> Option<Path> {
    let known = route.backend_login.as_deref().unwrap_or(&route.account);
    let name = said.name()?;
    let (local, domain) = name.as_str().rsplit_once('@').unwrap_or((name.as_str(), ""));
    // At its start it is part of the name, as control has it.
    let detail = (!separator.is_empty())
        .then(|| local.char_indices().skip(1).find(|(at, _)| local[*at..].starts_with(separator)));
    let plain = detail.flatten().map_or(local, |(at, _)| &local[..at]);
    let same = |local: &str| format!("{local}@{domain}").eq_ignore_ascii_case(known);
    if same(local) || same(plain) { None } else { Path::of_name(known) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_home_is_told_the_name_it_knows_and_the_detail_where_there_is_one() {
        let route = |backend_login: Option<&str>| Route {
            account: Arc::from("siti@tgg.net.id"),
            home: Arc::from("mbox-1"),
            status: Status::Active,
            backend_login: backend_login.map(Arc::from),
            may_act_as: Arc::default(),
            allowed_nets: Arc::default(),
            login_style: None,
            verify: false,
        };
        let table: &[(&str, Option<&str>, &str, Option<&str>)] = &[
            ("siti@tgg.net.id", None, "", None),
            ("SITI@TGG.net.id", None, "", None),
            ("siti+news@tgg.net.id", None, "+", None),
            ("siti+news+x@tgg.net.id", None, "+", None),
            ("siti+news@tgg.net.id", None, "", Some("siti@tgg.net.id")),
            ("rahayu@tgg.net.id", None, "+", Some("siti@tgg.net.id")),
            ("siti@alias.example", None, "+", Some("siti@tgg.net.id")),
            ("siti@tgg.net.id", Some("s.rahayu@old.example"), "+", Some("s.rahayu@old.example")),
            ("siti@tgg.net.id", Some("no address"), "+", None),
        ];
        for (said, backend_login, separator, expected) in table {
            let path = told(&Path::of_name(said).unwrap(), &route(*backend_login), separator);
            assert_eq!(path.as_ref().map(Path::as_str), *expected, "{said} {backend_login:?}");
        }
    }
}
