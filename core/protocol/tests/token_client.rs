//! Backends that are sent a token, before the client machines of all protocols.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zproxy_protocol::imap::Imap;
use zproxy_protocol::pop3::Pop3;
use zproxy_protocol::sasl::{Credential, ErrorObject, Exchange, Mechanism, Progress, TokenMechanism};
use zproxy_protocol::smtp::Submission;
use zproxy_protocol::{
    Client, ClientInfo, ClientSetting, ClientStep, Error, Forward, Goal, Input, LoginAtBackend, Name, Protocol,
    Refusal, Replay,
};

const EXPIRED: &str = "{\"status\":\"invalid_token\"}";

/// What a backend of a protocol says, and hears up to the message.
struct Words {
    protocol: &'static dyn Protocol,
    /// Its lines up to the login, with the mechanisms in place of `{}`, as one lists them.
    opening: &'static [&'static str],
    listed: &'static str,
    auth: &'static str,
    asks: &'static str,
    yes: &'static str,
    wrong: &'static str,
    busy: &'static str,
    /// Octets of the token of the longest message that goes with the command, and of one more.
    longest: usize,
}

const ALL: [Words; 3] = [
    Words {
        protocol: &Imap,
        opening: &["* OK [CAPABILITY IMAP4rev1 SASL-IR{}] hi\r\n"],
        listed: " AUTH=",
        auth: "zproxy1 AUTHENTICATE ",
        asks: "+",
        yes: "zproxy1 OK [CAPABILITY IMAP4rev1] in\r\n",
        wrong: "zproxy1 NO [AUTHENTICATIONFAILED] no\r\n",
        busy: "zproxy1 NO [UNAVAILABLE] busy\r\n",
        longest: 4096 / 4 * 3 - "user=siti\x01auth=Bearer \x01\x01".len(),
    },
    Words {
        protocol: &Pop3,
        opening: &["+OK hi\r\n", "+OK\r\nSASL{}\r\n.\r\n"],
        listed: " ",
        auth: "AUTH ",
        asks: "+",
        yes: "+OK in\r\n",
        wrong: "-ERR [AUTH] no\r\n",
        busy: "-ERR [SYS/TEMP] busy\r\n",
        longest: (255 - "AUTH XOAUTH2 \r\n".len()) / 4 * 3 - "user=siti\x01auth=Bearer \x01\x01".len(),
    },
    Words {
        protocol: &Submission,
        opening: &["220 hi\r\n", "250-mx\r\n250 AUTH{}\r\n"],
        listed: " ",
        auth: "AUTH ",
        asks: "334",
        yes: "235 2.7.0 in\r\n",
        wrong: "535 5.7.8 no\r\n",
        busy: "454 4.7.0 busy\r\n",
        longest: (512 - "AUTH XOAUTH2 \r\n".len()) / 4 * 3 - "user=siti\x01auth=Bearer \x01\x01".len(),
    },
];

fn message(mechanism: TokenMechanism, token: &str) -> String {
    STANDARD.encode(match mechanism {
        TokenMechanism::OauthBearer => format!("n,a=siti,\x01auth=Bearer {token}\x01\x01"),
        TokenMechanism::Xoauth2 => format!("user=siti\x01auth=Bearer {token}\x01\x01"),
    })
}

fn login(mechanism: TokenMechanism, token: &str) -> LoginAtBackend {
    let exchange = Exchange::begin(Mechanism::Token(mechanism));
    let Ok(Progress::Done(said)) = exchange.respond(message(mechanism, token).as_bytes()) else { panic!("no token") };
    LoginAtBackend {
        name: said.name.unwrap(),
        authzid: None,
        credential: Some(said.credential),
        forward: Forward::None,
        client: ClientInfo {
            address: "192.0.2.7:50123".parse().unwrap(),
            local: "[2001:db8::1]:587".parse().unwrap(),
            server_name: None,
            session_id: "a1b2".into(),
            ttl: 3,
        },
        replay: Replay { ehlo: Some("laptop".into()), ..Replay::default() },
    }
}

fn client(words: &Words, login: LoginAtBackend) -> Box<dyn Client> {
    words.protocol.client(ClientSetting { starttls: false, goal: Goal::Login(Box::new(login)) })
}

/// A backend that has said all up to the login.
struct Talk {
    client: Box<dyn Client>,
    input: Input,
    /// What it was last told.
    heard: String,
    end: Result<ClientStep, Error>,
}

