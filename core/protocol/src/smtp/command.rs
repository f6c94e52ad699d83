//! What a client says: lines, and the commands in them.

use crate::sasl::{self, Mechanism};

/// Octets of a command line, CRLF not counted. RFC 5321 asks for 510 and each extension for some more; Postfix reads as
/// many as this.
pub(super) const MAX_COMMAND: usize = 2048;
/// Octets of a line with SASL in it (RFC 4954, section 4), CRLF not counted.
const MAX_AUTH: usize = 12_288;
/// Octets of a client's name: those of a domain name (RFC 5321, section 4.5.3.1.2).
const MAX_HELLO: usize = 255;
/// Octets of one BDAT chunk. Servers that count in 32 bits would take a greater number for a small one.
const MAX_CHUNK: u64 = 0x7fff_ffff;

/// A command that may come before the login.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Command<'a> {
    /// And what follows it, for [`auth`].
    Auth(&'a [u8]),
    /// So many octets follow that are no commands (RFC 3030).
    Bdat(u64),
    Ehlo(Hello),
    Helo(Hello),
    Help,
    Noop,
    Quit,
    Rset,
    StartTls,
    /// MAIL, RCPT, DATA: what a client logs in for.
    Transaction,
    Vrfy,
}

/// What a client calls itself, if a backend can be told.
#[derive(Debug, Default, Eq, PartialEq)]
pub(super) struct Hello(pub(super) Option<String>);

/// Why a line is refused: the reply. The client's own words are never in it (ALPACA).
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(super) enum Bad {
    #[error("501 5.5.4 Missing or superfluous argument.")]
    Arguments,
    #[error("500 5.5.6 Authentication exchange line is too long.")]
    AuthTooLong,
    #[error("503 5.5.1 Say EHLO first.")]
    EhloFirst,
    #[error("501 5.5.2 That is not the name of a host.")]
    HelloName,
    #[error("503 5.5.1 Say LHLO first.")]
    LhloFirst,
    #[error("500 5.5.2 A line ends with CRLF and holds no other CR or LF.")]
    LineEnd,
    #[error("503 5.5.1 Already logged in.")]
    LoggedIn,
    #[error("503 5.5.1 Say MAIL first.")]
    MailFirst,
    #[error("504 5.5.4 Unknown authentication mechanism.")]
    Mechanism,
    #[error("530 5.7.0 Authentication required.")]
    MustLogIn,
    #[error("530 5.7.0 Must issue a STARTTLS command first.")]
    MustStartTls,
    #[error("503 5.5.1 There is a transaction already.")]
    NestedMail,
    #[error("503 5.5.1 No valid recipients.")]
    NoRecipients,
    #[error("502 5.5.1 Command not implemented.")]
    NotImplemented,
    #[error("500 5.5.2 A line holds no NUL.")]
    Nul,
    #[error("555 5.5.4 Unknown parameter, or one that was not offered.")]
    Parameter,
    #[error("550 5.7.1 That is for proxies only.")]
    ProxiesOnly,
    #[error("501 5.1.3 That is no recipient address.")]
    Recipient,
    #[error("{} {}.", sasl_code(.0), .0)]
    Sasl(#[from] sasl::Refused),
    #[error("500 5.5.1 This is LMTP: say LHLO.")]
    SayLhlo,
    #[error("501 5.1.7 That is no sender address.")]
    Sender,
    #[error("552 5.3.4 Message is too large.")]
    Size,
    #[error("502 5.5.1 TLS is not offered here.")]
    StartTlsNotOffered,
    #[error("538 5.7.11 Encryption required for authentication: say STARTTLS first.")]
    TlsRequired,
    #[error("500 5.5.2 Line is too long.")]
    TooLong,
    #[error("452 4.5.3 Too many recipients.")]
    TooManyRecipients,
    #[error("500 5.5.2 Unknown command.")]
    Unknown,
    #[error("553 5.6.7 Addresses beyond ASCII need SMTPUTF8.")]
    Utf8,
}

/// RFC 4954, sections 4 and 6.
fn sasl_code(refused: &sasl::Refused) -> &'static str {
    match refused {
        sasl::Refused::Cancelled => "501 5.7.0",
        refused if refused.is_of_credentials() => "535 5.7.8",
        _ => "501 5.5.2",
    }
}

