//! Clients that bring mail, by SMTP or LMTP: no login and no splice, every transaction is read to its end and each
//! recipient routed for himself.
//!
//! One engine serves both. A transaction has *legs*, one for each backend that takes part: in LMTP one a home, on an mx
//! listener exactly one. A message goes to all of them a piece at a time, so that no more of it is held than was just
//! read; a leg that fails does so alone. Whoever leaves before the end of a message has its legs cut before theirs.

mod answers;
mod connection;
mod courier;
pub mod harvest;
mod leg;
mod recipient;
mod session;
mod talk;
mod together;
mod transaction;

pub use session::run;
pub(crate) use transaction::Summary;
