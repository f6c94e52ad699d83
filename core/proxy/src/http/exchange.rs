//! One request, one straight line: judge, host, whose, send, answer, record.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_LENGTH, HeaderValue, STRICT_TRANSPORT_SECURITY};
use http::request::Parts;
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::ext::Protocol;
use zproxy_protocol::http::forward::{self, Hops, Origin};
use zproxy_protocol::http::{Authority, Host, Kind, Service, Target, Who, identify, target};

use super::answer::{self, Answer, Used};
use super::ask::accepts_events;
use super::connection::Connection;
use super::record::RequestRecord;
use super::upload::{self, Upload};
use super::whose::{Place, Whose};
use super::{failure, redirect, websocket};
use crate::Error;
use crate::config::{HttpHost, HttpMode};
use crate::own_answers::Question;

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
    let judged = Judged::of(&connection, &head, &mut record);
    let question = judged.as_ref().ok().and_then(|judged| judged.question(&connection, &head));
    let asked = judged.and_then(|judged| Asked::of(judged, &connection, &head, id));
    let answered = match (question, &asked) {
        (Some(question), _) => answer_ourselves(&question, &connection, body, &mut record).await,
        (None, Ok(asked)) => match asked.own(&head) {
            Some(response) => Ok(Outcome::Own(response)),
            None => asked.pass_on(&mut head, body, &mut record).await,
        },
        (None, Err(error)) => Err(error.clone()),
    };
    match answered {
        Ok(Outcome::Own(mut response)) => {
            dress(&asked, &mut response);
            answer::own(response, record)
        }
        Ok(Outcome::Backend(response, used, pause)) => answer::of_backend(response, used, pause, record),
        Ok(Outcome::WebSocket(response, agreed)) => {
            record.answered(response.status());
            agreed.go_on(Rc::clone(&connection), record);
            answer::last(response)
        }
        Err(error) => {
            let mut response = failure::response(&error, &connection.setup.config.http.pages, version);
            dress(&asked, &mut response);
            record.failed(error);
            answer::own(response, record)
        }
    }
}

/// RFC 6797, section 7.2: whatever is answered by TLS says so.
fn dress(asked: &Result<Asked<'_>, Error>, response: &mut Response<Bytes>) {
    if let Ok(Asked { host, origin: Origin { https: true, .. }, .. }) = asked
        && let Some(hsts) = &host.answers.hsts
    {
        response.headers_mut().insert(STRICT_TRANSPORT_SECURITY, hsts.clone());
    }
}

/// The id that a trusted proxy gave a request, or a new one.
fn request_id(connection: &Connection, head: &Parts) -> HeaderValue {
    let given = forward::request_id(&head.headers).filter(|_| connection.is_trusted()).cloned();
    let new = HeaderValue::try_from(connection.next_request()).ok();
    given.or(new).unwrap_or(HeaderValue::from_static("-"))
}

/// Answers what is asked of the edge itself.
async fn answer_ourselves(
    question: &Question<'_>,
    connection: &Connection,
    body: Incoming,
    record: &mut RequestRecord,
) -> Result<Outcome, Error> {
    let Some(most) = question.needs_body() else { return Ok(Outcome::Own(question.answer(b"").await)) };
    let terms = upload::Terms { most: Some(most as u64), ..connection.upload_terms() };
    let (body, seen) = Upload::new(body, terms);
    record.upload(&seen);
    Ok(Outcome::Own(question.answer(&body.collect().await?.to_bytes()).await))
}

/// What the head of a request says, whatever host it is for.
struct Judged {
    target: Target,
    origin: Origin,
}

impl Judged {
    fn of(connection: &Connection, head: &Parts, record: &mut RequestRecord) -> Result<Self, Error> {
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
        Ok(Self { target, origin })
    }

    /// What of it the edge itself is asked, and no host of it.
    fn question<'a>(&self, connection: &'a Connection, head: &Parts) -> Option<Question<'a>> {
        let config = &connection.setup.config.http;
        Question::of(head, self.origin.https, config).filter(|_| self.target.kind == Kind::Exchange)
    }
}

impl<'a> Asked<'a> {
    /// Finds the host that a request is for.
    fn of(judged: Judged, connection: &'a Rc<Connection>, head: &Parts, id: HeaderValue) -> Result<Self, Error> {
        let Judged { target, origin } = judged;
        let config = &connection.setup.config.http;
        let name = target.authority.as_ref().map(|authority| &authority.host);
        let host = config.host_of_path(head.uri.path());
        let host = host.or_else(|| config.host(name, &connection.listening.listener.name));
        let host = host.cloned().ok_or(Error::Misdirected)?;
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
                // Kept apart: every other request would have room for it.
                return Box::pin(self.log_in(&form, head, body, record)).await;
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
            Kind::WebSocket => upload::nothing(),
            _ => Upload::new(body, self.connection.upload_terms()),
        };
        record.upload(&body.1);
        self.ask(head, body, &candidates, self.patience(waits), record).await
    }
}
