//! Whose a request is. What it says outranks what we remember, and the first way that gives a name is the one: the
//! path, a token of Zimbra's, Basic or a bearer token, a login form, and last our own cookie.
//!
//! None of this proves anything: it says where to, and the backend checks who.

mod active_sync;
mod basic;
mod claim;
mod path;
mod zimbra;

use http::HeaderMap;
use http::header::AUTHORIZATION;
use http::request::Parts;

use super::list::{split_once, trim};
use super::{LoginForm, cookies, percent};
use crate::Name;

pub use claim::{Claim, Says};
pub use path::Prefix;

/// Which ways hold, for a virtual host.
#[derive(Clone, Debug)]
pub struct Rules {
    /// Paths behind which a name stands. Of several that fit the longest holds.
    pub paths: Vec<Prefix>,
    /// ActiveSync's `User=`.
    pub active_sync: bool,
    /// The cookie that has Zimbra's token: `ZM_AUTH_TOKEN`, or `ZM_ADMIN_AUTH_TOKEN` for the console.
    pub zimbra_cookie: Option<Box<str>>,
    /// Zimbra's token in the query: `zauthtoken`.
    pub zimbra_parameter: bool,
    /// A JWT of Zimbra's in the query, `zjwt`: these claims, in this order.
    pub jwt_parameter: Vec<Claim>,
    /// The user of Basic.
    pub basic: bool,
    /// A JWT as bearer token: these claims, in this order.
    pub bearer: Vec<Claim>,
    /// Login forms.
    pub forms: Vec<LoginForm>,
    /// Our own cookie.
    pub route_cookie: bool,
}

/// What holds where nothing else is said: all that needs no knowledge of the backends.
impl Default for Rules {
    fn default() -> Self {
        Self {
            paths: Prefix::usual(),
            active_sync: true,
            zimbra_cookie: Some("ZM_AUTH_TOKEN".into()),
            zimbra_parameter: true,
            jwt_parameter: vec![Claim { name: "sub".into(), says: Says::AccountId }],
            basic: true,
            bearer: Vec::new(),
            forms: Vec::new(),
            route_cookie: true,
        }
    }
}

/// Whose a request is, as far as it says.
#[derive(Debug)]
pub struct Identity<'a> {
    /// Who.
    pub who: Who<'a>,
    /// By which way.
    pub way: Way,
    /// What it is for, where its path says so.
    pub service: Option<Service>,
}

/// Who a request says it is.
#[derive(Debug)]
pub enum Who<'a> {
    /// An account, by the directory's id.
    AccountId(Name),
    /// Whom our own cookie names, sealed.
    Cookie(&'a [u8]),
    /// Whom the body of this form names: [`LoginForm::name`].
    Form(&'a LoginForm),
    /// A login name, as it was said.
    Name(Name),
    /// It does not say.
    Nobody,
}

/// How a request was recognised.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Way {
    /// ActiveSync's `User=`.
    ActiveSync,
    /// Basic.
    Basic,
    /// A claim of a bearer token.
    Bearer,
    /// Our own cookie.
    Cookie,
    /// A login form.
    Form,
    /// A claim of `zjwt`.
    JwtParameter,
    /// Not at all.
    None,
    /// A name in the path.
    Path,
    /// Zimbra's cookie.
    ZimbraCookie,
    /// `zauthtoken`.
    ZimbraParameter,
}

impl Way {
    /// The word for the record.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::ActiveSync => "activesync",
            Self::Basic => "basic",
            Self::Bearer => "bearer",
            Self::Cookie => "cookie",
            Self::Form => "form",
            Self::JwtParameter => "zjwt",
            Self::None => "none",
            Self::Path => "path",
            Self::ZimbraCookie => "zm_auth_token",
            Self::ZimbraParameter => "zauthtoken",
        }
    }
}

/// What a request is for, where that matters to how it is served.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Service {
    /// ActiveSync, which waits for an hour.
    ActiveSync,
    /// `/.well-known/caldav` (RFC 6764).
    CalDav,
    /// `/.well-known/carddav`.
    CardDav,
    /// Zimbra's questions that are answered when there is news, after twenty minutes at the latest.
    ZimbraWait,
}

