//! What clients and backends of each protocol say, and hear of our machines, round a SASL exchange.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zproxy_protocol::Protocol;
use zproxy_protocol::imap::Imap;
use zproxy_protocol::pop3::Pop3;
use zproxy_protocol::sieve::Sieve;
use zproxy_protocol::smtp::Submission;

/// The words of a protocol; clients use the tags that our own machine does.
pub(crate) struct Words {
    pub(crate) protocol: &'static dyn Protocol,
    /// Before the mechanism.
    auth: &'static str,
    /// Round what is said: the mechanism, and messages.
    quote: &'static str,
    /// An empty initial response.
    empty: &'static str,
    /// Before a challenge.
    asks: &'static str,
    /// Before a mechanism in a list.
    lists: &'static str,
    /// A backend's lines up to the login, with the mechanisms in place of `{}`.
    pub(crate) opening: &'static [&'static str],
    pub(crate) yes: &'static str,
    pub(crate) wrong: &'static str,
    pub(crate) busy: &'static str,
    /// What is awaited of a backend in the meantime.
    pub(crate) phase: &'static str,
    /// A client's lines up to the login.
    pub(crate) hello: &'static str,
    pub(crate) starttls: &'static str,
    pub(crate) list: &'static str,
    /// With its answer.
    pub(crate) noop: (&'static str, &'static str),
    /// What our machines answer.
    pub(crate) failed: &'static str,
    pub(crate) expired: &'static str,
    pub(crate) closed: &'static str,
    pub(crate) cannot: &'static str,
    pub(crate) unknown: &'static str,
    pub(crate) cancelled: &'static str,
    pub(crate) malformed: &'static str,
}

impl Words {
    /// The command with an initial response.
    pub(crate) fn initial(&self, mechanism: &str, message: &str) -> String {
        let base64 = STANDARD.encode(message);
        let message = self.line(if message.is_empty() { self.empty } else { &base64 });
        let Self { auth, quote, .. } = self;
        format!("{auth} {quote}{mechanism}{quote} {message}")
    }

    /// The command without one.
    pub(crate) fn begin(&self, mechanism: &str) -> String {
        format!("{} {}", self.auth, self.line(mechanism))
    }

    /// A client's response.
    pub(crate) fn response(&self, message: &str) -> String {
        self.line(&STANDARD.encode(message))
    }

    /// What is said in place of one.
    pub(crate) fn line(&self, text: &str) -> String {
        format!("{0}{text}{0}\r\n", self.quote)
    }

    /// A challenge.
    pub(crate) fn asked(&self, message: &str) -> String {
        format!("{}{}", self.asks, self.response(message))
    }

    /// What is said in place of one.
    pub(crate) fn asked_in(&self, text: &str) -> String {
        format!("{}{}", self.asks, self.line(text))
    }

    /// Mechanisms, as a backend or our machine lists them.
    pub(crate) fn listed(&self, mechanisms: &[&str]) -> String {
        let words: Vec<String> = mechanisms.iter().map(|mechanism| format!("{}{mechanism}", self.lists)).collect();
        words.join(" ")
    }
}

pub(crate) static ALL: [&Words; 4] = [&IMAP, &POP3, &SMTP, &SIEVE];

pub(crate) static IMAP: Words = Words {
    protocol: &Imap,
    auth: "zproxy1 AUTHENTICATE",
    quote: "",
    empty: "=",
    asks: "+ ",
    lists: "AUTH=",
    opening: &["* OK [CAPABILITY IMAP4rev1 SASL-IR {}] hi\r\n"],
    yes: "zproxy1 OK [CAPABILITY IMAP4rev1] in\r\n",
    wrong: "zproxy1 NO [AUTHENTICATIONFAILED] no\r\n",
    busy: "zproxy1 NO [UNAVAILABLE] busy\r\n",
    phase: "login",
    hello: "",
    starttls: "s STARTTLS\r\n",
    list: "c CAPABILITY\r\n",
    noop: ("b NOOP\r\n", "b OK Noop completed.\r\n"),
    failed: "zproxy1 NO [AUTHENTICATIONFAILED] Authentication failed.\r\n",
    expired: "zproxy1 NO [EXPIRED] ",
    closed: "* BYE Goodbye.\r\n",
    cannot: "zproxy1 NO [CANNOT] The server of this mailbox does not take this mechanism.\r\n",
    unknown: "zproxy1 NO Unknown authentication mechanism.\r\n",
    cancelled: "zproxy1 BAD Cannot log in: authentication cancelled.\r\n",
    malformed: "zproxy1 BAD Cannot log in: response is not a SCRAM message that may come here.\r\n",
};

