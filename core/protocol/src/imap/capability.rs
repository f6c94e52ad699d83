//! Capability words: what we offer a client before its login, and what a backend says it can do.

use std::borrow::Cow;

use crate::sasl::{Mechanism, ScramMechanism, TokenMechanism};
use crate::{LoginOffer, ServerSetting};

/// What a client may learn before its login of what its backend will do: standard words that no more than say that a
/// command will be understood. What the backend itself says follows with its success line.
pub(super) const OFFERABLE: &[&str] = &[
    LITERAL_PLUS,
    LITERAL_MINUS,
    "ACL",
    TokenMechanism::OauthBearer.capability(),
    TokenMechanism::Xoauth2.capability(),
    ScramMechanism::Sha1.capability(),
    ScramMechanism::Sha256.capability(),
    "BINARY",
    "CATENATE",
    "CHILDREN",
    "COMPRESS=DEFLATE",
    "CONDSTORE",
    "CONTEXT=SEARCH",
    "CONTEXT=SORT",
    "CREATE-SPECIAL-USE",
    "ENABLE",
    "ESEARCH",
    "ESORT",
    "I18NLEVEL=1",
    "IDLE",
    "LIST-EXTENDED",
    "LIST-METADATA",
    "LIST-MYRIGHTS",
    "LIST-STATUS",
    "METADATA",
    "METADATA-SERVER",
    "MOVE",
    "MULTIAPPEND",
    "NAMESPACE",
    "NOTIFY",
    "OBJECTID",
    "PREVIEW",
    "QRESYNC",
    "QUOTA",
    "REPLACE",
    "RIGHTS=TEXK",
    "SAVEDATE",
    "SEARCHRES",
    "SORT",
    "SORT=DISPLAY",
    "SPECIAL-USE",
    "STATUS=SIZE",
    "THREAD=ORDEREDSUBJECT",
    "THREAD=REFERENCES",
    "THREAD=REFS",
    "UIDPLUS",
    "UNSELECT",
    "URL-PARTIAL",
    "UTF8=ACCEPT",
    "WITHIN",
];

const LITERAL_PLUS: &str = "LITERAL+";
const LITERAL_MINUS: &str = "LITERAL-";

/// The words for a client that is not logged in, without `CAPABILITY ` before them.
pub(super) fn offered(setting: &ServerSetting) -> String {
    let mut words: Vec<Cow<'_, str>> = ["IMAP4rev1", "SASL-IR", "ID"].map(Cow::from).into();
    let shared = |word: &str| setting.shares(word);
    // RFC 7888, section 5: never both.
    words.extend([LITERAL_PLUS, LITERAL_MINUS].into_iter().find(|word| shared(word)).map(Cow::from));
    let ours = |word: &&&str| word.starts_with("LITERAL") || word.starts_with("AUTH=");
    words.extend(OFFERABLE.iter().filter(|word| !ours(word) && shared(word)).map(|&word| Cow::from(word)));
    if setting.login != LoginOffer::Now {
        words.push("STARTTLS".into());
    }
    if setting.login == LoginOffer::OnlyAfterTls || !setting.passwords {
        words.push("LOGINDISABLED".into());
    }
    if setting.login != LoginOffer::OnlyAfterTls {
        words.extend(setting.mechanisms().map(|mechanism| Cow::from(format!("AUTH={}", mechanism.name()))));
    }
    words.join(" ")
}

/// What a backend said it can do.
#[derive(Debug, Default)]
pub(super) struct Capabilities(Vec<String>);

impl Capabilities {
    /// Reads the words behind `CAPABILITY`.
    pub(super) fn new(words: &[u8]) -> Self {
        let words = words.split(|&octet| octet == b' ').filter(|word| !word.is_empty());
        Self(words.map(|word| String::from_utf8_lossy(word).to_ascii_uppercase()).collect())
    }

    pub(super) fn has(&self, word: &str) -> bool {
        self.0.iter().any(|known| known == word)
    }

    /// Whether AUTHENTICATE takes a mechanism.
    pub(super) fn takes(&self, mechanism: Mechanism) -> bool {
        mechanism.is_among(self.0.iter().filter_map(|word| word.strip_prefix("AUTH=")))
    }

    /// How a literal of so many octets is sent: true, at once.
    pub(super) fn literal_at_once(&self, size: usize) -> bool {
        /// RFC 7888, section 5.
        const MINUS: usize = 4096;
        self.has(LITERAL_PLUS) || (self.has(LITERAL_MINUS) && size <= MINUS)
    }

    /// The words, upper case.
    pub(super) fn into_words(self) -> Vec<String> {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn offered_with(login: LoginOffer, shared: &[&str]) -> String {
        let shared: Vec<String> = shared.iter().map(|&word| word.to_owned()).collect();
        offered(&ServerSetting {
            hostname: "mail".into(),
            login,
            shared: Arc::from(shared),
            passwords: true,
            certificate: false,
            bad_commands: 9,
            max_command: 99,
            max_response: 99,
        })
    }

    #[test]
    fn offers_only_what_all_backends_share() {
        assert_eq!(offered_with(LoginOffer::Now, &[]), "IMAP4rev1 SASL-IR ID AUTH=PLAIN AUTH=LOGIN");
        assert_eq!(
            offered_with(LoginOffer::Now, &["IDLE", "LITERAL-", "LITERAL+", "X-SECRET", "AUTH=CRAM-MD5"]),
            "IMAP4rev1 SASL-IR ID LITERAL+ IDLE AUTH=PLAIN AUTH=LOGIN"
        );
        assert_eq!(
            offered_with(LoginOffer::NowOrAfterTls, &["LITERAL-"]),
            "IMAP4rev1 SASL-IR ID LITERAL- STARTTLS AUTH=PLAIN AUTH=LOGIN"
        );
    }

    #[test]
    fn offers_the_mechanisms_for_tokens_that_all_backends_take() {
        let shared = &["AUTH=XOAUTH2", "AUTH=OAUTHBEARER", "AUTH=PLAIN"];
        let offered = "IMAP4rev1 SASL-IR ID AUTH=PLAIN AUTH=LOGIN AUTH=OAUTHBEARER AUTH=XOAUTH2";
        assert_eq!(offered_with(LoginOffer::Now, shared), offered);
        assert!(!offered_with(LoginOffer::OnlyAfterTls, shared).contains("AUTH="));
    }

    #[test]
    fn offers_no_login_where_tls_is_required() {
        assert_eq!(offered_with(LoginOffer::OnlyAfterTls, &[]), "IMAP4rev1 SASL-IR ID STARTTLS LOGINDISABLED");
    }

    #[test]
    fn a_literal_goes_at_once_where_the_backend_takes_it() {
        for (words, size, at_once) in [
            (&b"IMAP4rev1 literal+"[..], 1 << 20, true),
            (b"LITERAL-", 4096, true),
            (b"LITERAL-", 4097, false),
            (b"IMAP4rev1", 1, false),
        ] {
            assert_eq!(Capabilities::new(words).literal_at_once(size), at_once);
        }
    }
}
