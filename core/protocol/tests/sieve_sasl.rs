//! Tokens and SCRAM in ManageSieve, which writes every response and challenge as a string, before both machines.

#[path = "harness/backend.rs"]
mod harness;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use harness::{End, siti, slowly, talk};
use zproxy_protocol::sasl::{Credential, ErrorObject, Exchange, Mechanism, Progress, ScramMechanism, TokenMechanism};
use zproxy_protocol::sieve::Sieve;
use zproxy_protocol::{
    Client, ClientSetting, ClientStep, Error, Goal, Input, LoginAtBackend, LoginOffer, Protocol as _, Refusal, Secret,
    Server, ServerSetting, Step, Then,
};

const XOAUTH2: &str = "user=siti\x01auth=Bearer t\x01\x01";
const OAUTHBEARER: &str = "n,a=siti,\x01auth=Bearer t\x01\x01";
const EXPIRED: &str = "{\"status\":\"invalid_token\"}";
const FIRST: &str = "n,,n=siti,r=fyko+d2lbbFgONRv9qkxdawL";
const ASKED: &str = "r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096";
const LAST: &str = "c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=";
const SIGNED: &str = "v=rmF9pqV8S7suAoZWja4dJRkFsKQ=";
const FAILED: &str = "NO \"Authentication failed.\"\r\n";
const DONE: &str = "OK \"Done.\"\r\n";
const HI: &str = "\"SASL\" \"PLAIN XOAUTH2 OAUTHBEARER SCRAM-SHA-1\"\r\nOK\r\n";

fn string(message: &str) -> String {
    format!("\"{}\"\r\n", STANDARD.encode(message))
}

/// The credential that a message of a client holds.
fn said(mechanism: Mechanism, message: &str) -> Credential {
    match Exchange::begin(mechanism).respond(STANDARD.encode(message).as_bytes()) {
        Ok(Progress::Done(said)) => said.credential,
        other => panic!("{other:?}"),
    }
}

fn client(mechanism: Mechanism, message: &str) -> Box<dyn Client> {
    let login = LoginAtBackend { credential: Some(said(mechanism, message)), ..siti() };
    Sieve.client(ClientSetting { starttls: false, goal: Goal::Login(Box::new(login)) })
}

fn xoauth2() -> Box<dyn Client> {
    client(Mechanism::Token(TokenMechanism::Xoauth2), XOAUTH2)
}

fn object(text: &str) -> Refusal {
    Refusal::Token(ErrorObject::from_challenge(STANDARD.encode(text).as_bytes()).unwrap())
}

#[test]
fn a_token_goes_by_its_own_mechanism_and_what_the_backend_says_of_it_is_kept() {
    let auth = format!("AUTHENTICATE \"XOAUTH2\" {}/", string(XOAUTH2).replace("\r\n", ";"));
    let asked = string(EXPIRED);
    let (wrong, busy) = ("NO \"no\"\r\n", "NO (TRYLATER) \"busy\"\r\n");
    let told = r#"Told { code: "TRYLATER", text: "busy" }"#;
    let refused = format!("{:?}", object(EXPIRED));
    let table: &[(&[&str], &str, End)] = &[
        (&["OK \"in\"\r\n"], "/", Ok("success in".into())),
        (&[wrong], "/", Ok("Credentials".into())),
        (&[busy], "/", Ok(told.into())),
        (&[&asked, wrong], "\"\";//", Ok(refused)),
        (&[&asked, busy], "\"\";//", Ok(told.into())),
        (&[&asked, "OK\r\n"], "\"\";//", Err(Error::BackendProtocol("auth"))),
        (&[&asked, &asked], "\"\";//", Err(Error::BackendProtocol("auth"))),
    ];
    for (backend, heard, end) in table {
        let backend: Vec<&str> = [HI].iter().chain(*backend).copied().collect();
        let expected = (format!("{auth}{heard}"), end.clone());
        assert_eq!(talk(&mut *xoauth2(), &backend), expected, "{backend:?}");
    }
    let lacks = "\"SASL\" \"PLAIN OAUTHBEARER\"\r\nOK\r\n";
    assert_eq!(talk(&mut *xoauth2(), &[lacks]), ("/".into(), Ok("Cannot".into())));
}

