//! SASL exchanges (RFC 4422) as the mail protocols carry them, in base64: which identity and which credential does one
//! hold?
//!
//! A protocol cuts the lines and frames the challenges; [`Exchange`] reads the base64 between. What is decoded is wiped.

mod error_object;
pub mod external;
mod gs2;
mod login;
mod oauthbearer;
mod plain;
mod responses;
mod scram;
mod sent;
mod token;
mod xoauth2;

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use crate::name::BadName;
use crate::{Name, Secret};

pub use error_object::ErrorObject;
pub use plain::plain;
pub(crate) use responses::{Answer, Responses};
pub use scram::{Challenge, ScramFirst, ScramMechanism, Terms};
pub(crate) use sent::{Challenged, Sent};
pub use token::{Token, TokenMechanism};

/// Octets of a response that goes to a backend, in base64. At a longer one Dovecot closes the connection
/// (`LOGIN_MAX_AUTH_BUF_SIZE`), in every protocol: any client could make that speak against its health.
pub(crate) const MAX_SENT: usize = 8192;

/// A mechanism that carries the credential itself, so that it can be replayed to a backend, or an exchange that can be
/// relayed to one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Mechanism {
    /// RFC 4422: what TLS has proved.
    External,
    /// Never standardised (draft-murchison-sasl-login), still what Outlook says first.
    Login,
    /// RFC 4616.
    Plain,
    /// One that proves a password without saying it.
    Scram(ScramMechanism),
    /// One for a token.
    Token(TokenMechanism),
}

impl Mechanism {
    /// All, in the order in which they are offered.
    pub const ALL: [Self; 7] = [
        Self::Plain,
        Self::Login,
        Self::Token(TokenMechanism::OauthBearer),
        Self::Token(TokenMechanism::Xoauth2),
        Self::Scram(ScramMechanism::Sha256),
        Self::Scram(ScramMechanism::Sha1),
        Self::External,
    ];

    /// The mechanism of a name in any case.
    #[must_use]
    pub fn parse(word: &[u8]) -> Option<Self> {
        Self::ALL.into_iter().find(|mechanism| word.eq_ignore_ascii_case(mechanism.name().as_bytes()))
    }

    /// Its registered name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::External => "EXTERNAL",
            Self::Login => "LOGIN",
            Self::Plain => "PLAIN",
            Self::Scram(mechanism) => mechanism.name(),
            Self::Token(mechanism) => mechanism.name(),
        }
    }

    /// Whether a backend that listed these names takes it from us.
    pub(crate) fn is_among<'a>(self, mut listed: impl Iterator<Item = &'a str> + Clone) -> bool {
        let relayed = !matches!(self, Self::Scram(_)) || scram::is_relayed(listed.clone());
        relayed && listed.any(|name| name == self.name())
    }
}

/// What shall prove who a client is. The kinds never mix: a backend that checks passwords gets no token, and the other
/// way round.
#[derive(Clone, Debug)]
pub enum Credential {
    /// The client's certificate, which its TLS handshake has proved. It is shown to us, and no backend can be told of it.
    Certificate,
    /// Never empty, holds no NUL.
    Password(Secret),
    /// The first message of an exchange, in which the client will prove that it has a password.
    Scram(ScramFirst),
    /// Of the client's own authorization server.
    Token(Token),
}

impl Credential {
    /// The mechanism that alone may carry it; none: it is a password.
    #[must_use]
    pub fn token_mechanism(&self) -> Option<TokenMechanism> {
        match self {
            Self::Certificate | Self::Password(_) | Self::Scram(_) => None,
            Self::Token(token) => Some(token.mechanism()),
        }
    }
}

/// What a finished exchange says of the client; nothing of it is proved.
#[derive(Debug)]
pub struct Credentials {
    /// Whom the client wants to act as; none where it said nobody or itself.
    pub authzid: Option<Name>,
    /// Whose credential it is; none: it is for the credential to tell.
    pub name: Option<Name>,
    /// What is to prove it.
    pub credential: Credential,
}

