//! Which key seals, and until when what it sealed opens.

use std::time::UNIX_EPOCH;

use super::*;

const HOUR: Duration = Duration::from_secs(3600);
const PLAIN: &[u8] = b"a session";

pub(crate) fn at(hours: u32) -> SystemTime {
    UNIX_EPOCH + hours * HOUR
}

/// A key a rotation of an hour, from `hours` on; what one sealed last opens for `opens_for` hours.
pub(crate) fn message(hours: impl IntoIterator<Item = u8>, opens_for: Option<u32>) -> wire::RotatingKeys {
    let key = |hour| wire::RotatingKey {
        name: vec![hour; NAME],
        secret: vec![hour ^ 0xff; SECRET],
        not_before: Some(at(hour.into()).into()),
    };
    wire::RotatingKeys {
        keys: hours.into_iter().map(key).collect(),
        rotation: Some(HOUR.try_into().unwrap()),
        opens_for: opens_for.map(|hours| (hours * HOUR).try_into().unwrap()),
    }
}

fn none() -> RotatingKeys {
    RotatingKeys::new(b"test", Pace { rotation: HOUR, opens_for: HOUR })
}

fn keys(hours: impl IntoIterator<Item = u8>) -> RotatingKeys {
    let keys = none();
    keys.take(message(hours, None)).unwrap();
    keys
}

#[test]
fn what_one_edge_sealed_opens_at_another_from_the_previous_key_to_the_next() {
    let sealed = keys([9, 10, 11]).seal(b"imap", PLAIN, at(10)).unwrap();
    let opened = |hours, now| keys(hours).open(b"imap", &sealed, at(now)).is_some();
    assert!(opened([8, 9, 10], 9), "a slow clock");
    assert!(opened([9, 10, 11], 10));
    assert!(opened([10, 11, 12], 11));
    assert!(!opened([11, 12, 13], 12));
    assert!(!opened([10, 11, 12], 12), "an edge that missed a rotation");
}

#[test]
fn it_opens_for_as_long_as_control_says() {
    let keys = none();
    keys.take(message([9, 10, 11], Some(5))).unwrap();
    let sealed = keys.seal(b"imap", PLAIN, at(10)).unwrap();
    assert!(keys.open(b"imap", &sealed, at(15)).is_some());
    assert!(keys.open(b"imap", &sealed, at(16)).is_none());
}

#[test]
fn it_opens_for_the_same_only_and_whole_only() {
    let keys = keys([9, 10, 11]);
    let sealed = keys.seal(b"imap", PLAIN, at(10)).unwrap();
    assert_eq!(sealed.len(), PLAIN.len() + AROUND);
    assert_eq!(keys.open(b"imap", &sealed, at(10)).as_deref(), Some(PLAIN));
    assert_eq!(keys.open(b"pop3", &sealed, at(10)), None);
    let mut other = none();
    other.purpose = b"other";
    other.take(message([9, 10, 11], None)).unwrap();
    assert_eq!(other.open(b"imap", &sealed, at(10)), None);
    for index in 0..sealed.len() {
        let mut changed = sealed.clone();
        changed[index] ^= 1;
        assert_eq!(keys.open(b"imap", &changed, at(10)), None, "{index}");
        assert_eq!(keys.open(b"imap", &sealed[..index], at(10)), None, "{index}");
    }
}

#[test]
fn one_text_sealed_twice_has_nothing_in_common_but_the_name_of_the_key() {
    let keys = keys([9, 10, 11]);
    let [one, other] = [(); 2].map(|()| keys.seal(b"imap", PLAIN, at(10)).unwrap());
    assert_eq!(one[..NAME], other[..NAME]);
    assert_ne!(one[NAME..], other[NAME..]);
}

#[test]
fn keys_of_our_own_are_drawn_when_all_have_had_their_time_and_what_was_sealed_before_still_opens() {
    let keys = keys([9, 10, 11]);
    let seal = |hour| {
        keys.draw_when_outlived(at(hour)).unwrap();
        keys.seal(b"imap", PLAIN, at(hour)).unwrap()
    };
    let shared = seal(11);
    assert_eq!(shared[..NAME], [11; NAME]);
    let own = seal(12);
    assert_ne!(own[..NAME], shared[..NAME]);
    assert!(keys.open(b"imap", &own, at(13)).is_some());
    assert!(keys.open(b"imap", &shared, at(12)).is_some());
    assert_ne!(seal(13)[..NAME], own[..NAME]);
    assert!(keys.open(b"imap", &own, at(14)).is_none());
}

#[test]
fn without_a_draw_the_newest_goes_on() {
    let sealed = keys([9, 10, 11]).seal(b"imap", PLAIN, at(12)).unwrap();
    assert_eq!(sealed[..NAME], [11; NAME]);
    assert!(keys([11, 12, 13]).open(b"imap", &sealed, at(12)).is_some());
}

#[test]
fn an_edge_with_a_slow_clock_seals_by_the_oldest_key() {
    let sealed = keys([9, 10, 11]).seal(b"imap", PLAIN, at(8)).unwrap();
    assert_eq!(sealed[..NAME], [9; NAME]);
}

#[test]
fn keys_that_cannot_be_used_leave_those_of_before() {
    let keys = keys([9, 10, 11]);
    let sealed = keys.seal(b"imap", PLAIN, at(10)).unwrap();
    let mut short = message([12], None);
    short.keys[0].secret.pop();
    let mut still = message([12], None);
    still.rotation = None;
    assert_eq!(keys.take(message([], None)), Err(BadKeys::Count(0)));
    assert_eq!(keys.take(message(0..=64, None)), Err(BadKeys::Count(65)));
    assert_eq!(keys.take(short), Err(BadKeys::Kind));
    assert_eq!(keys.take(still), Err(BadKeys::Rotation));
    assert!(keys.open(b"imap", &sealed, at(10)).is_some());
}
