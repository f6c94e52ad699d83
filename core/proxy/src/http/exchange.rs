//! One request, one straight line: judge, host, whose, send, answer, record.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, ALLOW, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use http::request::Parts;
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::ext::Protocol;
use zproxy_protocol::http::forward::{self, Backend, Front, Hops, Onward, Origin};
use zproxy_protocol::http::{Authority, Host, Kind, Service, Target, Way, Who, identify, target};

use super::answer::{self, Answer, Used};
use super::connection::Connection;
use super::record::RequestRecord;
use super::send::Call;
use super::upload::{self, Seen, Upload};
use super::whose::{Asker, Place, Whose};
use super::{failure, redirect, websocket};
use crate::Error;
use crate::config::{HttpHost, HttpMode};
use crate::pool::{Candidate, Stake};

/// What is known of a request when its head was judged.
pub(super) struct Asked<'a> {
    pub(super) connection: &'a Rc<Connection>,
    pub(super) host: Arc<HttpHost>,
    pub(super) target: Target,
    pub(super) origin: Origin,
    pub(super) id: HeaderValue,
}

/// How a request is answered.
pub(super) enum Outcome {
    /// By ourselves.
    Own(Response<Bytes>),
    /// By what becomes a WebSocket.
    WebSocket(Response<Bytes>, Box<websocket::Agreed>),
    /// By a backend, which may be silent for so long.
    Backend(Response<Incoming>, Used, Duration),
}

/// Answers a request.
pub(super) async fn serve(connection: Rc<Connection>, request: Request<Incoming>) -> Response<Answer> {
    let (mut head, body) = request.into_parts();
    let version = head.version;
    let id = request_id(&connection, &head);
    let mut record = RequestRecord::begin(Rc::clone(&connection), &head, id.clone());
    let judged = Asked::judge(&connection, &head, id, &mut record);
    let answered = match &judged {
        Ok(asked) => match asked.own(&head) {
            Some(response) => Ok(Outcome::Own(response)),
            None => asked.pass_on(&mut head, body, &mut record).await,
        },
        Err(error) => Err(error.clone()),
    };
    match answered {
        Ok(Outcome::Own(response)) => answer::own(response, record),
        Ok(Outcome::Backend(response, used, pause)) => answer::of_backend(response, used, pause, record),
        Ok(Outcome::WebSocket(response, agreed)) => {
            record.answered(response.status());
            agreed.go_on(Rc::clone(&connection), record);
            answer::last(response)
        }
        Err(error) => {
            let response = failure::response(&error, &connection.setup.config.http.pages, version);
            record.failed(error);
            answer::own(response, record)
        }
    }
}

/// The id that a trusted proxy gave a request, or a new one.
fn request_id(connection: &Connection, head: &Parts) -> HeaderValue {
    let trusted = connection.setup.config.http.trusted_proxies.contain(connection.ends.client.ip());
    let given = forward::request_id(&head.headers).filter(|_| trusted).cloned();
    given.or_else(|| HeaderValue::try_from(connection.next_request()).ok()).unwrap_or(HeaderValue::from_static(""))
}

impl<'a> Asked<'a> {
    /// Judges the head of a request, and finds the host it is for.
    fn judge(
        connection: &'a Rc<Connection>,
        head: &Parts,
        id: HeaderValue,
        record: &mut RequestRecord,
    ) -> Result<Self, Error> {
        let config = &connection.setup.config.http;
        let listener = &connection.listening.listener.name;
        let protocol = head.extensions.get::<Protocol>().map(Protocol::as_str);
        let is_ours = |authority: &Authority| config.host(Some(&authority.host), listener).is_some();
        let target = target::check(head, protocol, is_ours).map_err(Error::RequestRefused)?;
        let name = target.authority.as_ref().map(|authority| &authority.host);
        let hops = Hops {
            is_trusted: &|address| config.trusted_proxies.contain(address),
            chain: config.forwarded_by,
            scheme: config.forwarded_scheme,
        };
        let origin = forward::origin(&head.headers, connection.ends.client.ip(), connection.tls.is_some(), &hops);
        record.host(name.map(ToString::to_string), origin.client);
        let host = config.host(name, listener).cloned().ok_or(Error::Misdirected)?;
        if !host.allowed_from.is_empty() && !host.allowed_from.contain(origin.client) {
            return Err(Error::NotServed);
        }
        let length = head.headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
        if config.max_body.zip(length).is_some_and(|(most, length)| length > most) {
            return Err(Error::RequestTooLarge);
        }
        let asked = Self { connection, host, target, origin, id };
        match (asked.host.mode, asked.origin.https) {
            (HttpMode::Https, false) | (HttpMode::Http, true) => Err(Error::Misdirected),
            _ => Ok(asked),
        }
    }