#[test]
fn a_token_that_its_server_cannot_hear_is_no_wrong_one() {
    let long = format!("user=siti\x01auth=Bearer {}\x01\x01", "t".repeat(6200));
    let mut client = client(Mechanism::Token(TokenMechanism::Xoauth2), &long);
    assert_eq!(talk(&mut *client, &[HI]), ("/".into(), Ok("Temporary".into())));
}

/// What the machine does at what the backend says: a challenge is shown, and answered.
fn exchange(backend: &[&str]) -> (Vec<String>, Result<ClientStep, Error>) {
    let mut client = client(Mechanism::Scram(ScramMechanism::Sha1), FIRST);
    let (mut input, mut heard) = (Input::new(), Vec::new());
    for piece in backend {
        input.extend(piece.as_bytes());
        loop {
            let mut out = Vec::new();
            let step = client.advance(&mut input, &mut out);
            if let Ok(ClientStep::Challenge(challenge)) = &step {
                let asked = String::from_utf8(STANDARD.decode(challenge.base64()).unwrap()).unwrap();
                heard.push(format!("asked {asked}"));
                let answer = if challenge.terms().is_some() { LAST } else { "" };
                client.respond(&Secret::new(STANDARD.encode(answer).as_bytes()), &mut out);
            }
            heard.extend(Some(String::from_utf8(out).unwrap()).filter(|it| !it.is_empty()));
            match step {
                Ok(ClientStep::Challenge(_)) => {}
                Ok(ClientStep::More) => break,
                end => return (heard, end),
            }
        }
    }
    (heard, Ok(ClientStep::More))
}

#[test]
fn an_exchange_may_end_in_a_challenge_or_in_the_code_of_the_success() {
    let asked = string(ASKED);
    let begun = [
        format!("AUTHENTICATE \"SCRAM-SHA-1\" {}", string(FIRST)),
        format!("asked {ASKED}"),
        string(LAST),
        format!("asked {SIGNED}"),
    ];
    let in_code = format!("OK (SASL \"{}\") \"in\"\r\n", STANDARD.encode(SIGNED));
    let endings: [(&[&str], &[&str]); 2] = [
        (&[&string(SIGNED), "OK \"in\"\r\n"], &["\"\"\r\n"]),
        // The backend has said all: it awaits no answer.
        (&[&in_code], &[]),
    ];
    for (ending, answered) in endings {
        let (heard, end) = exchange(&[&[HI, &asked], ending].concat());
        let expected: Vec<&str> = begun.iter().map(String::as_str).chain(answered.iter().copied()).collect();
        assert_eq!(heard, expected);
        assert!(matches!(&end, Ok(ClientStep::Success(success)) if success.text == b"in"), "{end:?}");
    }
}

#[test]
fn a_yes_without_the_backends_own_proof_is_none() {
    let asked = string(ASKED);
    for ending in ["OK \"in\"\r\n", "OK (SASL \"\") \"in\"\r\n", "OK (SASL \"dj1BQUFB\") \"in\"\r\n"] {
        let (_, end) = exchange(&[HI, &asked, ending]);
        assert!(matches!(end, Err(Error::BackendProtocol("auth"))), "{ending} {end:?}");
    }
    let behind = format!("OK (SASL \"{}\") \"in\"\r\nOK\r\n", STANDARD.encode(SIGNED));
    let (_, end) = exchange(&[HI, &asked, &behind]);
    assert!(matches!(end, Err(Error::BackendProtocol(_))), "{end:?}");
}

#[test]
fn an_objection_is_the_same_octet_by_octet() {
    let backend = [HI, &string(EXPIRED), "NO \"no\"\r\n"];
    let whole = slowly(&mut *xoauth2(), &backend, usize::MAX);
    assert_eq!(whole.1, Ok(format!("{:?}", object(EXPIRED))));
    assert_eq!(slowly(&mut *xoauth2(), &backend, 1), whole);
}

/// A client, before a server that offers all mechanisms.
struct Clients(Box<dyn Server>);

