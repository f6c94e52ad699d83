//! What a client is told where no backend answers it.

use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use http::{Response, StatusCode, Version};
use zproxy_protocol::http::target::Refused;

use crate::Error;
use crate::config::Pages;

/// Seconds after which who meets a temporary fault may try again.
const RETRY: HeaderValue = HeaderValue::from_static("10");
const HTML: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");

/// The status of an error: a temporary one of ours is never one of the client's.
pub(super) fn status(error: &Error) -> StatusCode {
    match error {
        Error::AddressNotAllowed | Error::NotServed => StatusCode::FORBIDDEN,
        Error::BackendTimeout(_) => StatusCode::GATEWAY_TIMEOUT,
        Error::BackendIo { .. } | Error::BackendProtocol { .. } | Error::BackendTls(_) => StatusCode::BAD_GATEWAY,
        Error::ClientTimeout(_) => StatusCode::REQUEST_TIMEOUT,
        Error::ClientGone | Error::ClientIo(_) => StatusCode::BAD_REQUEST,
        Error::Misdirected => StatusCode::MISDIRECTED_REQUEST,
        Error::RequestLoop => StatusCode::LOOP_DETECTED,
        Error::RequestRefused(refused) => refused.status(),
        Error::RequestTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        _ => StatusCode::SERVICE_UNAVAILABLE,
    }
}

/// The answer to a request that failed.
pub(super) fn response(error: &Error, pages: &Pages, version: Version) -> Response<Bytes> {
    let status = status(error);
    let page = match status {
        StatusCode::BAD_GATEWAY => pages.bad_gateway.clone(),
        StatusCode::SERVICE_UNAVAILABLE => pages.unavailable.clone(),
        StatusCode::GATEWAY_TIMEOUT => pages.gateway_timeout.clone(),
        _ => None,
    };
    let mut response = Response::new(page.unwrap_or_else(|| words(status)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HTML);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if status == StatusCode::SERVICE_UNAVAILABLE {
        headers.insert(RETRY_AFTER, RETRY);
    }
    if let Error::RequestRefused(Refused::Connect | Refused::Trace) = error {
        headers.insert(ALLOW, HeaderValue::from_static("GET, HEAD, POST, PUT, DELETE, OPTIONS, PATCH"));
    }
    // What is behind a request that was refused may be part of it.
    if status.is_client_error() && version < Version::HTTP_2 && status != StatusCode::FORBIDDEN {
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// Our own page: it says what is the matter, and not whose fault it is.
fn words(status: StatusCode) -> Bytes {
    let (code, reason) = (status.as_str(), status.canonical_reason().unwrap_or("Error"));
    let more = match status {
        StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT => {
            "<p>The server cannot answer right now. Please try again in a moment."
        }
        _ => "",
    };
    Bytes::from(format!("<!doctype html>\n<title>{code} {reason}</title>\n<h1>{code} {reason}</h1>\n{more}\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_of_ours_is_temporary_and_says_when_to_come_again() {
        let pages = Pages { unavailable: Some(Bytes::from_static(b"<p>Back soon")), ..Pages::default() };
        for error in [Error::LookupTimeout, Error::NoPool, Error::AccountMaintenance, Error::NoHome("http")] {
            let response = response(&error, &pages, Version::HTTP_11);
            assert_eq!(response.status(), 503, "{error}");
            assert_eq!(response.headers()[RETRY_AFTER], "10");
            assert_eq!(response.body(), "<p>Back soon");
            assert!(!response.headers().contains_key(CONNECTION));
        }
    }

    #[test]
    fn a_request_that_is_refused_is_the_last_one_of_its_connection() {
        let refused = Error::RequestRefused(Refused::AmbiguousLength);
        let answered = response(&refused, &Pages::default(), Version::HTTP_11);
        assert_eq!(
            (answered.status().as_u16(), &answered.headers()[CONNECTION]),
            (400, &HeaderValue::from_static("close"))
        );
        assert!(!response(&refused, &Pages::default(), Version::HTTP_2).headers().contains_key(CONNECTION));
        let trace = response(&Error::RequestRefused(Refused::Trace), &Pages::default(), Version::HTTP_11);
        assert!(trace.status() == 405 && trace.headers().contains_key(ALLOW));
    }
}
