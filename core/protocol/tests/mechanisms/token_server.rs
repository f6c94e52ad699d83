//! Clients that log in by a token, before the server machines of all protocols.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zproxy_protocol::{Credential, Error, Login, Name, Refusal, ServerSetting, Step, Then};

use crate::client::{self, MAX_RESPONSE, setting};
use crate::token::{EXPIRED, object};
use crate::words::{ALL, IMAP, POP3, SIEVE, SMTP, Words};

const XOAUTH2: &str = "user=siti\x01auth=Bearer t\x01\x01";
const OAUTHBEARER: &str = "n,a=siti,\x01auth=Bearer t\x01\x01";

/// A conversation; every login is refused in the same words.
struct Talk {
    client: client::Talk,
    refusal: Refusal,
    then: Then,
    said: String,
    logins: Vec<String>,
    end: Option<Error>,
}

impl Talk {
    fn new(words: &Words, refusal: Refusal, then: Then) -> Self {
        let client = client::Talk::open(words, setting(&["AUTH=XOAUTH2", "AUTH=OAUTHBEARER"]));
        Self { client, refusal, then, said: String::new(), logins: Vec::new(), end: None }
    }

    fn hear(&mut self, octets: &str) {
        let mut octets = Some(octets);
        while self.end.is_none() {
            let step = self.client.advance(octets.take().unwrap_or_default());
            self.said += &self.client.said;
            match step {
                Ok(Step::More) => break,
                Ok(Step::Login(login)) => {
                    self.logins.push(format!("{} {}", login.mechanism, message(&login).escape_ascii()));
                    self.client.refuse(&self.refusal, self.then);
                    self.said += &self.client.said;
                    if self.then == Then::Close {
                        break;
                    }
                }
                Ok(step) => panic!("{step:?}"),
                Err(error) => self.end = Some(error),
            }
        }
    }
}

/// What a backend would be sent.
fn message(login: &Login) -> Vec<u8> {
    let nobody = Name::new(b"(nobody)").unwrap();
    match &login.credential {
        Credential::Token(token) => {
            STANDARD.decode(token.response(login.name.as_ref().unwrap_or(&nobody)).expose()).unwrap()
        }
        Credential::Password(password) => password.expose().to_vec(),
        other => panic!("no token: {other:?}"),
    }
}

#[test]
fn a_token_makes_a_login_with_and_without_an_initial_response() {
    for words in ALL {
        for (mechanism, message) in [("XOAUTH2", XOAUTH2), ("oauthbearer", OAUTHBEARER)] {
            let login = format!("{} {}", mechanism.to_uppercase(), message.as_bytes().escape_ascii());
            let mut talk = Talk::new(words, Refusal::Temporary, Then::TryAgain);
            talk.hear(&words.initial(mechanism, message));
            assert_eq!(talk.logins, std::slice::from_ref(&login));
            assert_eq!(talk.said.lines().count(), 1, "asked: {}", talk.said);

            let mut talk = Talk::new(words, Refusal::Temporary, Then::TryAgain);
            talk.hear(&words.begin(mechanism));
            assert_eq!(talk.said, words.asked(""));
            talk.hear(&words.response(message));
            assert_eq!(talk.logins, [login]);
        }
    }
}

#[test]
fn the_object_of_a_refused_token_comes_before_the_refusal_whatever_is_answered() {
    for words in ALL {
        for (refusal, shown) in [
            (object(EXPIRED), EXPIRED),
            (Refusal::Credentials, "{\"status\":\"401\",\"schemes\":\"bearer\",\"scope\":\"mail\"}"),
        ] {
            for answer in ["AQ==", "", "*", "no base64", "a NOOP"] {
                let mut talk = Talk::new(words, refusal.clone(), Then::TryAgain);
                talk.hear(&words.initial("XOAUTH2", XOAUTH2));
                assert_eq!(talk.said, words.asked(shown));
                talk.said.clear();
                talk.hear(&words.line(answer));
                assert_eq!(talk.said, words.failed);
                talk.hear(&words.initial("XOAUTH2", XOAUTH2));
                assert_eq!(talk.logins.len(), 2);
            }
        }
    }
}

