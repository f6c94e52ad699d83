//! Makes a request the backend's, and the backend's answer the client's.

use std::borrow::Cow;
use std::rc::Rc;
use std::time::Duration;

use http::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderName};
use http::request::Parts;
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use zproxy_protocol::http::forward::{self, Backend, Front, Onward};
use zproxy_protocol::http::{Authority, Host, Kind};

use super::answer::Used;
use super::exchange::{Asked, Outcome};
use super::record::RequestRecord;
use super::send::Call;
use super::upload::{Seen, Upload};
use super::websocket;
use crate::Error;
use crate::pool::Candidate;

impl Asked<'_> {
    /// How long a backend may be silent.
    pub(super) fn patience(&self, waits: bool) -> Duration {
        let timeouts = &self.connection.setup.config.timeouts.http;
        if waits { timeouts.long_poll } else { timeouts.response }
    }

    /// Asks a backend, and makes its answer the client's.
    pub(super) async fn ask(
        &self,
        head: &mut Parts,
        body: (Upload, Rc<Seen>),
        candidates: &[Candidate],
        patience: Duration,
        record: &mut RequestRecord,
    ) -> Result<Outcome, Error> {
        let client = websocket::Waiting::take(head).filter(|_| self.target.kind == Kind::WebSocket);
        let head = std::mem::replace(head, Request::new(()).into_parts().0);
        let (response, used) = self.call(head, body, candidates, patience, record).await?;
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            return Ok(self.outcome(response, used, patience));
        }
        let unasked = || Error::of_backend("answer", zproxy_protocol::Error::BackendProtocol("unasked 101"));
        let client = client.ok_or_else(unasked)?;
        let (mut response, agreed) = client.agree(response, used);
        self.make_clients(response.headers_mut(), agreed.candidate());
        Ok(Outcome::WebSocket(agreed.accept(response), Box::new(agreed)))
    }

    /// Asks a backend.
    pub(super) async fn call(
        &self,
        mut head: Parts,
        (body, seen): (Upload, Rc<Seen>),
        candidates: &[Candidate],
        patience: Duration,
        record: &mut RequestRecord,
    ) -> Result<(Response<Incoming>, Used), Error> {
        let binds = forward::binds_connection(&head.headers);
        self.make_backends(&mut head)?;
        let call = Call { connection: self.connection, head, body, seen, patience };
        let (response, mut used) = call.send(candidates, record).await?;
        if binds || forward::binds_connection(response.headers()) {
            used.bind();
        }
        Ok((response, used))
    }

    /// Makes a backend's answer the client's.
    pub(super) fn outcome(&self, mut response: Response<Incoming>, used: Used, patience: Duration) -> Outcome {
        self.make_clients(response.headers_mut(), &used.candidate);
        let pause = if is_events(response.headers()) { self.patience(true) } else { patience };
        Outcome::Backend(response, used, pause)
    }

    fn make_backends(&self, head: &mut Parts) -> Result<(), Error> {
        let onward = Onward {
            origin: &self.origin,
            authority: self.target.authority.as_ref(),
            host: self.host.backend_host.as_ref(),
            request_id: &self.id,
        };
        let is_websocket = self.target.kind == Kind::WebSocket;
        forward::request(head, &onward).map_err(|_| Error::RequestLoop)?;
        if is_websocket {
            let no_random = || Error::Exhausted("no random numbers".into());
            forward::open(head, &websocket::key().ok_or_else(no_random)?);
        }
        Ok(())
    }

    fn make_clients(&self, headers: &mut HeaderMap, candidate: &Candidate) {
        let own =
            || Some(Authority { host: Host::parse(self.connection.setup.config.hostname.as_bytes())?, port: None });
        let authority = self.target.authority.as_ref().map(Cow::Borrowed);
        let Some(authority) = authority.or_else(|| own().map(Cow::Owned)) else { return };
        let front = Front { authority: &authority, https: self.origin.https };
        let backend = Backend { host: &candidate.backend.host, port: candidate.endpoint.port };
        forward::answer(headers, front, backend, &self.host.answers);
    }
}

/// Server-sent events, which come when there is news.
const EVENTS: &[u8] = b"text/event-stream";

pub(super) fn accepts_events(headers: &HeaderMap) -> bool {
    says_events(headers, &ACCEPT)
}

fn is_events(headers: &HeaderMap) -> bool {
    says_events(headers, &CONTENT_TYPE)
}

fn says_events(headers: &HeaderMap, name: &HeaderName) -> bool {
    headers
        .get(name)
        .is_some_and(|value| value.as_bytes().get(..EVENTS.len()).is_some_and(|it| it.eq_ignore_ascii_case(EVENTS)))
}
