//! HTTP as a language of the pool's: what its endpoints are called, and how they are probed.

use super::probe::Probe;
use crate::{Client, Language};

/// Who is served.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Http {
    /// Administrators, at a console.
    Admin,
    /// Users.
    Users,
}

impl Language for Http {
    fn name(&self) -> &'static str {
        match self {
            Self::Admin => "http_admin",
            Self::Users => "http",
        }
    }

    fn alpn(&self) -> &'static [&'static [u8]] {
        &[b"h2", b"http/1.1", b"http/1.0"]
    }

    fn prober(&self, _: bool) -> Box<dyn Client> {
        Box::new(Probe::default())
    }

    fn offerable(&self) -> &'static [&'static str] {
        &[]
    }
}
