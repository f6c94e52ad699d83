//! The crate's one error: what ended a login or a session. What follows from each is in [`consequences`].

mod consequences;

use std::io;

use zproxy_protocol::Fault;
use zproxy_protocol::sasl::ErrorObject;

pub use consequences::EndedBy;

/// Why a login failed or a session ended before its time.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// The account's status is locked or closed.
    #[error("account is {0}")]
    AccountClosed(&'static str),
    /// The account's status is maintenance.
    #[error("account is in maintenance")]
    AccountMaintenance,
    /// The account may not log in from this address.
    #[error("account may not log in from this network")]
    AddressNotAllowed,
    /// The directory does not let this account act as that one.
    #[error("account may not act as the other one")]
    AuthzidRefused,
    /// No candidate can serve now: all are down, drained or full.
    #[error("no backend of {home} can serve: {reason}")]
    BackendDown {
        /// The home.
        home: Box<str>,
        /// What stands in the way.
        reason: &'static str,
    },
    /// The backend neither let the client in nor said that it may not.
    #[error("backend answered the login with neither yes nor no")]
    BackendEvasive,
    /// Connecting to the backend failed, or the connection broke before login.
    #[error("backend connection failed at {step}: {kind}")]
    BackendIo {
        /// What we were doing.
        step: &'static str,
        /// The operating system's reason.
        kind: io::ErrorKind,
    },
    /// The backend is a listener of this very edge.
    #[error("backend {0} is a listener of ours: mend its host or port with `zproxy pool update`")]
    BackendIsUs(std::net::SocketAddr),
    /// The backend does not take the mechanism that the client chose, which its peers do.
    #[error("backend does not take the mechanism that the client chose")]
    BackendLacksMechanism,
    /// The backend broke its protocol.
    #[error("{source} ({step})")]
    BackendProtocol {
        /// What was sent and what was awaited.
        step: &'static str,
        /// What broke.
        source: zproxy_protocol::Error,
    },
    /// The backend refused the login for a reason of its own.
    #[error("backend refused: [{code}] {text}")]
    BackendRefused {
        /// Response code, may be empty.
        code: String,
        /// Its text.
        text: String,
    },
    /// The backend was too slow.
    #[error("backend was too slow at {0}")]
    BackendTimeout(&'static str),
    /// The backend's certificate or handshake was not good.
    #[error("TLS to the backend failed: {0}")]
    BackendTls(Box<str>),
    /// The client broke off an exchange that a backend had part in.
    #[error("client broke off the exchange, or its response was none")]
    ClientGaveUp,
    /// The client closed the connection before it was logged in.
    #[error("client left")]
    ClientGone,
    /// Reading from or writing to the client failed.
    #[error("client connection failed: {0}")]
    ClientIo(io::ErrorKind),
    /// The client broke its protocol.
    #[error("{0}")]
    ClientProtocol(zproxy_protocol::Error),
    /// The client took too long.
    #[error("client was too slow at {0}")]
    ClientTimeout(&'static str),
    /// The client's TLS handshake failed.
    #[error("TLS with the client failed: {0}")]
    ClientTls(Box<str>),
    /// The operating system has no descriptor or memory left for a connection to the backend.
    #[error("no room for a connection to a backend ({0}): raise the limit of open files, or add an edge")]
    Exhausted(Box<str>),
    /// The backend refused the password that the client's verifier gave in place of the client's own.
    #[error(
        "backend refused the password that auth_http gave for this login: mend Auth-User or Auth-Pass of its answer"
    )]
    GivenPasswordRefused,
    /// No byte either way for longer than allowed.
    #[error("idle for too long")]
    Idle,
    /// An operator ended it.
    #[error("kicked")]
    Kicked,
    /// The control plane or its directory could not say where the user lives.
    #[error("look-up failed: {0}")]
    LookupFailed(Box<str>),
    /// Too many look-ups wait already.
    #[error("too many look-ups wait for the control plane")]
    LookupOverload,
    /// The control plane did not answer in time.
    #[error("control plane did not answer the look-up in time")]
    LookupTimeout,
    /// A client that said `user*master` and may not.
    #[error("user*master logins are for clients from the listener's master_logins_from, at backends of style replay")]
    MasterLogin,
    /// The backend refused our master user.
    #[error("backend refused our master user {0}: is its password right, and may it act as this account?")]
    MasterRefused(Box<str>),
    /// A request for a host that is not served, or not so.
    #[error("host is not served here")]
    Misdirected,
    /// A token that names no account, and that nothing here can read.
    #[error("credential names no account: see sasl.token_claim, or have control verify tokens ([verify.oauth])")]
    Nameless,
    /// The account has no home and the pool no default for the service.
    #[error("account has no home, and the pool no default for {0}: set one with `zproxy pool defaults`")]
    NoHome(&'static str),
    /// Control has never given this edge a pool.
    #[error("no pool: control has not given one yet, and none is kept in the state directory")]
    NoPool,
    /// Control proves no credentials of this kind.
    #[error("login style needs proof, and control verifies no {0}: give it a verifier, or change the login style")]
    NoVerifier(&'static str),
    /// The client is not one that the listener serves.
    #[error("client is not in the listener's allowed_from")]
    NotServed,
    /// A request that has come by us before.
    #[error("request came through too many proxies: does the backend lead back here?")]
    RequestLoop,
    /// A request of HTTP that no server should be asked.
    #[error("request refused: {0}")]
    RequestRefused(zproxy_protocol::http::target::Refused),
    /// A request of HTTP whose body is longer than allowed.
    #[error("request body is longer than http.max_body")]
    RequestTooLarge,
    /// Octets that are no request of HTTP.
    #[error("no request of HTTP: {0}")]
    RequestUnreadable(Box<str>),
    /// A client that breaks off most of its requests.
    #[error("client breaks off most of its requests")]
    ResetFlood,
    /// The edge is shutting down.
    #[error("shutting down")]
    Shutdown,
    /// The client did not wait for the greeting.
    #[error("client spoke before the greeting")]
    SpokeEarly,
    /// The login style of the account's route is not one for its backend's endpoint.
    #[error(
        "login style {0} of the account does not fit the endpoint: mend the directory, the endpoint or master_users"
    )]
    StyleUnfit(&'static str),
    /// The backend refused the token.
    #[error("token refused")]
    TokenRefused(ErrorObject),
    /// The client's address has too many sessions.
    #[error("too many sessions from this address")]
    TooManySessions,
    /// The directory's home is neither a backend nor a group of the pool.
    #[error("home {0} is not in the pool: add it with `zproxy pool add`, or mend the directory")]
    UnknownHome(Box<str>),
    /// No such account.
    #[error("unknown user")]
    UnknownUser,
    /// A client that must be proved and was not: a fault of ours, which lets nobody in.
    #[error("login style needs proof, and there is none")]
    Unproved,
    /// The connection did not come from a network that may send PROXY headers.
    #[error("PROXY protocol listener: connection from a network not in proxy_protocol_from")]
    UntrustedProxy,
    /// Control or its verifier could not say whether the credential is good.
    #[error("verification failed: {0}")]
    VerifyFailed(Box<str>),
    /// Too many credentials wait already.
    #[error("too many credentials wait for the control plane")]
    VerifyOverload,
    /// The verifier refused the credential.
    #[error("verifier refused: {reason}")]
    VerifyRefused {
        /// As it says.
        reason: Box<str>,
        /// It is the right password, but has expired.
        expired: bool,
    },
    /// The control plane did not answer in time.
    #[error("control plane did not verify the credential in time")]
    VerifyTimeout,
    /// The backend refused the credentials.
    #[error("wrong password")]
    WrongPassword,
}

/// A conversation's error, with what was being awaited when it is the backend's.
impl Error {
    /// Of a machine that faces the backend.
    #[must_use]
    pub fn of_backend(step: &'static str, source: zproxy_protocol::Error) -> Self {
        Self::BackendProtocol { step, source }
    }
}

impl From<zproxy_protocol::Error> for Error {
    /// Of a machine that faces the client.
    fn from(source: zproxy_protocol::Error) -> Self {
        match source.fault() {
            Fault::Client => Self::ClientProtocol(source),
            Fault::Backend => Self::of_backend("login", source),
        }
    }
}