/// An exchange under way.
#[derive(Debug)]
pub struct Exchange(State);

#[derive(Debug)]
enum State {
    External,
    LoginName,
    LoginPassword(Name),
    Plain,
    /// A backend asks, through us.
    Relayed(Challenge),
    Scram(ScramMechanism),
    Token(TokenMechanism),
}

/// What a response led to.
#[derive(Debug)]
pub enum Progress {
    /// The mechanism asks for more: send its [`Exchange::challenge`].
    Challenge(Exchange),
    /// The credentials are complete.
    Done(Credentials),
    /// What a backend asked for, in base64.
    Response(Secret),
}

/// Why an exchange failed, in words for the client.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Refused {
    /// Not base64 with its padding (RFC 4648, section 4), or more than it on the line.
    #[error("response is not valid base64")]
    Base64,
    /// The client wants to bind the channel, which ends here.
    #[error("channel binding is not offered")]
    ChannelBinding,
    /// The client sent `*`.
    #[error("authentication cancelled")]
    Cancelled,
    /// A password of no octets: some directories take it for an anonymous bind.
    #[error("password is empty")]
    EmptyPassword,
    /// A PLAIN message without its exactly two NULs.
    #[error("response is not a PLAIN message: authzid NUL authcid NUL password")]
    Malformed,
    /// Not what RFC 7628, section 3.1, has a client say.
    #[error("response is not an OAUTHBEARER message: n,a=NAME, ^A auth=Bearer TOKEN ^A ^A")]
    MalformedOauthBearer,
    /// Not what RFC 5802, section 7, has a client say, or not to this challenge.
    #[error("response is not a SCRAM message that may come here")]
    MalformedScram,
    /// Not what Google has a client say.
    #[error("response is not an XOAUTH2 message: user=NAME ^A auth=Bearer TOKEN ^A ^A")]
    MalformedXoauth2,
    /// The name, or the one to act as, is none.
    #[error("{0}")]
    Name(BadName),
    /// XOAUTH2 without a name.
    #[error("response names no user beside the token")]
    Nameless,
    /// RFC 4616 forbids it, and C programs behind us would cut the password there.
    #[error("password has a NUL")]
    NulInPassword,
    /// Not `Bearer` and a token of the characters that RFC 6750 has.
    #[error("response holds no bearer token")]
    Token,
}

impl Refused {
    /// Whether the message was good and no login can come of it all the same.
    pub(crate) fn is_of_credentials(self) -> bool {
        matches!(self, Self::EmptyPassword | Self::Name(_) | Self::Nameless)
    }
}

impl Exchange {
    /// Begins an exchange.
    #[must_use]
    pub fn begin(mechanism: Mechanism) -> Self {
        Self(match mechanism {
            Mechanism::External => State::External,
            Mechanism::Login => State::LoginName,
            Mechanism::Plain => State::Plain,
            Mechanism::Scram(mechanism) => State::Scram(mechanism),
            Mechanism::Token(mechanism) => State::Token(mechanism),
        })
    }

    /// Goes on with one that a backend has part in.
    #[must_use]
    pub fn relayed(challenge: Challenge) -> Self {
        Self(State::Relayed(challenge))
    }

    /// Whether a backend has part in it by now.
    #[must_use]
    pub fn is_relayed(&self) -> bool {
        matches!(self.0, State::Relayed(_))
    }