impl Clients {
    fn new() -> Self {
        let shared = ["AUTH=XOAUTH2", "AUTH=OAUTHBEARER", "AUTH=SCRAM-SHA-1"].map(str::to_owned);
        Self(Sieve.server(ServerSetting {
            hostname: "mail.test".into(),
            login: LoginOffer::Now,
            shared: shared.into(),
            passwords: false,
            certificate: false,
            bad_commands: 9,
            max_command: 8192,
            max_response: 8192,
        }))
    }

    fn say(&mut self, said: &str) -> (Step, String) {
        let (mut input, mut out) = (Input::new(), Vec::new());
        input.extend(said.as_bytes());
        let step = self.0.advance(&mut input, &mut out).unwrap();
        (step, String::from_utf8(out).unwrap())
    }

    fn refuse(&mut self, refusal: &Refusal, then: Then) -> String {
        let mut out = Vec::new();
        self.0.refuse(refusal, then, &mut out);
        String::from_utf8(out).unwrap()
    }
}

#[test]
fn what_a_backend_says_of_a_token_comes_before_the_refusal_whatever_is_answered() {
    for answer in ["\"AQ==\"\r\n", "\"\"\r\n", "{4+}\r\nAQ==\r\n", "\"*\"\r\n", "junk\r\n"] {
        let mut client = Clients::new();
        let (step, _) = client.say(&format!("AUTHENTICATE \"OAUTHBEARER\" {}", string(OAUTHBEARER)));
        assert!(matches!(step, Step::Login(login) if matches!(login.credential, Credential::Token(_))));
        assert_eq!(client.refuse(&object(EXPIRED), Then::TryAgain), string(EXPIRED));
        assert_eq!(client.say(answer).1, FAILED, "{answer}");
        assert_eq!(client.say("NOOP\r\n").1, DONE);
    }
    let mut client = Clients::new();
    client.say(&format!("AUTHENTICATE \"XOAUTH2\" {}", string(XOAUTH2)));
    let closed = format!("{}{FAILED}BYE \"Too many failed logins.\"\r\n", string(EXPIRED));
    assert_eq!(client.refuse(&object(EXPIRED), Then::Close), closed);
}

#[test]
fn passwords_are_neither_offered_nor_taken_where_no_backend_takes_them() {
    let mut client = Clients::new();
    let offered = "\"SASL\" \"OAUTHBEARER XOAUTH2 SCRAM-SHA-1\"\r\n";
    assert!(client.say("CAPABILITY\r\n").1.contains(offered));
    let unknown = "NO \"unknown authentication mechanism\"\r\n";
    assert_eq!(client.say("AUTHENTICATE \"PLAIN\" \"AHNpdGkAZGVtbw==\"\r\n").1, unknown);
}

#[test]
fn a_challenge_is_passed_on_and_its_answer_may_be_abandoned() {
    let begin = format!("AUTHENTICATE \"SCRAM-SHA-1\" {}", string(FIRST));
    for (answer, told) in [
        (string(LAST), None),
        ("\"*\"\r\n".into(), Some("NO \"authentication cancelled\"\r\n")),
        ("*\r\n".into(), Some("NO \"response is not a string\"\r\n")),
    ] {
        let mut client = Clients::new();
        let (Step::Login(login), _) = client.say(&begin) else { panic!("no login") };
        let Credential::Scram(first) = login.credential else { panic!("{:?}", login.credential) };
        let salt = STANDARD.decode("QSXCR+Q6sek8bf92").unwrap().into();
        let terms = zproxy_protocol::sasl::Terms { nonce: (*b"3rfcNHYJY1ZVvWVs7j").into(), salt, iterations: 4096 };
        let mut out = Vec::new();
        client.0.challenge(first.ask(terms), &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), string(ASKED));
        match (client.say(&answer), told) {
            ((Step::Response(response), _), None) => assert_eq!(response.expose(), STANDARD.encode(LAST).as_bytes()),
            ((Step::Abandoned, said), Some(told)) => assert_eq!(said, told),
            (other, _) => panic!("{answer} {other:?}"),
        }
    }
}