pub(crate) static POP3: Words = Words {
    protocol: &Pop3,
    auth: "AUTH",
    quote: "",
    empty: "=",
    asks: "+ ",
    lists: "",
    opening: &["+OK hi\r\n", "+OK\r\nSASL {}\r\n.\r\n"],
    yes: "+OK in\r\n",
    wrong: "-ERR [AUTH] no\r\n",
    busy: "-ERR [SYS/TEMP] busy\r\n",
    phase: "auth",
    hello: "",
    starttls: "STLS\r\n",
    list: "CAPA\r\n",
    noop: ("NOOP\r\n", "+OK\r\n"),
    failed: "-ERR [AUTH] Authentication failed.\r\n",
    expired: "-ERR [AUTH] Password has",
    closed: "",
    cannot: "-ERR [SYS/PERM] The server of this mailbox does not take this mechanism.\r\n",
    unknown: "-ERR unknown authentication mechanism\r\n",
    cancelled: "-ERR authentication cancelled\r\n",
    malformed: "-ERR response is not a SCRAM message that may come here\r\n",
};

pub(crate) static SMTP: Words = Words {
    protocol: &Submission,
    auth: "AUTH",
    quote: "",
    empty: "=",
    asks: "334 ",
    lists: "",
    opening: &["220 hi\r\n", "250-mx\r\n250 AUTH {}\r\n"],
    yes: "235 2.7.0 in\r\n",
    wrong: "535 5.7.8 no\r\n",
    busy: "454 4.7.0 busy\r\n",
    phase: "auth",
    hello: "EHLO laptop\r\n",
    starttls: "STARTTLS\r\n",
    list: "EHLO laptop\r\n",
    noop: ("NOOP\r\n", "250 2.0.0 Ok.\r\n"),
    failed: "535 5.7.8 Authentication failed.\r\n",
    expired: "535 5.7.8 Password has",
    closed: "421 4.7.0 mail.test Too many failed logins.\r\n",
    cannot: "504 5.5.4 The server of this mailbox does not take this mechanism.\r\n",
    unknown: "504 5.5.4 Unknown authentication mechanism.\r\n",
    cancelled: "501 5.7.0 authentication cancelled.\r\n",
    malformed: "501 5.5.2 response is not a SCRAM message that may come here.\r\n",
};

pub(crate) static SIEVE: Words = Words {
    protocol: &Sieve,
    auth: "AUTHENTICATE",
    quote: "\"",
    empty: "",
    asks: "",
    lists: "",
    opening: &["\"SASL\" \"{}\"\r\nOK\r\n"],
    yes: "OK \"in\"\r\n",
    wrong: "NO \"no\"\r\n",
    busy: "NO (TRYLATER) \"busy\"\r\n",
    phase: "auth",
    hello: "",
    starttls: "STARTTLS\r\n",
    list: "CAPABILITY\r\n",
    noop: ("NOOP\r\n", "OK \"Done.\"\r\n"),
    failed: "NO \"Authentication failed.\"\r\n",
    expired: "NO \"Password has",
    closed: "BYE \"Too many failed logins.\"\r\n",
    cannot: "NO \"The server of this mailbox does not take this mechanism.\"\r\n",
    unknown: "NO \"unknown authentication mechanism\"\r\n",
    cancelled: "NO \"authentication cancelled\"\r\n",
    malformed: "NO \"response is not a SCRAM message that may come here\"\r\n",
};
