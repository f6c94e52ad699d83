//! Which cookie opens where, and until when.

use proptest::prelude::*;

use super::*;
use crate::rotating_keys::tests::message;

const DAY: Duration = Duration::from_secs(24 * 3600);
/// When the keys of [`cookies`] begin.
const NOW: SystemTime = UNIX_EPOCH;

fn cookies() -> RouteCookies {
    let cookies = RouteCookies::default();
    cookies.take(message([0], Some(1000))).unwrap();
    cookies
}

fn host(name: &str) -> Host {
    Host::parse(name.as_bytes()).unwrap()
}

fn memory(name: &str) -> Memory {
    Memory { name: Name::new(name.as_bytes()).unwrap(), backend: BackendMark::of("mbox-1") }
}

/// The value of a cookie for `mail.tgg.net.id`.
fn sealed(cookies: &RouteCookies, name: &str) -> String {
    let whole = cookies.seal_at(&host("mail.tgg.net.id"), &memory(name), NOW).unwrap();
    let (value, _) = whole.to_str().unwrap().split_once(';').unwrap();
    value.strip_prefix("__Host-zproxy=").unwrap().to_owned()
}

#[test]
fn a_browser_gets_a_session_cookie_for_this_host_by_tls_only_that_no_script_reads() {
    let whole = cookies().seal_at(&host("mail.tgg.net.id"), &memory("siti@tgg.net.id"), NOW).unwrap();
    assert!(whole.is_sensitive());
    let mut parts = whole.to_str().unwrap().split("; ");
    let value = parts.next().unwrap().strip_prefix("__Host-zproxy=").unwrap();
    assert!(value.bytes().all(|octet| octet.is_ascii_alphanumeric() || b"-_".contains(&octet)), "{value}");
    assert_eq!(parts.collect::<Vec<_>>(), ["Path=/", "Secure", "HttpOnly", "SameSite=Lax"]);
}

#[test]
fn the_length_tells_nothing_and_longer_names_get_no_cookie() {
    let cookies = cookies();
    let longest = "a".repeat(MAX_NAME);
    for name in ["a", "siti@tgg.net.id", "élise@tgg.net.id", &longest] {
        let sealed = sealed(&cookies, name);
        assert_eq!(sealed.len(), SEALED, "{name}");
        assert_eq!(cookies.open_at(&host("mail.tgg.net.id"), sealed.as_bytes(), NOW), Some(memory(name)));
    }
    let longer = memory(&"a".repeat(MAX_NAME + 1));
    assert_eq!(cookies.seal_at(&host("mail.tgg.net.id"), &longer, NOW), None);
}

#[test]
fn a_cookie_opens_at_every_edge_at_its_own_host_and_for_30_days() {
    let sealed = sealed(&cookies(), "siti@tgg.net.id");
    let table: [(&str, Duration, bool); 6] = [
        ("mail.tgg.net.id", Duration::ZERO, true),
        ("MAIL.tgg.net.id.", Duration::ZERO, true),
        ("mail.gec-course.com", Duration::ZERO, false),
        ("tgg.net.id", Duration::ZERO, false),
        ("mail.tgg.net.id", 30 * DAY - Duration::from_secs(1), true),
        ("mail.tgg.net.id", 30 * DAY, false),
    ];
    for (name, later, expected) in table {
        let opened = cookies().open_at(&host(name), sealed.as_bytes(), NOW + later);
        assert_eq!(opened, expected.then(|| memory("siti@tgg.net.id")), "{name} {later:?}");
    }
    let ahead = cookies().open_at(&host("mail.tgg.net.id"), sealed.as_bytes(), NOW - DAY);
    assert_eq!(ahead, Some(memory("siti@tgg.net.id")), "made by an edge whose clock is ahead");
}

