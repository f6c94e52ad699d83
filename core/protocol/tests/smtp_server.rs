//! SMTP clients, good and bad, before the server machine.

#[path = "harness/client.rs"]
mod harness;

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use harness::Talk;
use zproxy_protocol::smtp::Submission;
use zproxy_protocol::{
    Error, Input, Language as _, LoginOffer, Protocol as _, Refusal, ServerSetting, Step, Success, Then,
};

fn setting(login: LoginOffer, shared: &[&str]) -> ServerSetting {
    ServerSetting { bad_commands: 3, max_command: 8192, max_response: 65_536, ..harness::setting(login, shared) }
}

fn talk<'a>(setting: ServerSetting, pieces: impl IntoIterator<Item = &'a [u8]>) -> Talk {
    harness::talk(&Submission, setting, pieces)
}

/// What follows EHLO and its answer.
fn greeted(said: &str) -> Talk {
    const ANSWER: &str = "250-mail.tgg.net.id\r\n250 AUTH PLAIN LOGIN\r\n";
    let mut talk = talk(setting(LoginOffer::Now, &[]), [format!("EHLO laptop\r\n{said}").as_bytes()]);
    talk.sent = talk.sent.strip_prefix(ANSWER).unwrap().to_owned();
    talk
}

const REFUSED: &str = "535 5.7.8 Authentication failed.\r\n";

#[test]
fn the_greeting_names_us() {
    let mut out = Vec::new();
    Submission.server(setting(LoginOffer::Now, &[])).greet(&mut out);
    assert_eq!(out, b"220 mail.tgg.net.id ESMTP ready.\r\n");
}

#[test]
fn ehlo_lists_what_all_backends_share_and_what_is_ours() {
    let shared = &["SIZE 10240000", "PIPELINING", "XCLIENT NAME ADDR", "XFORWARD NAME", "ETRN", "AUTH GSSAPI"];
    let table: &[(LoginOffer, &[&str], &str)] = &[
        (LoginOffer::Now, &[], "250 AUTH PLAIN LOGIN\r\n"),
        (LoginOffer::NowOrAfterTls, &[], "250-STARTTLS\r\n250 AUTH PLAIN LOGIN\r\n"),
        (LoginOffer::OnlyAfterTls, &[], "250 STARTTLS\r\n"),
        (LoginOffer::OnlyAfterTls, shared, "250-PIPELINING\r\n250-SIZE 10240000\r\n250 STARTTLS\r\n"),
        (LoginOffer::Now, &["CHUNKING"], "250-CHUNKING\r\n250 AUTH PLAIN LOGIN\r\n"),
    ];
    for (login, shared, listed) in table {
        let talk = talk(setting(*login, shared), [&b"EHLO <b>laptop\r\n"[..]]);
        assert_eq!(talk.sent, format!("250-mail.tgg.net.id\r\n{listed}"));
    }
    assert_eq!(talk(setting(LoginOffer::Now, shared), [&b"HELO x\r\n"[..]]).sent, "250 mail.tgg.net.id\r\n");
}

#[test]
fn what_needs_no_login_is_answered() {
    let talk = greeted("NOOP\r\nRSET\r\nVRFY siti\r\nHELP\r\nEHLO again\r\nQUIT\r\n");
    let codes: Vec<&str> = talk.sent.lines().map(|line| &line[..3]).collect();
    assert_eq!(codes, ["250", "250", "252", "214", "250", "250", "221"]);
    assert_eq!((talk.steps, talk.end), (vec!["goodbye".to_owned()], None));
}

#[test]
fn sasl_makes_a_login_with_and_without_an_initial_response() {
    let plain = STANDARD.encode("boss\0siti\0demo");
    let table = [
        (format!("AUTH PLAIN {plain}\r\n"), "PLAIN boss|siti|demo laptop", ""),
        (format!("auth plain\r\n{plain}\r\n"), "PLAIN boss|siti|demo laptop", "334 \r\n"),
        ("AUTH LOGIN c2l0aQ==\r\nZGVtbw==\r\n".into(), "LOGIN |siti|demo laptop", "334 UGFzc3dvcmQ6\r\n"),
        (
            "AUTH LOGIN\r\nc2l0aQ==\r\nZGVtbw==\r\n".into(),
            "LOGIN |siti|demo laptop",
            "334 VXNlcm5hbWU6\r\n334 UGFzc3dvcmQ6\r\n",
        ),
    ];
    for (said, login, challenges) in table {
        let talk = greeted(&said);
        assert_eq!(talk.steps, [login]);
        assert_eq!(talk.sent, format!("{challenges}{REFUSED}"));
    }
}

