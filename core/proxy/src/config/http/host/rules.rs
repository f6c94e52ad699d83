//! What a virtual host does to requests and answers, in the words of the protocol.

use std::time::Duration;

use http::header::{HeaderName, HeaderValue};
use zproxy_protocol::http::forward::{Added, AnswerRules, CookieDomain};
use zproxy_protocol::http::identify::{Claim, Prefix, Says};
use zproxy_protocol::http::{Host, Rules};

use super::super::form;
use crate::config::{Faults, duration, invalid};
use crate::wire;

/// How users are recognised.
pub(super) fn recognise(message: &wire::HttpHost, key: &dyn Fn(&str) -> String, faults: &mut Faults) -> Rules {
    let usual = Rules::default();
    let recognise = message.recognise.clone().unwrap_or_default();
    let mut paths = Vec::with_capacity(recognise.paths.len());
    for (index, text) in recognise.paths.iter().enumerate() {
        let prefix = Prefix::new(text);
        if prefix.is_none() {
            let problem = format!("{text:?} does not begin and end with \"/\", as in \"/SOGo/dav/\"");
            faults.push(invalid(&key(&format!("recognise.paths[{index}]")), problem));
        }
        paths.extend(prefix);
    }
    let zimbra = recognise.zimbra.unwrap_or(true);
    let cookie = if message.admin { "ZM_ADMIN_AUTH_TOKEN" } else { "ZM_AUTH_TOKEN" };
    let claim = |name: &String| Claim { name: name.as_str().into(), says: Says::Name };
    Rules {
        paths: match (recognise.path.unwrap_or(true), recognise.paths.is_empty()) {
            (false, _) => Vec::new(),
            (true, true) => usual.paths,
            (true, false) => paths,
        },
        active_sync: recognise.active_sync.unwrap_or(true),
        zimbra_cookie: zimbra.then(|| cookie.into()),
        zimbra_parameter: zimbra,
        jwt_parameter: if zimbra { usual.jwt_parameter } else { Vec::new() },
        basic: recognise.basic.unwrap_or(true),
        bearer: recognise.bearer_claims.iter().map(claim).collect(),
        forms: form::all(&message.login_forms, &key("login_forms"), faults),
        route_cookie: recognise.route_cookie.unwrap_or(true),
    }
}

/// What is done to answers.
pub(super) fn answers(message: &wire::HttpHost, key: &dyn Fn(&str) -> String, faults: &mut Faults) -> AnswerRules {
    let mut rules = AnswerRules::default();
    for (index, header) in message.headers.iter().enumerate() {
        let name = HeaderName::from_bytes(header.name.as_bytes());
        match (name, HeaderValue::from_str(&header.value)) {
            (Ok(name), Ok(value)) => rules.added.push(Added { name, value, replaces: header.replace }),
            _ => {
                let problem = format!("{:?} with {:?} is no header field", header.name, header.value);
                faults.push(invalid(&key(&format!("headers[{index}]")), problem));
            }
        }
    }
    for (from, to) in &message.cookie_domains {
        let ours = if to.is_empty() { Some(None) } else { Host::parse(to.as_bytes()).map(Some) };
        match (Host::parse(from.as_bytes()), ours) {
            (Some(from), Some(to)) => rules.cookie_domains.push(CookieDomain { from, to }),
            _ => faults.push(invalid(&key("cookie_domains"), format!("{from:?} to {to:?} are no domains"))),
        }
    }
    if let Some(hsts) = &message.hsts {
        let seconds = duration(&key("hsts.max_age"), hsts.max_age.as_ref(), Duration::ZERO, faults).as_secs();
        let mut value = format!("max-age={seconds}");
        value.push_str(if hsts.include_subdomains { "; includeSubDomains" } else { "" });
        value.push_str(if hsts.preload { "; preload" } else { "" });
        rules.hsts = HeaderValue::try_from(value).ok();
    }
    rules
}
