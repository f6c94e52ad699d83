//! Backends that are asked for a SCRAM exchange, before the client machines of all protocols.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zproxy_protocol::imap::Imap;
use zproxy_protocol::pop3::Pop3;
use zproxy_protocol::sasl::{Exchange, Mechanism, Progress, ScramMechanism};
use zproxy_protocol::smtp::Submission;
use zproxy_protocol::{
    Client, ClientInfo, ClientSetting, ClientStep, Error, Forward, Goal, Input, Language as _, LoginAtBackend,
    Protocol, Refusal, Replay, Secret,
};

/// What a backend of a protocol says, and hears.
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
    phase: &'static str,
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
        phase: "login",
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
        phase: "auth",
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
        phase: "auth",
    },
];

const FIRST: &str = "n,,n=user,r=fyko+d2lbbFgONRv9qkxdawL";
const ASKED: &str = "r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096";
const LAST: &str = "c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=";
const SIGNED: &str = "v=rmF9pqV8S7suAoZWja4dJRkFsKQ=";

fn login(message: &str) -> LoginAtBackend {
    let exchange = Exchange::begin(Mechanism::Scram(ScramMechanism::Sha1));
    let Ok(Progress::Done(said)) = exchange.respond(STANDARD.encode(message).as_bytes()) else { panic!("no SCRAM") };
    LoginAtBackend {
        name: said.name.unwrap(),
        authzid: said.authzid,
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

/// A backend that has said all up to the login.
struct Talk {
    words: &'static Words,
    client: Box<dyn Client>,
    input: Input,
    /// What it was last told.
    heard: String,
    end: Result<ClientStep, Error>,
}

impl Talk {
    fn open(words: &'static Words, mechanisms: &[&str], message: &str) -> Self {
        let goal = Goal::Login(Box::new(login(message)));
        let client = words.protocol.client(ClientSetting { starttls: false, goal });
        let mut talk = Self { words, client, input: Input::new(), heard: String::new(), end: Ok(ClientStep::More) };
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

    fn ask(&mut self, message: &str) {
        self.say(&format!("{} {}\r\n", self.words.asks, STANDARD.encode(message)));
    }

    /// What is passed on to the client.
    fn passed(&self) -> String {
        match &self.end {
            Ok(ClientStep::Challenge(challenge)) => {
                assert_eq!(self.heard, "");
                String::from_utf8(STANDARD.decode(challenge.base64()).unwrap()).unwrap()
            }
            other => panic!("nothing asked: {other:?}"),
        }
    }

    /// The client's answer, as the backend hears it.
    fn answer(&mut self, message: &str) -> String {
        let mut out = Vec::new();
        self.client.respond(&Secret::new(STANDARD.encode(message).as_bytes()), &mut out);
        String::from_utf8(out).unwrap()
    }

    fn more(&mut self) {
        self.say("");
        assert!(matches!(self.end, Ok(ClientStep::More)), "{:?}", self.end);
        assert_eq!(self.heard, "");
    }

    fn refusal(self) -> Refusal {
        match self.end {
            Ok(ClientStep::Refused(refusal)) => refusal,
            other => panic!("not refused: {other:?}"),
        }
    }

    fn broken(&self) {
        assert!(matches!(self.end, Err(Error::BackendProtocol(phase)) if phase == self.words.phase), "{:?}", self.end);
    }
}

/// One that has sent its proof.
fn proved(words: &'static Words) -> Talk {
    let mut talk = Talk::open(words, &["SCRAM-SHA-1"], FIRST);
    talk.ask(ASKED);
    talk.passed();
    talk.answer(LAST);
    talk.more();
    talk
}

#[test]
fn an_exchange_passes_both_ways_and_ends_in_success() {
    for words in &ALL {
        let mut talk = Talk::open(words, &["PLAIN", "SCRAM-SHA-1"], FIRST);
        assert_eq!(talk.heard, format!("{}SCRAM-SHA-1 {}\r\n", words.auth, STANDARD.encode(FIRST)));
        talk.ask(ASKED);
        assert_eq!(talk.passed(), ASKED);
        assert_eq!(talk.answer(LAST), format!("{}\r\n", STANDARD.encode(LAST)));
        talk.more();
        talk.ask(SIGNED);
        assert_eq!(talk.passed(), SIGNED);
        assert_eq!(talk.answer(""), "\r\n");
        talk.say(words.yes);
        assert!(matches!(talk.end, Ok(ClientStep::Success(_))), "{:?}", talk.end);
    }
}

#[test]
fn a_first_message_that_is_too_long_for_the_command_waits_until_it_is_asked_for() {
    let long = format!("n,,n={},r=fyko+d2lbbFgONRv9qkxdawL", "x".repeat(900));
    for words in &ALL[1..] {
        let mut talk = Talk::open(words, &["SCRAM-SHA-1"], &long);
        assert_eq!(talk.heard, format!("{}SCRAM-SHA-1\r\n", words.auth));
        talk.say(&format!("{} \r\n", words.asks));
        assert_eq!(talk.heard, format!("{}\r\n", STANDARD.encode(&long)));
        talk.ask(ASKED);
        assert_eq!(talk.passed(), ASKED);
    }
}

#[test]
fn a_backend_that_can_bind_the_channel_or_lacks_the_mechanism_is_not_asked() {
    for words in &ALL {
        for listed in [
            &["PLAIN", "SCRAM-SHA-1", "SCRAM-SHA-1-PLUS"][..],
            &["SCRAM-SHA-256-PLUS", "SCRAM-SHA-1"],
            &["SCRAM-SHA-256", "PLAIN"],
            &[],
        ] {
            let talk = Talk::open(words, listed, FIRST);
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
    for words in &ALL {
        for (said, expected) in [(words.wrong, true), (words.busy, false)] {
            let mut at_once = Talk::open(words, &["SCRAM-SHA-1"], FIRST);
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
    for words in &ALL {
        let first = || Talk::open(words, &["SCRAM-SHA-1"], FIRST);
        for (mut talk, error) in [(first(), "e=unknown-user"), (proved(words), "e=invalid-proof")] {
            talk.ask(error);
            assert!(matches!(talk.end, Ok(ClientStep::More)), "{:?}", talk.end);
            assert_eq!(talk.heard, "\r\n");
            talk.say(words.wrong);
            assert_eq!(talk.refusal(), Refusal::Credentials);
        }
    }
}

#[test]
fn a_yes_before_the_backend_has_proved_itself_is_no_yes() {
    for words in &ALL {
        let mut at_once = Talk::open(words, &["SCRAM-SHA-1"], FIRST);
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
    for words in &ALL {
        for message in bad {
            // An empty one has the first message said again where it went with the command.
            let mut talk = Talk::open(words, &["SCRAM-SHA-1"], FIRST);
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
    for words in &ALL {
        let mut talk = Talk::open(words, &["SCRAM-SHA-1"], FIRST);
        talk.say(&format!("{} {}\r\n{}", words.asks, STANDARD.encode(ASKED), words.wrong));
        assert!(matches!(talk.end, Err(Error::BackendProtocol(_))), "{:?}", talk.end);
    }
}

#[test]
fn an_exchange_is_the_same_octet_by_octet() {
    for words in &ALL {
        let mut talk = Talk::open(words, &["SCRAM-SHA-1"], FIRST);
        for message in [ASKED, SIGNED] {
            for octet in format!("{} {}\r\n", words.asks, STANDARD.encode(message)).chars() {
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
        assert!(matches!(talk.end, Ok(ClientStep::Success(_))));
    }
}
