//! The two machines of a login and the words they share.
//!
//! [`Server`] faces the client up to its credentials and tells it the outcome; [`Client`] faces the backend up to its
//! success or refusal. Neither knows the other: the session carries [`Login`] from the one to the other and
//! [`Success`] or [`Refusal`] back.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::sasl::{self, Challenge, Credential, ErrorObject, Mechanism, TokenMechanism};
use crate::smtp::Guard;
use crate::{Error, Input, Language, Name, Secret};

/// One mail protocol whose clients log in: makes the machines and knows the few words that shared code needs.
pub trait Protocol: Language {
    /// Begins a conversation with a client.
    fn server(&self, setting: ServerSetting) -> Box<dyn Server>;
    /// Begins a conversation with a backend.
    fn client(&self, setting: ClientSetting) -> Box<dyn Client>;
    /// What may be said to a client of a quiet spliced session before it is closed; empty: it is closed without a word.
    /// `text` is printable ASCII.
    fn goodbye(&self, text: &str) -> Vec<u8>;
}

/// The conversation with the client.
pub trait Server {
    /// Writes the greeting. Called once, first.
    fn greet(&mut self, out: &mut Vec<u8>);

    /// Consumes as much input as leads to one step; writes replies to `out`. Called again with the same input until it
    /// returns [`Step::More`]. After [`Step::Login`] it is not called before [`Server::refuse`] or
    /// [`Server::challenge`]; what the client pipelined behind the login stays in `input` and belongs to the backend.
    ///
    /// # Errors
    /// The conversation is over; its last words, if the protocol has any, are in `out`.
    fn advance(&mut self, input: &mut Input, out: &mut Vec<u8>) -> Result<Step, Error>;

    /// The TLS handshake that [`Step::StartTls`] asked for is done, and the client has shown a `certificate` that names an
    /// account, or has not. Forgets everything the client said before it.
    fn secured(&mut self, certificate: bool);

    /// What all candidate backends can do has changed since [`ServerSetting::shared`] was made.
    fn offer(&mut self, shared: Arc<[String]>);

    /// Passes on what a backend asks of a client that is logging in: its answer is [`Step::Response`].
    fn challenge(&mut self, challenge: Challenge, out: &mut Vec<u8>);

    /// Tells the client that it is logged in. Its next bytes are the backend's.
    fn welcome(&mut self, success: &Success, out: &mut Vec<u8>);

    /// Tells the client that it is not. Whoever may try again after a refused token hears why first, and the refusal
    /// itself once [`Server::advance`] has seen the answer to that.
    fn refuse(&mut self, refusal: &Refusal, then: Then, out: &mut Vec<u8>);

    /// Last words before the connection is closed for a reason of ours: `timeout`, `shutting down` …
    fn goodbye(&mut self, text: &str, out: &mut Vec<u8>);
}

/// What follows a refusal.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Then {
    /// The connection is closed: the protocol's goodbye follows the refusal.
    Close,
    /// The client may try again.
    TryAgain,
}

/// What a [`Server`] asks of the session.
#[derive(Debug)]
pub enum Step {
    /// The client gave up the login to which a challenge belongs, or answered with what is no answer, and was told so.
    Abandoned,
    /// The client said goodbye and was answered: send and close.
    Goodbye,
    /// The credentials are complete: route, dial, authenticate.
    Login(Login),
    /// More bytes are needed.
    More,
    /// The client's answer to a challenge, in base64.
    Response(Secret),
    /// Send, then hand the connection to TLS. `input` is empty: bytes behind the command were an error.
    StartTls,
}

/// What a client has proved nothing of yet: who it says it is.
#[derive(Debug)]
pub struct Login {
    /// Whose credential it is (RFC 4616 authcid); none: it is for the credential to tell.
    pub name: Option<Name>,
    /// Whom the client wants to act as, if it said so and it is another name (RFC 4616 authzid).
    pub authzid: Option<Name>,
    /// What is to prove it.
    pub credential: Credential,
    /// How it was said, for the record: `LOGIN`, `PLAIN`, `USER`, `XOAUTH2` …
    pub mechanism: &'static str,
    /// What the client said before that the backend must hear too.
    pub replay: Replay,
}

/// What a client said before its login that its backend must hear.
#[derive(Clone, Debug, Default)]
pub struct Replay {
    /// The parameters of the client's IMAP ID (RFC 2971), without any `x-` key; at most 30.
    pub id: Vec<(String, Option<String>)>,
    /// The client asked for POP3 UTF8 (RFC 6856).
    pub utf8: bool,
    /// What the client called itself in SMTP EHLO or HELO: 1 to 255 visible ASCII characters.
    pub ehlo: Option<String>,
    /// Hops the login may still take, as a proxy before us says in its `x-proxy-ttl`. Anybody may say it: who lies only
    /// shortens his own way.
    pub hops: Option<u8>,
}

