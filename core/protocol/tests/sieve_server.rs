//! ManageSieve clients, good and bad, before the server machine.

#[path = "harness/client.rs"]
mod harness;

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use harness::{MAX_COMMAND, MAX_RESPONSE, Talk, setting};
use zproxy_protocol::sieve::Sieve;
use zproxy_protocol::{
    Error, Input, Language as _, LoginOffer, Protocol as _, Refusal, ServerSetting, Step, Success, Then,
};

const PLAIN: &str = "AGJvc3NAdGdnLm5ldC5pZABkZW1v";
const LOGIN: &str = "PLAIN |boss@tgg.net.id|demo";
const REFUSED: &str = "NO \"Authentication failed.\"\r\n";
const DONE: &str = "OK \"Done.\"\r\n";

fn talk<'a>(setting: ServerSetting, pieces: impl IntoIterator<Item = &'a [u8]>) -> Talk {
    harness::talk(&Sieve, setting, pieces)
}

fn plainly(said: &str) -> Talk {
    talk(setting(LoginOffer::Now, &[]), [said.as_bytes()])
}

fn greeting(login: LoginOffer, shared: &[&str]) -> String {
    let mut out = Vec::new();
    Sieve.server(setting(login, shared)).greet(&mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn the_greeting_says_what_all_backends_share_and_what_is_ours() {
    let ours = "\"IMPLEMENTATION\" \"zproxy\"\r\n";
    let ready = "OK \"mail.tgg.net.id ready.\"\r\n";
    let shared =
        &["VERSION 1.0", "SIEVE fileinto vacation", "NOTIFY mailto", "MAXREDIRECTS 4", "OWNER siti", "XCLIENT"];
    let values = "\"MAXREDIRECTS\" \"4\"\r\n\"NOTIFY\" \"mailto\"\r\n\"VERSION\" \"1.0\"\r\n";
    let table: &[(LoginOffer, &[&str], String)] = &[
        (LoginOffer::Now, &[], format!("{ours}\"SIEVE\" \"\"\r\n\"SASL\" \"PLAIN LOGIN\"\r\n{ready}")),
        (
            LoginOffer::NowOrAfterTls,
            &["AUTH=XOAUTH2", "AUTH=GSSAPI"],
            format!("{ours}\"SIEVE\" \"\"\r\n\"SASL\" \"PLAIN LOGIN XOAUTH2\"\r\n\"STARTTLS\"\r\n{ready}"),
        ),
        (
            LoginOffer::OnlyAfterTls,
            shared,
            format!("{ours}\"SIEVE\" \"fileinto vacation\"\r\n\"SASL\" \"\"\r\n\"STARTTLS\"\r\n{values}{ready}"),
        ),
    ];
    for (login, shared, said) in table {
        assert_eq!(greeting(*login, shared), *said);
        let asked = talk(setting(*login, shared), [&b"CAPABILITY\r\n"[..]]).sent;
        assert_eq!(asked, said.replace("mail.tgg.net.id ready.", "Capability completed."));
    }
}

#[test]
fn a_value_too_long_for_quotes_is_sent_as_a_literal() {
    let long = "x".repeat(1025);
    assert!(
        greeting(LoginOffer::Now, &[&format!("SIEVE {long}")]).contains(&format!("\"SIEVE\" {{1025}}\r\n{long}\r\n"))
    );
}

#[test]
fn sasl_makes_a_login_in_any_kind_of_string() {
    let boss = STANDARD.encode("boss\0siti\0demo");
    let table = [
        (format!("AUTHENTICATE \"PLAIN\" \"{boss}\"\r\n"), "PLAIN boss|siti|demo", ""),
        (format!("authenticate \"plain\" {{{}+}}\r\n{boss}\r\n", boss.len()), "PLAIN boss|siti|demo", ""),
        (format!("AUTHENTICATE \"PLAIN\" {{{}}}\r\n{boss}\r\n", boss.len()), "PLAIN boss|siti|demo", ""),
        (format!("AUTHENTICATE {{5+}}\r\nPLAIN\r\n\"{boss}\"\r\n"), "PLAIN boss|siti|demo", "\"\"\r\n"),
        (format!("AUTHENTICATE \"PLAIN\"\r\n{{{}+}}\r\n{boss}\r\n", boss.len()), "PLAIN boss|siti|demo", "\"\"\r\n"),
        (
            "AUTHENTICATE \"LOGIN\"\r\n\"c2l0aQ==\"\r\n\"ZGVtbw==\"\r\n".into(),
            "LOGIN |siti|demo",
            "\"VXNlcm5hbWU6\"\r\n\"UGFzc3dvcmQ6\"\r\n",
        ),
    ];
    for (said, login, challenges) in table {
        let talk = plainly(&said);
        assert_eq!(talk.steps, [login], "{said}");
        assert_eq!(talk.sent, format!("{challenges}{REFUSED}"), "{said}");
    }
}

#[test]
fn a_failed_exchange_is_over_and_what_follows_is_a_command() {
    let table = [
        ("AUTHENTICATE \"PLAIN\"\r\n\"*\"\r\n", "\"\"\r\nNO \"authentication cancelled\"\r\n"),
        ("AUTHENTICATE \"PLAIN\"\r\n*\r\n", "\"\"\r\nNO \"response is not a string\"\r\n"),
        ("AUTHENTICATE \"PLAIN\"\r\nNOOP\r\n", "\"\"\r\nNO \"response is not a string\"\r\n"),
        (
            "AUTHENTICATE \"PLAIN\"\r\n\"AA==\"\n",
            "\"\"\r\nNO \"a line ends with CRLF and holds no other CR or LF\"\r\n",
        ),
        ("AUTHENTICATE \"PLAIN\" \"!\"\r\n", "NO \"response is not valid base64\"\r\n"),
        ("AUTHENTICATE \"LOGIN\" \"\"\r\n", "NO \"user name is empty\"\r\n"),
        ("AUTHENTICATE \"CRAM-MD5\"\r\n", "NO \"unknown authentication mechanism\"\r\n"),
        ("AUTHENTICATE \"XOAUTH2\"\r\n", "NO \"unknown authentication mechanism\"\r\n"),
    ];
    for (said, sent) in table {
        let talk = plainly(&format!("{said}NOOP\r\n"));
        assert_eq!(talk.sent, format!("{sent}{DONE}"), "{said}");
        assert_eq!(talk.steps, [""; 0]);
    }
}

#[test]
fn noop_says_its_tag_back() {
    let said = "NOOP\r\nNOOP \"STARTTLS-SYNC-42\"\r\nnoop {4+}\r\na\"\\b\r\n";
    let tags = "OK (TAG \"STARTTLS-SYNC-42\") \"Done.\"\r\nOK (TAG \"a\\\"\\\\b\") \"Done.\"\r\n";
    assert_eq!(plainly(said).sent, format!("{DONE}{tags}"));
}

#[test]
fn nobody_logs_in_before_tls_where_it_is_required() {
    for said in [format!("AUTHENTICATE \"PLAIN\" \"{PLAIN}\"\r\n"), "AUTHENTICATE \"LOGIN\"\r\n".to_owned()] {
        let talk = talk(setting(LoginOffer::OnlyAfterTls, &[]), [said.as_bytes()]);
        assert_eq!(talk.sent, "NO (ENCRYPT-NEEDED) \"login needs TLS: say STARTTLS first\"\r\n", "{said}");
        assert_eq!(talk.steps, [""; 0]);
    }
}

#[test]
fn capabilities_are_sent_again_after_tls() {
    let login = format!("AUTHENTICATE \"PLAIN\" \"{PLAIN}\"\r\nSTARTTLS\r\n");
    let talk = talk(setting(LoginOffer::OnlyAfterTls, &[]), [&b"STARTTLS\r\n"[..], b"", login.as_bytes()]);
    assert_eq!(talk.steps, ["starttls", LOGIN]);
    let after = greeting(LoginOffer::Now, &[]).replace("mail.tgg.net.id ready.", "TLS is up.");
    let refused = "NO \"TLS is not offered here\"\r\n";
    assert_eq!(talk.sent, format!("OK \"Begin TLS now.\"\r\n{after}{REFUSED}{refused}"));
}

#[test]
fn bytes_behind_starttls_end_the_conversation() {
    let talk = talk(setting(LoginOffer::OnlyAfterTls, &[]), [&b"STARTTLS\r\nNOOP\r\n"[..]]);
    assert_eq!(talk.end, Some(Error::BytesBehindStarttls));
    assert_eq!((talk.sent.as_str(), talk.steps.len()), ("BYE \"Nothing may follow STARTTLS before TLS.\"\r\n", 0));
}

#[test]
fn scripts_are_for_those_who_are_logged_in() {
    for said in ["HAVESPACE \"a\" 9\r\n", "PUTSCRIPT \"a\" {7+}\r\nNOOP\r\n\0\r\n", "LISTSCRIPTS\r\n"] {
        let talk = plainly(&said.replace('\0', "x"));
        assert_eq!(talk.sent, "NO \"log in first\"\r\n", "{said}");
    }
}

#[test]
fn what_all_backends_share_may_change() {
    let mut server = Sieve.server(setting(LoginOffer::Now, &[]));
    server.offer(Arc::from(["SIEVE vacation".to_owned()]));
    let (mut input, mut out) = (Input::new(), Vec::new());
    input.extend(b"CAPABILITY\r\n");
    assert!(matches!(server.advance(&mut input, &mut out), Ok(Step::More)));
    assert!(String::from_utf8(out).unwrap().contains("\"SIEVE\" \"vacation\"\r\n"));
}

#[test]
fn what_is_pipelined_behind_the_login_stays_for_the_backend() {
    let mut server = Sieve.server(setting(LoginOffer::Now, &[]));
    let (mut input, mut out) = (Input::new(), Vec::new());
    input.extend(format!("AUTHENTICATE \"PLAIN\" \"{PLAIN}\"\r\nLISTSCRIPTS\r\n").as_bytes());
    assert!(matches!(server.advance(&mut input, &mut out), Ok(Step::Login(_))));
    assert_eq!(input.bytes(), b"LISTSCRIPTS\r\n");
    server.welcome(&Success { text: b"\"In\"\xc3\xa9.".to_vec(), ..Success::default() }, &mut out);
    server.welcome(&Success::default(), &mut out);
    assert_eq!(out, b"OK \"\\\"In\\\"\xc3\xa9.\"\r\nOK \"Logged in.\"\r\n");
}

#[test]
fn logout_is_answered_and_ends_it() {
    let talk = plainly("LOGOUT\r\n");
    assert_eq!((talk.sent.as_str(), talk.steps), ("OK \"Bye.\"\r\n", vec!["goodbye".to_owned()]));
}

#[test]
fn bad_commands_are_counted_and_never_repeated_to_the_client() {
    let talk = plainly("<script>\r\nNOOP\r\nXCLIENT ADDR=192.0.2.1\r\nLISTSCRIPTS\r\nNOOP\r\n");
    let unknown = "NO \"unknown command\"\r\n";
    assert_eq!(talk.sent, format!("{unknown}{DONE}{unknown}BYE \"Too many bad commands.\"\r\n"));
    assert_eq!(talk.end, Some(Error::TooManyBadCommands));
}

#[test]
fn whoever_hides_where_a_command_ends_is_left() {
    let endless = [
        "AUTHENTICATE \"PLAIN\" {4294967296+}\r\n",
        "AUTHENTICATE \"PLAIN\" {4294967296}\r\n",
        "AUTHENTICATE \"PLAIN\" {99999999999999999999+}\r\n",
        "NOOP {256+}\r\n",
        "NOOP {-1+}\r\n",
        "NOOP {3+} \r\n",
        "NOOP \"a{3+}\n",
    ];
    for said in endless {
        let talk = plainly(said);
        assert_eq!(talk.end, Some(Error::CommandTooLong), "{said}");
        assert_eq!(talk.sent, "BYE \"Command is longer than allowed.\"\r\n");
    }
    for said in ["NOOP \"a\r\n", "NOOP \"a\n", "NOOP {}\r\n", "NOOP {0x1}\r\n", "NO\0OP\r\n", "NOOP {2+}\r\n\0a\r\n"] {
        let talk = plainly(&format!("{said}NOOP\r\n"));
        assert!(talk.sent.starts_with("NO \"") && talk.sent.ends_with(DONE), "{said} {talk:?}");
        assert_eq!(talk.sent.lines().count(), 2, "{talk:?}");
    }
}

#[test]
fn commands_and_responses_are_bounded_also_where_they_never_end() {
    let too_long = |said: Vec<u8>| talk(setting(LoginOffer::Now, &[]), [&said[..]]).end == Some(Error::CommandTooLong);
    let noop = |octets: usize, end: &str| format!("NOOP {}{end}", "x".repeat(octets - 5 - end.len())).into_bytes();
    assert!(!too_long(noop(MAX_COMMAND, "\r\n")));
    assert!(too_long(noop(MAX_COMMAND + 1, "\r\n")));
    assert!(!too_long(noop(MAX_COMMAND, "")));
    assert!(too_long(noop(MAX_COMMAND + 1, "")));
    for start in ["AUTHENTICATE \"PLAIN\" ", "AUTHENTICATE \"PLAIN\"\r\n"] {
        let around = if start.ends_with('\n') { 0 } else { start.len() } + 4;
        let said = |octets: usize| format!("{start}\"{}\"\r\n", "A".repeat(octets - around)).into_bytes();
        assert!(!too_long(said(MAX_RESPONSE)), "{start}");
        assert!(too_long(said(MAX_RESPONSE + 1)), "{start}");
    }
    assert!(too_long(vec![b'"'; MAX_RESPONSE + 1]));
}

#[test]
fn refusals_carry_their_code() {
    let told = |code: &str, text: &str| Refusal::Told { code: code.into(), text: text.into() };
    let cannot = "NO \"The server of this mailbox does not take this mechanism.\"\r\n";
    let table = [
        (Refusal::Cannot, cannot),
        (Refusal::Credentials, REFUSED),
        (Refusal::Temporary, "NO (TRYLATER) \"Temporary failure, please try again later.\"\r\n"),
        (told("TRYLATER", "Say \"please\"."), "NO (TRYLATER) \"Say \\\"please\\\".\"\r\n"),
        (told("QUOTA/MAXSIZE", " "), "NO (QUOTA/MAXSIZE) \"Login refused.\"\r\n"),
        (told("", "No."), "NO \"No.\"\r\n"),
    ];
    for (refusal, line) in table {
        for (then, last) in [(Then::TryAgain, ""), (Then::Close, "BYE \"Too many failed logins.\"\r\n")] {
            let mut out = Vec::new();
            Sieve.server(setting(LoginOffer::Now, &[])).refuse(&refusal, then, &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), format!("{line}{last}"));
        }
    }
}

#[test]
fn a_session_is_left_with_the_advice_to_come_back() {
    let bye = b"BYE (TRYLATER) \"shutting down\"\r\n";
    assert_eq!(Sieve.goodbye("shutting down"), bye);
    let mut out = Vec::new();
    Sieve.server(setting(LoginOffer::Now, &[])).goodbye("shutting down", &mut out);
    assert_eq!(out, bye);
}

#[test]
fn a_capability_may_be_offered_by_its_name() {
    for capability in ["SIEVE fileinto", "SIEVE", "VERSION 1.0", "AUTH=XOAUTH2", "MAXREDIRECTS 4"] {
        assert!(Sieve.may_offer(capability), "{capability}");
    }
    for capability in
        ["SIEVEX fileinto", "UNAUTHENTICATE", "STARTTLS", "XCLIENT", "SASL PLAIN", "AUTH=GSSAPI", "OWNER x"]
    {
        assert!(!Sieve.may_offer(capability), "{capability}");
    }
}
