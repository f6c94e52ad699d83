//! What every transaction of a session needs: the session's place in the world, and who its client is.

use std::net::IpAddr;

use zproxy_protocol::smtp::{Presented, Transport};
use zproxy_protocol::{ClientInfo, Name};

use crate::accept::Ends;
use crate::config::{Config, Transactions};
use crate::pool::{Candidate, Forward, Stake};
use crate::server::{Setup, Shared};
use crate::service::Service;
use crate::{Error, route};

/// Hops that mail may take from proxy to proxy, as Dovecot's: more is a loop.
const HOPS: u8 = 5;

/// Who brings a session's mail.
#[derive(Clone, Copy)]
pub(super) struct Courier<'a> {
    pub(super) shared: &'a Shared,
    pub(super) setup: &'a Setup,
    pub(super) service: Service,
    pub(super) rules: &'a Transactions,
    pub(super) ends: &'a Ends,
    pub(super) session_id: &'a str,
    /// The host name it asked for (SNI).
    pub(super) server_name: Option<&'a str>,
    /// What it calls itself.
    pub(super) hello: Option<&'a str>,
}

impl Courier<'_> {
    pub(super) fn config(&self) -> &Config {
        &self.setup.config
    }

    pub(super) fn transport(&self) -> Transport {
        self.rules.transport
    }

    pub(super) fn address(&self) -> IpAddr {
        self.ends.client.ip()
    }

    /// As a backend is to see it.
    pub(super) fn presented_to(&self, candidate: &Candidate) -> Presented {
        Presented {
            info: ClientInfo {
                address: self.ends.client,
                local: self.ends.local,
                server_name: self.server_name.map(str::to_owned),
                session_id: self.session_id.to_owned(),
                ttl: HOPS,
            },
            hello: self.hello.map(str::to_owned),
            xclient: candidate.endpoint.forward == Forward::Xclient,
        }
    }

    /// The backends that may take the mail of an account, in the order to try.
    pub(super) async fn candidates(&self, home: &str, account: &str) -> Result<Vec<Candidate>, Error> {
        if !self.shared.pools.await_first(self.config().timeouts.lookup).await {
            return Err(Error::NoPool);
        }
        self.shared.pools.candidates(home, Stake::Login(account), self.service)
    }

    /// Counts against a backend what is its own fault. What it says no to may be the client, whose address and name it is
    /// told: of that its probes judge, which are nobody's.
    pub(super) fn failed(&self, candidate: &Candidate, error: &Error) {
        use zproxy_protocol::Error::{BackendLacks, BackendQuit};
        if !matches!(error, Error::BackendProtocol { source: BackendLacks(_) | BackendQuit(_), .. }) {
            self.shared.pools.failed(candidate, error);
        }
    }

    /// A recipient without domain, as the listener's address may complete it.
    pub(super) async fn find_bare(&self, name: &Name) -> Result<Option<route::Route>, Error> {
        let virtual_host = self.server_name.or(self.ends.authority.as_deref());
        let context = route::Context { virtual_host, local: self.ends.local.ip() };
        self.shared.routes.find(name, &context).await
    }
}