/// How the client may log in on this connection at this moment.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum LoginOffer {
    /// As it likes; TLS, if any, is up and no STARTTLS is offered.
    Now,
    /// As it likes, and STARTTLS is offered.
    NowOrAfterTls,
    /// Only after STARTTLS, which is offered.
    OnlyAfterTls,
}

/// What a [`Server`] begins with.
#[derive(Clone, Debug)]
pub struct ServerSetting {
    /// Our host name.
    pub hostname: Arc<str>,
    /// How the client may log in.
    pub login: LoginOffer,
    /// The capability words, upper case, that every candidate backend offers; in SMTP with their parameters, a line of
    /// the EHLO reply each, and in ManageSieve with their values.
    pub shared: Arc<[String]>,
    /// Whether there is a candidate backend that passwords lead to.
    pub passwords: bool,
    /// Whether the client has shown a certificate that names an account.
    pub certificate: bool,
    /// Bad commands before the conversation ends.
    pub bad_commands: u32,
    /// Octets of one command, literals included.
    pub max_command: usize,
    /// Octets of one SASL response, and of a command that may carry one; SMTP has its own, whatever this is (RFC 4954).
    pub max_response: usize,
}

impl ServerSetting {
    /// Whether a client may log in by a mechanism: what carries no password, only where every candidate backend takes it,
    /// and what carries one, where any does.
    pub(crate) fn offers(&self, mechanism: Mechanism) -> bool {
        match mechanism {
            Mechanism::External => self.certificate && self.shares(sasl::external::CAPABILITY),
            Mechanism::Login | Mechanism::Plain => self.passwords,
            Mechanism::Scram(mechanism) => self.shares(mechanism.capability()),
            Mechanism::Token(mechanism) => self.shares(mechanism.capability()),
        }
    }

    /// Whether every candidate backend can do it.
    pub(crate) fn shares(&self, capability: &str) -> bool {
        self.shared.iter().any(|word| word == capability)
    }

    /// The mechanisms that a client may log in by.
    pub(crate) fn mechanisms(&self) -> impl Iterator<Item = Mechanism> {
        Mechanism::ALL.into_iter().filter(|&mechanism| self.offers(mechanism))
    }
}

/// The conversation with the backend.
pub trait Client {
    /// Consumes as much input as leads to one step; writes commands to `out`. Called again with the same input until it
    /// returns [`ClientStep::More`].
    ///
    /// # Errors
    /// The backend is not what it should be: a temporary failure for the client, never a wrong password.
    fn advance(&mut self, input: &mut Input, out: &mut Vec<u8>) -> Result<ClientStep, Error>;

    /// Says the client's answer to a [`ClientStep::Challenge`], in base64.
    fn respond(&mut self, response: &Secret, out: &mut Vec<u8>);

    /// The handshake that [`ClientStep::StartTls`] asked for is done. Forgets all the backend said before it.
    fn secured(&mut self);

    /// What was sent and what is awaited, for records: `capability`, `login` …
    fn phase(&self) -> &'static str;
}

/// What a [`Client`] asks of the session.
#[derive(Debug)]
pub enum ClientStep {
    /// The backend asks what only the client can answer.
    Challenge(Challenge),
    /// More bytes are needed.
    More,
    /// Of a [`Goal::Probe`]: all the capability words (upper case) the backend named, in SMTP and ManageSieve with what
    /// follows them. A goodbye is in `out`.
    Probed(Vec<String>),
    /// The backend refused the login.
    Refused(Refusal),
    /// Send, then hand the connection to TLS. `input` is empty: bytes behind the reply were an error.
    StartTls,
    /// Logged in. What the backend sent behind its success line stays in `input` and belongs to the client.
    Success(Success),
}

/// What a [`Client`] begins with.
#[derive(Debug)]
pub struct ClientSetting {
    /// STARTTLS before anything else; a backend that does not offer it is an error.
    pub starttls: bool,
    /// What for.
    pub goal: Goal,
}

/// What a conversation with a backend is for.
#[derive(Debug)]
pub enum Goal {
    /// Log a client in.
    Login(Box<LoginAtBackend>),
    /// Learn the capabilities, then leave.
    Probe,
}

impl Goal {
    /// Whether the login may go on: one that went from proxy to proxy too often goes in circles.
    pub(crate) fn check_hops(&self) -> Result<(), Error> {
        match self {
            Self::Login(login) if login.client.ttl == 0 => Err(Error::TooManyHops),
            Self::Login(_) | Self::Probe => Ok(()),
        }
    }
}

