//! What follows from an error: what the client may know of it, whose fault it was, and whether another try may help.
//! Every error is named in each table, so that a new one is thought of.

use zproxy_protocol::Refusal;

use super::Error;

/// Who ended a session, as records say it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum EndedBy {
    /// The backend closed or failed.
    Backend,
    /// The client closed, or broke the rules.
    Client,
    /// We did.
    Proxy,
}

impl EndedBy {
    /// As in records.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Backend => "backend",
            Self::Client => "client",
            Self::Proxy => "proxy",
        }
    }
}

impl Error {
    /// What the client may know: a wrong password, an unknown user and a closed account are one, and no temporary
    /// fault is among them.
    #[must_use]
    pub fn refusal(&self) -> Refusal {
        match self {
            Self::AccountClosed(_)
            | Self::AddressNotAllowed
            | Self::AuthzidRefused
            | Self::MasterLogin
            | Self::Nameless
            | Self::UnknownUser
            | Self::VerifyRefused { expired: false, .. }
            | Self::WrongPassword => Refusal::Credentials,
            Self::VerifyRefused { expired: true, .. } => Refusal::Expired,
            Self::BackendLacksMechanism => Refusal::Cannot,
            Self::BackendRefused { code, text } => Refusal::Told { code: code.clone(), text: text.clone() },
            Self::TokenRefused(object) => Refusal::Token(object.clone()),
            Self::AccountMaintenance
            | Self::BackendDown { .. }
            | Self::BackendEvasive
            | Self::BackendIo { .. }
            | Self::BackendIsUs(_)
            | Self::BackendProtocol { .. }
            | Self::BackendTimeout(_)
            | Self::BackendTls(_)
            | Self::ClientGaveUp
            | Self::ClientGone
            | Self::ClientIo(_)
            | Self::ClientProtocol(_)
            | Self::ClientTimeout(_)
            | Self::ClientTls(_)
            | Self::Exhausted(_)
            | Self::GivenPasswordRefused
            | Self::Idle
            | Self::Kicked
            | Self::LookupFailed(_)
            | Self::LookupOverload
            | Self::LookupTimeout
            | Self::MasterRefused(_)
            | Self::Misdirected
            | Self::NoHome(_)
            | Self::NoPool
            | Self::NotServed
            | Self::NoVerifier(_)
            | Self::RequestLoop
            | Self::RequestRefused(_)
            | Self::RequestTooLarge
            | Self::RequestUnreadable(_)
            | Self::ResetFlood
            | Self::Shutdown
            | Self::SpokeEarly
            | Self::StyleUnfit(_)
            | Self::TooManySessions
            | Self::UnknownHome(_)
            | Self::Unproved
            | Self::UntrustedProxy
            | Self::VerifyFailed(_)
            | Self::VerifyOverload
            | Self::VerifyTimeout => Refusal::Temporary,
        }
    }

    /// Whose fault it is.
    #[must_use]
    pub fn ended_by(&self) -> EndedBy {
        match self {
            Self::AccountClosed(_)
            | Self::AccountMaintenance
            | Self::AddressNotAllowed
            | Self::AuthzidRefused
            | Self::BackendIsUs(_)
            | Self::Exhausted(_)
            | Self::GivenPasswordRefused
            | Self::Idle
            | Self::Kicked
            | Self::LookupFailed(_)
            | Self::LookupOverload
            | Self::LookupTimeout
            | Self::MasterLogin
            | Self::Nameless
            | Self::NoHome(_)
            | Self::NoPool
            | Self::NoVerifier(_)
            | Self::NotServed
            | Self::RequestLoop
            | Self::Shutdown
            | Self::StyleUnfit(_)
            | Self::TooManySessions
            | Self::UnknownHome(_)
            | Self::UnknownUser
            | Self::Unproved
            | Self::UntrustedProxy
            | Self::VerifyFailed(_)
            | Self::VerifyOverload
            | Self::VerifyRefused { .. }
            | Self::VerifyTimeout => EndedBy::Proxy,
            Self::BackendDown { .. }
            | Self::BackendEvasive
            | Self::BackendIo { .. }
            | Self::BackendLacksMechanism
            | Self::BackendProtocol { .. }
            | Self::BackendRefused { .. }
            | Self::BackendTimeout(_)
            | Self::BackendTls(_)
            | Self::MasterRefused(_)
            | Self::TokenRefused(_)
            | Self::WrongPassword => EndedBy::Backend,
            Self::ClientGaveUp
            | Self::ClientGone
            | Self::ClientIo(_)
            | Self::ClientProtocol(_)
            | Self::ClientTimeout(_)
            | Self::ClientTls(_)
            | Self::Misdirected
            | Self::RequestRefused(_)
            | Self::RequestTooLarge
            | Self::RequestUnreadable(_)
            | Self::ResetFlood
            | Self::SpokeEarly => EndedBy::Client,
        }
    }

    /// Whether another member of the same group may do better: nothing was proved wrong with the credentials.
    #[must_use]
    pub fn another_backend_may_help(&self) -> bool {
        matches!(
            self,
            Self::BackendIo { .. } | Self::BackendProtocol { .. } | Self::BackendTimeout(_) | Self::BackendTls(_)
        )
    }
}
