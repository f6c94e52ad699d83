//! An exchange that the client and its backend have through us: challenges go one way, responses the other.
//!
//! The attempt at the backend and the care for the client are two futures of one task; between them is this.

use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout_at};
use zproxy_protocol::sasl::Challenge;
use zproxy_protocol::{Credential, Secret};

use crate::Error;
use crate::greet::Greeting;

/// The attempt's end.
pub(super) struct Relay {
    /// None: the credential is all that the client has to say.
    questions: Option<mpsc::Sender<Question>>,
    /// The credential was complete.
    began: Instant,
    deadline: Instant,
    asked: bool,
}

/// The client's end.
pub(super) struct Clerk {
    questions: Option<mpsc::Receiver<Question>>,
    /// When the client said its last word.
    answered: Instant,
}

struct Question {
    challenge: Challenge,
    response: oneshot::Sender<Secret>,
}

/// For a login with that credential; the client has until the deadline to answer.
pub(super) fn open(credential: &Credential, deadline: Instant) -> (Relay, Clerk) {
    let (questions, answers) = match credential {
        Credential::Scram(_) => Some(mpsc::channel(1)).unzip(),
        Credential::Certificate | Credential::Password(_) | Credential::Token(_) => (None, None),
    };
    let began = Instant::now();
    (Relay { questions, began, deadline, asked: false }, Clerk { questions: answers, answered: began })
}

impl Relay {
    /// Whether the client was asked anything: no other backend can go on from there.
    pub(super) fn has_asked(&self) -> bool {
        self.asked
    }

    /// When the credential was complete.
    pub(super) fn began(&self) -> Instant {
        self.began
    }

    /// What the client says to a challenge.
    pub(super) async fn ask(&mut self, challenge: Challenge) -> Result<Secret, Error> {
        self.asked = true;
        let questions = self.questions.as_ref().ok_or(Error::ClientGone)?;
        let (response, answer) = oneshot::channel();
        questions.send(Question { challenge, response }).await.map_err(|_| Error::ClientGone)?;
        match timeout_at(self.deadline, answer).await {
            Ok(answer) => answer.map_err(|_| Error::ClientGone),
            Err(_) => Err(Error::ClientTimeout("response")),
        }
    }
}

impl Clerk {
    /// When the client said its last word.
    pub(super) fn answered(&self) -> Instant {
        self.answered
    }

    /// Passes on what the backend asks, until the client leaves or gives up.
    pub(super) async fn attend(&mut self, client: &mut Greeting) -> Error {
        let Some(questions) = &mut self.questions else { return client.gone().await };
        loop {
            let question = tokio::select! {
                error = client.gone() => return error,
                question = questions.recv() => question,
            };
            // The attempt has no more to ask, and ends.
            let Some(Question { challenge, response }) = question else { return std::future::pending().await };
            match client.respond(challenge).await {
                Ok(said) => {
                    self.answered = Instant::now();
                    // The attempt may have been given up meanwhile.
                    let _ = response.send(said);
                }
                Err(error) => return error,
            }
        }
    }
}