#[test]
fn a_refusal_that_closes_does_not_wait_for_the_answer() {
    for words in ALL {
        let mut talk = Talk::new(words, object(EXPIRED), Then::Close);
        talk.hear(&words.initial("OAUTHBEARER", OAUTHBEARER));
        assert_eq!(talk.said, [&words.asked(EXPIRED), words.failed, words.closed].concat());
    }
}

#[test]
fn a_password_is_refused_without_an_object() {
    for words in ALL {
        let mut talk = Talk::new(words, object(EXPIRED), Then::TryAgain);
        talk.hear(&words.initial("PLAIN", "\0siti\0demo"));
        assert_eq!((talk.said.as_str(), talk.logins), (words.failed, vec!["PLAIN demo".to_owned()]));
    }
}

#[test]
fn a_backend_that_cannot_carry_the_mechanism_is_told_so_at_once() {
    for words in ALL {
        let mut talk = Talk::new(words, Refusal::Cannot, Then::TryAgain);
        talk.hear(&words.initial("XOAUTH2", XOAUTH2));
        assert_eq!(talk.said, words.cannot);
    }
}

#[test]
fn a_mechanism_that_a_backend_lacks_is_unknown_and_no_token_is_asked_for() {
    for words in ALL {
        let mut talk = Talk::new(words, Refusal::Temporary, Then::TryAgain);
        talk.client.server.offer(Arc::from(["AUTH=OAUTHBEARER".to_owned(), "AUTH=CRAM-MD5".to_owned()]));
        for mechanism in ["XOAUTH2", "CRAM-MD5"] {
            talk.hear(&words.begin(mechanism));
            assert_eq!(talk.said, words.unknown, "{mechanism}");
            talk.said.clear();
        }
        talk.hear(&words.begin("OAUTHBEARER"));
        assert_eq!(talk.said, words.asked(""));
    }
}

#[test]
fn mechanisms_are_listed_where_every_backend_takes_them() {
    let shared = &["AUTH=XOAUTH2", "AUTH=OAUTHBEARER", "AUTH=GSSAPI"];
    for words in ALL {
        for word in &shared[..2] {
            assert!(words.protocol.may_offer(word), "{word}");
        }
        let mut client = client::Talk::open(words, setting(shared));
        client.hear(words.list);
        let (said, listed) = (&client.said, words.listed(&["PLAIN", "LOGIN", "OAUTHBEARER", "XOAUTH2"]));
        assert!(said.contains(&listed) && !said.contains("GSSAPI") && !said.contains("\r\nAUTH="), "{said}");
    }
    let mut client = client::Talk::open(&POP3, setting(shared));
    client.hear("AUTH\r\n");
    assert_eq!(client.said, "+OK\r\nPLAIN\r\nLOGIN\r\nOAUTHBEARER\r\nXOAUTH2\r\n.\r\n");
}

#[test]
fn a_token_may_come_without_a_name_by_oauthbearer_only() {
    for words in ALL {
        let mut talk = Talk::new(words, Refusal::Temporary, Then::TryAgain);
        talk.hear(&words.initial("XOAUTH2", "user=\x01auth=Bearer t\x01\x01"));
        assert!(talk.said.contains("response names no user beside the token"), "{}", talk.said);
        assert!(talk.logins.is_empty());
        talk.hear(&words.initial("OAUTHBEARER", "n,,\x01auth=Bearer t\x01\x01"));
        assert_eq!(talk.logins, ["OAUTHBEARER n,a=(nobody),\\x01auth=Bearer t\\x01\\x01"]);
    }
}