/// A login as the backend shall see it.
#[derive(Debug)]
pub struct LoginAtBackend {
    /// The name whose credential it is.
    pub name: Name,
    /// Whom to act as.
    pub authzid: Option<Name>,
    /// The client's own, or a master user's; none: the backend believes us (SMTP XCLIENT with LOGIN).
    pub credential: Option<Credential>,
    /// How the client's address is told, in the protocol.
    pub forward: Forward,
    /// About the client's connection.
    pub client: ClientInfo,
    /// What the client said that the backend must hear.
    pub replay: Replay,
}

/// How the client's address is told to a backend inside the protocol (PROXY headers are not the protocol's business).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Forward {
    /// IMAP ID.
    Id,
    /// It is not.
    None,
    /// POP3 or ManageSieve XCLIENT, as Dovecot takes it, or SMTP XCLIENT, as Postfix and Dovecot do.
    Xclient,
    /// POP3 XOIP, as Zimbra takes it.
    Xoip,
}

/// About the client's connection.
#[derive(Clone, Debug)]
pub struct ClientInfo {
    /// The client's own address.
    pub address: SocketAddr,
    /// The address it connected to.
    pub local: SocketAddr,
    /// The host name it asked for (SNI), checked to be a DNS name.
    pub server_name: Option<String>,
    /// The session's id.
    pub session_id: String,
    /// Hops a login may still take from proxy to proxy; sent on as `x-proxy-ttl` or `TTL`.
    pub ttl: u8,
}

/// What a backend said when it let the client in, in the protocol's own words.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Success {
    /// Whole lines, CRLF included, that come before the success line: untagged CAPABILITY and ALERT.
    pub before: Vec<u8>,
    /// The success line after its `OK `, `+OK ` or `235 `, without CRLF, and in ManageSieve without quotes; holds no CR,
    /// LF or NUL.
    pub text: Vec<u8>,
    /// The backend still takes commands that are for proxies only (SMTP XCLIENT and XFORWARD), and would believe the
    /// client: the relay must show this machine every octet of the session, and keep from the backend what it says.
    pub guard: Option<Guard>,
}

impl LoginAtBackend {
    /// The mechanism, and the response that it begins with, in base64. A token's message has room for one name: of whom to
    /// act as.
    ///
    /// # Errors
    /// There is none, or one that a backend would hang up at. What its server cannot even hear is no right password and no
    /// good token, and is refused in the words that a user who does not exist hears.
    pub(crate) fn message(&self, credential: &Credential) -> Result<(Mechanism, Secret), Refusal> {
        let Self { name, authzid, .. } = self;
        let (mechanism, response) = match credential {
            Credential::Certificate => return Err(Refusal::Cannot),
            Credential::Password(password) => (Mechanism::Plain, sasl::plain(authzid.as_ref(), name, password)),
            Credential::Scram(first) => (Mechanism::Scram(first.mechanism()), first.response()),
            Credential::Token(token) => {
                (Mechanism::Token(token.mechanism()), token.response(authzid.as_ref().unwrap_or(name)))
            }
        };
        if response.expose().len() > sasl::MAX_SENT { Err(Refusal::Credentials) } else { Ok((mechanism, response)) }
    }
}

/// Why a client is not logged in, as it may know.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Refusal {
    /// The backend of this client does not take the mechanism that it chose.
    Cannot,
    /// A wrong password, an unknown user, a locked account: one text of ours for all.
    Credentials,
    /// The password is the right one, and must be changed before it lets anybody in.
    Expired,
    /// No fault of the client's; it shall keep its password and try later.
    Temporary,
    /// The backend's own meaning: a code and its text, of printable ASCII. In IMAP, POP3 and ManageSieve the code is a
    /// response code without brackets (`ALERT`, `IN-USE` …; empty: none), in SMTP the reply code and the enhanced status
    /// code as they stand before the text (`454 4.7.0`; empty: just that).
    Told {
        /// The response code.
        code: String,
        /// The human-readable text.
        text: String,
    },
    /// Credentials that are a token, and what its backend has to say of it.
    Token(ErrorObject),
}

impl Refusal {
    /// Whether nothing but the credentials stands in the way: all such refusals take the same time.
    #[must_use]
    pub fn is_of_credentials(&self) -> bool {
        matches!(self, Self::Credentials | Self::Expired | Self::Token(_))
    }

    /// What a client that logged in by a token is to hear before it is refused; none: nothing.
    pub(crate) fn error_object(&self, mechanism: TokenMechanism) -> Option<ErrorObject> {
        match self {
            Self::Credentials => Some(ErrorObject::of(mechanism)),
            Self::Token(object) => Some(object.clone()),
            Self::Cannot | Self::Expired | Self::Temporary | Self::Told { .. } => None,
        }
    }
}
