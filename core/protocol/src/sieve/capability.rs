//! Capabilities: what we offer a client before its login, and what a backend says it can do.
//!
//! One is kept as a line: its name, upper case, and behind a space its value as the backend wrote it.

use super::words::write_string;
use crate::sasl::{Mechanism, ScramMechanism, TokenMechanism};
use crate::text::printable;
use crate::{Error, LoginOffer, ServerSetting};

/// What a client may learn before its login of what its backend will do with scripts.
pub(super) const OFFERABLE: &[&str] = &[
    EXTLISTS,
    "LANGUAGE",
    MAXREDIRECTS,
    NOTIFY,
    SIEVE,
    "VERSION",
    // Not as they stand: with the other mechanisms behind SASL.
    TokenMechanism::OauthBearer.capability(),
    ScramMechanism::Sha1.capability(),
    ScramMechanism::Sha256.capability(),
    TokenMechanism::Xoauth2.capability(),
];

const EXTLISTS: &str = "EXTLISTS";
const MAXREDIRECTS: &str = "MAXREDIRECTS";
const NOTIFY: &str = "NOTIFY";
const SIEVE: &str = "SIEVE";

/// Capabilities of one backend.
const MAX_CAPABILITIES: usize = 64;
/// Octets of a value that are kept. Dovecot lists all its extensions in 500.
const MAX_VALUE: usize = 4096;

/// Name and value.
pub(super) fn split(line: &str) -> (&str, &str) {
    line.split_once(' ').unwrap_or((line, ""))
}

/// Writes the capabilities for a client that is not logged in, a line each.
pub(super) fn write(setting: &ServerSetting, out: &mut Vec<u8>) {
    write_one("IMPLEMENTATION", Some("zproxy"), out);
    // RFC 5804, section 1.7: there must be one; empty, it promises nothing.
    write_one(SIEVE, Some(value(&setting.shared, SIEVE).unwrap_or_default()), out);
    if setting.login == LoginOffer::OnlyAfterTls {
        write_one("SASL", Some(""), out);
    } else {
        let mechanisms: Vec<&str> = setting.mechanisms().map(Mechanism::name).collect();
        write_one("SASL", Some(&mechanisms.join(" ")), out);
    }
    if setting.login != LoginOffer::Now {
        write_one("STARTTLS", None, out);
    }
    for name in OFFERABLE.iter().filter(|&&name| name != SIEVE && !name.starts_with("AUTH=")) {
        if let Some(value) = value(&setting.shared, name) {
            write_one(name, Some(value), out);
        }
    }
}

fn write_one(name: &str, value: Option<&str>, out: &mut Vec<u8>) {
    write_string(name.as_bytes(), out);
    if let Some(value) = value {
        out.push(b' ');
        write_string(value.as_bytes(), out);
    }
    out.extend_from_slice(b"\r\n");
}

/// What two backends, of which either may serve a login, both can do.
pub(super) fn shared(one: &[String], other: &[String]) -> Vec<String> {
    let mut shared: Vec<String> = one.iter().filter_map(|line| in_both(line, other)).collect();
    // A limit is none the less one where only one of them has it.
    let limit = [one, other].into_iter().filter_map(|lines| value(lines, MAXREDIRECTS)?.parse::<u64>().ok()).min();
    shared.extend(limit.map(|limit| format!("{MAXREDIRECTS} {limit}")));
    shared
}

fn in_both(line: &str, other: &[String]) -> Option<String> {
    match split(line) {
        (MAXREDIRECTS, _) => None,
        (name @ (EXTLISTS | NOTIFY | SIEVE), words) => {
            let theirs: Vec<&str> = value(other, name)?.split(' ').collect();
            let both: Vec<&str> = words.split(' ').filter(|word| theirs.contains(word)).collect();
            (!both.is_empty()).then(|| format!("{name} {}", both.join(" ")))
        }
        _ => other.iter().any(|known| known == line).then(|| line.to_owned()),
    }
}

fn value<'a>(lines: &'a [String], name: &str) -> Option<&'a str> {
    lines.iter().map(|line| split(line)).find(|&(known, _)| known == name).map(|(_, value)| value)
}

/// What a backend said it can do.
#[derive(Debug, Default)]
pub(super) struct Capabilities {
    lines: Vec<String>,
    /// What SASL lists, upper case.
    mechanisms: Vec<String>,
}

