//! Backends that are asked for a SCRAM exchange, before the client machines of all protocols.

use zproxy_protocol::imap::Imap;
use zproxy_protocol::sasl::{Mechanism, ScramMechanism};
use zproxy_protocol::{ClientStep, Error, Language as _, LoginAtBackend, Refusal};

use crate::backend::{self, Talk};
use crate::scram::{ASKED, FIRST, LAST, SIGNED};
use crate::words::{ALL, POP3, SMTP, Words};

fn login(message: &str) -> LoginAtBackend {
    backend::login(Mechanism::Scram(ScramMechanism::Sha1), message)
}

fn open(words: &'static Words) -> Talk {
    Talk::open(words, &["SCRAM-SHA-1"], login(FIRST))
}

/// One that has sent its proof.
pub(crate) fn proved(words: &'static Words) -> Talk {
    let mut talk = open(words);
    talk.ask(ASKED);
    talk.passed();
    talk.answer(LAST);
    talk.more();
    talk
}

#[test]
fn an_exchange_passes_both_ways_and_ends_in_success() {
    for words in ALL {
        let mut talk = Talk::open(words, &["PLAIN", "SCRAM-SHA-1"], login(FIRST));
        assert_eq!(talk.heard, words.initial("SCRAM-SHA-1", FIRST));
        talk.ask(ASKED);
        assert_eq!(talk.passed(), ASKED);
        assert_eq!(talk.answer(LAST), words.response(LAST));
        talk.more();
        talk.ask(SIGNED);
        assert_eq!(talk.passed(), SIGNED);
        assert_eq!(talk.answer(""), words.response(""));
        talk.say(words.yes);
        talk.let_in();
    }
}

#[test]
fn a_first_message_that_is_too_long_for_the_command_waits_until_it_is_asked_for() {
    let long = format!("n,,n={},r=fyko+d2lbbFgONRv9qkxdawL", "x".repeat(900));
    for words in [&POP3, &SMTP] {
        let mut talk = Talk::open(words, &["SCRAM-SHA-1"], login(&long));
        assert_eq!(talk.heard, words.begin("SCRAM-SHA-1"));
        talk.ask("");
        assert_eq!(talk.heard, words.response(&long));
        talk.ask(ASKED);
        assert_eq!(talk.passed(), ASKED);
    }
}

#[test]
fn a_backend_that_can_bind_the_channel_or_lacks_the_mechanism_is_not_asked() {
    for words in ALL {
        for listed in [
            &["PLAIN", "SCRAM-SHA-1", "SCRAM-SHA-1-PLUS"][..],
            &["SCRAM-SHA-256-PLUS", "SCRAM-SHA-1"],
            &["SCRAM-SHA-256", "PLAIN"],
            &[],
        ] {
            let talk = Talk::open(words, listed, login(FIRST));
            assert_eq!(talk.heard, "", "{listed:?}");
            assert_eq!(talk.refusal(), Refusal::Cannot);
        }
    }
}

#[test]
fn a_mechanism_that_cannot_be_relayed_is_not_worth_knowing() {
    let known = |named: &[&str]| {
        let named: Vec<String> = named.iter().map(|&word| word.to_owned()).collect();
        Imap.worth_knowing(&named)
    };
    assert_eq!(known(&["IDLE", "AUTH=SCRAM-SHA-256", "AUTH=GSSAPI", "X"]), ["IDLE", "AUTH=SCRAM-SHA-256"]);
    let bound = ["AUTH=SCRAM-SHA-256", "AUTH=SCRAM-SHA-1", "AUTH=SCRAM-SHA-1-PLUS", "AUTH=XOAUTH2"];
    assert_eq!(known(&bound), ["AUTH=XOAUTH2"]);
}

