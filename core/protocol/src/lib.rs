//! The mail protocols as values: bytes in, steps out; and HTTP as values.
//!
//! Nothing here owns a socket, a clock, a task or a random number. A conversation is fed what was read ([`Input`]),
//! writes what is to be sent into a buffer, and returns the next step. Facing the client ([`Server`]) and facing the
//! backend ([`Client`]) are two machines; a [`Protocol`] makes both. Shared code never asks which protocol it has.
#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        clippy::arithmetic_side_effects
    )
)]

mod claims;
mod cutter;
pub mod dialogue;
pub mod error;
pub mod http;
pub mod imap;
pub mod input;
mod json;
pub mod language;
pub mod name;
pub mod pop3;
pub mod proxy_header;
pub mod sasl;
pub mod secret;
pub mod sieve;
pub mod smtp;
mod strings;
mod text;
mod turns;
mod xclient;

pub use dialogue::{
    Client, ClientInfo, ClientSetting, ClientStep, Forward, Goal, Login, LoginAtBackend, LoginOffer, Protocol, Refusal,
    Replay, Server, ServerSetting, Step, Success, Then,
};
pub use error::{Error, Fault};
pub use input::Input;
pub use language::Language;
pub use name::Name;
pub use sasl::Credential;
pub use secret::Secret;