impl Capabilities {
    /// Takes one.
    pub(super) fn add(&mut self, name: &[u8], value: Option<&[u8]>) -> Result<(), Error> {
        if self.lines.len() >= MAX_CAPABILITIES {
            return Err(Error::BackendOverflow);
        }
        if name.is_empty() || !name.iter().all(u8::is_ascii_graphic) {
            return Err(Error::BackendProtocol("capability"));
        }
        let mut line = printable(&name.to_ascii_uppercase(), MAX_VALUE);
        let value = value.filter(|value| value.len() <= MAX_VALUE).map(|value| printable(value, MAX_VALUE));
        let value = value.unwrap_or_default();
        if line == "SASL" {
            self.mechanisms = value.to_ascii_uppercase().split_ascii_whitespace().map(str::to_owned).collect();
        }
        if !value.is_empty() {
            line.push(' ');
            line.push_str(&value);
        }
        self.lines.push(line);
        Ok(())
    }

    pub(super) fn has(&self, name: &str) -> bool {
        value(&self.lines, name).is_some()
    }

    /// Whether AUTHENTICATE takes a mechanism.
    pub(super) fn takes(&self, mechanism: Mechanism) -> bool {
        mechanism.is_among(self.mechanisms.iter().map(String::as_str))
    }

    /// The lines; a mechanism is one too, written as in IMAP.
    pub(super) fn into_lines(mut self) -> Vec<String> {
        self.lines.extend(self.mechanisms.iter().map(|mechanism| format!("AUTH={mechanism}")));
        self.lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &[&str]) -> Vec<String> {
        text.iter().map(|&line| line.to_owned()).collect()
    }

    #[test]
    fn two_backends_share_what_both_can_do_and_the_smaller_limit() {
        let table: &[(&[&str], &[&str], &[&str])] = &[
            (&["SIEVE fileinto reject"], &["VERSION 1.0", "SIEVE vacation fileinto"], &["SIEVE fileinto"]),
            (&["SIEVE fileinto"], &["SIEVE Fileinto"], &[]),
            (&["SIEVE"], &["SIEVE fileinto"], &[]),
            (&["NOTIFY mailto xmpp"], &["NOTIFY xmpp mailto"], &["NOTIFY mailto xmpp"]),
            (&["NOTIFY mailto"], &["SIEVE fileinto"], &[]),
            (&["VERSION 1.0", "LANGUAGE en"], &["VERSION 1.0", "LANGUAGE fr"], &["VERSION 1.0"]),
            (&["MAXREDIRECTS 4"], &["MAXREDIRECTS 16"], &["MAXREDIRECTS 4"]),
            (&["MAXREDIRECTS many"], &["MAXREDIRECTS 16"], &["MAXREDIRECTS 16"]),
            (&[], &["MAXREDIRECTS 16", "SIEVE fileinto"], &["MAXREDIRECTS 16"]),
            (&["AUTH=XOAUTH2", "AUTH=PLAIN"], &["AUTH=XOAUTH2"], &["AUTH=XOAUTH2"]),
        ];
        for (one, other, both) in table {
            assert_eq!(shared(&lines(one), &lines(other)), lines(both), "{one:?} {other:?}");
        }
    }

    #[test]
    fn the_capabilities_of_a_backend_are_known_in_any_case_and_bounded() {
        let mut capabilities = Capabilities::default();
        let long = vec![b'x'; MAX_VALUE + 1];
        for (name, value) in [
            (&b"Sieve"[..], Some(&b"fileinto comparator-i;ascii-numeric"[..])),
            (b"sasl", Some(b"plain  XOAUTH2")),
            (b"STARTTLS", None),
            (b"NOTIFY", Some(&long)),
        ] {
            capabilities.add(name, value).unwrap();
        }
        assert!(capabilities.has("STARTTLS") && !capabilities.has("XCLIENT"));
        assert!(capabilities.takes(Mechanism::Plain) && !capabilities.takes(Mechanism::Login));
        assert_eq!(capabilities.add(b"", None), Err(Error::BackendProtocol("capability")));
        assert_eq!(capabilities.add(b"A B", None), Err(Error::BackendProtocol("capability")));
        let lines = capabilities.into_lines();
        let sieve = "SIEVE fileinto comparator-i;ascii-numeric";
        assert_eq!(lines, [sieve, "SASL plain  XOAUTH2", "STARTTLS", "NOTIFY", "AUTH=PLAIN", "AUTH=XOAUTH2"]);

        let mut capabilities = Capabilities::default();
        for _ in 0..MAX_CAPABILITIES {
            capabilities.add(b"A", None).unwrap();
        }
        assert_eq!(capabilities.add(b"A", None), Err(Error::BackendOverflow));
    }
}
