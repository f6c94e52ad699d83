//! Which ticket opens where, and until when.

use std::time::UNIX_EPOCH;

use super::*;

const HOUR: Duration = Duration::from_secs(3600);
const PLAIN: &[u8] = b"a session";

fn at(hours: u32) -> SystemTime {
    UNIX_EPOCH + hours * HOUR
}

/// A key a rotation of an hour, from `hours` on.
fn message(hours: impl IntoIterator<Item = u8>) -> wire::TicketKeys {
    let key = |hour| wire::TicketKey {
        name: vec![hour; NAME],
        secret: vec![hour ^ 0xff; SECRET],
        not_before: Some(at(hour.into()).into()),
    };
    wire::TicketKeys { keys: hours.into_iter().map(key).collect(), rotation: Some(HOUR.try_into().unwrap()) }
}

fn tickets(hours: impl IntoIterator<Item = u8>) -> Tickets {
    let tickets = Tickets::new().unwrap();
    tickets.take(message(hours)).unwrap();
    tickets
}

#[test]
fn a_ticket_of_one_edge_opens_at_another_from_the_previous_key_to_the_next() {
    let ticket = tickets([9, 10, 11]).seal(b"imap", PLAIN, at(10)).unwrap();
    let opened = |hours, now| tickets(hours).open(b"imap", &ticket, at(now)).is_some();
    assert!(opened([8, 9, 10], 9), "a slow clock");
    assert!(opened([9, 10, 11], 10));
    assert!(opened([10, 11, 12], 11));
    assert!(!opened([11, 12, 13], 12));
    assert!(!opened([10, 11, 12], 12), "an edge that missed a rotation");
}

#[test]
fn a_ticket_opens_under_its_own_settings_and_whole_only() {
    let tickets = tickets([9, 10, 11]);
    let ticket = tickets.seal(b"imap", PLAIN, at(10)).unwrap();
    assert_eq!(tickets.open(b"imap", &ticket, at(10)).as_deref(), Some(PLAIN));
    assert_eq!(tickets.open(b"pop3", &ticket, at(10)), None);
    for index in 0..ticket.len() {
        let mut changed = ticket.clone();
        changed[index] ^= 1;
        assert_eq!(tickets.open(b"imap", &changed, at(10)), None, "{index}");
        assert_eq!(tickets.open(b"imap", &ticket[..index], at(10)), None, "{index}");
    }
    assert_eq!(tickets.open(b"imap", &vec![0; 1 << 20], at(10)), None);
}

#[test]
fn two_tickets_of_one_session_have_nothing_in_common_but_the_name_of_their_key() {
    let tickets = tickets([9, 10, 11]);
    let [one, other] = [(); 2].map(|()| tickets.seal(b"imap", PLAIN, at(10)).unwrap());
    assert_eq!(one[..NAME], other[..NAME]);
    assert_ne!(one[NAME..], other[NAME..]);
}

#[test]
fn an_edge_that_control_has_left_seals_by_keys_of_its_own_and_opens_those_it_knew() {
    let tickets = tickets([9, 10, 11]);
    let shared = tickets.seal(b"imap", PLAIN, at(11)).unwrap();
    let own = tickets.seal(b"imap", PLAIN, at(12)).unwrap();
    assert_ne!(own[..NAME], shared[..NAME]);
    assert!(tickets.open(b"imap", &own, at(13)).is_some());
    assert!(tickets.open(b"imap", &shared, at(12)).is_some());
    let later = tickets.seal(b"imap", PLAIN, at(13)).unwrap();
    assert_ne!(later[..NAME], own[..NAME]);
    assert!(tickets.open(b"imap", &own, at(14)).is_none());
}

#[test]
fn an_edge_with_a_slow_clock_seals_by_the_oldest_key() {
    let ticket = tickets([9, 10, 11]).seal(b"imap", PLAIN, at(8)).unwrap();
    assert_eq!(ticket[..NAME], [9; NAME]);
}

#[test]
fn keys_that_cannot_be_used_leave_those_of_before() {
    let tickets = tickets([9, 10, 11]);
    let ticket = tickets.seal(b"imap", PLAIN, at(10)).unwrap();
    let mut short = message([12]);
    short.keys[0].secret.pop();
    let mut still = message([12]);
    still.rotation = None;
    assert_eq!(tickets.take(message([])), Err(BadKeys::Count(0)));
    assert_eq!(tickets.take(short), Err(BadKeys::Kind));
    assert_eq!(tickets.take(still), Err(BadKeys::Rotation));
    assert!(tickets.open(b"imap", &ticket, at(10)).is_some());
}