#[test]
fn what_is_not_ours_is_nothing() {
    let cookies = cookies();
    let good = sealed(&cookies, "siti@tgg.net.id");
    let foreign = RouteCookies::default();
    let mut keys = message([0], Some(1000));
    keys.keys[0].secret = vec![7; 32];
    foreign.take(keys).unwrap();
    let under = |plain: &[u8]| URL_SAFE_NO_PAD.encode(cookies.keys.seal(b"mail.tgg.net.id", plain, NOW).unwrap());
    let plain = memory("siti@tgg.net.id").write(NOW).unwrap();
    let changed = |index: usize, octet: u8| {
        let mut plain = plain.clone();
        plain[index] = octet;
        under(&plain)
    };
    let table = [
        ("", String::new()),
        ("short", good[..SEALED - 1].to_owned()),
        ("long", format!("{good}A")),
        ("padded", format!("{good}=")),
        ("8 KiB", "A".repeat(8 << 10)),
        ("zeros", "A".repeat(SEALED)),
        ("no base64", "!".repeat(SEALED)),
        ("another's key", sealed(&foreign, "siti@tgg.net.id")),
        ("another version", changed(0, 2)),
        ("a time out of time", changed(1, 0xff)),
        ("an empty name", changed(17, 0)),
        ("a length beyond the name", changed(17, 0xff)),
        ("a control in the name", changed(18, b'\r')),
    ];
    let opened = |sealed: &[u8]| cookies.open_at(&host("mail.tgg.net.id"), sealed, NOW);
    assert_eq!(opened(under(&plain).as_bytes()), Some(memory("siti@tgg.net.id")));
    for (what, sealed) in table {
        assert_eq!(opened(sealed.as_bytes()), None, "{what}");
    }
    for index in 0..SEALED {
        let mut forged = good.clone().into_bytes();
        forged[index] = if forged[index] == b'A' { b'B' } else { b'A' };
        assert_eq!(opened(&forged), None, "{index}");
        assert_eq!(opened(&forged[..index]), None, "{index}");
    }
}

#[test]
fn a_mark_has_no_case() {
    assert_eq!(BackendMark::of("mbox-1"), BackendMark::of("MBOX-1"));
    assert_ne!(BackendMark::of("mbox-1"), BackendMark::of("mbox-2"));
    assert_eq!(BackendMark::of("mbox-1").to_be_bytes(), MBOX_1, "edges of other versions know it too");
}

#[tokio::test]
async fn before_control_has_spoken_there_are_no_cookies() {
    let silent = RouteCookies::default();
    let host = host("mail.tgg.net.id");
    assert_eq!(silent.seal_at(&host, &memory("siti@tgg.net.id"), NOW), None);
    let value = sealed(&cookies(), "siti@tgg.net.id");
    assert_eq!(silent.open_at(&host, value.as_bytes(), NOW), None);
    assert!(silent.take(message([], None)).is_err());
    assert!(!silent.await_first(Duration::from_millis(1)).await, "there are none yet");
    let come = async { silent.take(message([0], Some(1000))).unwrap() };
    let (there, ()) = tokio::join!(silent.await_first(Duration::from_secs(60)), come);
    assert!(there && silent.await_first(Duration::ZERO).await);
    assert_eq!(silent.open_at(&host, value.as_bytes(), NOW), Some(memory("siti@tgg.net.id")));
}

proptest! {
    #[test]
    fn every_memory_comes_back_and_no_octets_of_others_do(
        name in "[^\\p{Cc}]{1,60}",
        backend in "[a-zA-Z0-9._-]{1,64}",
        forged in prop::collection::vec(any::<u8>(), 0..2 * SEALED),
        plain in prop::collection::vec(any::<u8>(), PLAIN),
    ) {
        let (cookies, host) = (cookies(), host("mail.tgg.net.id"));
        let memory = Memory { name: Name::new(name.as_bytes()).unwrap(), backend: BackendMark::of(&backend) };
        let whole = cookies.seal_at(&host, &memory, NOW).unwrap();
        let value = &whole.as_bytes()["__Host-zproxy=".len()..][..SEALED];
        prop_assert_eq!(cookies.open_at(&host, value, NOW), Some(memory));
        prop_assert_eq!(cookies.open_at(&host, &forged, NOW), None);
        let _ = Memory::read(&plain, NOW);
    }
}

/// FNV-1a, 64 bits, of `mbox-1`.
const MBOX_1: [u8; 8] = [0x08, 0x52, 0x92, 0xa9, 0x32, 0x05, 0x43, 0xbf];
