//! Conversations with an IMAP client: what it says and what it hears, however its bytes are cut.

use std::fmt::Write as _;
use std::sync::Arc;

use proptest::prelude::*;
use zproxy_protocol::imap::Imap;
use zproxy_protocol::{
    Credential, Input, LoginOffer, Protocol as _, Refusal, Server, ServerSetting, Step, Success, Then,
};

const MAX_RESPONSE: usize = 9000;

fn setting(login: LoginOffer) -> ServerSetting {
    let shared: Arc<[String]> = Arc::from(["IDLE".to_owned(), "LITERAL+".to_owned()]);
    ServerSetting {
        hostname: "mail.test".into(),
        login,
        shared,
        passwords: true,
        certificate: false,
        bad_commands: 3,
        max_command: 8192,
        max_response: MAX_RESPONSE,
    }
}

/// One conversation: what the client hears, and between it, in angle brackets, what the session is asked for. Every
/// login is refused as a wrong password.
struct Conversation {
    server: Box<dyn Server>,
    input: Input,
    heard: String,
    over: bool,
}

impl Conversation {
    fn new(login: LoginOffer) -> Self {
        Self { server: Imap.server(setting(login)), input: Input::new(), heard: String::new(), over: false }
    }

    fn say(&mut self, bytes: &[u8]) {
        self.input.extend(bytes);
        while !self.over {
            let mut out = Vec::new();
            let step = self.server.advance(&mut self.input, &mut out);
            self.heard += std::str::from_utf8(&out).unwrap();
            match step {
                Ok(Step::More) => break,
                Ok(Step::StartTls) => {
                    self.heard += "<tls>\n";
                    self.server.secured(false);
                }
                Ok(Step::Login(login)) => {
                    let authzid =
                        login.authzid.as_ref().map_or(String::new(), |authzid| format!("{} as ", authzid.as_str()));
                    let Credential::Password(password) = &login.credential else { panic!("no password: {login:?}") };
                    let password = password.expose().escape_ascii().to_string();
                    let (name, mechanism, id) =
                        (login.name.as_ref().unwrap().as_str(), login.mechanism, login.replay.id);
                    writeln!(self.heard, "<{mechanism} {authzid}{name} {password} {id:?}>").unwrap();
                    let mut out = Vec::new();
                    self.server.refuse(&Refusal::Credentials, Then::TryAgain, &mut out);
                    self.heard += std::str::from_utf8(&out).unwrap();
                }
                Ok(step @ (Step::Abandoned | Step::Response(_))) => panic!("nothing was asked: {step:?}"),
                Ok(Step::Goodbye) => {
                    self.heard += "<goodbye>\n";
                    self.over = true;
                }
                Err(error) => {
                    writeln!(self.heard, "<{error:?}>").unwrap();
                    self.over = true;
                }
            }
        }
    }
}

fn hear(login: LoginOffer, pieces: &[&[u8]]) -> String {
    let mut conversation = Conversation::new(login);
    for piece in pieces {
        conversation.say(piece);
    }
    conversation.heard.replace("\r\n", "\n")
}

const FAILED: &str = "a NO [AUTHENTICATIONFAILED] Authentication failed.\n";
const PRIVATE: &str = "a NO [PRIVACYREQUIRED] Use TLS first; a password that was sent without it is not safe.\n";

/// Logins, where they are allowed.
#[rustfmt::skip]
fn logins() -> Vec<(&'static [u8], String)> {
    vec![
        (b"a LOGIN siti x\r\n", format!("<LOGIN siti x []>\n{FAILED}")),
        (b"a login {4}\r\nsiti {1}\r\nx\r\n", format!("+ Go on.\n+ Go on.\n<LOGIN siti x []>\n{FAILED}")),
        (b"a LOGIN {4+}\r\nsiti {1+}\r\nx\r\nb NOOP\r\n", format!("<LOGIN siti x []>\n{FAILED}b OK Noop completed.\n")),
        (b"a AUTHENTICATE PLAIN AHNpdGkAeA==\r\n", format!("<PLAIN siti x []>\n{FAILED}")),
        (b"a AUTHENTICATE PLAIN\r\nAHNpdGkAeA==\r\n", format!("+ \n<PLAIN siti x []>\n{FAILED}")),
        (b"a AUTHENTICATE PLAIN YnVkaQBzaXRpAHg=\r\n", format!("<PLAIN budi as siti x []>\n{FAILED}")),
        (b"a AUTHENTICATE LOGIN\r\nc2l0aQ==\r\neA==\r\n", format!("+ VXNlcm5hbWU6\n+ UGFzc3dvcmQ6\n<LOGIN siti x []>\n{FAILED}")),
        (b"a AUTHENTICATE LOGIN c2l0aQ==\r\neA==\r\n", format!("+ UGFzc3dvcmQ6\n<LOGIN siti x []>\n{FAILED}")),
        (b"i ID (\"name\" \"mua\" \"x-originating-ip\" \"1.2.3.4\")\r\na LOGIN siti x\r\n",
            format!("* ID (\"name\" \"zproxy\")\ni OK ID completed.\n<LOGIN siti x [(\"name\", Some(\"mua\"))]>\n{FAILED}")),
        (b"i ID (\"a\" \"b\")\r\ni ID NIL\r\na LOGIN siti x\r\n",
            format!("{0}{0}<LOGIN siti x []>\n{FAILED}", "* ID (\"name\" \"zproxy\")\ni OK ID completed.\n")),
    ]
}