    /// The base64 text to send behind `+ `.
    #[must_use]
    pub fn challenge(&self) -> Cow<'static, str> {
        match &self.0 {
            State::LoginName => login::NAME_CHALLENGE.into(),
            State::LoginPassword(_) => login::PASSWORD_CHALLENGE.into(),
            State::External | State::Plain | State::Scram(_) | State::Token(_) => "".into(),
            State::Relayed(challenge) => challenge.base64().into(),
        }
    }

    /// Takes the client's answer to the challenge: one line without its CRLF.
    ///
    /// # Errors
    /// The exchange is over; see [`Refused`].
    pub fn respond(self, line: &[u8]) -> Result<Progress, Refused> {
        if line == b"*" {
            return Err(Refused::Cancelled);
        }
        self.message(&decode(line)?)
    }

    /// Takes the initial response of the command line; `=` is an empty one (RFC 4959, RFC 5034).
    ///
    /// # Errors
    /// The exchange is over; see [`Refused`].
    pub fn initial(self, response: &[u8]) -> Result<Progress, Refused> {
        let base64 = if response == b"=" { b"" } else { response };
        self.message(&decode(base64)?)
    }

    fn message(self, message: &[u8]) -> Result<Progress, Refused> {
        match self.0 {
            State::External => external::parse(message).map(Progress::Done),
            State::LoginName => login::name(message).map(|name| Progress::Challenge(Self(State::LoginPassword(name)))),
            State::LoginPassword(name) => login::password(name, message).map(Progress::Done),
            State::Plain => plain::parse(message).map(Progress::Done),
            State::Relayed(challenge) => challenge.answer(message).map(Progress::Response),
            State::Scram(mechanism) => scram::parse(mechanism, message).map(Progress::Done),
            State::Token(TokenMechanism::OauthBearer) => oauthbearer::parse(message).map(Progress::Done),
            State::Token(TokenMechanism::Xoauth2) => xoauth2::parse(message).map(Progress::Done),
        }
    }
}

fn decode(base64: &[u8]) -> Result<Zeroizing<Vec<u8>>, Refused> {
    let mut decoded = Zeroizing::new(vec![0; base64::decoded_len_estimate(base64.len())]);
    let length = STANDARD.decode_slice(base64, &mut decoded).map_err(|_| Refused::Base64)?;
    decoded.truncate(length);
    Ok(decoded)
}

/// The base64 of a message. Its final size at once: growing would leave a copy of the secret behind unwiped.
fn encoded(parts: &[&[u8]]) -> Secret {
    let length = parts.iter().fold(0_usize, |sum, part| sum.saturating_add(part.len()));
    let mut message = Zeroizing::new(Vec::with_capacity(length));
    for part in parts {
        message.extend_from_slice(part);
    }
    Secret::new(Zeroizing::new(STANDARD.encode(&message)).as_bytes())
}

/// A password any mechanism may carry.
fn password(octets: &[u8]) -> Result<Credential, Refused> {
    if octets.is_empty() {
        return Err(Refused::EmptyPassword);
    }
    if octets.contains(&0) {
        return Err(Refused::NulInPassword);
    }
    Ok(Credential::Password(Secret::new(octets)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_its_mechanisms_in_any_case() {
        assert_eq!(Mechanism::parse(b"plain"), Some(Mechanism::Plain));
        assert_eq!(Mechanism::parse(b"LogIn"), Some(Mechanism::Login));
        assert_eq!(Mechanism::parse(b"xoauth2"), Some(Mechanism::Token(TokenMechanism::Xoauth2)));
        assert_eq!(Mechanism::parse(b"OAuthBearer"), Some(Mechanism::Token(TokenMechanism::OauthBearer)));
        assert_eq!(Mechanism::parse(b"scram-sha-1"), Some(Mechanism::Scram(ScramMechanism::Sha1)));
        for unknown in [&b""[..], b"SCRAM-SHA-1-PLUS", b"PLAI", b"PLAIN ", b"CRAM-MD5", b"\xff"] {
            assert_eq!(Mechanism::parse(unknown), None);
        }
    }

    #[test]
    fn base64_is_strict() {
        for junk in
            [&b"AA"[..], b"AA=", b"AA==\r", b" AA==", b"A A==", b"AB==", b"AA==AA==", b"====", b"=", b"-_==", b"\xff"]
        {
            assert_eq!(decode(junk), Err(Refused::Base64), "{}", junk.escape_ascii());
        }
        assert_eq!(**decode(b"AA==").unwrap(), [0]);
        assert!(decode(b"").unwrap().is_empty());
    }
}
