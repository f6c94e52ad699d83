//! What the edge answers by itself: ACME's challenges, and mail programs that ask for our servers.
//!
//! Such questions are known by their paths, whatever host is asked. Nobody's account is looked up for them, so that
//! nobody learns here which addresses there are.

mod acme;
mod apple;
mod mozilla;
mod outlook;
#[cfg(test)]
mod tests;
mod xml;

use std::path::Path;

use bytes::Bytes;
use http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderValue, LOCATION,
    X_CONTENT_TYPE_OPTIONS,
};
use http::request::Parts;
use http::{Method, Response, StatusCode, Uri};
use zproxy_protocol::http::autoconfig::{Autodiscover, MAX_BODY, Schema, address};
use zproxy_protocol::http::{Authority, Host};
use zproxy_protocol::smtp;

use crate::config::{Acme, Autoconfig, Http};
use crate::service::Service;

/// A request that is answered here.
#[derive(Debug)]
pub struct Question<'a> {
    about: About<'a>,
    method: Method,
    uri: Uri,
    host: Option<Host>,
    is_secure: bool,
}

/// What is asked for, and where the answer is from.
#[derive(Debug)]
enum About<'a> {
    Acme(&'a Path, String),
    Program(Program, &'a Autoconfig),
}

/// Whose question it is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Program {
    Apple,
    Mozilla,
    Outlook,
}

/// What is told.
struct Told {
    media_type: &'static str,
    body: Bytes,
    /// To be saved as.
    file: Option<&'static str>,
}

/// Why nothing is told.
#[derive(Debug)]
enum Denied {
    Elsewhere(HeaderValue),
    Method,
    NoAddress,
    NotFound,
}

impl<'a> Question<'a> {
    /// The question of a request; none: it is a backend's to answer. `is_secure`: the client speaks TLS.
    #[must_use]
    pub fn of(head: &Parts, is_secure: bool, config: &'a Http) -> Option<Self> {
        let about = About::of(head.uri.path(), config)?;
        let host = head.headers.get(HOST).map(HeaderValue::as_bytes);
        let host = head.uri.authority().map(|authority| authority.as_str().as_bytes()).or(host);
        let host = host.and_then(Authority::parse).map(|authority| authority.host);
        Some(Self { about, method: head.method.clone(), uri: head.uri.clone(), host, is_secure })
    }

    /// How long a body it needs for an answer, at most; none: whatever is sent with it says nothing.
    #[must_use]
    pub fn needs_body(&self) -> Option<usize> {
        let is_outlook = matches!(self.about, About::Program(Program::Outlook, _));
        (is_outlook && self.method == Method::POST && self.elsewhere().is_none()).then_some(MAX_BODY)
    }

    /// The answer. `body` is what [`needs_body`](Self::needs_body) asked for.
    pub async fn answer(&self, body: &[u8]) -> Response<Bytes> {
        let answer = match &self.about {
            _ if !self.allowed().contains(&self.method) => Err(Denied::Method),
            About::Acme(directory, token) => acme::answer(directory, token).await.ok_or(Denied::NotFound),
            About::Program(program, autoconfig) => self.told(*program, autoconfig, body),
        };
        let mut response = match answer {
            Ok(told) => told.response(),
            Err(denied) => self.denied(&denied),
        };
        let headers = response.headers_mut();
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        if self.method == Method::HEAD {
            let body = std::mem::take(response.body_mut());
            response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
        }
        response
    }

    fn told(&self, program: Program, autoconfig: &Autoconfig, body: &[u8]) -> Result<Told, Denied> {
        if let Some(location) = self.elsewhere() {
            return Err(Denied::Elsewhere(location));
        }
        let asked = |parameter| address(self.uri.query().unwrap_or_default(), parameter).map_err(|_| Denied::NoAddress);
        let ours = |address: smtp::Path| {
            if autoconfig.is_for(address.domain()) { Ok(address) } else { Err(Denied::NotFound) }
        };
        match program {
            Program::Apple => {
                let address = ours(asked("email")?.ok_or(Denied::NoAddress)?)?;
                Ok(Told::profile(apple::profile(autoconfig, &address)))
            }
            Program::Mozilla => {
                let address = asked("emailaddress")?.map(ours).transpose()?;
                let domain = address.as_ref().map_or_else(|| self.domain(autoconfig), smtp::Path::domain);
                Ok(Told::xml(mozilla::config(autoconfig, domain)))
            }
            Program::Outlook => {
                let Some(Autodiscover { address, schema }) = Autodiscover::read(body) else {
                    return Ok(Told::xml(outlook::invalid_request()));
                };
                let address = ours(address)?;
                Ok(Told::xml(match schema {
                    Schema::MobileSync if autoconfig.active_sync => outlook::active_sync(autoconfig, &address),
                    Schema::MobileSync | Schema::Other => outlook::no_provider(),
                    Schema::Outlook => outlook::servers(autoconfig, &address),
                }))
            }
        }
    }

