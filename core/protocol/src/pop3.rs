//! POP3 (RFC 1939, 2449, 2595, 3206, 5034, 6856) before login.
//!
//! `command` reads what clients say and `response` what backends say; `server` faces the client and `client` faces the
//! backend. After the login the bytes are not looked at.

mod client;
mod command;
mod response;
mod server;

use crate::sasl::{ScramMechanism, TokenMechanism};
use crate::{Client, ClientSetting, Goal, Language, Protocol, Server, ServerSetting};

/// The protocol.
#[derive(Debug)]
pub struct Pop3;

/// Capabilities of a word that say what the backend does with commands that it will hear itself. EXPIRE and
/// LOGIN-DELAY are nothing without their numbers, which differ from backend to backend; LANG is a command that a client
/// may send before its login, when there is no backend yet to hear it. The mechanisms are listed with SASL.
const OFFERABLE: &[&str] = &[
    "TOP",
    "UIDL",
    UTF8,
    ScramMechanism::Sha1.capability(),
    ScramMechanism::Sha256.capability(),
    TokenMechanism::OauthBearer.capability(),
    TokenMechanism::Xoauth2.capability(),
];
const UTF8: &str = "UTF8";

impl Language for Pop3 {
    fn name(&self) -> &'static str {
        "pop3"
    }

    fn alpn(&self) -> &'static [&'static [u8]] {
        &[b"pop3"]
    }

    fn prober(&self, starttls: bool) -> Box<dyn Client> {
        Box::new(client::Pop3Client::new(ClientSetting { starttls, goal: Goal::Probe }))
    }

    fn offerable(&self) -> &'static [&'static str] {
        OFFERABLE
    }
}

impl Protocol for Pop3 {
    fn server(&self, setting: ServerSetting) -> Box<dyn Server> {
        Box::new(server::Pop3Server::new(setting))
    }

    fn client(&self, setting: ClientSetting) -> Box<dyn Client> {
        Box::new(client::Pop3Client::new(setting))
    }

    /// A line that no command asked for would be taken for the answer to the next one.
    fn goodbye(&self, _text: &str) -> Vec<u8> {
        Vec::new()
    }
}
