//! How a client is logged in at a backend, and which credentials can lead there.

use zproxy_protocol::sasl::{TokenMechanism, external};

use super::{Endpoint, Forward};
use crate::service::Service;
use crate::verify::Verifiers;
use crate::wire;

/// How a client is logged in at a backend.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum LoginStyle {
    /// By its own credentials, whatever they are; the backend checks them.
    Replay,
    /// By its own token; passwords are never sent.
    Token,
    /// Proved first, then by a master user who acts as it.
    VerifyThenMaster,
    /// Proved first, then by XCLIENT LOGIN.
    VerifyThenXclient,
}

impl LoginStyle {
    /// The style of a message; none: it leaves the choice to others. `Err`: a younger control said it.
    pub(crate) fn of_message(style: i32) -> Result<Option<Self>, ()> {
        match wire::LoginStyle::try_from(style).map_err(|_| ())? {
            wire::LoginStyle::Unspecified => Ok(None),
            wire::LoginStyle::Replay => Ok(Some(Self::Replay)),
            wire::LoginStyle::Token => Ok(Some(Self::Token)),
            wire::LoginStyle::VerifyThenMaster => Ok(Some(Self::VerifyThenMaster)),
            wire::LoginStyle::VerifyThenXclient => Ok(Some(Self::VerifyThenXclient)),
        }
    }

    /// As config and routes write it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Replay => "replay",
            Self::Token => "token",
            Self::VerifyThenMaster => "verify_then_master",
            Self::VerifyThenXclient => "verify_then_xclient",
        }
    }

    /// Whether nobody is logged in so but whom we have proved.
    #[must_use]
    pub fn needs_proof(self) -> bool {
        match self {
            Self::Replay | Self::Token => false,
            Self::VerifyThenMaster | Self::VerifyThenXclient => true,
        }
    }

    /// Whether an endpoint can be logged in to so.
    pub(crate) fn fits(self, endpoint: &Endpoint) -> bool {
        self != Self::VerifyThenXclient
            || (endpoint.service == Service::Submission && endpoint.forward == Forward::Xclient)
    }

    /// What clients may be offered of a backend that said it can do `words`: where we prove them it is for us to say how.
    pub(super) fn offered(self, words: &[String], verifiers: Verifiers) -> Vec<String> {
        let tokens = TokenMechanism::ALL.map(TokenMechanism::capability);
        let others = words.iter().filter(|word| !word.starts_with("AUTH=")).cloned();
        match self {
            Self::Replay => words.to_vec(),
            Self::Token => {
                let taken = tokens.into_iter().filter(|token| words.iter().any(|word| word == token));
                others.chain(taken.map(str::to_owned)).collect()
            }
            Self::VerifyThenMaster | Self::VerifyThenXclient => {
                let tokens = tokens.into_iter().filter(|_| verifiers.tokens);
                others.chain(tokens.chain([external::CAPABILITY]).map(str::to_owned)).collect()
            }
        }
    }

    /// Whether a password can lead there.
    pub(super) fn takes_passwords(self, verifiers: Verifiers) -> bool {
        match self {
            Self::Replay => true,
            Self::Token => false,
            Self::VerifyThenMaster | Self::VerifyThenXclient => verifiers.passwords,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAYS: [&str; 4] = ["IDLE", "AUTH=PLAIN", "AUTH=XOAUTH2", "AUTH=SCRAM-SHA-256"];
    const MASTER: LoginStyle = LoginStyle::VerifyThenMaster;

    #[test]
    fn offered_is_what_a_style_can_carry() {
        let words = SAYS.map(str::to_owned);
        let offered = |style: LoginStyle, passwords, tokens| style.offered(&words, Verifiers { passwords, tokens });
        assert_eq!(offered(LoginStyle::Replay, false, false), SAYS);
        assert_eq!(offered(LoginStyle::Token, true, true), ["IDLE", "AUTH=XOAUTH2"]);
        for style in [MASTER, LoginStyle::VerifyThenXclient] {
            // A client's certificate proves it, whatever control can.
            assert_eq!(offered(style, true, false), ["IDLE", "AUTH=EXTERNAL"]);
            assert_eq!(offered(style, false, true), ["IDLE", "AUTH=OAUTHBEARER", "AUTH=XOAUTH2", "AUTH=EXTERNAL"]);
        }
    }

    #[test]
    fn a_password_leads_where_the_backend_or_control_checks_it() {
        for (style, passwords, leads) in [
            (LoginStyle::Replay, false, true),
            (LoginStyle::Token, true, false),
            (MASTER, true, true),
            (MASTER, false, false),
            (LoginStyle::VerifyThenXclient, false, false),
        ] {
            assert_eq!(style.takes_passwords(Verifiers { passwords, tokens: true }), leads, "{style:?}");
        }
    }
}
