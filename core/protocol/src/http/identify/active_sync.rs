//! ActiveSync (MS-ASHTTP, section 2.2.1.1.1): `User=` in the query. The base64 form of the query names no user; there
//! it is Basic that says who.

use super::parameters;
use crate::Name;
use crate::http::percent;

/// Whether a path is ActiveSync's. Exchange does not mind the case, nor do its clients.
pub(super) fn is_path(path: &str) -> bool {
    let path = path.strip_suffix('/').unwrap_or(path);
    path.eq_ignore_ascii_case("/Microsoft-Server-ActiveSync")
}

/// The user of a query, where there is one: `siti@tgg.net.id`, or `TGG\siti`. A plus sign is one: it is no form.
pub(super) fn user(query: &str) -> Option<Name> {
    let mut users = parameters(query).filter(|(name, _)| name.eq_ignore_ascii_case(b"User")).map(|(_, value)| value);
    let user = users.next()?;
    Name::new(&percent::decode(user)?).ok().filter(|_| users.next().is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_user_is_one_parameter_decoded_once() {
        let table = [
            ("Cmd=Sync&User=siti%40tgg.net.id&DeviceId=1&DeviceType=iPhone", Some("siti@tgg.net.id")),
            ("Cmd=Ping&DeviceId=1&User=siti", Some("siti")),
            ("User=siti@tgg.net.id", Some("siti@tgg.net.id")),
            ("user=TGG%5Csiti&Cmd=Sync", Some("TGG\\siti")),
            ("User=TGG\\siti", Some("TGG\\siti")),
            ("User=siti+work%2Bx", Some("siti+work+x")),
            ("User=a%2540b", Some("a%40b")),
            ("User=siti&User=budi", None),
            ("User=siti&user=siti", None),
            ("XUser=siti", None),
            ("Cmd=Sync;User=siti", None),
            ("User=", None),
            ("User", None),
            ("User=a%0d%0ab", None),
            ("User=%ff", None),
            ("User=%4", None),
            ("jAAJBAp2MTQwRGV2aWNl", None),
            ("", None),
        ];
        for (query, expected) in table {
            assert_eq!(user(query).as_ref().map(Name::as_str), expected, "{query}");
        }
    }

    #[test]
    fn its_path_has_no_case() {
        assert!(is_path("/Microsoft-Server-ActiveSync") && is_path("/microsoft-server-activesync/"));
        assert!(
            !is_path("/Microsoft-Server-ActiveSync/x") && !is_path("/Microsoft-Server-ActiveSyncx") && !is_path("/")
        );
    }
}