/// Everything else, where logins are allowed and TLS is offered.
const OTHERS: &[(&[u8], &str)] = &[
    (
        b"a CAPABILITY\r\n",
        "* CAPABILITY IMAP4rev1 SASL-IR ID LITERAL+ IDLE STARTTLS AUTH=PLAIN AUTH=LOGIN\na OK Capability completed.\n",
    ),
    (b"a NOOP\r\n", "a OK Noop completed.\n"),
    (b"a LOGOUT\r\nb NOOP\r\n", "* BYE Logging out\na OK Logout completed.\n<goodbye>\n"),
    (
        b"a AUTHENTICATE PLAIN\r\n*\r\nb NOOP\r\n",
        "+ \na BAD Cannot log in: authentication cancelled.\nb OK Noop completed.\n",
    ),
    (b"a AUTHENTICATE PLAIN !\r\n", "a BAD Cannot log in: response is not valid base64.\n"),
    (b"a AUTHENTICATE PLAIN AHNpdGkA\r\n", "a NO Cannot log in: password is empty.\n"),
    (b"a AUTHENTICATE PLAIN AHMNaQB4\r\n", "a NO Cannot log in: user name has a control character.\n"),
    (b"a AUTHENTICATE PLAIN\r\nAHNpdGkAeA==\n", "+ \na BAD Not done: line does not end in CR LF.\n"),
    (b"a AUTHENTICATE CRAM-MD5\r\n", "a NO Unknown authentication mechanism.\n"),
    (b"a LOGIN siti \"\"\r\n", "a NO Cannot log in: password is empty.\n"),
    (b"a LOGIN {5}\r\nsi\r\nt x\r\n", "+ Go on.\na NO Cannot log in: user name has a control character.\n"),
    (b"a SELECT INBOX\r\n", "a BAD Not done: unknown command, or not allowed before login.\n"),
    (
        b"a APPEND x {99}\r\nb NOOP\r\n",
        "a BAD Not done: unknown command, or not allowed before login.\nb OK Noop completed.\n",
    ),
    (
        b"a APPEND x {8+}\r\nb NOOP\r\n\r\nc NOOP\r\n",
        "a BAD Not done: unknown command, or not allowed before login.\nc OK Noop completed.\n",
    ),
    (b"a NOOP {8}\r\n", "a BAD Not done: syntax error in the arguments.\n"),
    (b"a LOGIN {4097}\r\n", "a BAD Not done: literal is too long.\n"),
    (
        b"a LOGIN {4097+}\r\nb NOOP\r\n",
        "a BAD Command is longer than allowed.\n* BYE Command is longer than allowed.\n<CommandTooLong>\n",
    ),
    (b"<script> x\r\n", "<script> BAD Not done: unknown command, or not allowed before login.\n"),
    (b"(evil) NOOP\r\n", "* BAD Not done: no valid tag.\n"),
    (b"(evil) LOGIN {4}\r\n", "* BAD Not done: no valid tag.\n"),
    (b"AHNpdGkAeA==\r\n", "* BAD Not done: no valid tag.\n"),
    (b"a EVIL\nb NOOP\r\n", "a BAD Not done: line does not end in CR LF.\nb OK Noop completed.\n"),
    (b"GET / HTTP/1.1\r\nHost: a\r\n", "<SpeaksHttp>\n"),
    (b"PRI * HTTP/2.0\r\n\r\n", "<SpeaksHttp>\n"),
    (b"a NOOP\r\nPOST /a LOGIN siti x\r\n", "a OK Noop completed.\n<SpeaksHttp>\n"),
    (b"GETTER NOOP\r\n", "GETTER OK Noop completed.\n"),
    (
        b"a X\r\na X\r\na X\r\na X\r\na NOOP\r\n",
        "a BAD Not done: unknown command, or not allowed before login.\na BAD Not done: unknown command, or not allowed before login.\n\
         a BAD Not done: unknown command, or not allowed before login.\na BAD Not done: unknown command, or not allowed before login.\n\
         * BYE Too many bad commands.\n<TooManyBadCommands>\n",
    ),
];