#[test]
fn the_backend_is_told_the_last_name_that_it_can_be_told() {
    for (said, name) in [("", " laptop"), ("EHLO [192.0.2.7]\r\n", " [192.0.2.7]"), ("HELO my pc\r\n", "")] {
        let talk = greeted(&format!("{said}AUTH PLAIN AHNpdGkAZGVtbw==\r\n"));
        assert_eq!(talk.steps, [format!("PLAIN |siti|demo{name}")]);
    }
}

#[test]
fn a_failed_exchange_is_over_and_the_next_line_is_a_command() {
    let table = [
        ("AUTH PLAIN\r\n*\r\n", "334 \r\n501 5.7.0 "),
        ("AUTH PLAIN\r\nNOOP\r\n", "334 \r\n501 5.5.2 "),
        ("AUTH PLAIN !\r\n", "501 5.5.2 "),
        ("AUTH LOGIN =\r\n", "535 5.7.8 "),
        ("AUTH LOGIN\r\nc2l0aQ==\n", "334 VXNlcm5hbWU6\r\n500 5.5.2 "),
        ("AUTH LOGIN c2l0aQ==\r\n\r\n", "334 UGFzc3dvcmQ6\r\n535 5.7.8 "),
        ("AUTH CRAM-MD5\r\n", "504 5.5.4 "),
        ("AUTH\r\n", "501 5.5.4 "),
    ];
    for (said, sent) in table {
        let talk = greeted(&format!("{said}NOOP\r\n"));
        assert!(talk.sent.starts_with(sent) && talk.sent.ends_with("\r\n250 2.0.0 Ok.\r\n"), "{said}: {}", talk.sent);
        assert_eq!(talk.steps, [""; 0]);
    }
}

#[test]
fn nothing_is_sent_before_the_login() {
    let table = [
        (LoginOffer::Now, "530 5.7.0 Authentication required.\r\n"),
        (LoginOffer::NowOrAfterTls, "530 5.7.0 Authentication required.\r\n"),
        (LoginOffer::OnlyAfterTls, "530 5.7.0 Must issue a STARTTLS command first.\r\n"),
    ];
    for (login, reply) in table {
        for said in ["MAIL FROM:<siti@tgg.net.id>\r\n", "MAIL junk\r\n", "RCPT TO:<x>\r\n", "DATA\r\n"] {
            assert_eq!(talk(setting(login, &[]), [said.as_bytes()]).sent, reply, "{said}");
        }
    }
}

#[test]
fn a_chunk_before_the_login_is_no_command() {
    let talk = greeted("BDAT 40\r\nAUTH PLAIN AHNpdGkAZGVtbw==\r\n123456789\r\nNOOP\r\n");
    assert_eq!(talk.sent, "530 5.7.0 Authentication required.\r\n250 2.0.0 Ok.\r\n");
    assert_eq!(talk.steps, [""; 0]);
    assert_eq!(greeted("BDAT 0 LAST\r\nNOOP\r\n").sent, talk.sent);
}

#[test]
fn nobody_logs_in_before_tls_where_it_is_required_nor_before_ehlo() {
    for said in ["AUTH PLAIN AHNpdGkAZGVtbw==\r\n", "AUTH LOGIN\r\n", "AUTH CRAM-MD5\r\n"] {
        let required = talk(setting(LoginOffer::OnlyAfterTls, &[]), [&b"EHLO x\r\n"[..], said.as_bytes()]);
        assert!(required.sent.contains("\r\n538 5.7.11 "), "{said}: {}", required.sent);
        assert!(talk(setting(LoginOffer::Now, &[]), [said.as_bytes()]).sent.starts_with("503 5.5.1 "), "{said}");
    }
}

#[test]
fn a_client_is_no_proxy() {
    let talk = greeted("XCLIENT ADDR=192.0.2.1\r\nxforward ADDR=192.0.2.1\r\n");
    assert_eq!(talk.sent, "550 5.7.1 That is for proxies only.\r\n".repeat(2));
}

