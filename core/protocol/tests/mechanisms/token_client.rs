//! Backends that are sent a token, before the client machines of all protocols.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zproxy_protocol::sasl::{Credential, ErrorObject, Mechanism, TokenMechanism};
use zproxy_protocol::{ClientSetting, ClientStep, Goal, Input, LoginAtBackend, Name, Refusal};

use crate::backend::{self, Talk};
use crate::token::{EXPIRED, message, object};
use crate::words::{ALL, IMAP, POP3, SMTP, Words};

fn login(mechanism: TokenMechanism, token: &str) -> LoginAtBackend {
    backend::login(Mechanism::Token(mechanism), &message(mechanism, token))
}

/// One that was sent a token and objects to it.
fn objected(words: &'static Words, mechanism: TokenMechanism, base64: &str) -> Talk {
    let mut talk = Talk::open(words, &[mechanism.name()], login(mechanism, "t"));
    talk.say(&words.asked_in(base64));
    talk
}

#[test]
fn a_token_goes_by_its_own_mechanism_to_a_backend_that_lists_it() {
    for words in ALL {
        for mechanism in TokenMechanism::ALL {
            let mut talk = Talk::open(words, &["PLAIN", "OAUTHBEARER", "XOAUTH2"], login(mechanism, "t.k=="));
            assert_eq!(talk.heard, words.initial(mechanism.name(), &message(mechanism, "t.k==")));
            talk.say(words.yes);
            talk.let_in();
        }
    }
}

#[test]
fn a_token_never_goes_as_a_password_nor_by_another_mechanism() {
    for words in ALL {
        for listed in [&["PLAIN", "LOGIN", "OAUTHBEARER"][..], &["PLAIN", "LOGIN"], &["XOAUTH", "XOAUTH22"], &[]] {
            let talk = Talk::open(words, listed, login(TokenMechanism::Xoauth2, "t"));
            assert_eq!(talk.heard, "", "{listed:?}");
            assert_eq!(talk.refusal(), Refusal::Cannot);
        }
    }
}

#[test]
fn a_password_never_goes_by_a_mechanism_for_tokens() {
    for words in ALL {
        let login = backend::login(Mechanism::Plain, "\0siti\0demo");
        assert!(matches!(login.credential, Some(Credential::Password(_))));
        let talk = Talk::open(words, &["OAUTHBEARER", "XOAUTH2"], login);
        assert!(!talk.heard.contains("AUTH"), "{}", talk.heard);
    }
}

#[test]
fn a_message_that_is_too_long_for_the_command_waits_until_it_is_asked_for() {
    // Octets of base64 that fit into a command.
    for (words, fit) in
        [(&IMAP, 4096), (&POP3, 255 - "AUTH XOAUTH2 \r\n".len()), (&SMTP, 512 - "AUTH XOAUTH2 \r\n".len())]
    {
        let longest = fit / 4 * 3 - message(TokenMechanism::Xoauth2, "").len();
        for (octets, at_once) in [(longest, true), (longest + 1, false)] {
            let token = "x".repeat(octets);
            let mut talk = Talk::open(words, &["XOAUTH2"], login(TokenMechanism::Xoauth2, &token));
            let message = message(TokenMechanism::Xoauth2, &token);
            if at_once {
                assert_eq!(talk.heard, words.initial("XOAUTH2", &message));
                continue;
            }
            assert_eq!(talk.heard, words.begin("XOAUTH2"));
            talk.ask("");
            assert_eq!(talk.heard, words.response(&message));
            talk.ask(EXPIRED);
            assert_eq!(talk.heard, words.response(""));
            talk.say(words.wrong);
            assert_eq!(talk.refusal(), object(EXPIRED));
        }
    }
}

#[test]
fn what_a_backend_would_hang_up_at_is_not_sent_and_is_refused_as_an_unknown_user_is() {
    // Of base64 a backend hears 8192 octets.
    const MOST: usize = 6144;
    let by_token = Mechanism::Token(TokenMechanism::Xoauth2);
    for words in ALL {
        for (mechanism, before, behind) in
            [(Mechanism::Plain, "\0siti\0", ""), (by_token, "user=siti\x01auth=Bearer ", "\x01\x01")]
        {
            let message = |octets: usize| {
                let secret = octets - before.len() - behind.len();
                format!("{before}{}{behind}", "x".repeat(secret))
            };
            let talk = |octets| Talk::open(words, &[mechanism.name()], backend::login(mechanism, &message(octets)));
            assert!(talk(MOST).heard.contains(mechanism.name()), "{}", talk(MOST).heard);
            let talk = talk(MOST + 1);
            assert_eq!(talk.heard, "");
            assert_eq!(talk.refusal(), Refusal::Credentials);
        }
    }
}

