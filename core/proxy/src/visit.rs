//! What is the same for every connection, whatever its client comes for: who it is, whether there is room for it, TLS
//! if it comes with the first byte, and the record at the end.

use std::sync::Arc;

use tokio::net::TcpStream;
use tokio::time::timeout;
use zproxy_protocol::LoginOffer;

use crate::accept::{self, Ends};
use crate::config::ListenerTls;
use crate::error::EndedBy;
use crate::front::Starttls;
use crate::limits::{AddressPlace, Place};
use crate::metrics::EndLabels;
use crate::record::{Record, Step};
use crate::server::{Listening, Setup, Shared};
use crate::stream::Stream;
use crate::{Error, sys};

/// A connection that was just accepted.
#[derive(Debug)]
pub struct Arrival {
    /// The connection.
    pub tcp: TcpStream,
    /// Where it came from.
    pub peer: std::net::SocketAddr,
    /// The listener it came to.
    pub listening: Arc<Listening>,
    /// Its place among all sessions.
    pub place: Place,
}

/// What a session holds from its accept to its end.
pub(crate) struct Visit {
    pub(crate) shared: Arc<Shared>,
    /// The settings it began with; a reload does not touch it.
    pub(crate) setup: Arc<Setup>,
    pub(crate) listening: Arc<Listening>,
    pub(crate) record: Record,
    address_place: Option<AddressPlace>,
    place: Place,
}

/// A connection's places among all, for as long as it lasts.
#[derive(Debug)]
pub(crate) struct Places {
    _address: Option<AddressPlace>,
    _all: Place,
}

/// A client whose address is known.
pub(crate) enum Admitted {
    /// There is room for it.
    Client(Stream, Ends),
    /// There is none: its address has as many sessions as it may.
    TooMany(TcpStream),
}

impl Visit {
    /// Begins.
    pub(crate) fn begin(arrival: Arrival, shared: Arc<Shared>) -> (Self, TcpStream, std::net::SocketAddr) {
        let Arrival { tcp, peer, listening, place } = arrival;
        let listener = &listening.listener;
        let record = Record::begin(shared.next_session_id().into(), listener.service, Arc::clone(&listener.name), peer);
        let setup = shared.setup.load_full();
        (Self { shared, setup, listening, record, address_place: None, place }, tcp, peer)
    }

    /// Steps 1 and 2: whose connection it is, whether there is room, and TLS if it comes with the first byte.
    pub(crate) async fn admit(&mut self, mut tcp: TcpStream, peer: std::net::SocketAddr) -> Result<Admitted, Error> {
        let config = &self.setup.config;
        let listener = &self.listening.listener;
        sys::tune(&tcp, config.timeouts.tcp_user).map_err(|error| Error::ClientIo(error.kind()))?;
        let ends = timeout(config.timeouts.handshake, accept::ends(&mut tcp, peer, listener))
            .await
            .map_err(|_| Error::ClientTimeout("PROXY header"))??;
        self.record.ends(&ends);
        if !config.limits.trusted.contain(ends.client.ip()) {
            let most = config.limits.sessions_per_address;
            self.address_place = self.shared.limits.enter_address(ends.client.ip(), most);
            if self.address_place.is_none() {
                return Ok(Admitted::TooMany(tcp));
            }
        }
        if listener.tls != ListenerTls::Implicit {
            return Ok(Admitted::Client(Stream::Plain(tcp), ends));
        }
        self.record.step(Step::Tls);
        let under = self.listening.tls.clone().ok_or_else(|| Error::ClientTls("no certificate".into()))?;
        let (stream, facts) = under.accept(tcp, config.timeouts.handshake).await?;
        self.record.tls(facts);
        Ok(Admitted::Client(stream, ends))
    }

    /// When the client may do what it came for.
    pub(crate) fn login_offer(&self) -> LoginOffer {
        match self.listening.listener.tls {
            ListenerTls::Implicit | ListenerTls::Off => LoginOffer::Now,
            ListenerTls::StarttlsOptional => LoginOffer::NowOrAfterTls,
            ListenerTls::StarttlsRequired => LoginOffer::OnlyAfterTls,
        }
    }

    /// What STARTTLS runs under.
    pub(crate) fn starttls(&self) -> Starttls {
        let offered = self.login_offer() != LoginOffer::Now;
        let under = self.listening.tls.clone().filter(|_| offered);
        Starttls { under, deadline: self.setup.config.timeouts.handshake }
    }

    /// The last step, where requests have left records of their own: a record of what was wrong with the connection, if
    /// anything was. Its places are kept by what it became.
    pub(crate) fn part(self, ended: Result<(), Error>) -> Places {
        let labels = |by: EndedBy| EndLabels { service: self.listening.listener.service.name(), by: by.name() };
        match ended {
            Ok(()) => {
                self.shared.metrics.ended.get_or_create(&labels(EndedBy::Client)).inc();
            }
            Err(error) => {
                let by = error.ended_by();
                self.shared.metrics.ended.get_or_create(&labels(by)).inc();
                self.shared.records.put(self.record.ended(by, Some(&error), (0, 0)));
            }
        }
        Places { _address: self.address_place, _all: self.place }
    }

    /// The last step: the record. Bytes are from the client and from the backend since login.
    pub(crate) fn end(self, by: EndedBy, error: Option<&Error>, bytes: (u64, u64)) {
        let labels = EndLabels { service: self.listening.listener.service.name(), by: by.name() };
        self.shared.metrics.ended.get_or_create(&labels).inc();
        self.shared.records.put(self.record.ended(by, error, bytes));
    }
}
