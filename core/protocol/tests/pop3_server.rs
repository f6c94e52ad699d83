//! POP3 clients, good and bad, before the server machine.

#[path = "harness/client.rs"]
mod harness;

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use harness::{MAX_COMMAND, MAX_RESPONSE, Talk, setting};
use zproxy_protocol::pop3::Pop3;
use zproxy_protocol::{Error, Input, LoginOffer, Protocol as _, Refusal, ServerSetting, Step, Success, Then};

fn talk<'a>(setting: ServerSetting, pieces: impl IntoIterator<Item = &'a [u8]>) -> Talk {
    harness::talk(&Pop3, setting, pieces)
}

fn plainly(said: &str) -> Talk {
    talk(setting(LoginOffer::Now, &["UTF8"]), [said.as_bytes()])
}

const REFUSED: &str = "-ERR [AUTH] Authentication failed.\r\n";

#[test]
fn the_banner_offers_no_apop() {
    let mut out = Vec::new();
    Pop3.server(setting(LoginOffer::Now, &[])).greet(&mut out);
    assert_eq!(out, b"+OK mail.tgg.net.id POP3 ready.\r\n");
}

#[test]
fn capabilities_follow_tls_and_what_all_backends_share() {
    let always = "PIPELINING\r\nRESP-CODES\r\nAUTH-RESP-CODE\r\n";
    let shared = &["IMPLEMENTATION", "SASL", "UIDL", "UTF8", "X-OURS"];
    let table: &[(LoginOffer, &[&str], String)] = &[
        (LoginOffer::Now, &[], format!("USER\r\nSASL PLAIN LOGIN\r\n{always}")),
        (LoginOffer::NowOrAfterTls, &[], format!("STLS\r\nUSER\r\nSASL PLAIN LOGIN\r\n{always}")),
        (LoginOffer::OnlyAfterTls, &[], format!("STLS\r\n{always}")),
        (LoginOffer::OnlyAfterTls, shared, format!("STLS\r\n{always}UIDL\r\nUTF8\r\n")),
    ];
    for (login, shared, listed) in table {
        assert_eq!(talk(setting(*login, shared), [&b"CAPA\r\n"[..]]).sent, format!("+OK\r\n{listed}.\r\n"));
    }
}

#[test]
fn user_and_pass_make_a_login() {
    let talk = plainly("USER siti@tgg.net.id\r\nNOOP\r\nPASS de mo \r\n");
    assert_eq!(talk.steps, ["USER |siti@tgg.net.id|de mo "]);
    assert_eq!(talk.sent, format!("+OK\r\n+OK\r\n{REFUSED}"));
}

#[test]
fn a_refused_password_forgets_the_user() {
    let talk = plainly("USER siti\r\nPASS demo\r\nPASS demo\r\n");
    assert_eq!(talk.steps, ["USER |siti|demo"]);
    assert_eq!(talk.sent, format!("+OK\r\n{REFUSED}-ERR say USER first\r\n"));
}

#[test]
fn sasl_makes_a_login_with_and_without_an_initial_response() {
    let plain = STANDARD.encode("boss\0siti\0demo");
    let table = [
        (format!("AUTH PLAIN {plain}\r\n"), "PLAIN boss|siti|demo", ""),
        (format!("auth plain\r\n{plain}\r\n"), "PLAIN boss|siti|demo", "+ \r\n"),
        ("AUTH LOGIN c2l0aQ==\r\nZGVtbw==\r\n".into(), "LOGIN |siti|demo", "+ UGFzc3dvcmQ6\r\n"),
        ("AUTH LOGIN\r\nc2l0aQ==\r\nZGVtbw==\r\n".into(), "LOGIN |siti|demo", "+ VXNlcm5hbWU6\r\n+ UGFzc3dvcmQ6\r\n"),
    ];
    for (said, login, challenges) in table {
        let talk = plainly(&said);
        assert_eq!(talk.steps, [login]);
        assert_eq!(talk.sent, format!("{challenges}{REFUSED}"));
    }
}

