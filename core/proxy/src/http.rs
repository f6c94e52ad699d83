//! HTTP: a connection whose requests each say whose they are, and each go to that user's server.
//!
//! A request is a straight line through these files: [`connection`] takes it, [`exchange`] names the steps,
//! [`whose`](mod@whose) learns where its user lives, [`ask`] makes it a backend's, [`send`] finds a connection to a backend there and asks it,
//! [`answer`] brings back what it says, and [`record`] says what happened. What is said and what is not is for
//! [`zproxy_protocol::http`] to decide.

mod answer;
mod ask;
mod connection;
mod exchange;
mod failure;
mod kept;
mod login;
mod paced;
mod pulse;
mod record;
mod redirect;
mod send;
mod taking;
mod upload;
mod websocket;
mod whose;

pub(crate) use connection::run;