impl Talk {
    fn open(words: &Words, mechanisms: &[&str], login: LoginAtBackend) -> Self {
        let client = client(words, login);
        let mut talk = Self { client, input: Input::new(), heard: String::new(), end: Ok(ClientStep::More) };
        let listed: String = mechanisms.iter().map(|mechanism| format!("{}{mechanism}", words.listed)).collect();
        for line in words.opening {
            talk.say(&line.replace("{}", &listed));
        }
        talk
    }

    fn say(&mut self, line: &str) {
        self.input.extend(line.as_bytes());
        let mut out = Vec::new();
        self.end = self.client.advance(&mut self.input, &mut out);
        self.heard = String::from_utf8(out).unwrap();
    }

    fn refusal(self) -> Refusal {
        match self.end {
            Ok(ClientStep::Refused(refusal)) => refusal,
            other => panic!("not refused: {other:?}"),
        }
    }
}

/// One that was sent a token and objects to it.
fn objected(words: &Words, mechanism: TokenMechanism, challenge: &str) -> Talk {
    let mut talk = Talk::open(words, &[mechanism.name()], login(mechanism, "t"));
    talk.say(&format!("{} {challenge}\r\n", words.asks));
    talk
}

fn object(text: &str) -> ErrorObject {
    ErrorObject::from_challenge(STANDARD.encode(text).as_bytes()).unwrap()
}

#[test]
fn a_token_goes_by_its_own_mechanism_to_a_backend_that_lists_it() {
    for words in &ALL {
        for mechanism in TokenMechanism::ALL {
            let mut talk = Talk::open(words, &["PLAIN", "OAUTHBEARER", "XOAUTH2"], login(mechanism, "t.k=="));
            let message = message(mechanism, "t.k==");
            assert_eq!(talk.heard, format!("{}{} {message}\r\n", words.auth, mechanism.name()));
            talk.say(words.yes);
            assert!(matches!(talk.end, Ok(ClientStep::Success(_))), "{:?}", talk.end);
        }
    }
}

#[test]
fn a_token_never_goes_as_a_password_nor_by_another_mechanism() {
    for words in &ALL {
        for listed in [&["PLAIN", "LOGIN", "OAUTHBEARER"][..], &["PLAIN", "LOGIN"], &["XOAUTH", "XOAUTH22"], &[]] {
            let talk = Talk::open(words, listed, login(TokenMechanism::Xoauth2, "t"));
            assert_eq!(talk.heard, "", "{listed:?}");
            assert_eq!(talk.refusal(), Refusal::Cannot);
        }
    }
}

#[test]
fn a_password_never_goes_by_a_mechanism_for_tokens() {
    for words in &ALL {
        let mut login = login(TokenMechanism::Xoauth2, "t");
        let Ok(Progress::Done(said)) = Exchange::begin(Mechanism::Plain).respond(b"AHNpdGkAZGVtbw==") else { panic!() };
        assert!(matches!(said.credential, Credential::Password(_)));
        login.credential = Some(said.credential);
        let talk = Talk::open(words, &["OAUTHBEARER", "XOAUTH2"], login);
        assert!(!talk.heard.contains("AUTH"), "{}", talk.heard);
    }
}

#[test]
fn a_message_that_is_too_long_for_the_command_waits_until_it_is_asked_for() {
    for words in &ALL {
        for (octets, at_once) in [(words.longest, true), (words.longest + 1, false)] {
            let token = "x".repeat(octets);
            let mut talk = Talk::open(words, &["XOAUTH2"], login(TokenMechanism::Xoauth2, &token));
            let message = message(TokenMechanism::Xoauth2, &token);
            if at_once {
                assert_eq!(talk.heard, format!("{}XOAUTH2 {message}\r\n", words.auth));
                continue;
            }
            assert_eq!(talk.heard, format!("{}XOAUTH2\r\n", words.auth));
            talk.say(&format!("{} \r\n", words.asks));
            assert_eq!(talk.heard, format!("{message}\r\n"));
            talk.say(&format!("{} {}\r\n", words.asks, STANDARD.encode(EXPIRED)));
            assert_eq!(talk.heard, "\r\n");
            talk.say(words.wrong);
            assert_eq!(talk.refusal(), Refusal::Token(object(EXPIRED)));
        }
    }
}