#[test]
fn a_failed_exchange_is_over_and_the_next_line_is_a_command() {
    let table = [
        ("AUTH PLAIN\r\n*\r\nNOOP\r\n", "+ \r\n-ERR authentication cancelled\r\n+OK\r\n"),
        (
            "AUTH PLAIN\r\nNOOP\r\nNOOP\r\n",
            "+ \r\n-ERR response is not a PLAIN message: authzid NUL authcid NUL password\r\n+OK\r\n",
        ),
        ("AUTH PLAIN !\r\nNOOP\r\n", "-ERR response is not valid base64\r\n+OK\r\n"),
        ("AUTH LOGIN =\r\nNOOP\r\n", "-ERR user name is empty\r\n+OK\r\n"),
        ("AUTH LOGIN\r\nc2l0aQ==\n", "+ VXNlcm5hbWU6\r\n-ERR a line ends with CRLF and holds no other CR or LF\r\n"),
        (
            "AUTH LOGIN\r\nc2l0aQ==\r\n\r\nNOOP\r\n",
            "+ VXNlcm5hbWU6\r\n+ UGFzc3dvcmQ6\r\n-ERR password is empty\r\n+OK\r\n",
        ),
    ];
    for (said, sent) in table {
        let talk = plainly(said);
        assert_eq!(talk.sent, sent);
        assert_eq!(talk.steps, [""; 0]);
    }
}

#[test]
fn auth_alone_lists_the_mechanisms() {
    assert_eq!(plainly("AUTH\r\n").sent, "+OK\r\nPLAIN\r\nLOGIN\r\n.\r\n");
}

#[test]
fn nobody_logs_in_before_tls_where_it_is_required() {
    for said in ["USER siti\r\n", "PASS demo\r\n", "AUTH PLAIN AHNpdGkAZGVtbw==\r\n", "AUTH LOGIN\r\n", "AUTH\r\n"] {
        let talk = talk(setting(LoginOffer::OnlyAfterTls, &[]), [said.as_bytes()]);
        assert_eq!(talk.sent, "-ERR [SYS/PERM] login needs TLS: say STLS first\r\n", "{said}");
        assert_eq!(talk.steps, [""; 0]);
    }
}

#[test]
fn tls_forgets_what_was_said_before_it() {
    let pieces =
        [&b"USER siti\r\nUTF8\r\nSTLS\r\n"[..], b"PASS demo\r\nSTLS\r\nCAPA\r\n", b"AUTH PLAIN AHNpdGkAZGVtbw==\r\n"];
    let talk = talk(setting(LoginOffer::NowOrAfterTls, &["UTF8"]), pieces);
    assert_eq!(talk.steps, ["starttls", "PLAIN |siti|demo"]);
    assert!(talk.sent.contains("now.\r\n-ERR say USER first\r\n-ERR TLS is not offered here\r\n+OK\r\nUSER\r\n"));
}

#[test]
fn bytes_behind_stls_end_the_conversation() {
    let talk = talk(setting(LoginOffer::OnlyAfterTls, &[]), [&b"STLS\r\nUSER siti\r\n"[..]]);
    assert_eq!(talk.end, Some(Error::BytesBehindStarttls));
    assert_eq!(talk.steps, [""; 0]);
}

#[test]
fn utf8_is_recorded_where_all_backends_have_it() {
    assert_eq!(plainly("UTF8\r\nUSER siti\r\nPASS demo\r\n").steps, ["USER |siti|demo utf8"]);
    assert_eq!(talk(setting(LoginOffer::Now, &["TOP"]), [&b"UTF8\r\n"[..]]).sent, "-ERR unknown command\r\n");
}

#[test]
fn what_all_backends_share_may_change() {
    let mut server = Pop3.server(setting(LoginOffer::Now, &[]));
    server.offer(Arc::from(["TOP".to_owned()]));
    let (mut input, mut out) = (Input::new(), Vec::new());
    input.extend(b"CAPA\r\n");
    assert!(matches!(server.advance(&mut input, &mut out), Ok(Step::More)));
    assert!(out.ends_with(b"\r\nTOP\r\n.\r\n"));
}

