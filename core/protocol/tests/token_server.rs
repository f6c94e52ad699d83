//! Clients that log in by a token, before the server machines of all protocols.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zproxy_protocol::imap::Imap;
use zproxy_protocol::pop3::Pop3;
use zproxy_protocol::sasl::ErrorObject;
use zproxy_protocol::smtp::Submission;
use zproxy_protocol::{
    Credential, Error, Input, LoginOffer, Name, Protocol, Refusal, Server, ServerSetting, Step, Success, Then,
};

const MAX_RESPONSE: usize = 9000;
const XOAUTH2: &str = "user=siti\x01auth=Bearer t\x01\x01";
const OAUTHBEARER: &str = "n,a=siti,\x01auth=Bearer t\x01\x01";
const EXPIRED: &str = "{\"status\":\"invalid_token\",\"scope\":\"mail\"}";

/// What a protocol says.
struct Words {
    protocol: &'static dyn Protocol,
    /// Before AUTH.
    hello: &'static str,
    auth: &'static str,
    asks: &'static str,
    failed: &'static str,
    closed: &'static str,
    cannot: &'static str,
    unknown: &'static str,
}

const ALL: [Words; 3] = [
    Words {
        protocol: &Imap,
        hello: "",
        auth: "a AUTHENTICATE",
        asks: "+",
        failed: "a NO [AUTHENTICATIONFAILED] Authentication failed.\r\n",
        closed: "* BYE Goodbye.\r\n",
        cannot: "a NO [CANNOT] The server of this mailbox does not take this mechanism.\r\n",
        unknown: "a NO Unknown authentication mechanism.\r\n",
    },
    Words {
        protocol: &Pop3,
        hello: "",
        auth: "AUTH",
        asks: "+",
        failed: "-ERR [AUTH] Authentication failed.\r\n",
        closed: "",
        cannot: "-ERR [SYS/PERM] The server of this mailbox does not take this mechanism.\r\n",
        unknown: "-ERR unknown authentication mechanism\r\n",
    },
    Words {
        protocol: &Submission,
        hello: "EHLO laptop\r\n",
        auth: "AUTH",
        asks: "334",
        failed: "535 5.7.8 Authentication failed.\r\n",
        closed: "421 4.7.0 mail.test Too many failed logins.\r\n",
        cannot: "504 5.5.4 The server of this mailbox does not take this mechanism.\r\n",
        unknown: "504 5.5.4 Unknown authentication mechanism.\r\n",
    },
];

fn setting(shared: &[&str]) -> ServerSetting {
    ServerSetting {
        hostname: "mail.test".into(),
        login: LoginOffer::Now,
        shared: shared.iter().map(|&word| word.to_owned()).collect(),
        passwords: true,
        certificate: false,
        bad_commands: 3,
        max_command: 8192,
        max_response: MAX_RESPONSE,
    }
}

/// A conversation; every login is refused in the same words.
struct Talk {
    server: Box<dyn Server>,
    input: Input,
    refusal: Refusal,
    then: Then,
    said: String,
    logins: Vec<String>,
    end: Option<Error>,
}

impl Talk {
    fn new(words: &Words, refusal: Refusal, then: Then) -> Self {
        let server = words.protocol.server(setting(&["AUTH=XOAUTH2", "AUTH=OAUTHBEARER"]));
        let mut talk =
            Self { server, input: Input::new(), refusal, then, said: String::new(), logins: Vec::new(), end: None };
        talk.hear(words.hello);
        talk.said.clear();
        talk
    }

