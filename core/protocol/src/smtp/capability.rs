//! The lines of an EHLO reply: what we offer a client before its login, and what a backend says it can do.

use crate::sasl::{Mechanism, ScramMechanism, TokenMechanism};
use crate::text::printable;
use crate::{LoginOffer, ServerSetting};

/// The keywords a client may learn before its login of what its backend will do with the commands that follow.
pub(super) const OFFERABLE: &[&str] = &[
    "8BITMIME",
    "BINARYMIME",
    "CHUNKING",
    "DELIVERBY",
    "DSN",
    "ENHANCEDSTATUSCODES",
    "FUTURERELEASE",
    "MT-PRIORITY",
    "PIPELINING",
    SIZE,
    "SMTPUTF8",
    // Not as they stand: with the other mechanisms behind AUTH.
    TokenMechanism::OauthBearer.capability(),
    ScramMechanism::Sha1.capability(),
    ScramMechanism::Sha256.capability(),
    TokenMechanism::Xoauth2.capability(),
];

/// The keywords that a client which brings mail may learn: what its message may need of every server it may end at.
/// CHUNKING is not among them: one end of data is enough to be exact about.
pub(super) const OF_MESSAGES: &[&str] = &["8BITMIME", "DSN", "ENHANCEDSTATUSCODES", SIZE, "SMTPUTF8"];

const SIZE: &str = "SIZE";
/// Octets of one line that are kept.
const MAX_LINE: usize = 512;

/// The lines for a client that is not logged in.
pub(super) fn offered(setting: &ServerSetting) -> Vec<String> {
    let shared = |known: &&str| setting.shared.iter().find(|line| keyword(line) == *known).cloned();
    let mut lines: Vec<String> =
        OFFERABLE.iter().filter(|known| !known.starts_with("AUTH=")).filter_map(shared).collect();
    if setting.login != LoginOffer::Now {
        lines.push("STARTTLS".to_owned());
    }
    if setting.login != LoginOffer::OnlyAfterTls && setting.mechanisms().next().is_some() {
        lines.push(setting.mechanisms().fold("AUTH".to_owned(), |line, mechanism| line + " " + mechanism.name()));
    }
    lines
}

/// The lines for a client that brings mail, of messages of so many octets at most. Several commands at a time we take
/// for ourselves.
pub(super) fn of_messages(shared: &[String], most: u64, starttls: bool) -> Vec<String> {
    let known = |line: &&String| OF_MESSAGES.contains(&keyword(line)) && keyword(line) != SIZE;
    let own = ["PIPELINING".to_owned(), format!("{SIZE} {}", size(shared, most))];
    let starttls = starttls.then(|| "STARTTLS".to_owned());
    own.into_iter().chain(shared.iter().filter(known).cloned()).chain(starttls).collect()
}

/// Octets that a message may have, which are never more than `most`.
pub(super) fn size(shared: &[String], most: u64) -> u64 {
    shared.iter().filter(|line| keyword(line) == SIZE).map(|line| limit(line)).fold(most, u64::min)
}

/// What two backends both offer.
pub(super) fn shared(one: &[String], other: &[String]) -> Vec<String> {
    let in_both = |line: &String| match keyword(line) {
        SIZE => other.iter().find(|known| keyword(known) == SIZE).map(|known| smaller(line, known)),
        _ => other.contains(line).then(|| line.clone()),
    };
    one.iter().filter_map(in_both).collect()
}

/// The octets of a SIZE line; none and zero are no limit (RFC 1870, section 4).
fn limit(line: &str) -> u64 {
    match line.split(' ').nth(1).map(str::parse::<u64>) {
        Some(Ok(size)) if size > 0 => size,
        _ => u64::MAX,
    }
}

/// The line of the smaller size.
fn smaller(one: &str, other: &str) -> String {
    if limit(one) <= limit(other) { one } else { other }.to_owned()
}

/// The first word of a line.
pub(super) fn keyword(line: &str) -> &str {
    line.split(' ').next().unwrap_or_default()
}

/// What a backend said it can do.
#[derive(Debug, Default)]
pub(super) struct Capabilities(Vec<String>);

impl Capabilities {
    /// Reads the lines of an EHLO reply; the first is a greeting.
    pub(super) fn new(lines: &[Vec<u8>]) -> Self {
        let words = |line: &Vec<u8>| printable(&line.to_ascii_uppercase(), MAX_LINE).trim().to_owned();
        Self(lines.iter().skip(1).map(words).filter(|line| !line.is_empty()).collect())
    }

