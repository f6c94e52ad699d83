//! Clients that let their certificate speak for them, before the server machines of all protocols.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zproxy_protocol::imap::Imap;
use zproxy_protocol::pop3::Pop3;
use zproxy_protocol::sieve::Sieve;
use zproxy_protocol::smtp::Submission;
use zproxy_protocol::{Credential, Input, LoginOffer, Protocol, Server, ServerSetting, Step};

/// What a protocol says.
struct Words {
    protocol: &'static dyn Protocol,
    hello: &'static str,
    /// Before the mechanism.
    auth: &'static str,
    /// Round what is said: the mechanism, and responses.
    quote: &'static str,
    /// An empty initial response.
    empty: &'static str,
    asks: &'static str,
    starttls: &'static str,
    list: &'static str,
}

const ALL: [Words; 4] = [
    Words {
        protocol: &Imap,
        hello: "",
        auth: "a AUTHENTICATE",
        quote: "",
        empty: "=",
        asks: "+ \r\n",
        starttls: "s STARTTLS\r\n",
        list: "c CAPABILITY\r\n",
    },
    Words {
        protocol: &Pop3,
        hello: "",
        auth: "AUTH",
        quote: "",
        empty: "=",
        asks: "+ \r\n",
        starttls: "STLS\r\n",
        list: "CAPA\r\n",
    },
    Words {
        protocol: &Submission,
        hello: "EHLO laptop\r\n",
        auth: "AUTH",
        quote: "",
        empty: "=",
        asks: "334 \r\n",
        starttls: "STARTTLS\r\n",
        list: "EHLO laptop\r\n",
    },
    Words {
        protocol: &Sieve,
        hello: "",
        auth: "AUTHENTICATE",
        quote: "\"",
        empty: "",
        asks: "\"\"\r\n",
        starttls: "STARTTLS\r\n",
        list: "CAPABILITY\r\n",
    },
];

impl Words {
    /// The command with an initial response.
    fn initial(&self, base64: &str) -> String {
        let base64 = if base64.is_empty() { self.empty } else { base64 };
        let Self { auth, quote, .. } = self;
        format!("{auth} {quote}EXTERNAL{quote} {quote}{base64}{quote}\r\n")
    }

    /// The command without one.
    fn begin(&self) -> String {
        let Self { auth, quote, .. } = self;
        format!("{auth} {quote}external{quote}\r\n")
    }

    fn response(&self, base64: &str) -> String {
        format!("{0}{base64}{0}\r\n", self.quote)
    }
}

/// A conversation.
struct Talk {
    server: Box<dyn Server>,
    input: Input,
    said: String,
}

impl Talk {
    fn new(words: &Words, login: LoginOffer, certificate: bool, shared: &[&str]) -> Self {
        let server = words.protocol.server(ServerSetting {
            hostname: "mail.test".into(),
            login,
            shared: shared.iter().map(|&word| word.to_owned()).collect(),
            passwords: true,
            certificate,
            bad_commands: 9,
            max_command: 8192,
            max_response: 8192,
        });
        let mut talk = Self { server, input: Input::new(), said: String::new() };
        talk.hear(words.hello);
        talk
    }

    fn hear(&mut self, octets: &str) -> Step {
        self.input.extend(octets.as_bytes());
        let mut out = Vec::new();
        let step = self.server.advance(&mut self.input, &mut out).unwrap();
        self.said = String::from_utf8(out).unwrap();
        step
    }
}

/// Whom to act as.
fn login(step: Step) -> Option<String> {
    match step {
        Step::Login(login) => {
            assert!(matches!(login.credential, Credential::Certificate));
            assert_eq!((login.name, login.mechanism), (None, "EXTERNAL"));
            login.authzid.map(|name| name.as_str().to_owned())
        }
        other => panic!("no login: {other:?}"),
    }
}

#[test]
fn is_offered_where_every_backend_believes_us_to_whoever_has_shown_a_certificate() {
    for words in &ALL {
        for (certificate, shared, offered) in
            [(true, &["AUTH=EXTERNAL"][..], true), (false, &["AUTH=EXTERNAL"], false), (true, &[], false)]
        {
            let mut talk = Talk::new(words, LoginOffer::Now, certificate, shared);
            talk.hear(words.list);
            assert_eq!(talk.said.matches("EXTERNAL").count(), usize::from(offered), "{}", talk.said);
            let step = talk.hear(&words.initial(""));
            assert_eq!(matches!(step, Step::Login(_)), offered, "{}", talk.said);
            assert_eq!(talk.said.to_lowercase().contains("unknown authentication mechanism"), !offered);
        }
    }
}

#[test]
fn what_starttls_has_proved_counts_and_nothing_before() {
    for words in &ALL {
        for certificate in [true, false] {
            let mut talk = Talk::new(words, LoginOffer::NowOrAfterTls, !certificate, &["AUTH=EXTERNAL"]);
            assert!(matches!(talk.hear(words.starttls), Step::StartTls));
            talk.server.secured(certificate);
            talk.hear(words.list);
            assert_eq!(talk.said.contains("EXTERNAL"), certificate, "{}", talk.said);
        }
    }
}

#[test]
fn the_message_is_whom_to_act_as_or_nothing() {
    for words in &ALL {
        for (message, authzid) in [("", None), ("budi@tgg.net.id", Some("budi@tgg.net.id"))] {
            let base64 = STANDARD.encode(message);
            let talk = || Talk::new(words, LoginOffer::Now, true, &["AUTH=EXTERNAL"]);
            let step = talk().hear(&words.initial(&base64));
            assert_eq!(login(step).as_deref(), authzid);
            let mut asked = talk();
            assert!(matches!(asked.hear(&words.begin()), Step::More));
            assert_eq!(asked.said, words.asks);
            assert_eq!(login(asked.hear(&words.response(&base64))).as_deref(), authzid);
        }
        for message in ["a\0b", "a\r\nb", "\t", &"x".repeat(2000)] {
            let mut talk = Talk::new(words, LoginOffer::Now, true, &["AUTH=EXTERNAL"]);
            let step = talk.hear(&words.initial(&STANDARD.encode(message)));
            assert!(matches!(step, Step::More), "{message:?}");
        }
    }
}

#[test]
fn an_offer_that_ends_is_told_from_then_on() {
    for words in &ALL {
        let mut talk = Talk::new(words, LoginOffer::Now, true, &["AUTH=EXTERNAL"]);
        talk.server.offer(Arc::from([]));
        assert!(matches!(talk.hear(&words.initial("")), Step::More));
    }
}
