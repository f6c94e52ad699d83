//! What the targets of the mail protocols share: conversations with a machine, and what must hold of every one.
//!
//! A target feeds random octets to the machine of one side; the first octets choose a setting. The machine must not
//! panic, must answer the same however the octets are split, and must hold and send no more than it may.

mod backend;
mod client;
mod reception;

pub use backend::hear_backend;
pub use client::hear_client;
pub use reception::hear_mail;
