//! The data plane of zproxy.
//!
//! A login is a straight line through these files: [`accept`] takes the connection, [`tls`] ends its TLS, [`greet`]
//! hears who it is, [`route`] learns where that user lives, [`dial`] connects there, [`authenticate`] logs in,
//! [`splice`] moves the bytes, and [`record`] says what happened. [`session`] names these steps in order and nothing
//! else. [`server`] owns the threads; [`control`] keeps the pool, routes and kicks flowing in from the control plane.

pub mod accept;
pub mod authenticate;
pub mod config;
pub mod control;
pub mod decoys;
pub mod dial;
pub mod error;
pub mod front;
pub mod greet;
pub mod http;
pub mod limits;
pub mod metrics;
pub mod objections;
pub mod own_answers;
pub mod pool;
pub mod record;
pub mod rotating_keys;
pub mod route;
pub mod route_cookie;
pub mod server;
pub mod service;
pub mod session;
pub mod sessions;
pub mod splice;
pub mod stream;
pub mod sys;
pub mod tls;
pub mod transactions;
pub mod verify;
pub mod visit;

pub use error::Error;
pub use server::Server;

/// The messages of `protos/`, as generated. They stop at [`config`], [`pool`], [`route`] and [`control`], which turn
/// them into checked values.
#[allow(missing_docs, unreachable_pub, clippy::all, clippy::too_many_lines)]
pub mod wire {
    tonic::include_proto!("zcontrol.v1");
}