#[test]
fn tls_forgets_what_was_said_before_it() {
    let pieces = [
        &b"EHLO laptop\r\nSTARTTLS\r\n"[..],
        b"AUTH PLAIN AHNpdGkAZGVtbw==\r\nSTARTTLS\r\nEHLO inside\r\n",
        b"AUTH PLAIN AHNpdGkAZGVtbw==\r\n",
    ];
    let talk = talk(setting(LoginOffer::OnlyAfterTls, &[]), pieces);
    assert_eq!(talk.steps, ["starttls", "PLAIN |siti|demo inside"]);
    let answers = "220 2.0.0 Begin TLS.\r\n503 5.5.1 Say EHLO first.\r\n502 5.5.1 TLS is not offered here.\r\n250-";
    assert!(talk.sent.contains(answers), "{}", talk.sent);
}

#[test]
fn bytes_behind_starttls_end_the_conversation() {
    let talk = talk(setting(LoginOffer::OnlyAfterTls, &[]), [&b"STARTTLS\r\nEHLO x\r\n"[..]]);
    assert_eq!((talk.end, talk.steps.len()), (Some(Error::BytesBehindStarttls), 0));
    assert!(talk.sent.starts_with("501 ") && !talk.sent.contains("220"), "{}", talk.sent);
}

#[test]
fn what_all_backends_share_may_change() {
    let mut server = Submission.server(setting(LoginOffer::Now, &[]));
    server.offer(Arc::from(["SIZE 7".to_owned()]));
    let (mut input, mut out) = (Input::new(), Vec::new());
    input.extend(b"EHLO x\r\n");
    assert!(matches!(server.advance(&mut input, &mut out), Ok(Step::More)));
    assert!(out.ends_with(b"\r\n250-SIZE 7\r\n250 AUTH PLAIN LOGIN\r\n"));
}

#[test]
fn what_is_pipelined_behind_the_login_stays_for_the_backend() {
    let said = b"EHLO x\r\nAUTH PLAIN AHNpdGkAZGVtbw==\r\n";
    let mail = b"MAIL FROM:<>\r\nRCPT TO:<x>\r\nDATA\r\n";
    let mut server = Submission.server(setting(LoginOffer::Now, &["PIPELINING"]));
    let (mut input, mut out) = (Input::new(), Vec::new());
    input.extend(&[&said[..], mail].concat());
    assert!(matches!(server.advance(&mut input, &mut out), Ok(Step::Login(_))));
    assert_eq!(input.bytes(), mail);
}

#[test]
fn a_client_hears_the_words_of_its_backend() {
    let table = [
        ("2.7.0 Authentication successful", "235 2.7.0 Authentication successful\r\n"),
        ("Welcome", "235 2.7.0 Welcome\r\n"),
        ("2.7.0", "235 2.7.0 Logged in.\r\n"),
        ("", "235 2.7.0 Logged in.\r\n"),
    ];
    for (text, line) in table {
        let mut out = Vec::new();
        let success = Success { text: text.into(), ..Success::default() };
        Submission.server(setting(LoginOffer::Now, &[])).welcome(&success, &mut out);
        assert_eq!(out, line.as_bytes());
    }
}

#[test]
fn bad_commands_are_counted_and_never_repeated_to_the_client() {
    let talk = greeted("<script>\r\nNOOP\r\nEXPN x\r\n\r\nNOOP\r\nEHLO a\x01b\r\nNOOP\r\n");
    let expected = "500 5.5.2 Unknown command.\r\n250 2.0.0 Ok.\r\n502 5.5.1 Command not implemented.\r\n\
        500 5.5.2 Unknown command.\r\n250 2.0.0 Ok.\r\n421 4.7.0 mail.tgg.net.id Too many bad commands.\r\n";
    assert_eq!((talk.sent.as_str(), talk.end), (expected, Some(Error::TooManyBadCommands)));
}

#[test]
fn nothing_is_repaired() {
    for said in ["NOOP\nNOOP\r\n", "NO\rOP\r\nNOOP\r\n", "NOOP\r\r\nNOOP\r\n", "NO\0OP\r\nNOOP\r\n"] {
        let talk = greeted(said);
        assert!(talk.sent.starts_with("500 5.5.2 A line "), "{talk:?}");
        assert_eq!(talk.sent.lines().nth(1), Some("250 2.0.0 Ok."), "{talk:?}");
    }
}