impl<'a> Command<'a> {
    /// Reads a line that [`line()`] gave.
    pub(super) fn parse(line: &'a [u8]) -> Result<Self, Bad> {
        // RFC 5321, section 4.1.1: white space before the CRLF is to be overlooked.
        let (keyword, argument) = split(line.trim_ascii_end());
        match keyword.to_ascii_uppercase().as_slice() {
            b"AUTH" => Ok(Self::Auth(argument)),
            b"BDAT" => chunk(argument).map(Self::Bdat).ok_or(Bad::Arguments),
            b"BURL" | b"DATA" | b"MAIL" | b"RCPT" => Ok(Self::Transaction),
            b"EHLO" => Hello::new(argument).map(Self::Ehlo),
            b"ATRN" | b"ETRN" | b"EXPN" | b"SAML" | b"SEND" | b"SOML" | b"TURN" => Err(Bad::NotImplemented),
            b"HELO" => Hello::new(argument).map(Self::Helo),
            b"HELP" => Ok(Self::Help),
            b"NOOP" => Ok(Self::Noop),
            b"QUIT" => Self::without(argument, Self::Quit),
            b"RSET" => Self::without(argument, Self::Rset),
            b"STARTTLS" => Self::without(argument, Self::StartTls),
            b"VRFY" => Ok(Self::Vrfy),
            b"XCLIENT" | b"XFORWARD" => Err(Bad::ProxiesOnly),
            _ => Err(Bad::Unknown),
        }
    }

    fn without(argument: &[u8], command: Self) -> Result<Self, Bad> {
        if argument.is_empty() { Ok(command) } else { Err(Bad::Arguments) }
    }
}

impl Hello {
    /// Clients send all sorts of names; one that is no more than odd is greeted, and not told to a backend.
    pub(super) fn new(name: &[u8]) -> Result<Self, Bad> {
        if name.is_empty() || name.len() > MAX_HELLO || name.iter().any(u8::is_ascii_control) {
            return Err(Bad::HelloName);
        }
        let visible = name.iter().all(u8::is_ascii_graphic);
        Ok(Self(visible.then(|| String::from_utf8_lossy(name).into_owned())))
    }
}

/// Reads what follows AUTH: the mechanism, and an initial response if there is one.
pub(super) fn auth(argument: &[u8]) -> Result<(Mechanism, Option<&[u8]>), Bad> {
    if argument.is_empty() {
        return Err(Bad::Arguments);
    }
    let (mechanism, initial) = split(argument);
    let mechanism = Mechanism::parse(mechanism).ok_or(Bad::Mechanism)?;
    if initial.contains(&b' ') {
        return Err(Bad::Arguments);
    }
    Ok((mechanism, Some(initial).filter(|initial| !initial.is_empty())))
}

/// Reads what follows BDAT: how many octets the chunk has.
pub(super) fn chunk(argument: &[u8]) -> Option<u64> {
    let (digits, last) = split(argument);
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    if !last.is_empty() && !last.eq_ignore_ascii_case(b"LAST") {
        return None;
    }
    let count = std::str::from_utf8(digits).ok()?.parse().ok()?;
    (count <= MAX_CHUNK).then_some(count)
}

/// What comes before the first space, and what comes behind it.
pub(super) fn split(text: &[u8]) -> (&[u8], &[u8]) {
    let mut parts = text.splitn(2, |&octet| octet == b' ');
    (parts.next().unwrap_or_default(), parts.next().unwrap_or_default())
}

/// The first line of what came.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Line<'a> {
    /// It is not complete.
    More,
    /// It is longer than it may be, also where its end is not there yet. [`past_crlf`] finds the next.
    TooLong,
    /// Its text without the CRLF, and its octets with its end.
    Whole { text: Result<&'a [u8], Bad>, length: usize },
}

/// Cuts a line; `limit` does not count the CRLF.
pub(super) fn line(bytes: &[u8], limit: usize) -> Line<'_> {
    let Some(at) = bytes.iter().position(|&octet| octet == b'\n') else {
        // The last octet may be the CR that does not count.
        return if bytes.len() > limit.saturating_add(1) { Line::TooLong } else { Line::More };
    };
    let length = at.saturating_add(1);
    if length > limit.saturating_add(2) {
        return Line::TooLong;
    }
    let text = match bytes.get(..at) {
        Some([text @ .., b'\r']) if text.contains(&0) => Err(Bad::Nul),
        Some([text @ .., b'\r']) if !text.contains(&b'\r') => Ok(text),
        _ => Err(Bad::LineEnd),
    };
    Line::Whole { text, length }
}

/// Octets a line that begins like this may have, and the refusal of a longer one.
pub(super) fn limit(bytes: &[u8], max_command: usize) -> (usize, Bad) {
    match bytes.get(..b"AUTH ".len()) {
        Some(start) if start.eq_ignore_ascii_case(b"AUTH ") => AUTH_LIMIT,
        _ => (max_command.min(MAX_COMMAND), Bad::TooLong),
    }
}

/// The same of a response to a challenge.
pub(super) const AUTH_LIMIT: (usize, Bad) = (MAX_AUTH, Bad::AuthTooLong);

/// How many octets to throw away of a line that is too long, and whether its CRLF is among them.
pub(super) fn past_crlf(bytes: &[u8]) -> (usize, bool) {
    const CRLF: &[u8] = b"\r\n";
    match bytes.windows(CRLF.len()).position(|window| window == CRLF) {
        Some(at) => (at.saturating_add(CRLF.len()), true),
        // The LF may be the next octet to come.
        None if bytes.ends_with(b"\r") => (bytes.len().saturating_sub(1), false),
        None => (bytes.len(), false),
    }
}

#[cfg(test)]
mod tests;
