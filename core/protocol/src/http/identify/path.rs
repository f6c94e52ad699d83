//! A name in the path: `/home/USER`, `/dav/USER` and their like.

use crate::Name;
use crate::http::percent;

/// A path behind which a name stands as one segment, with or without `~`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Prefix(Box<str>);

impl Prefix {
    /// Takes a path that begins and ends with a slash, such as `/SOGo/dav/`; none: it does not.
    #[must_use]
    pub fn new(path: &str) -> Option<Self> {
        let fits = path.starts_with('/') && path.ends_with('/') && path.bytes().all(|octet| octet.is_ascii_graphic());
        fits.then(|| Self(path.into()))
    }

    /// Zimbra's, which are also those of others.
    #[must_use]
    pub fn usual() -> Vec<Self> {
        ["/home/", "/service/home/", "/dav/", "/principals/users/"].iter().filter_map(|path| Self::new(path)).collect()
    }
}

/// The name behind the longest prefix that fits.
pub(super) fn name(path: &str, prefixes: &[Prefix]) -> Option<Name> {
    let behind = prefixes.iter().filter_map(|prefix| path.strip_prefix(&*prefix.0)).min_by_key(|rest| rest.len())?;
    let decoded = percent::decode(behind.split('/').next()?.as_bytes())?;
    match decoded.strip_prefix(b"~").unwrap_or(&decoded) {
        // `/home/~/` is the user of the token, and steps are no names.
        b"" | b"." | b".." => None,
        name => Name::new(name).ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_the_segment_behind_a_prefix() {
        let table = [
            ("/home/siti", Some("siti")),
            ("/home/siti/", Some("siti")),
            ("/home/~siti/Calendar", Some("siti")),
            ("/home/%7Esiti@tgg.net.id/inbox.rss", Some("siti@tgg.net.id")),
            ("/service/home/siti%40tgg.net.id/", Some("siti@tgg.net.id")),
            ("/dav/siti+work/Calendar/", Some("siti+work")),
            ("/dav/siti%252F/", Some("siti%2F")),
            ("/dav/TGG%5Csiti/", Some("TGG\\siti")),
            ("/principals/users/%C3%A9lise/", Some("élise")),
            ("/home/", None),
            ("/home", None),
            ("/home//siti", None),
            ("/home/~", None),
            ("/home/~/inbox", None),
            ("/home/..", None),
            ("/home/%2e%2E/siti", None),
            ("/home/a%0d%0ab/", None),
            ("/home/a%00/", None),
            ("/home/%ff/", None),
            ("/home/%zz/", None),
            ("/HOME/siti", None),
            ("/homesiti", None),
            ("/x/home/siti", None),
            ("/", None),
            ("*", None),
            ("", None),
        ];
        for (path, expected) in table {
            assert_eq!(name(path, &Prefix::usual()).as_ref().map(Name::as_str), expected, "{path}");
        }
        assert_eq!(name(&format!("/home/{}", "a".repeat(1025)), &Prefix::usual()), None);
        assert_eq!(name("/home/siti", &[]), None);
    }

    #[test]
    fn the_longest_prefix_holds() {
        let prefixes = ["/dav/", "/dav/principals/users/"].map(|path| Prefix::new(path).unwrap());
        for (path, expected) in [("/dav/siti", "siti"), ("/dav/principals/users/budi/", "budi")] {
            assert_eq!(name(path, &prefixes).unwrap().as_str(), expected);
        }
        assert!(["", "/", "dav/", "/dav", "/a b/"].map(Prefix::new) == [None, Prefix::new("/"), None, None, None]);
    }
}
