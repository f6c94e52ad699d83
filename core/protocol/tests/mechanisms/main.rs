//! The SASL mechanisms that are relayed, before the machines of all protocols: those that face a client, and those
//! that face a backend.

mod backend;
mod client;
mod external_server;
#[path = "../harness/login.rs"]
mod login;
mod scram;
mod scram_client;
mod scram_server;
mod sieve;
mod token;
mod token_client;
mod token_server;
mod words;
