//! SMTP submission (RFC 6409, 5321, 4954, 3207, 2034) up to the login; what follows is the backend's and passes unread.
//!
//! `command` reads what clients say and `response` what backends say; `server` faces the client and `client` faces the
//! backend. Where a backend goes on to take the commands of a proxy, [`Guard`] keeps them from the client afterwards.

mod answer;
mod capability;
mod client;
mod command;
mod delivery;
mod end_of_data;
mod envelope;
mod guard;
mod path;
mod reception;
mod response;
mod server;
mod transport;
mod xclient;

pub use answer::Answer;
pub use delivery::{Delivery, Presented};
pub use end_of_data::BareNewline;
pub use envelope::{Recipient, Sender};
pub use guard::{Guard, Verdict};
pub use path::Path;
pub use reception::{Reception, ReceptionSetting, Step};
pub use transport::Transport;

use crate::{Client, ClientSetting, Goal, Language, Protocol, Server, ServerSetting};

/// The protocol, as mail clients speak it on ports 587 and 465.
#[derive(Debug)]
pub struct Submission;

impl Language for Submission {
    fn name(&self) -> &'static str {
        "submission"
    }

    fn alpn(&self) -> &'static [&'static [u8]] {
        &[b"smtp"]
    }

    fn prober(&self, starttls: bool) -> Box<dyn Client> {
        Box::new(client::SmtpClient::new(ClientSetting { starttls, goal: Goal::Probe }))
    }

    fn offerable(&self) -> &'static [&'static str] {
        capability::OFFERABLE
    }

    /// By its keyword; the parameters are the backend's.
    fn may_offer(&self, capability: &str) -> bool {
        capability::OFFERABLE.contains(&capability::keyword(capability))
    }

    /// Of two sizes the smaller; all else must be the same, parameters included.
    fn shared(&self, one: &[String], other: &[String]) -> Vec<String> {
        capability::shared(one, other)
    }
}

impl Protocol for Submission {
    fn server(&self, setting: ServerSetting) -> Box<dyn Server> {
        Box::new(server::SmtpServer::new(setting))
    }

    fn client(&self, setting: ClientSetting) -> Box<dyn Client> {
        Box::new(client::SmtpClient::new(setting))
    }

    /// RFC 5321, section 3.8: 421 may come at any time. Between transactions only, or it would land in a message's way.
    fn goodbye(&self, text: &str) -> Vec<u8> {
        format!("421 4.3.2 {text}\r\n").into_bytes()
    }
}
