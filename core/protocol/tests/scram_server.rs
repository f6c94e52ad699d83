//! Clients that log in by SCRAM, before the server machines of all protocols.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zproxy_protocol::imap::Imap;
use zproxy_protocol::pop3::Pop3;
use zproxy_protocol::sasl::{Challenge, Credential, ScramFirst, Terms};
use zproxy_protocol::smtp::Submission;
use zproxy_protocol::{Input, LoginOffer, Protocol, Refusal, Server, ServerSetting, Step, Success, Then};

/// What a protocol says.
struct Words {
    protocol: &'static dyn Protocol,
    hello: &'static str,
    auth: &'static str,
    asks: &'static str,
    failed: &'static str,
    cancelled: &'static str,
    malformed: &'static str,
    noop: (&'static str, &'static str),
    list: (&'static str, &'static str),
}

const ALL: [Words; 3] = [
    Words {
        protocol: &Imap,
        hello: "",
        auth: "a AUTHENTICATE",
        asks: "+",
        failed: "a NO [AUTHENTICATIONFAILED] Authentication failed.\r\n",
        cancelled: "a BAD Cannot log in: authentication cancelled.\r\n",
        malformed: "a BAD Cannot log in: response is not a SCRAM message that may come here.\r\n",
        noop: ("b NOOP\r\n", "b OK Noop completed.\r\n"),
        list: ("c CAPABILITY\r\n", "AUTH=PLAIN AUTH=LOGIN AUTH=SCRAM-SHA-256 AUTH=SCRAM-SHA-1\r\n"),
    },
    Words {
        protocol: &Pop3,
        hello: "",
        auth: "AUTH",
        asks: "+",
        failed: "-ERR [AUTH] Authentication failed.\r\n",
        cancelled: "-ERR authentication cancelled\r\n",
        malformed: "-ERR response is not a SCRAM message that may come here\r\n",
        noop: ("NOOP\r\n", "+OK\r\n"),
        list: ("CAPA\r\n", "SASL PLAIN LOGIN SCRAM-SHA-256 SCRAM-SHA-1\r\n"),
    },
    Words {
        protocol: &Submission,
        hello: "EHLO laptop\r\n",
        auth: "AUTH",
        asks: "334",
        failed: "535 5.7.8 Authentication failed.\r\n",
        cancelled: "501 5.7.0 authentication cancelled.\r\n",
        malformed: "501 5.5.2 response is not a SCRAM message that may come here.\r\n",
        noop: ("NOOP\r\n", "250 2.0.0 Ok.\r\n"),
        list: ("EHLO laptop\r\n", "AUTH PLAIN LOGIN SCRAM-SHA-256 SCRAM-SHA-1\r\n"),
    },
];

const FIRST: &str = "n,,n=user,r=fyko+d2lbbFgONRv9qkxdawL";
const ASKED: &str = "r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096";
const LAST: &str = "c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=";

/// A conversation.
struct Talk {
    server: Box<dyn Server>,
    input: Input,
    said: String,
}

impl Talk {
    fn new(words: &Words) -> Self {
        let setting = ServerSetting {
            hostname: "mail.test".into(),
            login: LoginOffer::Now,
            shared: Arc::from(["AUTH=SCRAM-SHA-256".to_owned(), "AUTH=SCRAM-SHA-1".to_owned()]),
            passwords: true,
            certificate: false,
            bad_commands: 3,
            max_command: 8192,
            max_response: 8192,
        };
        let mut talk = Self { server: words.protocol.server(setting), input: Input::new(), said: String::new() };
        assert!(matches!(talk.hear(words.hello), Step::More));
        talk.said.clear();
        talk
    }

    fn hear(&mut self, octets: &str) -> Step {
        self.input.extend(octets.as_bytes());
        let mut out = Vec::new();
        let step = self.server.advance(&mut self.input, &mut out).unwrap();
        self.said = String::from_utf8(out).unwrap();
        step
    }

    fn line(&mut self, message: &str) -> Step {
        self.hear(&format!("{}\r\n", STANDARD.encode(message)))
    }

    /// Begins the exchange.
    fn begin(&mut self, words: &Words) -> ScramFirst {
        let step = self.hear(&format!("{} SCRAM-SHA-1 {}\r\n", words.auth, STANDARD.encode(FIRST)));
        first(step)
    }

    fn ask(&mut self, challenge: Challenge) {
        let mut out = Vec::new();
        self.server.challenge(challenge, &mut out);
        self.said = String::from_utf8(out).unwrap();
    }