#[test]
fn answers_each_client_as_it_should() {
    for (said, expected) in logins() {
        assert_eq!(hear(LoginOffer::Now, &[said]), expected, "{}", said.escape_ascii());
    }
    for (said, expected) in OTHERS {
        assert_eq!(hear(LoginOffer::NowOrAfterTls, &[said]), *expected, "{}", said.escape_ascii());
    }
}

#[test]
fn answers_the_same_wherever_the_bytes_are_cut() {
    let others = OTHERS.iter().map(|(said, expected)| (*said, (*expected).to_owned()));
    for (said, expected) in logins().into_iter().chain(others) {
        for cut in 0..=said.len() {
            let (before, after) = said.split_at(cut);
            let heard = hear(LoginOffer::NowOrAfterTls, &[before, after]);
            assert_eq!(heard, expected, "{} cut at {cut}", said.escape_ascii());
        }
        let single: Vec<&[u8]> = said.chunks(1).collect();
        assert_eq!(hear(LoginOffer::NowOrAfterTls, &single), expected, "{} byte by byte", said.escape_ascii());
    }
}

#[test]
fn asks_for_no_password_where_tls_is_required() {
    for (said, expected) in [
        (&b"a LOGIN siti x\r\n"[..], PRIVATE.to_owned()),
        (b"a LOGIN {4}\r\nb NOOP\r\n", format!("{PRIVATE}b OK Noop completed.\n")),
        (b"a LOGIN {4+}\r\nsiti {1+}\r\nx\r\nb NOOP\r\n", format!("{PRIVATE}b OK Noop completed.\n")),
        (b"a AUTHENTICATE PLAIN\r\n", PRIVATE.to_owned()),
        (b"a AUTHENTICATE PLAIN AHNpdGkAeA==\r\n", PRIVATE.to_owned()),
        (b"a AUTHENTICATE X\r\n", PRIVATE.to_owned()),
    ] {
        assert_eq!(hear(LoginOffer::OnlyAfterTls, &[said]), expected, "{}", said.escape_ascii());
    }
}

