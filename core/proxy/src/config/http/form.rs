//! Login forms from which we learn where a user lives.

use http::Method;
use zproxy_protocol::http::LoginForm;
use zproxy_protocol::http::forms::Encoding;

use super::super::{Faults, invalid};
use crate::wire;

/// Those of a host.
pub(super) fn all(messages: &[wire::LoginForm], key: &str, faults: &mut Faults) -> Vec<LoginForm> {
    let mut all = Vec::with_capacity(messages.len());
    for (index, message) in messages.iter().enumerate() {
        all.extend(one(message, &|field| format!("{key}[{index}].{field}"), faults));
    }
    all
}

fn one(message: &wire::LoginForm, key: &dyn Fn(&str) -> String, faults: &mut Faults) -> Option<LoginForm> {
    let at = if message.path.is_empty() { "/" } else { &message.path };
    if !at.starts_with('/') || !at.bytes().all(|octet| octet.is_ascii_graphic() && octet != b'?') {
        faults.push(invalid(&key("path"), format!("{at:?} is no path, e.g. \"/webmail/\"")));
    }
    let preset: fn(&str) -> LoginForm = match message.preset() {
        wire::LoginFormPreset::Unspecified => return own(message, at, key, faults),
        wire::LoginFormPreset::Roundcube => LoginForm::roundcube,
        wire::LoginFormPreset::Sogo => LoginForm::sogo,
        wire::LoginFormPreset::Horde => LoginForm::horde,
        wire::LoginFormPreset::Snappymail => LoginForm::snappymail,
    };
    if !at.ends_with('/') {
        faults.push(invalid(&key("path"), format!("{at:?} has no \"/\" at its end: say where the application is")));
    }
    let idle = [
        ("field", !message.field.is_empty()),
        ("encoding", message.encoding != 0),
        ("requires", !message.requires.is_empty()),
        ("hidden", !message.hidden.is_empty()),
        ("page", !message.page.is_empty()),
    ];
    for (field, _) in idle.into_iter().filter(|(_, said)| *said) {
        faults.push(invalid(&key(field), "is the preset's to say: leave out the one or the other".into()));
    }
    Some(preset(at))
}

/// A form that no preset knows.
fn own(message: &wire::LoginForm, at: &str, key: &dyn Fn(&str) -> String, faults: &mut Faults) -> Option<LoginForm> {
    for (field, value) in [("path", &message.path), ("field", &message.field)] {
        if value.is_empty() {
            faults.push(invalid(&key(field), "is missing: a form without preset needs path and field".into()));
        }
    }
    Some(LoginForm {
        method: Method::POST,
        path: at.into(),
        encoding: match message.encoding() {
            wire::LoginFormEncoding::Unspecified | wire::LoginFormEncoding::Urlencoded => Encoding::Urlencoded,
            wire::LoginFormEncoding::Multipart => Encoding::Multipart,
            wire::LoginFormEncoding::Json => Encoding::Json,
        },
        field: message.field.as_str().into(),
        requires: message.requires.iter().map(|(name, value)| (name.as_str().into(), value.as_str().into())).collect(),
        hidden: message.hidden.iter().map(|name| name.as_str().into()).collect(),
        page: if message.page.is_empty() { at.into() } else { message.page.as_str().into() },
    })
}