#[test]
fn an_objection_is_dismissed_as_its_mechanism_wants_and_kept() {
    for words in &ALL {
        for (mechanism, dismissal) in [(TokenMechanism::OauthBearer, "AQ==\r\n"), (TokenMechanism::Xoauth2, "\r\n")] {
            let mut talk = objected(words, mechanism, &STANDARD.encode(EXPIRED));
            assert_eq!(talk.heard, dismissal);
            talk.say(words.wrong);
            assert_eq!(talk.refusal(), Refusal::Token(object(EXPIRED)));
        }
    }
}

#[test]
fn what_is_no_object_is_dismissed_and_not_passed_on() {
    for words in &ALL {
        for junk in ["junk!", "YQ==", "e30", &STANDARD.encode(format!("{{{}}}", "x".repeat(700)).repeat(2))[..900]] {
            let mut talk = objected(words, TokenMechanism::OauthBearer, junk);
            assert_eq!(talk.heard, "AQ==\r\n", "{junk}");
            talk.say(words.wrong);
            assert_eq!(talk.refusal(), Refusal::Token(ErrorObject::of(TokenMechanism::OauthBearer)));
        }
    }
}

#[test]
fn a_refusal_without_an_objection_is_one_of_credentials() {
    for words in &ALL {
        let mut talk = Talk::open(words, &["XOAUTH2"], login(TokenMechanism::Xoauth2, "t"));
        talk.say(words.wrong);
        assert_eq!(talk.refusal(), Refusal::Credentials);
    }
}

#[test]
fn a_fault_behind_an_objection_is_still_a_fault() {
    for words in &ALL {
        let mut talk = objected(words, TokenMechanism::Xoauth2, &STANDARD.encode(EXPIRED));
        talk.say(words.busy);
        assert!(matches!(talk.refusal(), Refusal::Told { .. }));
    }
}

#[test]
fn a_backend_that_objects_and_lets_in_or_objects_twice_has_broken_its_protocol() {
    for words in &ALL {
        for line in [words.yes.to_owned(), format!("{} e30=\r\n", words.asks)] {
            let mut talk = objected(words, TokenMechanism::OauthBearer, &STANDARD.encode(EXPIRED));
            talk.say(&line);
            assert!(matches!(talk.end, Err(Error::BackendProtocol(_))), "{line} {:?}", talk.end);
        }
    }
}

#[test]
fn a_backend_that_overlooks_the_initial_response_may_ask_for_it_once() {
    for words in &ALL[1..] {
        let mut talk = objected(words, TokenMechanism::Xoauth2, "");
        assert_eq!(talk.heard, format!("{}\r\n", message(TokenMechanism::Xoauth2, "t")));
        talk.say(&format!("{} \r\n", words.asks));
        assert_eq!(talk.end.unwrap_err(), Error::BackendProtocol("auth"));
    }
}

#[test]
fn the_message_names_the_user_as_the_backend_knows_him() {
    let mut login = login(TokenMechanism::OauthBearer, "t");
    login.name = Name::new(b"si=ti,x").unwrap();
    let talk = Talk::open(&ALL[1], &["OAUTHBEARER"], login);
    let expected = STANDARD.encode("n,a=si=3Dti=2Cx,\x01auth=Bearer t\x01\x01");
    assert_eq!(talk.heard, format!("AUTH OAUTHBEARER {expected}\r\n"));
}

#[test]
fn a_probe_learns_of_mechanisms_in_the_same_words() {
    for words in &ALL {
        let mut client = words.protocol.client(ClientSetting { starttls: false, goal: Goal::Probe });
        let (mut input, mut out, mut probed) = (Input::new(), Vec::new(), Vec::new());
        let listed = ["PLAIN", "XOAUTH2"].map(|mechanism| format!("{}{mechanism}", words.listed)).concat();
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
    for words in &ALL {
        let mut talk = Talk::open(words, &["OAUTHBEARER"], login(TokenMechanism::OauthBearer, "t"));
        let mut heard = String::new();
        for octet in format!("{} {}\r\n", words.asks, STANDARD.encode(EXPIRED)).chars() {
            talk.say(&octet.to_string());
            heard += &talk.heard;
        }
        assert_eq!(heard, "AQ==\r\n");
        for octet in words.wrong.chars() {
            talk.say(&octet.to_string());
        }
        assert_eq!(talk.refusal(), Refusal::Token(object(EXPIRED)));
    }
}
