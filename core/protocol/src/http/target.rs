//! What a request asks for, judged more strictly than hyper does, before anything is done for it.
//!
//! hyper has refused what shows in the octets alone: bare LF, folded fields, bad chunks, lengths that differ. What
//! shows in the parsed head is refused here, each with the status to answer; after any of them the connection is to be
//! closed.

use http::header::{CONNECTION, CONTENT_LENGTH, EXPECT, HOST, HeaderMap, TE, TRANSFER_ENCODING, UPGRADE};
use http::request::Parts;
use http::{Method, StatusCode, Version};

use super::forward::CONNECTION_FIELDS;
use super::{Authority, list, percent};

/// A request that may go on.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Target {
    /// Whom it is for; none: an HTTP/1.0 client did not say, so it is the default host's.
    pub authority: Option<Authority>,
    /// What it is.
    pub kind: Kind,
}

/// What kinds of requests go on in different ways.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// `OPTIONS *`: about the server, not about anything on it.
    Asterisk,
    /// A request and its answer.
    Exchange,
    /// A WebSocket, by Upgrade (RFC 6455) or by extended CONNECT (RFC 8441).
    WebSocket,
}

/// Why a request may not go on.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Refused {
    /// Two Content-Lengths, one beside Transfer-Encoding (RFC 9112, section 6.3), or one of what has no content.
    #[error("ambiguous length")]
    AmbiguousLength,
    /// Host, or the authority of the target, is no `host[:port]`.
    #[error("malformed host")]
    BadHost,
    /// A target that does not go with its method, a broken escape, or a control or 8-bit octet in the path.
    #[error("malformed path")]
    BadPath,
    /// Neither `http` nor `https`.
    #[error("scheme is not http or https")]
    BadScheme,
    /// A field of HTTP/1's connections in HTTP/2 (RFC 9113, section 8.2.2).
    #[error("connection field in HTTP/2")]
    ConnectionField,
    /// Nobody is tunnelled.
    #[error("CONNECT is refused")]
    Connect,
    /// Something else than `100-continue` is expected.
    #[error("unknown expectation")]
    Expectation,
    /// A whole URI that is about another host than ours.
    #[error("target is another host's")]
    Foreign,
    /// Host and `:authority` do not agree.
    #[error("Host differs from :authority")]
    HostDiffers,
    /// More than one Host.
    #[error("more than one Host")]
    ManyHosts,
    /// No Host.
    #[error("no Host")]
    NoHost,
    /// White space around a value of HTTP/2 (RFC 9113, section 8.2.1).
    #[error("white space around a field's value")]
    Padded,
    /// An extended CONNECT for something else than `websocket`.
    #[error("unknown :protocol")]
    Protocol,
    /// Nobody is shown what the edge would send.
    #[error("TRACE is refused")]
    Trace,
    /// Another transfer coding than `chunked`, or one in HTTP/1.0.
    #[error("unknown transfer coding")]
    TransferCoding,
}

impl Refused {
    /// What to answer.
    #[must_use]
    pub fn status(self) -> StatusCode {
        match self {
            Self::Connect | Self::Trace => StatusCode::METHOD_NOT_ALLOWED,
            Self::Expectation => StatusCode::EXPECTATION_FAILED,
            Self::Foreign => StatusCode::MISDIRECTED_REQUEST,
            Self::Protocol => StatusCode::NOT_IMPLEMENTED,
            Self::AmbiguousLength
            | Self::BadHost
            | Self::BadPath
            | Self::BadScheme
            | Self::ConnectionField
            | Self::HostDiffers
            | Self::ManyHosts
            | Self::NoHost
            | Self::Padded
            | Self::TransferCoding => StatusCode::BAD_REQUEST,
        }
    }
}

/// Judges a request. `protocol` is the `:protocol` of an extended CONNECT; `is_ours` knows the hosts that are served:
/// only a whole URI in HTTP/1 is held against it, for it would make a proxy of us.
///
/// # Errors
/// See [`Refused`].
pub fn check(head: &Parts, protocol: Option<&str>, is_ours: impl Fn(&Authority) -> bool) -> Result<Target, Refused> {
    match head.method {
        Method::TRACE => return Err(Refused::Trace),
        Method::CONNECT if protocol.is_none() || head.version < Version::HTTP_2 => return Err(Refused::Connect),
        _ => {}
    }
    check_fields(head)?;
    check_path(head)?;
    let authority = if head.version < Version::HTTP_2 { http1_host(head, is_ours)? } else { Some(http2_host(head)?) };
    Ok(Target { authority, kind: kind(head, protocol)? })
}

