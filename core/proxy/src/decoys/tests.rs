use std::time::Duration;

use zproxy_protocol::Name;
use zproxy_protocol::sasl::{Credential, Exchange, Mechanism, Progress, ScramFirst, ScramMechanism, Terms};

use super::Decoys;
use crate::service::Service;

const KEY: &[u8] = b"0123456789abcdef0123456789abcdef";

fn name(text: &str) -> Name {
    Name::new(text.as_bytes()).unwrap()
}

fn first(mechanism: ScramMechanism) -> ScramFirst {
    let exchange = Exchange::begin(Mechanism::Scram(mechanism));
    // n,,n=siti,r=abc
    match exchange.respond(b"biwsbj1zaXRpLHI9YWJj") {
        Ok(Progress::Done(said)) => match said.credential {
            Credential::Scram(first) => first,
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    }
}

fn terms(nonce: &[u8], salt: &[u8], iterations: u32) -> Terms {
    Terms { nonce: nonce.into(), salt: salt.into(), iterations }
}

/// What is asked of a name.
fn asked(decoys: &Decoys, mechanism: ScramMechanism, of: &str) -> Terms {
    decoys.terms(Service::Imap, &first(mechanism), (&name(of), None)).0
}

/// One that has seen these of a real user.
fn having_seen(all: &[(&str, Terms)]) -> Decoys {
    let decoys = Decoys::new(KEY);
    for (of, terms) in all {
        decoys.saw(Service::Imap, &first(ScramMechanism::Sha256), (&name(of), terms), Duration::from_millis(7));
    }
    decoys
}

#[test]
fn a_name_has_one_salt_whatever_its_case_and_after_a_restart_too() {
    let (one, other) = (Decoys::new(KEY), Decoys::new(KEY));
    let salt = asked(&one, ScramMechanism::Sha256, "nobody@tgg.net.id").salt;
    assert_eq!(salt.len(), 16);
    assert_eq!(asked(&one, ScramMechanism::Sha256, "nobody@tgg.net.id").salt, salt);
    assert_eq!(asked(&other, ScramMechanism::Sha256, "Nobody@TGG.net.id").salt, salt);
    assert_ne!(asked(&one, ScramMechanism::Sha256, "nobody2@tgg.net.id").salt, salt);
    assert_ne!(asked(&one, ScramMechanism::Sha1, "nobody@tgg.net.id").salt, salt);
    assert_ne!(asked(&Decoys::new(&[7; 32]), ScramMechanism::Sha256, "nobody@tgg.net.id").salt, salt);
}

#[test]
fn a_nonce_is_new_each_time() {
    let decoys = Decoys::new(KEY);
    let nonce = || asked(&decoys, ScramMechanism::Sha1, "nobody").nonce;
    assert_ne!(nonce(), nonce());
}

#[test]
fn what_is_asked_is_like_what_backends_asked() {
    let decoys = having_seen(&[("siti", terms(b"YWJjZGVmZ2hpag==", &[1; 40], 15_000))]);
    let terms = asked(&decoys, ScramMechanism::Sha256, "nobody");
    assert_eq!((terms.salt.len(), terms.iterations, terms.nonce.len()), (40, 15_000, 16));
    assert!(terms.nonce.ends_with(b"==") && !terms.nonce[..14].contains(&b'='), "{terms:?}");
    assert_ne!(terms.salt[..8], terms.salt[32..]);
    let nobody = (&name("nobody"), None);
    assert_eq!(decoys.terms(Service::Imap, &first(ScramMechanism::Sha256), nobody).1, Duration::from_millis(7));
    assert_eq!(decoys.terms(Service::Pop3, &first(ScramMechanism::Sha256), nobody).1, Duration::ZERO);
    // Of another mechanism nothing was seen.
    assert_eq!(asked(&decoys, ScramMechanism::Sha1, "nobody").iterations, 4096);
}

#[test]
fn a_nonce_is_of_the_letters_that_were_seen() {
    for (seen, of) in [("0a1b2c3d", "0123456789abcdef"), ("~a!=%#zz", ""), ("Zz09+/ab", "")] {
        let decoys = having_seen(&[("siti", terms(seen.as_bytes(), &[1; 16], 4096))]);
        let nonce = String::from_utf8(asked(&decoys, ScramMechanism::Sha256, "nobody").nonce.into()).unwrap();
        assert_eq!(nonce.len(), seen.len());
        assert!(nonce.bytes().all(|octet| octet.is_ascii_graphic() && octet != b','));
        assert!(of.is_empty() || nonce.chars().all(|letter| of.contains(letter)), "{nonce}");
    }
}

#[test]
fn a_name_keeps_its_count_though_backends_have_several() {
    let counts = [4096, 10_000, 4096, 15_000];
    let decoys = having_seen(&counts.map(|count| ("siti", terms(b"abcd", &[1; 16], count))));
    let mut of_names: Vec<u32> = Vec::new();
    for number in 0..40 {
        let ask = || asked(&decoys, ScramMechanism::Sha256, &format!("nobody{number}")).iterations;
        let count = ask();
        assert_eq!(ask(), count);
        of_names.push(count);
    }
    for count in counts {
        assert!(of_names.contains(&count), "{count}");
    }
}

#[test]
fn salts_change_at_each_login_where_a_real_users_does() {
    let (one, other) = (terms(b"abcd", &[1; 16], 4096), terms(b"abcd", &[2; 16], 4096));
    let salt = |decoys: &Decoys| asked(decoys, ScramMechanism::Sha256, "nobody").salt;
    let kept = having_seen(&[("siti", one.clone()), ("budi", other.clone()), ("siti", one.clone())]);
    assert_eq!(salt(&kept), salt(&kept));
    let drawn = having_seen(&[("siti", one), ("siti", other)]);
    assert_ne!(salt(&drawn), salt(&drawn));
}
