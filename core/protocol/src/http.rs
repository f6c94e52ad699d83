//! HTTP as values: who asks, what may be asked, and what of it goes on to whom.
//!
//! [`Watch`] looks at octets for what two servers may read in two ways, [`target`] judges a request,
//! [`identify`](fn@identify) says whose it is, [`forward`] makes it the backend's and the answer the client's, [`forms`]
//! learns from a login, [`autoconfig`] reads for whom mail programs ask. Bytes and header values in, values out:
//! connections, framing and the key of the route cookie are the edge's business, and what a token proves is the
//! backend's.

pub mod autoconfig;
pub mod cookies;
pub mod forms;
pub mod forward;
mod host;
pub mod identify;
mod language;
mod list;
mod percent;
mod probe;
pub mod target;
mod watch;

pub use forms::LoginForm;
pub use host::{Authority, Host};
pub use identify::{Identity, Rules, Service, Way, Who, identify};
pub use language::Http;
pub use target::{Kind, Target};
pub use watch::Watch;