#[test]
fn an_objection_is_dismissed_as_its_mechanism_wants_and_kept() {
    for words in ALL {
        for (mechanism, dismissal) in [(TokenMechanism::OauthBearer, "\x01"), (TokenMechanism::Xoauth2, "")] {
            let mut talk = objected(words, mechanism, &STANDARD.encode(EXPIRED));
            assert_eq!(talk.heard, words.response(dismissal));
            talk.say(words.wrong);
            assert_eq!(talk.refusal(), object(EXPIRED));
        }
    }
}

#[test]
fn what_is_no_object_is_dismissed_and_not_passed_on() {
    for words in ALL {
        for junk in ["junk!", "YQ==", "e30", &STANDARD.encode(format!("{{{}}}", "x".repeat(700)).repeat(2))[..900]] {
            let mut talk = objected(words, TokenMechanism::OauthBearer, junk);
            assert_eq!(talk.heard, words.response("\x01"), "{junk}");
            talk.say(words.wrong);
            assert_eq!(talk.refusal(), Refusal::Token(ErrorObject::of(TokenMechanism::OauthBearer)));
        }
    }
}

#[test]
fn a_refusal_without_an_objection_is_one_of_credentials() {
    for words in ALL {
        let mut talk = Talk::open(words, &["XOAUTH2"], login(TokenMechanism::Xoauth2, "t"));
        talk.say(words.wrong);
        assert_eq!(talk.refusal(), Refusal::Credentials);
    }
}

#[test]
fn a_fault_behind_an_objection_is_still_a_fault() {
    for words in ALL {
        let mut talk = objected(words, TokenMechanism::Xoauth2, &STANDARD.encode(EXPIRED));
        talk.say(words.busy);
        assert!(matches!(talk.refusal(), Refusal::Told { .. }));
    }
}

#[test]
fn a_backend_that_objects_and_lets_in_or_objects_twice_has_broken_its_protocol() {
    for words in ALL {
        for line in [words.yes.to_owned(), words.asked("{}")] {
            let mut talk = objected(words, TokenMechanism::OauthBearer, &STANDARD.encode(EXPIRED));
            talk.say(&line);
            talk.broken();
        }
    }
}

#[test]
fn a_backend_that_overlooks_the_initial_response_may_ask_for_it_once() {
    for words in [&POP3, &SMTP] {
        let mut talk = objected(words, TokenMechanism::Xoauth2, "");
        assert_eq!(talk.heard, words.response(&message(TokenMechanism::Xoauth2, "t")));
        talk.ask("");
        talk.broken();
    }
}

#[test]
fn the_message_names_the_user_as_the_backend_knows_him() {
    let mut login = login(TokenMechanism::OauthBearer, "t");
    login.name = Name::new(b"si=ti,x").unwrap();
    let talk = Talk::open(&POP3, &["OAUTHBEARER"], login);
    assert_eq!(talk.heard, POP3.initial("OAUTHBEARER", "n,a=si=3Dti=2Cx,\x01auth=Bearer t\x01\x01"));
}

#[test]
fn a_probe_learns_of_mechanisms_in_the_same_words() {
    for words in ALL {
        let mut client = words.protocol.client(ClientSetting { starttls: false, goal: Goal::Probe });
        let (mut input, mut out, mut probed) = (Input::new(), Vec::new(), Vec::new());
        let listed = words.listed(&["PLAIN", "XOAUTH2"]);
        for line in words.opening {
            input.extend(line.replace("{}", &listed).as_bytes());
            if let ClientStep::Probed(words) = client.advance(&mut input, &mut out).unwrap() {
                probed = words;
            }
        }
        probed.retain(|word| words.protocol.may_offer(word));
        assert_eq!(probed, ["AUTH=XOAUTH2"]);
    }
}

#[test]
fn a_conversation_is_the_same_byte_by_byte() {
    for words in ALL {
        let mut talk = Talk::open(words, &["OAUTHBEARER"], login(TokenMechanism::OauthBearer, "t"));
        let mut heard = String::new();
        for octet in words.asked(EXPIRED).chars() {
            talk.say(&octet.to_string());
            heard += &talk.heard;
        }
        assert_eq!(heard, words.response("\x01"));
        for octet in words.wrong.chars() {
            talk.say(&octet.to_string());
        }
        assert_eq!(talk.refusal(), object(EXPIRED));
    }
}