    /// What is answered without asking anybody.
    fn own(&self, head: &Parts) -> Option<Response<Bytes>> {
        if self.host.mode == HttpMode::Redirect && !self.origin.https {
            let name =
                self.name().cloned().or_else(|| Host::parse(self.connection.setup.config.hostname.as_bytes()))?;
            let port = self.host.https_port.or_else(|| self.connection.shared.https_port()).unwrap_or(443);
            return Some(redirect::response(head, &name, port));
        }
        if self.target.kind == Kind::Asterisk {
            let mut response = Response::new(Bytes::new());
            *response.status_mut() = StatusCode::NO_CONTENT;
            response
                .headers_mut()
                .insert(ALLOW, HeaderValue::from_static("GET, HEAD, POST, PUT, DELETE, OPTIONS, PATCH"));
            return Some(response);
        }
        None
    }

    /// Finds whose the request is, asks a backend of his, and makes its answer the client's.
    async fn pass_on(&self, head: &mut Parts, body: Incoming, record: &mut RequestRecord) -> Result<Outcome, Error> {
        let identity = identify(head, &self.host.rules);
        let place = match (identity.who, self.origin.https) {
            (Who::Form(form), true) => {
                let form = form.clone();
                return self.log_in(&form, head, body, record).await;
            }
            // A cookie that remembers is for TLS only.
            (Who::Form(_), false) => Place::of(Whose::Nobody),
            (who, _) => {
                record.way(identity.way);
                self.place(&who, record).await?
            }
        };
        let waits = identity.service.is_some_and(Service::waits) || accepts_events(&head.headers);
        let candidates = self.candidates(&place).await?;
        record.routed();
        let body = match self.target.kind {
            // What an extended CONNECT has for a body is the WebSocket's.
            Kind::WebSocket => (Upload::Whole(None), Rc::default()),
            _ => Upload::new(body, self.upload_terms()),
        };
        record.upload(&body.1);
        self.ask(head, body, &candidates, self.patience(waits), record).await
    }

    pub(super) fn upload_terms(&self) -> upload::Terms {
        let config = &self.connection.setup.config;
        let timeouts = &config.timeouts.http;
        upload::Terms { most: config.http.max_body, stall: timeouts.stall, whole: timeouts.body }
    }

    /// Where a request goes that says so itself, or whose browser remembers it.
    pub(super) async fn place(&self, who: &Who<'_>, record: &mut RequestRecord) -> Result<Place, Error> {
        let place = self.lookup(who).await?;
        match &place.whose {
            Whose::Account(route) => record.account(&route.account),
            Whose::Nobody => record.way(Way::None),
        }
        Ok(place)
    }

    pub(super) async fn lookup(&self, who: &Who<'_>) -> Result<Place, Error> {
        match who {
            Who::AccountId(name) | Who::Name(name) => self.asker().account(name).await.map(Place::of),
            Who::Cookie(sealed) => {
                let opened = self.name().and_then(|host| self.connection.shared.route_cookies.open(host, sealed));
                let Some(memory) = opened else { return Ok(Place::of(Whose::Nobody)) };
                let whose = self.asker().account(&memory.name).await?;
                Ok(Place { whose, mark: Some(memory.backend) })
            }
            Who::Form(_) | Who::Nobody => Ok(Place::of(Whose::Nobody)),
        }
    }

    pub(super) fn asker(&self) -> Asker<'_> {
        Asker { connection: self.connection, host: self.name(), client: self.origin.client }
    }

    pub(super) fn name(&self) -> Option<&Host> {
        self.target.authority.as_ref().map(|authority| &authority.host)
    }

    /// The backends that may serve whom a request is for, in the order to try.
    pub(super) async fn candidates(&self, place: &Place) -> Result<Vec<Candidate>, Error> {
        let shared = &self.connection.shared;
        if !shared.pools.await_first(self.connection.setup.config.timeouts.lookup).await {
            return Err(Error::NoPool);
        }
        let (home, stake) = match &place.whose {
            Whose::Account(route) => (&*route.home, Stake::Account { account: &route.account, before: place.mark }),
            Whose::Nobody => (&*self.host.login, Stake::Client { address: self.origin.client, before: place.mark }),
        };
        shared.pools.candidates(home, stake, self.host.service)
    }

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
        let call = Call { connection: self.connection, head, body, seen, binds, patience };
        let (response, mut used) = call.send(candidates, record).await?;
        used.bound |= forward::binds_connection(response.headers());
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
        let own = || Host::parse(self.connection.setup.config.hostname.as_bytes());
        let authority = self.target.authority.clone();
        let Some(authority) = authority.or_else(|| Some(Authority { host: own()?, port: None })) else { return };
        let front = Front { authority, https: self.origin.https };
        let backend = Backend {
            hosts: Host::parse(candidate.backend.host.as_bytes()).into_iter().collect(),
            ports: vec![candidate.endpoint.port],
        };
        forward::answer(headers, &front, &backend, &self.host.answers);
    }
}

const EVENTS: &[u8] = b"text/event-stream";

fn accepts_events(headers: &HeaderMap) -> bool {
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
