//! ManageSieve (RFC 5804) up to the login; what follows is the backend's and passes unread.
//!
//! `command` reads what clients say and `response` what backends say, both by the strings of `words`; `server` faces the
//! client and `client` faces the backend.

mod capability;
mod client;
mod command;
mod response;
mod server;
mod words;

use crate::{Client, ClientSetting, Goal, Language, Protocol, Server, ServerSetting};

/// The protocol.
#[derive(Debug)]
pub struct Sieve;

impl Language for Sieve {
    fn name(&self) -> &'static str {
        "sieve"
    }

    fn alpn(&self) -> &'static [&'static [u8]] {
        &[b"managesieve"]
    }

    fn prober(&self, starttls: bool) -> Box<dyn Client> {
        Box::new(client::SieveClient::new(ClientSetting { starttls, goal: Goal::Probe }))
    }

    fn offerable(&self) -> &'static [&'static str] {
        capability::OFFERABLE
    }

    /// By its name; the value is the backend's.
    fn may_offer(&self, capability: &str) -> bool {
        capability::OFFERABLE.contains(&capability::split(capability).0)
    }

    /// Of two lists the words in both, of two limits the smaller; all else must be the same.
    fn shared(&self, one: &[String], other: &[String]) -> Vec<String> {
        capability::shared(one, other)
    }
}

impl Protocol for Sieve {
    fn server(&self, setting: ServerSetting) -> Box<dyn Server> {
        Box::new(server::SieveServer::new(setting))
    }

    fn client(&self, setting: ClientSetting) -> Box<dyn Client> {
        Box::new(client::SieveClient::new(setting))
    }

    /// RFC 5804, section 1.2: BYE may come at any time.
    fn goodbye(&self, text: &str) -> Vec<u8> {
        let mut out = Vec::new();
        words::write_status("BYE", "TRYLATER", text.as_bytes(), &mut out);
        out
    }
}
