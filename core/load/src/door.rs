//! Where clients connect to, from which addresses, and whether TLS is the first thing they say.

use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::rc::Rc;

use crate::connection::Connection;
use crate::options::Options;
use crate::sources::Sources;
use crate::tally::{Tally, Watch};
use crate::tls::{Start, Tls, TlsClient};

pub(crate) const OPTIONS: &[&str] = &["sources"];

/// The same for all clients of a run.
pub(crate) struct Door {
    targets: Vec<SocketAddr>,
    sources: Option<Sources>,
    tls: Option<Tls>,
}

impl Door {
    /// At these targets, with commas between them, as the options say.
    pub(crate) fn new(targets: &str, options: &Options) -> Result<Self, String> {
        let resolve = |target: &str| {
            let addresses = target.to_socket_addrs().map_err(|error| format!("{target}: {error}"))?;
            addresses.into_iter().next().ok_or_else(|| format!("{target}: no address"))
        };
        Ok(Self {
            targets: targets.split(',').map(resolve).collect::<Result<_, _>>()?,
            sources: options.value("sources")?,
            tls: Tls::new(options)?,
        })
    }

    /// When TLS begins, if it does.
    pub(crate) fn start(&self) -> Option<Start> {
        self.tls.as_ref().map(|tls| tls.start)
    }

    /// A client that comes through it.
    pub(crate) fn client(self: &Rc<Self>) -> DoorClient {
        DoorClient { door: self.clone(), tls: self.tls.as_ref().map(Tls::client) }
    }
}

/// One client's way in.
pub(crate) struct DoorClient {
    door: Rc<Door>,
    tls: Option<TlsClient>,
}

impl DoorClient {
    /// Connects for the turn of this number, which decides on target and source.
    pub(crate) async fn open(
        &self,
        number: u64,
        buffer: usize,
        (tally, watch): (&Tally, &mut Watch),
    ) -> Result<Connection, String> {
        let door = &self.door;
        let target = door.targets[usize::try_from(number).unwrap_or_default() % door.targets.len()];
        let source = door.sources.map(|sources| IpAddr::V4(sources.address(number)));
        let connection = Connection::open(target, source, buffer).await?;
        watch.lap("connect");
        match self.start() {
            Some(Start::Implicit) => self.secure(connection, (tally, watch)).await,
            Some(Start::Starttls) | None => Ok(connection),
        }
    }

    /// When TLS begins, if it does.
    pub(crate) fn start(&self) -> Option<Start> {
        self.door.start()
    }

    /// Begins TLS.
    pub(crate) async fn secure(
        &self,
        connection: Connection,
        (tally, watch): (&Tally, &mut Watch),
    ) -> Result<Connection, String> {
        let Some(tls) = &self.tls else { return Ok(connection) };
        let (connection, resumed) = connection.secure(tls).await?;
        watch.lap("tls");
        if resumed {
            tally.resumed();
        }
        Ok(connection)
    }
}