#[test]
fn a_line_too_long_is_refused_and_the_next_one_read() {
    let line = |start: &str, octets: usize| [start.as_bytes(), &vec![b'A'; octets - start.len()]].concat();
    let answer = |said: Vec<u8>| {
        let end = b"\r\nNOOP\r\n";
        let whole = talk(setting(LoginOffer::Now, &[]), [&b"EHLO x\r\n"[..], &said, end]);
        assert_eq!(talk(setting(LoginOffer::Now, &[]), [&b"EHLO x\r\n"[..], &said, b"\r", &end[1..]]), whole);
        assert!(whole.sent.ends_with("\r\n250 2.0.0 Ok.\r\n"), "{}", whole.sent);
        whole.sent.lines().nth(2).unwrap().to_owned()
    };
    assert_eq!(answer(line("NOOP ", 2048)), "250 2.0.0 Ok.");
    assert_eq!(answer(line("NOOP ", 2049)), "500 5.5.2 Line is too long.");
    assert_eq!(answer([line("NOOP ", 5000), line("\nNOOP ", 9)].concat()), "500 5.5.2 Line is too long.");
    assert_eq!(answer(line("AUTH PLAIN ", 12_288)), "501 5.5.2 response is not valid base64.");
    assert_eq!(answer(line("AUTH PLAIN ", 12_289)), "500 5.5.6 Authentication exchange line is too long.");
    assert_eq!(answer(line("AUTH PLAIN\r\n", 12 + 12_289)), "334 ");
    let talk = greeted(&format!("AUTH PLAIN\r\n{}\r\n", "A".repeat(12_289)));
    assert_eq!(talk.sent, "334 \r\n500 5.5.6 Authentication exchange line is too long.\r\n");
}

#[test]
fn an_endless_line_is_not_kept() {
    let mut server = Submission.server(setting(LoginOffer::Now, &[]));
    let (mut input, mut out) = (Input::new(), Vec::new());
    for _ in 0..1000 {
        input.extend(&[b'x'; 1000]);
        assert!(matches!(server.advance(&mut input, &mut out), Ok(Step::More)));
        assert!(input.len() <= 2048 + 2);
    }
    assert_eq!(out, b"500 5.5.2 Line is too long.\r\n");
}

#[test]
fn refusals_carry_their_codes() {
    let told = |code: &str, text: &str| Refusal::Told { code: code.into(), text: text.into() };
    let table = [
        (Refusal::Credentials, REFUSED),
        (Refusal::Temporary, "454 4.7.0 Temporary failure, please try again later.\r\n"),
        (told("534 5.7.9", "Use an app password."), "534 5.7.9 Use an app password.\r\n"),
        (told("", "No\r\nway."), "454 4.7.0 Noway.\r\n"),
    ];
    for (refusal, line) in table {
        for (then, behind) in
            [(Then::TryAgain, ""), (Then::Close, "421 4.7.0 mail.tgg.net.id Too many failed logins.\r\n")]
        {
            let mut out = Vec::new();
            Submission.server(setting(LoginOffer::Now, &[])).refuse(&refusal, then, &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), format!("{line}{behind}"));
        }
    }
}

#[test]
fn whoever_waits_is_told_that_we_leave() {
    assert_eq!(Submission.goodbye("shutting down"), b"421 4.3.2 shutting down\r\n");
    let mut out = Vec::new();
    Submission.server(setting(LoginOffer::Now, &[])).goodbye("shutting down", &mut out);
    assert_eq!(out, b"421 4.3.2 mail.tgg.net.id shutting down\r\n");
}

#[test]
fn only_what_a_backend_may_be_trusted_with_is_offered() {
    for capability in ["SIZE 10", "SIZE", "PIPELINING", "CHUNKING", "8BITMIME"] {
        assert!(Submission.may_offer(capability), "{capability}");
    }
    for capability in ["XCLIENT ADDR", "XFORWARD NAME", "AUTH PLAIN", "STARTTLS", "ETRN", "VRFY", ""] {
        assert!(!Submission.may_offer(capability), "{capability}");
    }
    let words = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>();
    let both = Submission.shared(&words(&["SIZE 20", "DSN"]), &words(&["DSN", "SIZE 10"]));
    assert_eq!(both, ["SIZE 10", "DSN"]);
}
