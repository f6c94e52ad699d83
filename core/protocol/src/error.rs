//! The crate's one error: what broke a conversation, and whose fault it was.

/// Why a conversation cannot go on.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Error {
    /// In an SMTP message: a dot alone between line ends of which not both are CRLF (CVE-2023-51764 class).
    #[error("client sent an end of data that servers read differently")]
    AmbiguousEndOfData,
    /// The backend said it has no capability that the login needs.
    #[error("backend lacks a capability the login needs: {0}")]
    BackendLacks(&'static str),
    /// The backend's line, literal or greeting is longer than [`Input`](crate::Input) may hold, or it never ends.
    #[error("backend sent more than the login may hold")]
    BackendOverflow,
    /// The backend said what its protocol does not allow here.
    #[error("backend broke the protocol at {0}")]
    BackendProtocol(&'static str),
    /// The backend answered HTTP with 5xx.
    #[error("backend says that it cannot serve (5xx)")]
    BackendCannotServe,
    /// The backend said goodbye (`* BYE`, `-ERR` greeting).
    #[error("backend said goodbye at {0}")]
    BackendQuit(&'static str),
    /// In an SMTP message: a CR or LF that is not half of a CRLF.
    #[error("client sent a line that does not end with CRLF")]
    BareNewline,
    /// Bytes behind the backend's answer to STARTTLS: a response injection (CVE-2021-38371 class).
    #[error("backend sent bytes behind its answer to STARTTLS")]
    BytesBehindBackendStarttls,
    /// Bytes behind STARTTLS: a command injection (CVE-2011-0411 class).
    #[error("client sent bytes behind STARTTLS")]
    BytesBehindStarttls,
    /// The client's command, literal or response is longer than allowed.
    #[error("client sent a command longer than allowed")]
    CommandTooLong,
    /// The client's message goes on far beyond what one may have.
    #[error("client sent a message that does not end")]
    MessageTooLong,
    /// A malformed PROXY protocol header, or none where one must be.
    #[error("malformed PROXY protocol header: {0}")]
    ProxyHeader(&'static str),
    /// The client speaks HTTP to a mail port (ALPACA).
    #[error("client speaks HTTP")]
    SpeaksHttp,
    /// More bad commands than allowed.
    #[error("client sent too many bad commands")]
    TooManyBadCommands,
    /// More commands than a client needs that brings mail.
    #[error("client sent too many commands without a message")]
    TooManyCommands,
    /// The login went through too many proxies: they form a loop.
    #[error("login came through too many proxies: is the backend a proxy that leads back here?")]
    TooManyHops,
}

/// Whose fault an error is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Fault {
    /// The backend's: a temporary failure for the client.
    Backend,
    /// The client's.
    Client,
}

impl Error {
    /// Whose fault it is.
    #[must_use]
    pub fn fault(self) -> Fault {
        match self {
            Self::BackendCannotServe
            | Self::BackendLacks(_)
            | Self::BackendOverflow
            | Self::BackendProtocol(_)
            | Self::BackendQuit(_)
            | Self::BytesBehindBackendStarttls
            | Self::TooManyHops => Fault::Backend,
            Self::AmbiguousEndOfData
            | Self::BareNewline
            | Self::BytesBehindStarttls
            | Self::CommandTooLong
            | Self::MessageTooLong
            | Self::ProxyHeader(_)
            | Self::SpeaksHttp
            | Self::TooManyBadCommands
            | Self::TooManyCommands => Fault::Client,
        }
    }
}
