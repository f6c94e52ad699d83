//! Which page made a request: one of ours, or a stranger's.

use http::HeaderMap;
use http::header::ORIGIN;

use crate::http::Authority;

/// Whose page made a request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Maker {
    /// One of this very host: where both fields are there both say so.
    Own,
    /// Nobody says: it is no browser of these days.
    Unsaid,
    /// One of another host, or of who knows which.
    Stranger,
}

/// Whose page made a request, as a browser says.
#[must_use]
pub fn maker(headers: &HeaderMap, host: &Authority, https: bool) -> Maker {
    let only = |name: &str| {
        let mut values = headers.get_all(name).iter().map(|value| value.as_bytes());
        // Two of one are no browser's.
        (values.next(), values.next().is_none())
    };
    match (only(ORIGIN.as_str()), only("sec-fetch-site")) {
        ((None, _), (None, _)) => Maker::Unsaid,
        ((origin, true), (site, true))
            if origin.is_none_or(|origin| is_origin(origin, host, https))
                && site.is_none_or(|site| site == b"same-origin") =>
        {
            Maker::Own
        }
        _ => Maker::Stranger,
    }
}

/// RFC 6454, section 6.2: scheme, host, and port where it is not the scheme's; or `null`.
fn is_origin(origin: &[u8], host: &Authority, https: bool) -> bool {
    let scheme: &[u8] = if https { b"https://" } else { b"http://" };
    let authority = origin.strip_prefix(scheme).and_then(Authority::parse);
    authority.is_some_and(|authority| authority.is(host, https))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn own_pages_are_known_by_what_the_browser_says() {
        let table: [(&[&str], &[&str], Maker); 17] = [
            (&["https://mail.tgg.net.id"], &["same-origin"], Maker::Own),
            (&["https://mail.tgg.net.id"], &[], Maker::Own),
            (&["https://MAIL.tgg.net.id:443"], &[], Maker::Own),
            (&[], &["same-origin"], Maker::Own),
            (&[], &[], Maker::Unsaid),
            (&[], &["none"], Maker::Stranger),
            (&[], &["same-site"], Maker::Stranger),
            (&[], &["cross-site"], Maker::Stranger),
            (&["null"], &["same-origin"], Maker::Stranger),
            (&["https://mail.tgg.net.id"], &["cross-site"], Maker::Stranger),
            (&["http://mail.tgg.net.id"], &["same-origin"], Maker::Stranger),
            (&["https://mail.tgg.net.id:8443"], &[], Maker::Stranger),
            (&["https://mail.tgg.net.id.evil.example"], &[], Maker::Stranger),
            (&["https://mail.tgg.net.id/"], &[], Maker::Stranger),
            (&["https://evil@mail.tgg.net.id"], &[], Maker::Stranger),
            (&["https://mail.tgg.net.id", "https://evil.example"], &["same-origin"], Maker::Stranger),
            (&[], &["same-origin", "cross-site"], Maker::Stranger),
        ];
        let host = Authority::parse(b"mail.tgg.net.id").unwrap();
        for (origins, sites, expected) in table {
            let mut headers = HeaderMap::new();
            for origin in origins {
                headers.append(ORIGIN, HeaderValue::from_str(origin).unwrap());
            }
            for site in sites {
                headers.append("sec-fetch-site", HeaderValue::from_str(site).unwrap());
            }
            assert_eq!(maker(&headers, &host, true), expected, "{origins:?} {sites:?}");
        }
    }
}