fn check_fields(head: &Parts) -> Result<(), Refused> {
    let (fields, http2) = (&head.headers, head.version >= Version::HTTP_2);
    if http2 {
        if CONNECTION_FIELDS.iter().any(|name| fields.contains_key(name)) {
            return Err(Refused::ConnectionField);
        }
        if list::members(fields, &TE).any(|coding| !coding.eq_ignore_ascii_case(b"trailers")) {
            return Err(Refused::ConnectionField);
        }
        if fields.values().any(|value| list::trim(value.as_bytes()).len() != value.len()) {
            return Err(Refused::Padded);
        }
    }
    let (lengths, codings) = (count(fields, &CONTENT_LENGTH), count(fields, &TRANSFER_ENCODING));
    // What a CONNECT has is a tunnel's: a backend, asked by GET, would take the next request for its body.
    if lengths > 1 || (lengths > 0 && (codings > 0 || head.method == Method::CONNECT)) {
        return Err(Refused::AmbiguousLength);
    }
    let chunked = |value: &http::HeaderValue| list::trim(value.as_bytes()).eq_ignore_ascii_case(b"chunked");
    if codings > 1 || !fields.get_all(TRANSFER_ENCODING).iter().all(chunked) {
        return Err(Refused::TransferCoding);
    }
    if codings > 0 && head.version < Version::HTTP_11 {
        return Err(Refused::TransferCoding);
    }
    if list::members(fields, &EXPECT).any(|expected| !expected.eq_ignore_ascii_case(b"100-continue")) {
        return Err(Refused::Expectation);
    }
    Ok(())
}

fn check_path(head: &Parts) -> Result<(), Refused> {
    let (path, query) = (head.uri.path(), head.uri.query().unwrap_or_default());
    if path == "*" {
        return if head.method == Method::OPTIONS { Ok(()) } else { Err(Refused::BadPath) };
    }
    // CR LF that a backend decodes into a header (ZBUG-2706), and NUL that ends a path for some. In a query they are a
    // text of several lines.
    let decoded = percent::decode(path.as_bytes()).ok_or(Refused::BadPath)?;
    let visible = path.bytes().chain(query.bytes()).all(|octet| octet.is_ascii_graphic());
    if !path.starts_with('/') || !visible || decoded.iter().any(u8::is_ascii_control) {
        return Err(Refused::BadPath);
    }
    Ok(())
}

/// RFC 9112, section 3.2: Host once, and where the target has an authority it replaces Host.
fn http1_host(head: &Parts, is_ours: impl Fn(&Authority) -> bool) -> Result<Option<Authority>, Refused> {
    let host = host(&head.headers)?;
    if host.is_none() && head.version >= Version::HTTP_11 {
        return Err(Refused::NoHost);
    }
    let Some(authority) = authority(head)? else { return Ok(host) };
    if is_ours(&authority) { Ok(Some(authority)) } else { Err(Refused::Foreign) }
}

/// RFC 9113, section 8.3.1: `:authority`, or Host, and where there are both they agree.
fn http2_host(head: &Parts) -> Result<Authority, Refused> {
    let https = head.uri.scheme_str() == Some("https");
    match (authority(head)?, host(&head.headers)?) {
        (Some(authority), Some(host)) if !authority.is(&host, https) => Err(Refused::HostDiffers),
        (Some(authority), _) => Ok(authority),
        (None, host) => host.ok_or(Refused::NoHost),
    }
}

fn host(fields: &HeaderMap) -> Result<Option<Authority>, Refused> {
    let mut values = fields.get_all(HOST).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(Refused::ManyHosts);
    }
    Authority::parse(value.as_bytes()).map(Some).ok_or(Refused::BadHost)
}

fn authority(head: &Parts) -> Result<Option<Authority>, Refused> {
    if head.uri.scheme_str().is_some_and(|scheme| scheme != "http" && scheme != "https") {
        return Err(Refused::BadScheme);
    }
    let Some(authority) = head.uri.authority() else { return Ok(None) };
    Authority::parse(authority.as_str().as_bytes()).map(Some).ok_or(Refused::BadHost)
}

fn kind(head: &Parts, protocol: Option<&str>) -> Result<Kind, Refused> {
    match protocol {
        _ if head.uri.path() == "*" => Ok(Kind::Asterisk),
        Some(protocol) if head.method == Method::CONNECT => {
            if protocol.eq_ignore_ascii_case("websocket") {
                Ok(Kind::WebSocket)
            } else {
                Err(Refused::Protocol)
            }
        }
        _ if is_upgrade(head) => Ok(Kind::WebSocket),
        _ => Ok(Kind::Exchange),
    }
}

/// Whether HTTP/1 asks for a WebSocket. With a body it does not: where that ends, before or behind the upgrade, is what
/// servers do not agree on. Other protocols are not upgraded to: h2c would pass every check of ours by.
fn is_upgrade(head: &Parts) -> bool {
    let fields = &head.headers;
    let mut upgrades = list::members(fields, &UPGRADE);
    head.version == Version::HTTP_11
        && head.method == Method::GET
        && upgrades.next().is_some_and(|protocol| protocol.eq_ignore_ascii_case(b"websocket"))
        && upgrades.next().is_none()
        && list::has(fields, &CONNECTION, "upgrade")
        && count(fields, &http::header::SEC_WEBSOCKET_KEY) == 1
        && !fields.contains_key(TRANSFER_ENCODING)
        && fields.get(CONTENT_LENGTH).is_none_or(|length| length.as_bytes() == b"0")
}

fn count(fields: &HeaderMap, name: &http::HeaderName) -> usize {
    fields.get_all(name).iter().count()
}
