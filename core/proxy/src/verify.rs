//! Is the client who it says it is? Asked of control at each login that needs it: nothing is joined, nothing remembered.
//!
//! [`Proofs`] is shared by all cores. It knows nothing of gRPC: credentials wait here until
//! [`control`](crate::control) fetches them, and verdicts are checked here before anything else sees them.

mod batch;

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::{Notify, oneshot, watch};
use tokio::time::{Instant, timeout};
use zproxy_protocol::{Credential, Secret};

use crate::Error;
use crate::service::Service;
use crate::wire;
use batch::Batch;

/// A client's credential, and what it is to prove.
#[derive(Debug)]
pub struct Proof {
    /// Whose it is, as the client typed it; none: the credential tells.
    pub question: Option<wire::Question>,
    /// What is to prove it.
    pub evidence: Evidence,
    /// The account that the route names; empty: there is none yet.
    pub account: Arc<str>,
    /// What is logged in to.
    pub service: Service,
    /// The client's address.
    pub client: IpAddr,
    /// Logins that the connection has tried, this one included.
    pub attempt: u32,
    /// Of the client's connection; empty: none.
    pub tls_version: &'static str,
    /// What the client called itself; empty: nothing.
    pub ehlo: String,
}

/// What a verifier can judge. Both are secrets.
#[derive(Debug)]
pub enum Evidence {
    /// A password.
    Password(Secret),
    /// A bearer token.
    Token(Secret),
}

impl Evidence {
    /// None: the credential proves itself to nobody but its backend.
    #[must_use]
    pub fn of(credential: &Credential) -> Option<Self> {
        match credential {
            Credential::Password(password) => Some(Self::Password(password.clone())),
            Credential::Certificate | Credential::Scram(_) => None,
            Credential::Token(token) => Some(Self::Token(token.secret().clone())),
        }
    }

    /// In records.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Password(_) => "password",
            Self::Token(_) => "token",
        }
    }

    fn secret(&self) -> &Secret {
        match self {
            Self::Password(secret) | Self::Token(secret) => secret,
        }
    }
}

/// Whom a credential has proved.
#[derive(Debug)]
pub struct Verified {
    /// The one normalised name.
    pub account: Arc<str>,
    /// Where this login goes; none: where the route says.
    pub home: Option<Arc<str>>,
    /// The name this login goes by at the backend; none: as the route says.
    pub backend_login: Option<Arc<str>>,
    /// The password this login goes by at the backend; none: the client's own.
    pub backend_password: Option<Secret>,
}

/// What control can prove.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Verifiers {
    /// Passwords.
    pub passwords: bool,
    /// Bearer tokens.
    pub tokens: bool,
}

impl Default for Verifiers {
    /// Of a control that has not said: what all clients know is offered, and asking will show.
    fn default() -> Self {
        Self { passwords: true, tokens: false }
    }
}

/// Bounds of [`Proofs`].
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// Credentials that wait to be fetched at one time.
    pub pending: usize,
    /// One verdict.
    pub timeout: Duration,
}

/// The credentials that wait to be proved, and what can be.
pub struct Proofs {
    waiting: Mutex<VecDeque<Waiting>>,
    arrived: Notify,
    /// None: control has not said.
    verifiers: watch::Sender<Option<Verifiers>>,
    setting: ArcSwap<Setting>,
}

/// A credential and who waits for the verdict. Dropped without one, it tells him so.
struct Waiting {
    proof: Proof,
    deadline: Instant,
    verdict: oneshot::Sender<Result<Verified, Error>>,
}

impl Waiting {
    /// None: nobody waits for it any more.
    fn awaited(self) -> Option<Self> {
        if self.deadline > Instant::now() {
            return Some(self).filter(|waiting| !waiting.verdict.is_closed());
        }
        let _ = self.verdict.send(Err(Error::VerifyTimeout));
        None
    }
}

impl Proofs {
    /// Nothing waits yet.
    #[must_use]
    pub fn new(setting: Setting) -> Self {
        Self {
            waiting: Mutex::default(),
            arrived: Notify::new(),
            verifiers: watch::Sender::new(None),
            setting: ArcSwap::from_pointee(setting),
        }
    }

    /// Puts other bounds in force.
    pub fn set(&self, setting: Setting) {
        self.setting.store(Arc::new(setting));
    }

    /// Whom a credential proves. Dropping the future is fine.
    ///
    /// # Errors
    /// [`Error::VerifyRefused`] if it proves nobody; [`Error::NoVerifier`], [`Error::VerifyFailed`],
    /// [`Error::VerifyOverload`] or [`Error::VerifyTimeout`] if that cannot be told.
    pub async fn prove(&self, proof: Proof) -> Result<Verified, Error> {
        let Verifiers { passwords, tokens } = self.verifiers.borrow().unwrap_or_default();
        match &proof.evidence {
            Evidence::Password(_) if !passwords => return Err(Error::NoVerifier("passwords")),
            Evidence::Token(_) if !tokens => return Err(Error::NoVerifier("tokens")),
            Evidence::Password(_) | Evidence::Token(_) => {}
        }
        let setting = **self.setting.load();
        let (verdict, awaited) = oneshot::channel();
        self.ask(setting.pending, Waiting { proof, deadline: Instant::now() + setting.timeout, verdict })?;
        match timeout(setting.timeout, awaited).await {
            Ok(Ok(verdict)) => verdict,
            Ok(Err(_)) => Err(Error::VerifyFailed("no connection to the control plane".into())),
            Err(_) => Err(Error::VerifyTimeout),
        }
    }

    /// What control can prove; none: it has not said.
    #[must_use]
    pub fn verifiers(&self) -> Option<Verifiers> {
        *self.verifiers.borrow()
    }

    /// What control can prove from now on.
    pub fn set_verifiers(&self, verifiers: Verifiers) {
        self.verifiers.send_replace(Some(verifiers));
    }

    /// How many credentials wait to be fetched.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.waiting().len()
    }

    /// Waits until there is anything that control can prove.
    pub(crate) async fn provable(&self) {
        let some = |verifiers: &Option<Verifiers>| verifiers.is_some_and(|it| it.passwords || it.tokens);
        // The sender is ours: it does not go away before we do.
        let _ = self.verifiers.subscribe().wait_for(some).await;
    }

    /// The next credentials for control, as soon as there are any. One task at a time may wait.
    pub(crate) async fn next_batch(&self) -> Batch {
        while self.waiting().is_empty() {
            self.arrived.notified().await;
        }
        Batch::take(&mut self.waiting())
    }

    fn ask(&self, limit: usize, asked: Waiting) -> Result<(), Error> {
        let mut waiting = self.waiting();
        while let Some(first) = waiting.pop_front() {
            if let Some(first) = first.awaited() {
                waiting.push_front(first);
                break;
            }
        }
        if waiting.len() >= limit {
            return Err(Error::VerifyOverload);
        }
        waiting.push_back(asked);
        drop(waiting);
        self.arrived.notify_one();
        Ok(())
    }

    fn waiting(&self) -> MutexGuard<'_, VecDeque<Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Proofs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Proofs").field("pending", &self.pending()).finish_non_exhaustive()
    }
}