#[test]
fn what_is_pipelined_behind_the_login_stays_for_the_backend() {
    let mut server = Pop3.server(setting(LoginOffer::Now, &[]));
    let (mut input, mut out) = (Input::new(), Vec::new());
    input.extend(b"USER siti\r\nPASS demo\r\nSTAT\r\nQUIT\r\n");
    assert!(matches!(server.advance(&mut input, &mut out), Ok(Step::Login(_))));
    assert_eq!(input.bytes(), b"STAT\r\nQUIT\r\n");
    out.clear();
    server.welcome(&Success { text: b"Logged in.".to_vec(), ..Success::default() }, &mut out);
    server.welcome(&Success::default(), &mut out);
    assert_eq!(out, b"+OK Logged in.\r\n+OK\r\n");
}

#[test]
fn quit_is_answered_and_ends_it() {
    let talk = plainly("QUIT\r\n");
    assert_eq!((talk.sent.as_str(), talk.steps), ("+OK Bye.\r\n", vec!["goodbye".to_owned()]));
}

#[test]
fn bad_commands_are_counted_and_never_repeated_to_the_client() {
    let talk = plainly("<script>\r\nNOOP\r\nSTAT\r\nRETR 1\r\nNOOP\r\n");
    assert_eq!(talk.sent, "-ERR unknown command\r\n+OK\r\n-ERR unknown command\r\n-ERR too many bad commands\r\n");
    assert_eq!(talk.end, Some(Error::TooManyBadCommands));
}

#[test]
fn a_password_cannot_hide_behind_a_bare_line_end_or_a_nul() {
    for said in ["PASS a\nPASS b\r\n", "PASS a\rNOOP\r\n", "PASS a\0b\r\n"] {
        let talk = plainly(&format!("USER siti\r\n{said}"));
        assert!(talk.sent.starts_with("+OK\r\n-ERR a line "), "{talk:?}");
        assert!(talk.steps.iter().all(|login| login == "USER |siti|b"), "{talk:?}");
    }
}

#[test]
fn lines_are_bounded_also_where_they_never_end() {
    let too_long = |said: Vec<u8>| {
        let talk = talk(setting(LoginOffer::Now, &[]), [&said[..]]);
        (talk.end == Some(Error::CommandTooLong))
            .then(|| assert!(talk.sent.ends_with("-ERR line too long\r\n")))
            .is_some()
    };
    let user = |octets: usize, end: &[u8]| [b"USER ", &vec![b'x'; octets - 5][..], end].concat();
    assert!(!too_long(user(MAX_COMMAND, b"\r\n")));
    assert!(too_long(user(MAX_COMMAND + 1, b"\r\n")));
    assert!(!too_long(user(MAX_COMMAND, b"")));
    assert!(too_long(user(MAX_COMMAND + 2, b"")));
    let auth = |start: &str, octets: usize| [start.as_bytes(), &vec![b'A'; octets], b"\r\n"].concat();
    assert!(!too_long(auth("AUTH PLAIN ", MAX_RESPONSE - 11)));
    assert!(too_long(auth("AUTH PLAIN ", MAX_RESPONSE - 10)));
    assert!(!too_long(auth("AUTH PLAIN\r\n", MAX_RESPONSE)));
    assert!(too_long(auth("AUTH PLAIN\r\n", MAX_RESPONSE + 1)));
}

#[test]
fn refusals_carry_their_code() {
    let told = |code: &str, text: &str| Refusal::Told { code: code.into(), text: text.into() };
    let table = [
        (Refusal::Credentials, REFUSED),
        (Refusal::Temporary, "-ERR [SYS/TEMP] Temporary failure, please try again later.\r\n"),
        (told("IN-USE", "Mailbox is locked."), "-ERR [IN-USE] Mailbox is locked.\r\n"),
        (told("", "No."), "-ERR No.\r\n"),
    ];
    for (refusal, line) in table {
        for then in [Then::TryAgain, Then::Close] {
            let mut out = Vec::new();
            Pop3.server(setting(LoginOffer::Now, &[])).refuse(&refusal, then, &mut out);
            assert_eq!(out, line.as_bytes());
        }
    }
}

#[test]
fn a_spliced_session_is_closed_without_a_word_but_a_waiting_client_is_told() {
    assert_eq!(Pop3.goodbye("shutting down"), b"");
    let mut out = Vec::new();
    Pop3.server(setting(LoginOffer::Now, &[])).goodbye("shutting down", &mut out);
    assert_eq!(out, b"-ERR [SYS/TEMP] shutting down\r\n");
}