    pub(super) fn has(&self, word: &str) -> bool {
        self.0.iter().any(|line| keyword(line) == word)
    }

    /// The words behind a keyword.
    pub(super) fn parameters(&self, word: &str) -> Vec<&str> {
        let lines = self.0.iter().filter(|line| keyword(line) == word);
        lines.flat_map(|line| line.split(' ').skip(1)).filter(|word| !word.is_empty()).collect()
    }

    /// Whether AUTH takes a mechanism.
    pub(super) fn takes(&self, mechanism: Mechanism) -> bool {
        mechanism.is_among(self.mechanisms())
    }

    /// The lines, upper case; of those of AUTH, a mechanism a line, written as in IMAP.
    pub(super) fn into_lines(self) -> Vec<String> {
        let mechanisms = self.mechanisms().map(|mechanism| format!("AUTH={mechanism}"));
        self.0.iter().filter(|line| !is_auth(line)).cloned().chain(mechanisms).collect()
    }

    fn mechanisms(&self) -> impl Iterator<Item = &str> + Clone {
        let lines = self.0.iter().filter(|line| is_auth(line));
        lines.flat_map(|line| line.split([' ', '=']).skip(1)).filter(|word| !word.is_empty())
    }
}

/// Servers that want to be found by Outlook Express say `AUTH=PLAIN` too.
fn is_auth(line: &str) -> bool {
    line.starts_with("AUTH ") || line.starts_with("AUTH=")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &[&str]) -> Vec<String> {
        text.iter().map(|&line| line.to_owned()).collect()
    }

    #[test]
    fn two_backends_share_what_both_list_and_the_smaller_size() {
        let table: &[(&[&str], &[&str], &[&str])] = &[
            (&["PIPELINING", "DSN", "SIZE 20"], &["SIZE 10", "DSN", "SMTPUTF8"], &["DSN", "SIZE 10"]),
            (&["SIZE 10"], &["SIZE 20"], &["SIZE 10"]),
            (&["SIZE"], &["SIZE 20"], &["SIZE 20"]),
            (&["SIZE 20"], &["SIZE 0"], &["SIZE 20"]),
            (&["SIZE 20"], &["DSN"], &[]),
            (&["DELIVERBY 60"], &["DELIVERBY 90"], &[]),
            (&[], &["DSN"], &[]),
        ];
        for (one, other, both) in table {
            assert_eq!(shared(&lines(one), &lines(other)), lines(both), "{one:?} {other:?}");
        }
    }

    #[test]
    fn offers_the_shared_and_what_is_ours() {
        let setting = |login, shared: &[&str]| ServerSetting {
            hostname: "mail".into(),
            login,
            shared: lines(shared).into(),
            passwords: true,
            certificate: false,
            bad_commands: 9,
            max_command: 99,
            max_response: 99,
        };
        let shared = &["XCLIENT ADDR", "SIZE 10", "PIPELINING", "AUTH CRAM-MD5", "STARTTLS"];
        assert_eq!(offered(&setting(LoginOffer::Now, shared)), ["PIPELINING", "SIZE 10", "AUTH PLAIN LOGIN"]);
        let shared = &["AUTH=XOAUTH2", "AUTH=GSSAPI"];
        assert_eq!(offered(&setting(LoginOffer::Now, shared)), ["AUTH PLAIN LOGIN XOAUTH2"]);
        assert_eq!(offered(&setting(LoginOffer::NowOrAfterTls, &[])), ["STARTTLS", "AUTH PLAIN LOGIN"]);
        assert_eq!(offered(&setting(LoginOffer::OnlyAfterTls, &[])), ["STARTTLS"]);
    }

    #[test]
    fn the_lines_of_a_backend_are_known_in_any_case() {
        let reply = [&b"mx Hello"[..], b"size 10", b"Auth=login", b"AUTH  plain", b"XCLIENT ADDR Name", b"", b"\xff"];
        let capabilities = Capabilities::new(&reply.map(<[u8]>::to_vec));
        assert!(capabilities.takes(Mechanism::Plain) && capabilities.takes(Mechanism::Login));
        assert!(capabilities.has("SIZE") && !capabilities.has("MX"));
        assert_eq!(capabilities.parameters("XCLIENT"), ["ADDR", "NAME"]);
        assert_eq!(capabilities.into_lines(), ["SIZE 10", "XCLIENT ADDR NAME", "AUTH=LOGIN", "AUTH=PLAIN"]);
    }
}
