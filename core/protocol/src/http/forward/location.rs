//! URLs that a backend says of itself, made ours.

use http::HeaderValue;

use crate::http::{Authority, Host};

/// How clients reach a virtual host.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Front<'a> {
    /// As they say it.
    pub authority: &'a Authority,
    /// Whether by TLS.
    pub https: bool,
}

/// What a backend calls itself.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Backend<'a> {
    /// Its name or address; the host that clients say is one anyway, for that is what it is told.
    pub host: &'a str,
    /// The port it listens on, so that it is taken for it on any of its names.
    pub port: u16,
}

/// A URL of the backend's as one of ours; none: it stays as it is. Relative ones do, and so does another port of ours:
/// it may be another service.
pub(super) fn rewrite(url: &[u8], front: Front<'_>, backend: Backend<'_>) -> Option<HeaderValue> {
    let (https, behind) = scheme(url, front.https)?;
    let end = behind.iter().position(|octet| b"/?#".contains(octet)).unwrap_or(behind.len());
    let (authority, rest) = behind.split_at_checked(end)?;
    let said = Authority::parse(authority)?;
    let port = said.port(https);
    let is_host =
        said.host == front.authority.host || Host::parse(backend.host.as_bytes()).as_ref() == Some(&said.host);
    // A backend that thinks it is alone on the host says no port at all.
    let is_port = said.port.is_none() || port == front.authority.port(front.https) || port == backend.port;
    if !is_host || !is_port || (https == front.https && said.is(front.authority, https)) {
        return None;
    }
    let scheme = if front.https { "https" } else { "http" };
    let url = [format!("{scheme}://{}", front.authority).as_bytes(), rest].concat();
    HeaderValue::from_bytes(&url).ok()
}

/// Whether a URL is of https, and what is behind its two slashes; `//host` has the scheme of the page.
fn scheme(url: &[u8], https: bool) -> Option<(bool, &[u8])> {
    let is = |scheme: &str| {
        let (said, behind) = url.split_at_checked(scheme.len())?;
        said.eq_ignore_ascii_case(scheme.as_bytes()).then_some(behind)
    };
    is("https://")
        .map(|behind| (true, behind))
        .or_else(|| Some((false, is("http://")?)))
        .or_else(|| Some((https, is("//")?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_of_the_backend_become_ours() {
        let authority = |text: &str| Authority::parse(text.as_bytes()).unwrap();
        let mail = authority("mail.tgg.net.id");
        let front = Front { authority: &mail, https: true };
        let backend = Backend { host: "mbox-1.tgg.net.id", port: 8080 };
        let table = [
            ("http://mail.tgg.net.id/a?b#c", Some("https://mail.tgg.net.id/a?b#c")),
            ("http://mail.tgg.net.id:8080/", Some("https://mail.tgg.net.id/")),
            ("https://mail.tgg.net.id:8080", Some("https://mail.tgg.net.id")),
            ("HTTP://MBOX-1.tgg.net.id.?x", Some("https://mail.tgg.net.id?x")),
            ("//mbox-1.tgg.net.id:8080/é", Some("https://mail.tgg.net.id/é")),
            ("https://mbox-1.tgg.net.id:443/", Some("https://mail.tgg.net.id/")),
            ("https://mail.tgg.net.id/a", None),
            ("https://mail.tgg.net.id:443/a", None),
            ("//mail.tgg.net.id/a", None),
            ("https://mail.tgg.net.id:7071/zimbraAdmin", None),
            ("https://mbox-1.tgg.net.id:7071/", None),
            ("https://other.example/", None),
            ("http://mbox-1.tgg.net.id@evil.example/", None),
            ("http://mbox-1.tgg.net.id.evil.example/", None),
            ("/relative", None),
            ("?_task=mail", None),
            ("ftp://mbox-1.tgg.net.id/", None),
            ("http:/mbox-1.tgg.net.id/", None),
            ("", None),
        ];
        for (url, expected) in table {
            let rewritten = rewrite(url.as_bytes(), front, backend);
            assert_eq!(rewritten.as_ref().map(HeaderValue::as_bytes), expected.map(str::as_bytes), "{url}");
        }
        let by_address = Backend { host: "127.0.0.9", port: 8080 };
        assert_eq!(rewrite(b"http://127.0.0.9:8080/a", front, by_address).unwrap(), "https://mail.tgg.net.id/a");
        let admin = authority("mail.tgg.net.id:9071");
        let (front, console) = (Front { authority: &admin, https: true }, Backend { host: "", port: 7071 });
        let rewritten = rewrite(b"https://mail.tgg.net.id:7071/zimbraAdmin", front, console);
        assert_eq!(rewritten.unwrap(), "https://mail.tgg.net.id:9071/zimbraAdmin");
    }
}
