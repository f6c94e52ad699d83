//! Credentials of one message, and what control says of them as checked values.

use std::collections::VecDeque;

use tokio::sync::oneshot;
use tokio::time::Instant;
use zeroize::Zeroize as _;
use zproxy_protocol::{Name, Secret};

use super::{Evidence, Proof, Verified, Waiting};
use crate::{Error, control, wire};

/// Credentials of one message, as the contract has it.
const MAX_PROOFS: usize = 64;
/// Octets of the credentials of one message, the last one apart: gRPC takes messages of 4 MiB, and a token may be long.
const MAX_OCTETS: usize = 1 << 20;

/// Credentials that one message carries. Who waits for a verdict when it is dropped gets none.
pub(crate) struct Batch {
    /// Empty once the message is made.
    waiting: Vec<Waiting>,
    /// In the order of the message; none: answered.
    verdicts: Vec<Option<oneshot::Sender<Result<Verified, Error>>>>,
}

impl Batch {
    /// Takes the oldest credentials, less those for which nobody waits any more.
    pub(super) fn take(queue: &mut VecDeque<Waiting>) -> Self {
        let (mut waiting, mut octets) = (Vec::new(), 0);
        while waiting.len() < MAX_PROOFS
            && octets < MAX_OCTETS
            && let Some(next) = queue.pop_front()
        {
            if let Some(next) = next.awaited() {
                octets += next.proof.evidence.secret().expose().len();
                waiting.push(next);
            }
        }
        Self { waiting, verdicts: Vec::new() }
    }

    fn answer(&mut self, verdict: wire::Verdict) {
        let index = usize::try_from(verdict.proof).unwrap_or(usize::MAX);
        let Some(awaited) = self.verdicts.get_mut(index).and_then(Option::take) else { return };
        // Whoever is gone needs no verdict.
        let _ = awaited.send(check(verdict.result));
    }
}

impl control::Batch for Batch {
    type Message = wire::VerifyBatch;
    type Reply = wire::VerifyReply;

    /// What is here of the credentials is wiped with it; the message wipes its own.
    fn message(&mut self, id: u64) -> wire::VerifyBatch {
        let mut proofs = Vec::with_capacity(self.waiting.len());
        for Waiting { proof, verdict, .. } in self.waiting.drain(..) {
            proofs.push(message(proof));
            self.verdicts.push(Some(verdict));
        }
        wire::VerifyBatch { id, proofs }
    }

    fn id(reply: &wire::VerifyReply) -> u64 {
        reply.id
    }

    fn take(&mut self, reply: wire::VerifyReply) {
        for verdict in reply.verdicts {
            self.answer(verdict);
        }
    }

    fn is_done(&self) -> bool {
        self.verdicts.iter().all(Option::is_none)
    }

    fn deadline(&self) -> Option<Instant> {
        self.waiting.iter().map(|waiting| waiting.deadline).max()
    }

    fn expire(&mut self) {
        for awaited in self.verdicts.iter_mut().filter_map(Option::take) {
            let _ = awaited.send(Err(Error::VerifyTimeout));
        }
    }
}

/// Sent or not, it is wiped. The copy that gRPC makes of it to be sent is beyond our reach.
impl Drop for wire::proof::Credential {
    fn drop(&mut self) {
        match self {
            Self::Password(octets) | Self::Token(octets) => octets.zeroize(),
        }
    }
}

fn message(proof: Proof) -> wire::Proof {
    let octets = proof.evidence.secret().expose().to_vec();
    wire::Proof {
        question: proof.question,
        credential: Some(match proof.evidence {
            Evidence::Password(_) => wire::proof::Credential::Password(octets),
            Evidence::Token(_) => wire::proof::Credential::Token(octets),
        }),
        account: proof.account.to_string(),
        service: proof.service.name().to_owned(),
        client_address: proof.client.to_canonical().to_string(),
        attempt: proof.attempt,
        tls_version: proof.tls_version.to_owned(),
        ehlo: proof.ehlo,
    }
}

/// Checks a verdict. One that cannot be understood proves nobody, and refuses nobody.
fn check(result: Option<wire::verdict::Result>) -> Result<Verified, Error> {
    match result {
        Some(wire::verdict::Result::Verified(verified)) => {
            verified_of(verified).ok_or_else(|| Error::VerifyFailed("control's verdict cannot be understood".into()))
        }
        Some(wire::verdict::Result::Refused(wire::Refused { reason, expired })) => {
            Err(Error::VerifyRefused { reason: reason.into(), expired })
        }
        Some(wire::verdict::Result::Fault(wire::Fault { reason })) => Err(Error::VerifyFailed(reason.into())),
        None => Err(Error::VerifyFailed("control answered a verdict that this edge does not know".into())),
    }
}

fn verified_of(mut verified: wire::Verified) -> Option<Verified> {
    let octets = &mut verified.backend_password;
    let backend_password = (!octets.is_empty()).then(|| Secret::new(octets));
    octets.zeroize();
    let name = |text: String| Name::new(text.as_bytes()).ok().map(|name| name.as_str().into());
    let named = |text: String| if text.is_empty() { Some(None) } else { name(text).map(Some) };
    // RFC 4616 has no way to carry one.
    if backend_password.as_ref().is_some_and(|password| password.expose().contains(&0)) {
        return None;
    }
    Some(Verified {
        account: name(verified.account)?,
        home: named(verified.home)?,
        backend_login: named(verified.backend_login)?,
        backend_password,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_a_verdict_proves_nobody() {
        let good = || wire::Verified { account: "siti@tgg.net.id".into(), ..wire::Verified::default() };
        let check = |verified| check(Some(wire::verdict::Result::Verified(verified)));
        let verified = check(wire::Verified { backend_password: b"geheim".to_vec(), ..good() }).unwrap();
        assert_eq!(verified.backend_password.unwrap().expose(), b"geheim");
        assert!(verified.home.is_none() && verified.backend_login.is_none());
        for bad in [
            wire::Verified::default(),
            wire::Verified { account: "siti\r\n".into(), ..good() },
            wire::Verified { backend_login: "si\0ti".into(), ..good() },
            wire::Verified { backend_password: b"a\0b".to_vec(), ..good() },
        ] {
            assert!(matches!(check(bad), Err(Error::VerifyFailed(_))));
        }
        assert!(matches!(super::check(None), Err(Error::VerifyFailed(_))));
    }
}
