//! What a backend last said of a token that it refused, so that a user whom no backend knows is refused in those words.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use zproxy_protocol::Refusal;
use zproxy_protocol::sasl::{ErrorObject, TokenMechanism};

use crate::service::Service;

/// The last object of each service and mechanism.
#[derive(Debug, Default)]
pub struct Objections(Mutex<HashMap<(Service, TokenMechanism), ErrorObject>>);

impl Objections {
    /// What a client is told whose token led to this refusal.
    pub(crate) fn refusal(&self, service: Service, mechanism: TokenMechanism, refusal: Refusal) -> Refusal {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (service, mechanism);
        match refusal {
            Refusal::Credentials => last.get(&key).cloned().map_or(Refusal::Credentials, Refusal::Token),
            Refusal::Token(object) => {
                last.insert(key, object.clone());
                Refusal::Token(object)
            }
            other => other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_user_hears_what_a_backend_said_last_by_the_same_way() {
        let objections = Objections::default();
        let told = |service, mechanism, refusal| objections.refusal(service, mechanism, refusal);
        let said = Refusal::Token(ErrorObject::from_challenge(b"e30=").unwrap());
        let (imap, xoauth2) = (Service::Imap, TokenMechanism::Xoauth2);
        assert_eq!(told(imap, xoauth2, Refusal::Credentials), Refusal::Credentials);
        assert_eq!(told(imap, xoauth2, said.clone()), said);
        assert_eq!(told(imap, xoauth2, Refusal::Credentials), said);
        assert_eq!(told(imap, xoauth2, Refusal::Temporary), Refusal::Temporary);
        assert_eq!(told(imap, TokenMechanism::OauthBearer, Refusal::Credentials), Refusal::Credentials);
        assert_eq!(told(Service::Pop3, xoauth2, Refusal::Credentials), Refusal::Credentials);
    }
}