#[test]
fn a_refusal_at_any_moment_is_one() {
    for words in ALL {
        for (said, expected) in [(words.wrong, true), (words.busy, false)] {
            let mut at_once = open(words);
            at_once.say(said);
            assert_eq!(at_once.refusal() == Refusal::Credentials, expected);
            let mut behind_the_proof = proved(words);
            behind_the_proof.say(said);
            assert_eq!(behind_the_proof.refusal() == Refusal::Credentials, expected);
        }
    }
}

#[test]
fn an_error_in_the_exchange_never_reaches_the_client() {
    for words in ALL {
        for (mut talk, error) in [(open(words), "e=unknown-user"), (proved(words), "e=invalid-proof")] {
            talk.ask(error);
            assert!(matches!(talk.end, Ok(ClientStep::More)), "{:?}", talk.end);
            assert_eq!(talk.heard, words.response(""));
            talk.say(words.wrong);
            assert_eq!(talk.refusal(), Refusal::Credentials);
        }
    }
}

#[test]
fn a_yes_before_the_backend_has_proved_itself_is_no_yes() {
    for words in ALL {
        let mut at_once = open(words);
        at_once.say(words.yes);
        at_once.broken();
        let mut unsigned = proved(words);
        unsigned.say(words.yes);
        unsigned.broken();
        let mut refused = proved(words);
        refused.ask("e=other-error");
        refused.say(words.yes);
        refused.broken();
    }
}

#[test]
fn what_is_no_message_of_this_exchange_is_not_passed_on() {
    let bad = [
        "",
        "r=fyko+d2lbbFgONRv9qkxdawL,s=QSXCR+Q6sek8bf92,i=4096",
        "r=other3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096",
        "r=fyko+d2lbbFgONRv9qkxdawL3r,s=,i=4096",
        "r=fyko+d2lbbFgONRv9qkxdawL3r,s=?,i=4096",
        "r=fyko+d2lbbFgONRv9qkxdawL3r,s=QSXC,i=0",
        "r=fyko+d2lbbFgONRv9qkxdawL3r,s=QSXC,i=",
        "r=fyko+d2lbbFgONRv9qkxdawL3r,s=QSXC,i=+5",
        "r=fyko+d2lbbFgONRv9qkxdawL3r,s=QSXC,i=99999999999",
        "r=fyko+d2lbbFgONRv9qkxdawL3r,s=QSXC",
        "m=1,r=fyko+d2lbbFgONRv9qkxdawL3r,s=QSXC,i=4096",
        "v=rmF9pqV8S7suAoZWja4dJRkFsKQ=",
    ];
    for words in ALL {
        for message in bad {
            // An empty one has the first message said again where it went with the command.
            let mut talk = open(words);
            if message.is_empty() {
                talk.ask("x");
            } else {
                talk.ask(message);
            }
            talk.broken();
        }
        for message in ["", "v=", "v=AAAA", ASKED, "x=1"] {
            let mut talk = proved(words);
            talk.ask(message);
            talk.broken();
        }
        let mut endless = proved(words);
        endless.ask(SIGNED);
        endless.answer("");
        endless.ask(SIGNED);
        endless.broken();
    }
}

#[test]
fn nothing_may_come_behind_a_challenge() {
    for words in ALL {
        let mut talk = open(words);
        talk.say(&format!("{}{}", words.asked(ASKED), words.wrong));
        assert!(matches!(talk.end, Err(Error::BackendProtocol(_))), "{:?}", talk.end);
    }
}

#[test]
fn an_exchange_is_the_same_octet_by_octet() {
    for words in ALL {
        let mut talk = open(words);
        for message in [ASKED, SIGNED] {
            for octet in words.asked(message).chars() {
                assert!(matches!(talk.end, Ok(ClientStep::More)));
                talk.say(&octet.to_string());
            }
            assert_eq!(talk.passed(), message);
            talk.answer(if message == ASKED { LAST } else { "" });
            talk.more();
        }
        for octet in words.yes.chars() {
            assert!(matches!(talk.end, Ok(ClientStep::More)));
            talk.say(&octet.to_string());
        }
        talk.let_in();
    }
}
