//! What only ManageSieve does round an exchange: strings of every kind, a last challenge in the code of the success,
//! and a command that cannot go without its initial response.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zproxy_protocol::sasl::TokenMechanism;
use zproxy_protocol::{Error, Step, Then};

use crate::scram::SIGNED;
use crate::token::{EXPIRED, message, object};
use crate::words::SIEVE;
use crate::{client, scram_client, scram_server};

#[test]
fn an_exchange_may_end_in_the_code_of_the_success() {
    let signed = || {
        let mut talk = scram_client::proved(&SIEVE);
        talk.say(&format!("OK (SASL \"{}\") \"in\"\r\n", STANDARD.encode(SIGNED)));
        assert_eq!(talk.passed(), SIGNED);
        talk
    };
    let mut unheard = signed();
    unheard.say("");
    unheard.broken();
    let mut talk = signed();
    // The backend has said all: it awaits no answer.
    assert_eq!(talk.answer(""), "");
    talk.say("");
    talk.let_in();
}

#[test]
fn a_code_without_the_backends_own_proof_or_with_more_behind_it_lets_nobody_in() {
    let signed = STANDARD.encode(SIGNED);
    for (code, behind) in [("", ""), ("dj1BQUFB", ""), (&*signed, "OK\r\n")] {
        let mut talk = scram_client::proved(&SIEVE);
        talk.say(&format!("OK (SASL \"{code}\") \"in\"\r\n{behind}"));
        assert!(matches!(talk.end, Err(Error::BackendProtocol(_))), "{code} {:?}", talk.end);
    }
}

#[test]
fn an_answer_to_what_is_said_of_a_token_may_be_any_string_or_none() {
    for answer in ["{4+}\r\nAQ==\r\n", "junk\r\n"] {
        let mut client = client::Talk::open(&SIEVE, client::setting(&["AUTH=OAUTHBEARER"]));
        let said = message(TokenMechanism::OauthBearer, "t");
        assert!(matches!(client.hear(&SIEVE.initial("OAUTHBEARER", &said)), Step::Login(_)));
        client.refuse(&object(EXPIRED), Then::TryAgain);
        assert_eq!(client.said, SIEVE.asked(EXPIRED));
        client.hear(answer);
        assert_eq!(client.said, SIEVE.failed, "{answer}");
        client.hear(SIEVE.noop.0);
        assert_eq!(client.said, SIEVE.noop.1);
    }
}

#[test]
fn what_is_no_string_abandons_an_exchange() {
    let mut client = scram_server::asked(&SIEVE);
    assert!(matches!(client.hear("*\r\n"), Step::Abandoned));
    assert_eq!(client.said, "NO \"response is not a string\"\r\n");
}
