//! Clients that log in by SCRAM, before the server machines of all protocols.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zproxy_protocol::sasl::{Challenge, Credential, ScramFirst, Terms};
use zproxy_protocol::{Refusal, Step, Then};

use crate::client::{MAX_RESPONSE, Talk, setting};
use crate::scram::{ASKED, FIRST, LAST};
use crate::words::{ALL, IMAP, POP3, SIEVE, SMTP, Words};

fn open(words: &Words) -> Talk {
    Talk::open(words, setting(&["AUTH=SCRAM-SHA-256", "AUTH=SCRAM-SHA-1"]))
}

/// One that has begun, and is asked for its proof.
pub(crate) fn asked(words: &Words) -> Talk {
    let mut talk = open(words);
    let first = first(talk.hear(&words.initial("SCRAM-SHA-1", FIRST)));
    talk.ask(challenge(&first));
    talk
}

fn first(step: Step) -> ScramFirst {
    match step {
        Step::Login(login) => match login.credential {
            Credential::Scram(first) => {
                assert_eq!((login.name.as_ref().unwrap().as_str(), login.mechanism), ("user", "SCRAM-SHA-1"));
                first
            }
            other => panic!("{other:?}"),
        },
        other => panic!("no login: {other:?}"),
    }
}

fn challenge(first: &ScramFirst) -> Challenge {
    let salt = STANDARD.decode("QSXCR+Q6sek8bf92").unwrap().into();
    first.ask(Terms { nonce: (*b"3rfcNHYJY1ZVvWVs7j").into(), salt, iterations: 4096 })
}

fn response(step: Step) -> String {
    match step {
        Step::Response(response) => String::from_utf8(STANDARD.decode(response.expose()).unwrap()).unwrap(),
        other => panic!("no response: {other:?}"),
    }
}

#[test]
fn is_offered_where_every_backend_takes_it() {
    for words in ALL {
        let mut talk = open(words);
        talk.hear(words.list);
        let listed = words.listed(&["PLAIN", "LOGIN", "SCRAM-SHA-256", "SCRAM-SHA-1"]);
        assert!(talk.said.contains(&listed), "{}", talk.said);
        talk.server.offer(Arc::from(["AUTH=SCRAM-SHA-1".to_owned()]));
        talk.hear(words.list);
        assert!(talk.said.contains("SCRAM-SHA-1") && !talk.said.contains("SCRAM-SHA-256"), "{}", talk.said);
        talk.server.offer(Arc::from([]));
        talk.hear(words.list);
        assert!(!talk.said.contains("SCRAM"), "{}", talk.said);
        assert!(matches!(talk.hear(&words.begin("SCRAM-SHA-256")), Step::More));
        assert_eq!(talk.said, words.unknown);
    }
}

#[test]
fn an_exchange_passes_both_ways_and_ends_in_a_welcome() {
    for words in ALL {
        for initial in [true, false] {
            let mut talk = open(words);
            let step = if initial {
                talk.hear(&words.initial("SCRAM-SHA-1", FIRST))
            } else {
                assert!(matches!(talk.hear(&words.begin("scram-sha-1")), Step::More));
                assert_eq!(talk.said, words.asked(""));
                talk.hear(&words.response(FIRST))
            };
            talk.ask(challenge(&first(step)));
            assert_eq!(talk.said, words.asked(ASKED));
            assert_eq!(response(talk.hear(&words.response(LAST))), LAST);
            assert!(talk.welcome().ends_with(&words.line("Hello.")));
        }
    }
}

#[test]
fn a_refusal_follows_the_proof_and_the_client_may_try_again() {
    for words in ALL {
        let mut talk = open(words);
        for _ in 0..2 {
            let first = first(talk.hear(&words.initial("SCRAM-SHA-1", FIRST)));
            talk.ask(challenge(&first));
            talk.hear(&words.response(LAST));
            talk.refuse(&Refusal::Credentials, Then::TryAgain);
            assert_eq!(talk.said, words.failed);
        }
        talk.hear(words.noop.0);
        assert_eq!(talk.said, words.noop.1);
    }
}

#[test]
fn whoever_breaks_off_or_says_what_is_no_answer_abandons_the_login() {
    let foreign = STANDARD.encode(LAST.replace("3rfc", "3rfd"));
    for words in ALL {
        for (answer, told) in [("*", words.cancelled), ("", words.malformed), (&foreign, words.malformed)] {
            let mut talk = asked(words);
            let said = format!("{}{}", words.line(answer), words.noop.0);
            assert!(matches!(talk.hear(&said), Step::Abandoned), "{answer}");
            assert_eq!(talk.said, told);
            talk.hear("");
            assert_eq!(talk.said, words.noop.1);
        }
    }
}

#[test]
fn a_line_that_no_answer_can_be_abandons_the_login_or_ends_the_conversation() {
    let mut talk = asked(&SMTP);
    assert!(matches!(talk.hear(&format!("{}\r\nNOOP\r\n", "A".repeat(20_000))), Step::Abandoned));
    assert_eq!(talk.said, "500 5.5.6 Authentication exchange line is too long.\r\n");
    talk.hear("");
    assert_eq!(talk.said, "250 2.0.0 Ok.\r\n");
    for words in [&IMAP, &POP3, &SIEVE] {
        assert!(asked(words).advance(&"A".repeat(MAX_RESPONSE + 3)).is_err());
    }
}

#[test]
fn channel_binding_is_refused() {
    for words in ALL {
        let mut talk = open(words);
        let message = FIRST.replace("n,,", "p=tls-unique,,");
        assert!(matches!(talk.hear(&words.initial("SCRAM-SHA-1", &message)), Step::More));
        assert!(talk.said.contains("channel binding is not offered"), "{}", talk.said);
    }
}

#[test]
fn an_exchange_is_the_same_octet_by_octet() {
    for words in ALL {
        let mut talk = open(words);
        let slowly = |talk: &mut Talk, said: &str| {
            for (at, _) in said.char_indices().skip(1) {
                assert!(matches!(talk.hear(&said[at - 1..at]), Step::More));
                assert_eq!(talk.said, "");
            }
            talk.hear(&said[said.len() - 1..])
        };
        let step = slowly(&mut talk, &words.initial("SCRAM-SHA-1", FIRST));
        talk.ask(challenge(&first(step)));
        assert_eq!(response(slowly(&mut talk, &words.response(LAST))), LAST);
    }
}