#[test]
fn greets_with_what_it_offers() {
    for (login, expected) in [
        (LoginOffer::Now, "AUTH=PLAIN AUTH=LOGIN"),
        (LoginOffer::NowOrAfterTls, "STARTTLS AUTH=PLAIN AUTH=LOGIN"),
        (LoginOffer::OnlyAfterTls, "STARTTLS LOGINDISABLED"),
    ] {
        let mut out = Vec::new();
        Imap.server(setting(login)).greet(&mut out);
        let expected = format!("* OK [CAPABILITY IMAP4rev1 SASL-IR ID LITERAL+ IDLE {expected}] mail.test ready.\r\n");
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}

#[test]
fn forgets_all_that_was_said_before_tls() {
    let mut conversation = Conversation::new(LoginOffer::OnlyAfterTls);
    conversation.say(b"i ID (\"name\" \"mua\")\r\nb X\r\nb X\r\nb X\r\nc STARTTLS\r\n");
    assert!(conversation.heard.ends_with("c OK Begin TLS now.\r\n<tls>\n"), "{}", conversation.heard);
    conversation.heard.clear();
    conversation.say(b"a CAPABILITY\r\na X\r\na LOGIN siti x\r\na STARTTLS\r\n");
    let expected = format!(
        "* CAPABILITY IMAP4rev1 SASL-IR ID LITERAL+ IDLE AUTH=PLAIN AUTH=LOGIN\na OK Capability completed.\n\
         a BAD Not done: unknown command, or not allowed before login.\n<LOGIN siti x []>\n{FAILED}a BAD STARTTLS is not offered.\n"
    );
    assert_eq!(conversation.heard.replace("\r\n", "\n"), expected);
}

#[test]
fn bytes_behind_starttls_end_the_conversation() {
    let said = b"a STARTTLS\r\nb LOGIN siti x\r\n";
    let heard = hear(LoginOffer::NowOrAfterTls, &[said]);
    assert!(heard.ends_with("<BytesBehindStarttls>\n") && !heard.contains("OK"), "{heard}");
}

#[test]
fn what_is_pipelined_behind_a_login_stays_for_the_backend() {
    let mut server = Imap.server(setting(LoginOffer::Now));
    let (mut input, mut out) = (Input::new(), Vec::new());
    input.extend(b"a LOGIN siti x\r\nb SELECT INBOX\r\n");
    assert!(matches!(server.advance(&mut input, &mut out), Ok(Step::Login(_))));
    assert!(matches!(server.advance(&mut input, &mut out), Ok(Step::More)));
    let (before, text) = (b"* OK [ALERT] hi\r\n".to_vec(), b"[CAPABILITY A] in".to_vec());
    let success = Success { before, text, guard: None };
    server.welcome(&success, &mut out);
    assert_eq!(out, b"* OK [ALERT] hi\r\na OK [CAPABILITY A] in\r\n");
    assert_eq!(input.bytes(), b"b SELECT INBOX\r\n");
}

#[test]
fn each_refusal_has_its_words() {
    let told = |code: &str, text: &str| Refusal::Told { code: code.to_owned(), text: text.to_owned() };
    for (refusal, then, expected) in [
        (Refusal::Credentials, Then::TryAgain, "a NO [AUTHENTICATIONFAILED] Authentication failed.\r\n"),
        (
            Refusal::Temporary,
            Then::Close,
            "a NO [UNAVAILABLE] Temporary failure, try again later.\r\n* BYE Goodbye.\r\n",
        ),
        (told("EXPIRED", "Change it."), Then::TryAgain, "a NO [EXPIRED] Change it.\r\n"),
        (told("", "No.\r\nb OK"), Then::TryAgain, "a NO No.b OK\r\n"),
        (told("A] B", ""), Then::TryAgain, "a NO [AB] Login refused.\r\n"),
    ] {
        let mut server = Imap.server(setting(LoginOffer::Now));
        let (mut input, mut out) = (Input::new(), Vec::new());
        input.extend(b"a LOGIN siti x\r\n");
        server.advance(&mut input, &mut out).unwrap();
        server.refuse(&refusal, then, &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}

#[test]
fn a_sasl_response_has_an_end() {
    let long = |start: &str, octets: usize| {
        let said = [start.as_bytes(), &vec![b'A'; octets], b"\r\n"].concat();
        hear(LoginOffer::Now, &[&said]).ends_with("<CommandTooLong>\n")
    };
    assert!(!long("a AUTHENTICATE PLAIN\r\n", MAX_RESPONSE));
    assert!(long("a AUTHENTICATE PLAIN\r\n", MAX_RESPONSE + 1));
    let initial = MAX_RESPONSE - "a AUTHENTICATE PLAIN \r\n".len();
    assert!(!long("a AUTHENTICATE PLAIN ", initial));
    assert!(long("a AUTHENTICATE PLAIN ", initial + 1));
}

#[test]
fn an_offer_that_changes_is_told_from_then_on() {
    let mut conversation = Conversation::new(LoginOffer::Now);
    conversation.server.offer(Arc::from(["LITERAL-".to_owned(), "MOVE".to_owned()]));
    conversation.say(b"a CAPABILITY\r\n");
    assert!(conversation.heard.contains(" ID LITERAL- MOVE AUTH="), "{}", conversation.heard);
}

#[test]
fn its_goodbye_is_a_bye() {
    assert_eq!(Imap.goodbye("shutting down"), b"* BYE shutting down\r\n");
    let mut conversation = Conversation::new(LoginOffer::Now);
    let mut out = Vec::new();
    conversation.server.goodbye("timeout", &mut out);
    assert_eq!(out, b"* BYE timeout\r\n");
    conversation.say(b"a NOOP\r\n");
    assert_eq!(conversation.heard, "");
}

proptest! {
    #[test]
    fn answers_whatever_comes_with_little_and_the_same_however_cut(
        text in "([a-c]|[ ]|LOGIN|AUTHENTICATE PLAIN|ID|NOOP|GET |\r\n|\n|\0|[{][0-9]{1,3}[+]?[}]\r\n|\"|[(]|[)]|AHNpdGkAeA==|[*]){0,40}",
    ) {
        let single: Vec<&[u8]> = text.as_bytes().chunks(1).collect();
        let heard = hear(LoginOffer::Now, &[text.as_bytes()]);
        prop_assert_eq!(&heard, &hear(LoginOffer::Now, &single));
        prop_assert!(heard.len() <= 100 * (text.len() + 1));
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        hear(LoginOffer::OnlyAfterTls, &[&bytes]);
    }
}