    fn refuse(&mut self, refusal: &Refusal) {
        let mut out = Vec::new();
        self.server.refuse(refusal, Then::TryAgain, &mut out);
        self.said = String::from_utf8(out).unwrap();
    }
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
    for words in &ALL {
        let mut talk = Talk::new(words);
        talk.hear(words.list.0);
        assert!(talk.said.contains(words.list.1), "{}", talk.said);
        talk.server.offer(Arc::from(["AUTH=SCRAM-SHA-1".to_owned()]));
        talk.hear(words.list.0);
        assert!(talk.said.contains("SCRAM-SHA-1") && !talk.said.contains("SCRAM-SHA-256"), "{}", talk.said);
        talk.server.offer(Arc::from([]));
        talk.hear(words.list.0);
        assert!(!talk.said.contains("SCRAM"), "{}", talk.said);
        assert!(matches!(talk.hear(&format!("{} SCRAM-SHA-256\r\n", words.auth)), Step::More));
        assert!(talk.said.to_lowercase().contains("unknown authentication mechanism"), "{}", talk.said);
    }
}

#[test]
fn an_exchange_passes_both_ways_and_ends_in_a_welcome() {
    for words in &ALL {
        for initial in [true, false] {
            let mut talk = Talk::new(words);
            let first = if initial {
                talk.begin(words)
            } else {
                assert!(matches!(talk.hear(&format!("{} scram-sha-1\r\n", words.auth)), Step::More));
                assert_eq!(talk.said, format!("{} \r\n", words.asks));
                first(talk.line(FIRST))
            };
            talk.ask(challenge(&first));
            assert_eq!(talk.said, format!("{} {}\r\n", words.asks, STANDARD.encode(ASKED)));
            assert_eq!(response(talk.line(LAST)), LAST);
            let mut out = Vec::new();
            talk.server.welcome(&Success { text: b"Hello.".to_vec(), ..Success::default() }, &mut out);
            assert!(out.ends_with(b" Hello.\r\n"));
        }
    }
}

#[test]
fn a_refusal_follows_the_proof_and_the_client_may_try_again() {
    for words in &ALL {
        let mut talk = Talk::new(words);
        for _ in 0..2 {
            let first = talk.begin(words);
            talk.ask(challenge(&first));
            talk.line(LAST);
            talk.refuse(&Refusal::Credentials);
            assert_eq!(talk.said, words.failed);
        }
        talk.hear(words.noop.0);
        assert_eq!(talk.said, words.noop.1);
    }
}

#[test]
fn whoever_breaks_off_or_says_what_is_no_answer_abandons_the_login() {
    let foreign = STANDARD.encode(LAST.replace("3rfc", "3rfd"));
    for words in &ALL {
        for (answer, told) in [("*", words.cancelled), ("", words.malformed), (&foreign, words.malformed)] {
            let mut talk = Talk::new(words);
            let first = talk.begin(words);
            talk.ask(challenge(&first));
            assert!(matches!(talk.hear(&format!("{answer}\r\n{}", words.noop.0)), Step::Abandoned), "{answer}");
            assert_eq!(talk.said, told);
            talk.hear("");
            assert_eq!(talk.said, words.noop.1);
        }
    }
}

#[test]
fn a_line_that_no_answer_can_be_abandons_the_login_or_ends_the_conversation() {
    let mut talk = Talk::new(&ALL[2]);
    let first = talk.begin(&ALL[2]);
    talk.ask(challenge(&first));
    assert!(matches!(talk.hear(&format!("{}\r\nNOOP\r\n", "A".repeat(20_000))), Step::Abandoned));
    assert_eq!(talk.said, "500 5.5.6 Authentication exchange line is too long.\r\n");
    talk.hear("");
    assert_eq!(talk.said, "250 2.0.0 Ok.\r\n");
    for words in &ALL[..2] {
        let mut talk = Talk::new(words);
        let first = talk.begin(words);
        talk.ask(challenge(&first));
        talk.input.extend(&[b'A'; 9000]);
        assert!(talk.server.advance(&mut talk.input, &mut Vec::new()).is_err());
    }
}

#[test]
fn channel_binding_is_refused() {
    for words in &ALL {
        let mut talk = Talk::new(words);
        let message = STANDARD.encode(FIRST.replace("n,,", "p=tls-unique,,"));
        assert!(matches!(talk.hear(&format!("{} SCRAM-SHA-1 {message}\r\n", words.auth)), Step::More));
        assert!(talk.said.contains("channel binding is not offered"), "{}", talk.said);
    }
}

#[test]
fn an_exchange_is_the_same_octet_by_octet() {
    for words in &ALL {
        let mut talk = Talk::new(words);
        let slowly = |talk: &mut Talk, said: &str| {
            for (at, _) in said.char_indices().skip(1) {
                assert!(matches!(talk.hear(&said[at - 1..at]), Step::More));
                assert_eq!(talk.said, "");
            }
            talk.hear(&said[said.len() - 1..])
        };
        let step = slowly(&mut talk, &format!("{} SCRAM-SHA-1 {}\r\n", words.auth, STANDARD.encode(FIRST)));
        talk.ask(challenge(&first(step)));
        assert_eq!(response(slowly(&mut talk, &format!("{}\r\n", STANDARD.encode(LAST)))), LAST);
    }
}