    /// The domain that is asked for where no address is: the host's, as `autoconfig.` before it says.
    fn domain<'b>(&'b self, autoconfig: &'b Autoconfig) -> &'b str {
        let host = self.host.as_ref().map(Host::as_str);
        let domain = host.map(|host| host.strip_prefix("autoconfig.").unwrap_or(host));
        domain.filter(|domain| autoconfig.is_for(domain)).unwrap_or(&autoconfig.host)
    }

    /// Whoever asks without TLS is sent to where he sees by a certificate who answers: our own host, for others may have
    /// none. By a redirect from `http://autodiscover.DOMAIN` Outlook finds us.
    fn elsewhere(&self) -> Option<HeaderValue> {
        let About::Program(_, autoconfig) = self.about else { return None };
        let start = https(autoconfig).filter(|_| !self.is_secure)?;
        let asked = self.uri.path_and_query().map_or("/", |asked| asked.as_str());
        HeaderValue::try_from(format!("{start}{asked}")).ok()
    }

    fn allowed(&self) -> &'static [Method] {
        match self.about {
            About::Program(Program::Outlook, _) => &[Method::GET, Method::HEAD, Method::POST],
            _ => &[Method::GET, Method::HEAD],
        }
    }

    fn denied(&self, denied: &Denied) -> Response<Bytes> {
        let (status, word) = match denied {
            // Outlook takes no other status, and a body goes on by none but this.
            Denied::Elsewhere(_) if self.method != Method::POST => (StatusCode::FOUND, "See our own host.\n"),
            Denied::Elsewhere(_) => (StatusCode::TEMPORARY_REDIRECT, "See our own host.\n"),
            Denied::Method => (StatusCode::METHOD_NOT_ALLOWED, "No such method here.\n"),
            Denied::NoAddress => (StatusCode::BAD_REQUEST, "This needs one mail address: ?email=ADDRESS\n"),
            Denied::NotFound => (StatusCode::NOT_FOUND, "There is nothing here.\n"),
        };
        let mut response =
            Told { media_type: "text/plain", body: Bytes::from_static(word.as_bytes()), file: None }.response();
        *response.status_mut() = status;
        let field = match denied {
            Denied::Elsewhere(location) => Some((LOCATION, location.clone())),
            Denied::Method => {
                let methods: Vec<_> = self.allowed().iter().map(Method::as_str).collect();
                HeaderValue::try_from(methods.join(", ")).ok().map(|methods| (ALLOW, methods))
            }
            Denied::NoAddress | Denied::NotFound => None,
        };
        response.headers_mut().extend(field);
        response
    }
}

impl<'a> About<'a> {
    fn of(path: &str, config: &'a Http) -> Option<Self> {
        if let (Some(Acme::Directory(directory)), Some(token)) = (&config.acme, path.strip_prefix(Acme::PATH)) {
            return Some(Self::Acme(directory, token.to_owned()));
        }
        let autoconfig = config.autoconfig.as_ref()?;
        let program = match path {
            "/email.mobileconfig" => Program::Apple,
            "/.well-known/autoconfig/mail/config-v1.1.xml" | "/mail/config-v1.1.xml" => Program::Mozilla,
            // Exchange does not mind the case, and programs do not agree on one.
            path if path.eq_ignore_ascii_case("/autodiscover/autodiscover.xml") => Program::Outlook,
            _ => return None,
        };
        Some(Self::Program(program, autoconfig))
    }
}

impl Told {
    fn xml(text: String) -> Self {
        Self { media_type: "text/xml; charset=utf-8", body: text.into(), file: None }
    }

    fn profile(text: String) -> Self {
        let (media_type, file) = ("application/x-apple-aspen-config", "attachment; filename=\"email.mobileconfig\"");
        Self { media_type, body: text.into(), file: Some(file) }
    }

    fn response(self) -> Response<Bytes> {
        let mut response = Response::new(self.body);
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(self.media_type));
        let file = self.file.map(|file| (CONTENT_DISPOSITION, HeaderValue::from_static(file)));
        response.headers_mut().extend(file);
        response
    }
}

/// Scheme and authority of our own host; none: nothing speaks TLS there.
fn https(autoconfig: &Autoconfig) -> Option<String> {
    let port = autoconfig.server(Service::Http)?.port;
    let port = if port == 443 { String::new() } else { format!(":{port}") };
    Some(format!("https://{}{port}", autoconfig.host))
}
