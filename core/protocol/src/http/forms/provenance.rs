//! Which page made a request: one of ours, or a stranger's.

use http::HeaderMap;
use http::header::ORIGIN;

use crate::http::Authority;

/// Whether a browser says that a page of this very host made the request. Where both fields are there both must say so;
/// where neither is, nobody does: then a stranger's page may have made it.
#[must_use]
pub fn is_own(headers: &HeaderMap, host: &Authority, https: bool) -> bool {
    let only = |name: &str| {
        let mut values = headers.get_all(name).iter().map(|value| value.as_bytes());
        // Two of one are no browser's.
        (values.next(), values.next().is_none())
    };
    match (only(ORIGIN.as_str()), only("sec-fetch-site")) {
        ((None, _), (None, _)) | ((_, false), _) | (_, (_, false)) => false,
        ((origin, _), (site, _)) => {
            origin.is_none_or(|origin| is_origin(origin, host, https)) && site.is_none_or(|site| site == b"same-origin")
        }
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
        let table: [(&[&str], &[&str], bool); 17] = [
            (&["https://mail.tgg.net.id"], &["same-origin"], true),
            (&["https://mail.tgg.net.id"], &[], true),
            (&["https://MAIL.tgg.net.id:443"], &[], true),
            (&[], &["same-origin"], true),
            (&[], &[], false),
            (&[], &["none"], false),
            (&[], &["same-site"], false),
            (&[], &["cross-site"], false),
            (&["null"], &["same-origin"], false),
            (&["https://mail.tgg.net.id"], &["cross-site"], false),
            (&["http://mail.tgg.net.id"], &["same-origin"], false),
            (&["https://mail.tgg.net.id:8443"], &[], false),
            (&["https://mail.tgg.net.id.evil.example"], &[], false),
            (&["https://mail.tgg.net.id/"], &[], false),
            (&["https://evil@mail.tgg.net.id"], &[], false),
            (&["https://mail.tgg.net.id", "https://evil.example"], &["same-origin"], false),
            (&[], &["same-origin", "cross-site"], false),
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
            assert_eq!(is_own(&headers, &host, true), expected, "{origins:?} {sites:?}");
        }
    }
}