    fn hear(&mut self, octets: &str) {
        self.input.extend(octets.as_bytes());
        while self.end.is_none() {
            let mut out = Vec::new();
            let step = self.server.advance(&mut self.input, &mut out);
            self.said += std::str::from_utf8(&out).unwrap();
            match step {
                Ok(Step::More) => break,
                Ok(Step::Login(login)) => {
                    let nobody = Name::new(b"(nobody)").unwrap();
                    let message = match &login.credential {
                        Credential::Token(token) => {
                            STANDARD.decode(token.response(login.name.as_ref().unwrap_or(&nobody)).expose()).unwrap()
                        }
                        Credential::Password(password) => password.expose().to_vec(),
                        other => panic!("no token: {other:?}"),
                    };
                    self.logins.push(format!("{} {}", login.mechanism, message.escape_ascii()));
                    let mut out = Vec::new();
                    self.server.refuse(&self.refusal, self.then, &mut out);
                    self.said += std::str::from_utf8(&out).unwrap();
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

fn object(text: &str) -> Refusal {
    Refusal::Token(ErrorObject::from_challenge(STANDARD.encode(text).as_bytes()).unwrap())
}

fn auth(words: &Words, mechanism: &str, message: &str) -> String {
    format!("{} {mechanism} {}\r\n", words.auth, STANDARD.encode(message))
}

#[test]
fn a_token_makes_a_login_with_and_without_an_initial_response() {
    for words in &ALL {
        for (mechanism, message) in [("XOAUTH2", XOAUTH2), ("oauthbearer", OAUTHBEARER)] {
            let login = format!("{} {}", mechanism.to_uppercase(), message.as_bytes().escape_ascii());
            let mut talk = Talk::new(words, Refusal::Temporary, Then::TryAgain);
            talk.hear(&auth(words, mechanism, message));
            assert_eq!(talk.logins, std::slice::from_ref(&login));
            assert!(!talk.said.starts_with(words.asks), "{}", talk.said);

            let mut talk = Talk::new(words, Refusal::Temporary, Then::TryAgain);
            talk.hear(&format!("{} {mechanism}\r\n", words.auth));
            assert_eq!(talk.said, format!("{} \r\n", words.asks));
            talk.hear(&format!("{}\r\n", STANDARD.encode(message)));
            assert_eq!(talk.logins, [login]);
        }
    }
}

#[test]
fn the_object_of_a_refused_token_comes_before_the_refusal_whatever_is_answered() {
    for words in &ALL {
        for (refusal, shown) in [
            (object(EXPIRED), EXPIRED),
            (Refusal::Credentials, "{\"status\":\"401\",\"schemes\":\"bearer\",\"scope\":\"mail\"}"),
        ] {
            for answer in ["AQ==", "", "*", "no base64", "a NOOP"] {
                let mut talk = Talk::new(words, refusal.clone(), Then::TryAgain);
                talk.hear(&auth(words, "XOAUTH2", XOAUTH2));
                assert_eq!(talk.said, format!("{} {}\r\n", words.asks, STANDARD.encode(shown)));
                talk.said.clear();
                talk.hear(&format!("{answer}\r\n"));
                assert_eq!(talk.said, words.failed);
                talk.hear(&auth(words, "XOAUTH2", XOAUTH2));
                assert_eq!(talk.logins.len(), 2);
            }
        }
    }
}

#[test]
fn a_refusal_that_closes_does_not_wait_for_the_answer() {
    for words in &ALL {
        let mut talk = Talk::new(words, object(EXPIRED), Then::Close);
        talk.hear(&auth(words, "OAUTHBEARER", OAUTHBEARER));
        let challenge = format!("{} {}\r\n", words.asks, STANDARD.encode(EXPIRED));
        assert_eq!(talk.said, format!("{challenge}{}{}", words.failed, words.closed));
    }
}

#[test]
fn a_password_is_refused_without_an_object() {
    for words in &ALL {
        let mut talk = Talk::new(words, object(EXPIRED), Then::TryAgain);
        talk.hear(&auth(words, "PLAIN", "\0siti\0demo"));
        assert_eq!((talk.said.as_str(), talk.logins), (words.failed, vec!["PLAIN demo".to_owned()]));
    }
}

#[test]
fn a_backend_that_cannot_carry_the_mechanism_is_told_so_at_once() {
    for words in &ALL {
        let mut talk = Talk::new(words, Refusal::Cannot, Then::TryAgain);
        talk.hear(&auth(words, "XOAUTH2", XOAUTH2));
        assert_eq!(talk.said, words.cannot);
    }
}

#[test]
fn a_mechanism_that_a_backend_lacks_is_unknown_and_no_token_is_asked_for() {
    for words in &ALL {
        let mut talk = Talk::new(words, Refusal::Temporary, Then::TryAgain);
        talk.server.offer(Arc::from(["AUTH=OAUTHBEARER".to_owned(), "AUTH=CRAM-MD5".to_owned()]));
        for mechanism in ["XOAUTH2", "CRAM-MD5"] {
            talk.hear(&format!("{} {mechanism}\r\n", words.auth));
            assert_eq!(talk.said, words.unknown, "{mechanism}");
            talk.said.clear();
        }
        talk.hear(&format!("{} OAUTHBEARER\r\n", words.auth));
        assert_eq!(talk.said, format!("{} \r\n", words.asks));
    }
}

#[test]
fn mechanisms_are_listed_where_every_backend_takes_them() {
    let shared = &["AUTH=XOAUTH2", "AUTH=OAUTHBEARER", "AUTH=GSSAPI"];
    let table: [(&dyn Protocol, &str, &str); 4] = [
        (&Imap, "a CAPABILITY\r\n", "AUTH=PLAIN AUTH=LOGIN AUTH=OAUTHBEARER AUTH=XOAUTH2\r\n"),
        (&Pop3, "CAPA\r\n", "SASL PLAIN LOGIN OAUTHBEARER XOAUTH2\r\n"),
        (&Pop3, "AUTH\r\n", "PLAIN\r\nLOGIN\r\nOAUTHBEARER\r\nXOAUTH2\r\n.\r\n"),
        (&Submission, "EHLO laptop\r\n", "AUTH PLAIN LOGIN OAUTHBEARER XOAUTH2\r\n"),
    ];
    for (protocol, command, listed) in table {
        for word in &shared[..2] {
            assert!(protocol.may_offer(word), "{word}");
        }
        let (mut server, mut input, mut out) = (protocol.server(setting(shared)), Input::new(), Vec::new());
        input.extend(command.as_bytes());
        server.advance(&mut input, &mut out).unwrap();
        let said = String::from_utf8(out).unwrap();
        assert!(said.contains(listed) && !said.contains("GSSAPI") && !said.contains("\r\nAUTH="), "{said}");
    }
}

#[test]
fn a_token_may_come_without_a_name_by_oauthbearer_only() {
    for words in &ALL {
        let mut talk = Talk::new(words, Refusal::Temporary, Then::TryAgain);
        talk.hear(&auth(words, "XOAUTH2", "user=\x01auth=Bearer t\x01\x01"));
        assert!(talk.said.contains("response names no user beside the token"), "{}", talk.said);
        assert!(talk.logins.is_empty());
        talk.hear(&auth(words, "OAUTHBEARER", "n,,\x01auth=Bearer t\x01\x01"));
        assert_eq!(talk.logins, ["OAUTHBEARER n,a=(nobody),\\x01auth=Bearer t\\x01\\x01"]);
    }
}

#[test]
fn passwords_are_neither_offered_nor_taken_where_no_backend_takes_them() {
    let asked = [
        (&ALL[0], "a CAPABILITY\r\n", "LOGINDISABLED AUTH=XOAUTH2", "b LOGIN siti demo\r\n", "b NO [CANNOT] "),
        (&ALL[0], "a NOOP\r\n", "a OK", "b LOGIN siti {4}\r\n", "b NO [CANNOT] "),
        (&ALL[0], "a NOOP\r\n", "a OK", "b AUTHENTICATE PLAIN AHNpdGkAZGVtbw==\r\n", "b NO Unknown"),
        (&ALL[1], "CAPA\r\n", "+OK\r\nSASL XOAUTH2\r\n", "USER siti\r\nPASS demo\r\n", "-ERR [SYS/PERM] no server"),
        (&ALL[1], "NOOP\r\n", "+OK", "AUTH LOGIN\r\n", "-ERR unknown authentication mechanism"),
        (&ALL[2], "EHLO h\r\n", "250 AUTH XOAUTH2\r\n", "AUTH PLAIN AHNpdGkAZGVtbw==\r\n", "504 5.5.4 "),
    ];
    for (words, asks, told, logs_in, refused) in asked {
        let setting = ServerSetting { passwords: false, ..setting(&["AUTH=XOAUTH2"]) };
        let mut server = words.protocol.server(setting);
        let mut hear = |said: &str| {
            let (mut input, mut out) = (Input::new(), Vec::new());
            input.extend(said.as_bytes());
            assert!(matches!(server.advance(&mut input, &mut out), Ok(Step::More)));
            String::from_utf8(out).unwrap()
        };
        hear(words.hello);
        let said = hear(asks);
        assert!(said.contains(told) && !said.contains("PLAIN") && !said.contains("USER"), "{said}");
        assert!(hear(logs_in).starts_with(refused), "{logs_in}");
    }
}

#[test]
fn a_password_that_has_expired_is_told_of() {
    for (words, told) in ALL.iter().zip(["a NO [EXPIRED] ", "-ERR [AUTH] Password has", "535 5.7.8 Password has"]) {
        let mut talk = Talk::new(words, Refusal::Expired, Then::TryAgain);
        talk.hear(&auth(words, "PLAIN", "\0siti\0demo"));
        assert!(talk.said.starts_with(told), "{}", talk.said);
    }
}

#[test]
fn the_answer_to_an_object_is_bounded() {
    for words in &ALL[..2] {
        let mut talk = Talk::new(words, object(EXPIRED), Then::TryAgain);
        talk.hear(&auth(words, "XOAUTH2", XOAUTH2));
        talk.hear(&"A".repeat(MAX_RESPONSE + 3));
        assert_eq!(talk.end, Some(Error::CommandTooLong));
    }
    let mut talk = Talk::new(&ALL[2], object(EXPIRED), Then::TryAgain);
    talk.hear(&auth(&ALL[2], "XOAUTH2", XOAUTH2));
    talk.said.clear();
    talk.hear(&format!("{}\r\nNOOP\r\n", "A".repeat(20_000)));
    assert_eq!(talk.said, "500 5.5.6 Authentication exchange line is too long.\r\n250 2.0.0 Ok.\r\n");
}

#[test]
fn a_token_that_is_let_in_hears_the_backends_own_words() {
    for words in &ALL {
        let mut server = words.protocol.server(setting(&["AUTH=XOAUTH2"]));
        let (mut input, mut out) = (Input::new(), Vec::new());
        input.extend(format!("{}{}", words.hello, auth(words, "XOAUTH2", XOAUTH2)).as_bytes());
        assert!(matches!(server.advance(&mut input, &mut out), Ok(Step::Login(_))));
        out.clear();
        server.welcome(&Success { text: b"Hello.".to_vec(), ..Success::default() }, &mut out);
        assert!(out.ends_with(b" Hello.\r\n"));
    }
}

#[test]
fn a_conversation_is_the_same_however_it_is_split() {
    for words in &ALL {
        let logins = [
            format!("{} XOAUTH2\r\n{}\r\n", words.auth, STANDARD.encode(XOAUTH2)),
            "AQ==\r\n".to_owned(),
            auth(words, "OAUTHBEARER", OAUTHBEARER),
            "\r\n".to_owned(),
            auth(words, "XOAUTH2", "user=siti\x01"),
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