#[test]
fn passwords_are_neither_offered_nor_taken_where_no_backend_takes_them() {
    let asked = [
        (&IMAP, "a CAPABILITY\r\n", "LOGINDISABLED AUTH=XOAUTH2", "b LOGIN siti demo\r\n", "b NO [CANNOT] "),
        (&IMAP, "a NOOP\r\n", "a OK", "b LOGIN siti {4}\r\n", "b NO [CANNOT] "),
        (&IMAP, "a NOOP\r\n", "a OK", "b AUTHENTICATE PLAIN AHNpdGkAZGVtbw==\r\n", "b NO Unknown"),
        (&POP3, "CAPA\r\n", "+OK\r\nSASL XOAUTH2\r\n", "USER siti\r\nPASS demo\r\n", "-ERR [SYS/PERM] no server"),
        (&POP3, "NOOP\r\n", "+OK", "AUTH LOGIN\r\n", "-ERR unknown authentication mechanism"),
        (&SMTP, "EHLO h\r\n", "250 AUTH XOAUTH2\r\n", "AUTH PLAIN AHNpdGkAZGVtbw==\r\n", "504 5.5.4 "),
        (&SIEVE, "CAPABILITY\r\n", "\"SASL\" \"XOAUTH2\"\r\n", "AUTHENTICATE \"PLAIN\"\r\n", SIEVE.unknown),
    ];
    for (words, asks, told, logs_in, refused) in asked {
        let setting = ServerSetting { passwords: false, ..setting(&["AUTH=XOAUTH2"]) };
        let mut client = client::Talk::open(words, setting);
        assert!(matches!(client.hear(asks), Step::More));
        let said = &client.said;
        assert!(said.contains(told) && !said.contains("PLAIN") && !said.contains("USER"), "{said}");
        assert!(matches!(client.hear(logs_in), Step::More));
        assert!(client.said.starts_with(refused), "{logs_in}");
    }
}

#[test]
fn a_password_that_has_expired_is_told_of() {
    for words in ALL {
        let mut talk = Talk::new(words, Refusal::Expired, Then::TryAgain);
        talk.hear(&words.initial("PLAIN", "\0siti\0demo"));
        assert!(talk.said.starts_with(words.expired), "{}", talk.said);
    }
}

#[test]
fn the_answer_to_an_object_is_bounded() {
    for words in [&IMAP, &POP3, &SIEVE] {
        let mut talk = Talk::new(words, object(EXPIRED), Then::TryAgain);
        talk.hear(&words.initial("XOAUTH2", XOAUTH2));
        talk.hear(&"A".repeat(MAX_RESPONSE + 3));
        assert_eq!(talk.end, Some(Error::CommandTooLong));
    }
    let mut talk = Talk::new(&SMTP, object(EXPIRED), Then::TryAgain);
    talk.hear(&SMTP.initial("XOAUTH2", XOAUTH2));
    talk.said.clear();
    talk.hear(&format!("{}\r\nNOOP\r\n", "A".repeat(20_000)));
    assert_eq!(talk.said, "500 5.5.6 Authentication exchange line is too long.\r\n250 2.0.0 Ok.\r\n");
}

#[test]
fn a_token_that_is_let_in_hears_the_backends_own_words() {
    for words in ALL {
        let mut client = client::Talk::open(words, setting(&["AUTH=XOAUTH2"]));
        assert!(matches!(client.hear(&words.initial("XOAUTH2", XOAUTH2)), Step::Login(_)));
        assert!(client.welcome().ends_with(&words.line("Hello.")));
    }
}

#[test]
fn a_conversation_is_the_same_however_it_is_split() {
    for words in ALL {
        let logins = [
            format!("{}{}", words.begin("XOAUTH2"), words.response(XOAUTH2)),
            words.line("AQ=="),
            words.initial("OAUTHBEARER", OAUTHBEARER),
            words.line(""),
            words.initial("XOAUTH2", "user=siti\x01"),
        ];
        let said = logins.concat();
        let talk = |pieces: &[&str]| {
            let mut talk = Talk::new(words, object(EXPIRED), Then::TryAgain);
            pieces.iter().for_each(|piece| talk.hear(piece));
            (talk.said, talk.logins, talk.end)
        };
        let whole = talk(&[&said]);
        assert_eq!(whole.1.len(), 2);
        assert_eq!(whole.0.matches(words.failed).count(), 2);
        for at in 0..said.len() {
            assert_eq!(talk(&[&said[..at], &said[at..]]), whole, "{at}");
        }
        let octets: Vec<&str> = (0..said.len()).map(|at| &said[at..=at]).collect();
        assert_eq!(talk(&octets), whole);
    }
}
