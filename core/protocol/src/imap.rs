//! IMAP (RFC 3501, RFC 9051) up to the login; what follows is the backend's and passes unread.
//!
//! [`command`] reads what a client says, [`response`] what a backend says; the two machines stand on them and do not
//! know each other.

mod capability;
mod client;
pub mod command;
mod identity;
pub mod response;
mod server;
mod tag;

pub use tag::Tag;

use crate::{Client, ClientSetting, Goal, Language, Protocol, Server, ServerSetting};

/// The protocol.
#[derive(Debug)]
pub struct Imap;

impl Language for Imap {
    fn name(&self) -> &'static str {
        "imap"
    }

    fn alpn(&self) -> &'static [&'static [u8]] {
        &[b"imap"]
    }

    fn prober(&self, starttls: bool) -> Box<dyn Client> {
        Box::new(client::ImapClient::new(ClientSetting { starttls, goal: Goal::Probe }))
    }

    fn offerable(&self) -> &'static [&'static str] {
        capability::OFFERABLE
    }
}

impl Protocol for Imap {
    fn server(&self, setting: ServerSetting) -> Box<dyn Server> {
        Box::new(server::ImapServer::new(setting))
    }

    fn client(&self, setting: ClientSetting) -> Box<dyn Client> {
        Box::new(client::ImapClient::new(setting))
    }

    fn goodbye(&self, text: &str) -> Vec<u8> {
        format!("* BYE {text}\r\n").into_bytes()
    }
}