impl Service {
    /// Whether an answer may be long in coming, as there is nothing to say.
    #[must_use]
    pub fn waits(self) -> bool {
        matches!(self, Self::ActiveSync | Self::ZimbraWait)
    }
}

/// Says whose a request is.
#[must_use]
pub fn identify<'a>(head: &'a Parts, rules: &'a Rules) -> Identity<'a> {
    let (who, way) = by_target(head, rules)
        .or_else(|| by_zimbra(head, rules))
        .or_else(|| by_authorization(&head.headers, rules))
        .or_else(|| Some((Who::Form(rules.forms.iter().find(|form| form.is_posted(head))?), Way::Form)))
        .unwrap_or_else(|| remembered(&head.headers, rules));
    Identity { who, way, service: service(head.uri.path()) }
}

/// Whom our own cookie names: the last way, also where a form turns out to have no name.
#[must_use]
pub fn remembered<'a>(headers: &'a HeaderMap, rules: &Rules) -> (Who<'a>, Way) {
    match cookies::route_cookie(headers).filter(|_| rules.route_cookie) {
        Some(sealed) => (Who::Cookie(sealed), Way::Cookie),
        None => (Who::Nobody, Way::None),
    }
}

fn by_target<'a>(head: &Parts, rules: &Rules) -> Option<(Who<'a>, Way)> {
    if let Some(name) = path::name(head.uri.path(), &rules.paths) {
        return Some((Who::Name(name), Way::Path));
    }
    let active_sync = rules.active_sync && active_sync::is_path(head.uri.path());
    let name = active_sync::user(head.uri.query().filter(|_| active_sync)?)?;
    Some((Who::Name(name), Way::ActiveSync))
}

fn by_zimbra<'a>(head: &Parts, rules: &Rules) -> Option<(Who<'a>, Way)> {
    let query = head.uri.query().unwrap_or_default();
    let cookie = || zimbra::agreed(cookies::values(&head.headers, rules.zimbra_cookie.as_deref()?));
    let parameter = || zimbra::account_id(&only(query, "zauthtoken").filter(|_| rules.zimbra_parameter)?);
    if let Some(id) = cookie() {
        return Some((Who::AccountId(id), Way::ZimbraCookie));
    }
    if let Some(id) = parameter() {
        return Some((Who::AccountId(id), Way::ZimbraParameter));
    }
    Some((claim::who(&only(query, "zjwt")?, &rules.jwt_parameter)?, Way::JwtParameter))
}

/// RFC 9110, section 11.6.2. Two of them: servers do not agree on which one counts.
fn by_authorization<'a>(headers: &HeaderMap, rules: &Rules) -> Option<(Who<'a>, Way)> {
    let mut fields = headers.get_all(AUTHORIZATION).iter();
    let (scheme, said) = split_once(trim(fields.next()?.as_bytes()), b' ');
    let said = trim(said.filter(|_| fields.next().is_none())?);
    if scheme.eq_ignore_ascii_case(b"Basic") {
        return Some((Who::Name(basic::user(said).filter(|_| rules.basic)?), Way::Basic));
    }
    let bearer = scheme.eq_ignore_ascii_case(b"Bearer");
    Some((claim::who(said, &rules.bearer).filter(|_| bearer)?, Way::Bearer))
}

fn service(path: &str) -> Option<Service> {
    match path.strip_suffix('/').unwrap_or(path) {
        "/.well-known/caldav" => Some(Service::CalDav),
        "/.well-known/carddav" => Some(Service::CardDav),
        "/service/soap/NoOpRequest" | "/service/soap/WaitSetRequest" => Some(Service::ZimbraWait),
        path => active_sync::is_path(path).then_some(Service::ActiveSync),
    }
}

/// The decoded value of a parameter that is there once.
fn only(query: &str, name: &str) -> Option<Vec<u8>> {
    let mut found = parameters(query).filter(|&(parameter, _)| parameter == name.as_bytes()).map(|(_, value)| value);
    let value = found.next()?;
    percent::decode(value).filter(|_| found.next().is_none())
}

pub(super) fn parameters(query: &str) -> impl Iterator<Item = (&[u8], &[u8])> {
    query.as_bytes().split(|&octet| octet == b'&').map(|pair| {
        let (name, value) = split_once(pair, b'=');
        (name, value.unwrap_or_default())
    })
}
