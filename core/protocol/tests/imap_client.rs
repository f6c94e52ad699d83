//! Conversations with an IMAP backend: what it says and what it hears, however its bytes are cut.

#[path = "harness/login.rs"]
mod login;

use std::fmt::Write as _;

use login::siti;
use proptest::prelude::*;
use zproxy_protocol::imap::Imap;
use zproxy_protocol::{
    Client, ClientSetting, ClientStep, Credential, Forward, Goal, Input, LoginAtBackend, Name, Protocol as _, Replay,
    Secret,
};

fn setting(login: LoginAtBackend) -> ClientSetting {
    ClientSetting { starttls: false, goal: Goal::Login(Box::new(login)) }
}

/// What the backend hears, and in angle brackets what the session is told.
fn hear(setting: ClientSetting, said: &[&[u8]]) -> String {
    let (mut client, mut input, mut heard) = (Imap.client(setting), Input::new(), String::new());
    for piece in said {
        input.extend(piece);
        if advance(&mut *client, &mut input, &mut heard) {
            break;
        }
    }
    if !input.is_empty() {
        writeln!(heard, "<left {}>", input.bytes().escape_ascii()).unwrap();
    }
    heard.replace("\r\n", "\n")
}

/// Whether the conversation is over.
fn advance(client: &mut dyn Client, input: &mut Input, heard: &mut String) -> bool {
    loop {
        let mut out = Vec::new();
        let step = client.advance(input, &mut out);
        *heard += &String::from_utf8_lossy(&out);
        match step {
            Ok(ClientStep::More) => return false,
            Ok(ClientStep::StartTls) => {
                *heard += "<tls>\n";
                client.secured();
            }
            Ok(ClientStep::Success(success)) => {
                let (before, text) = (success.before.escape_ascii(), success.text.escape_ascii());
                writeln!(heard, "<success {before}|{text}>").unwrap();
                return true;
            }
            other => {
                match other {
                    Err(error) => writeln!(heard, "<{} at {}>", format_args!("{error:?}"), client.phase()),
                    Ok(step) => writeln!(heard, "<{step:?}>"),
                }
                .unwrap();
                return true;
            }
        }
    }
}

fn octets<'a>(said: &[&'a [u8]]) -> Vec<&'a [u8]> {
    said.iter().flat_map(|said| said.chunks(1)).collect()
}

type Setting = fn() -> ClientSetting;

/// One conversation, and what comes of it.
type Case = (Setting, &'static [&'static [u8]], &'static str);

fn plain() -> ClientSetting {
    setting(siti())
}

fn starttls() -> ClientSetting {
    ClientSetting { starttls: true, ..setting(siti()) }
}

fn probe() -> ClientSetting {
    ClientSetting { starttls: false, goal: Goal::Probe }
}

fn forwarding() -> ClientSetting {
    let id =
        vec![("name".to_owned(), Some("m\"u\\a\r\nb".to_owned())), ("X-a".to_owned(), None), ("os".to_owned(), None)];
    let mut login = LoginAtBackend { forward: Forward::Id, replay: Replay { id, ..Replay::default() }, ..siti() };
    login.client.address = "[::ffff:192.0.2.7]:4711".parse().unwrap();
    setting(login)
}

fn replaying() -> ClientSetting {
    let id = vec![("name".to_owned(), Some("mua".to_owned()))];
    setting(LoginAtBackend { replay: Replay { id, ..Replay::default() }, ..siti() })
}

fn acting() -> ClientSetting {
    setting(LoginAtBackend { authzid: Name::new(b"budi").ok(), ..siti() })
}

fn eight_bit() -> ClientSetting {
    let credential = Some(Credential::Password(Secret::new(b"a\xffb")));
    setting(LoginAtBackend { name: Name::new("s\u{e9}ti".as_bytes()).unwrap(), credential, ..siti() })
}

const IR: &[u8] = b"* OK [CAPABILITY IMAP4rev1 SASL-IR ID AUTH=PLAIN] hi\r\n";
const BARE: &[u8] = b"* OK [CAPABILITY IMAP4rev1] hi\r\n";
const IN: &[u8] = b"zproxy1 OK [CAPABILITY A] in\r\n";

const CASES: &[Case] = &[
    // With an ID, or in one round trip without.
    (
        forwarding,
        &[IR, b"* ID {3}\r\nx\r\n\r\nzproxy2 OK\r\n* CAPABILITY A B\r\nzproxy1 OK in\r\n"],
        "zproxy2 ID (\"x-originating-ip\" \"192.0.2.7\" \"x-originating-port\" \"4711\" \
                   \"x-connected-ip\" \"2001:db8::1\" \"x-connected-port\" \"995\" \"x-connected-name\" \"mail.tgg.net.id\" \
                   \"x-session-id\" \"a1b2\" \"x-proxy-ttl\" \"3\" \"name\" \"m\\\"u\\\\a??b\" \"os\" NIL)\n\
                   zproxy1 AUTHENTICATE PLAIN AHNpdGkAZGVtbw==\n<success * CAPABILITY A B\\r\\n|in>\n",
    ),
    (
        replaying,
        &[IR, b"zproxy2 BAD what?\r\nzproxy1 OK [CAPABILITY A] in\r\n"],
        "zproxy2 ID (\"name\" \"mua\")\nzproxy1 AUTHENTICATE PLAIN AHNpdGkAZGVtbw==\n<success |[CAPABILITY A] in>\n",
    ),
    (replaying, &[BARE, IN], "zproxy1 LOGIN \"siti\" \"demo\"\n<success |[CAPABILITY A] in>\n"),
    // More of them, where the backend does not help.
    (
        plain,
        &[
            b"* OK hi\r\n",
            b"* CAPABILITY IMAP4rev1 AUTH=PLAIN\r\nzproxy1 OK\r\n",
            b"+ \r\n",
            b"* FLAGS ()\r\n* NO [ALERT] a\r\nzproxy2 OK in\r\n",
            b"* CAPABILITY X\r\nzproxy3 OK\r\n",
        ],
        "zproxy1 CAPABILITY\nzproxy2 AUTHENTICATE PLAIN\nAHNpdGkAZGVtbw==\nzproxy3 CAPABILITY\n\
                   <success * NO [ALERT] a\\r\\n* CAPABILITY X\\r\\n|in>\n",
    ),
    (acting, &[IR, IN], "zproxy1 AUTHENTICATE PLAIN YnVkaQBzaXRpAGRlbW8=\n<success |[CAPABILITY A] in>\n"),
    (acting, &[BARE], "<BackendLacks(\"AUTH=PLAIN, which alone can carry an authorization identity\") at greeting>\n"),
    (
        plain,
        &[b"* OK [CAPABILITY IMAP4rev1 LOGINDISABLED] hi\r\n"],
        "<BackendLacks(\"AUTH=PLAIN or LOGIN: does it want TLS?\") at greeting>\n",
    ),
    (
        eight_bit,
        &[b"* OK [CAPABILITY LITERAL+] hi\r\n", IN],
        "zproxy1 LOGIN {5+}\ns\u{e9}ti {3+}\na\u{fffd}b\n<success |[CAPABILITY A] in>\n",
    ),
    (
        eight_bit,
        &[BARE, b"+ go\r\n", b"+\r\n", IN],
        "zproxy1 LOGIN {5}\ns\u{e9}ti {3}\na\u{fffd}b\n<success |[CAPABILITY A] in>\n",
    ),
    (
        eight_bit,
        &[BARE, b"zproxy1 NO [LIMIT] too long\r\n"],
        "zproxy1 LOGIN {5}\n<Refused(Told { code: \"LIMIT\", text: \"too long\" })>\n",
    ),
    // Nothing is sent behind the ID that would have to wait for the backend's leave.
    (
        replaying,
        &[b"* OK [CAPABILITY ID AUTH=PLAIN] hi\r\n", b"zproxy2 OK\r\n", b"+ \r\n", b"zproxy1 NO wrong\r\n"],
        "zproxy2 ID (\"name\" \"mua\")\nzproxy1 AUTHENTICATE PLAIN\nAHNpdGkAZGVtbw==\n<Refused(Credentials)>\n",
    ),
    // TLS; what was said before it is forgotten.
    (
        starttls,
        &[
            b"* OK [CAPABILITY STARTTLS LOGINDISABLED] hi\r\n",
            b"* OK [ALERT] evil\r\nzproxy1 OK go\r\n",
            b"* CAPABILITY AUTH=PLAIN SASL-IR\r\nzproxy2 OK\r\n",
            b"zproxy3 OK [CAPABILITY A] in\r\n",
        ],
        "zproxy1 STARTTLS\n<tls>\nzproxy2 CAPABILITY\nzproxy3 AUTHENTICATE PLAIN AHNpdGkAZGVtbw==\n<success |[CAPABILITY A] in>\n",
    ),
    (starttls, &[IR], "<BackendLacks(\"STARTTLS\") at greeting>\n"),
    (
        starttls,
        &[b"* OK [CAPABILITY STARTTLS] hi\r\n", b"zproxy1 NO never\r\n"],
        "zproxy1 STARTTLS\n<BackendLacks(\"STARTTLS\") at starttls>\n",
    ),
    // Probes.
    (
        probe,
        &[b"* OK [CAPABILITY IMAP4rev1 Idle LITERAL+] hi\r\n"],
        "zproxy2 LOGOUT\n<Probed([\"IMAP4REV1\", \"IDLE\", \"LITERAL+\"])>\n",
    ),
    // Backends that are not what they should be.
    (plain, &[b"* PREAUTH [CAPABILITY A] hi\r\n"], "<BackendProtocol(\"greeting\") at greeting>\n"),
    (plain, &[b"* BYE full\r\n"], "<BackendQuit(\"greeting\") at greeting>\n"),
    (plain, &[b"zproxy1 OK\r\n"], "<BackendProtocol(\"greeting\") at greeting>\n"),
    (plain, &[b"HTTP/1.1 400 Bad Request\r\n"], "<BackendProtocol(\"greeting\") at greeting>\n"),
    (
        plain,
        &[b"* OK hi\r\n", b"zproxy1 OK\r\n"],
        "zproxy1 CAPABILITY\n<BackendProtocol(\"capability\") at capability>\n",
    ),
    (eight_bit, &[BARE, IN], "zproxy1 LOGIN {5}\n<BackendProtocol(\"login\") at login>\n"),
    (
        replaying,
        &[IR, IN],
        "zproxy2 ID (\"name\" \"mua\")\nzproxy1 AUTHENTICATE PLAIN AHNpdGkAZGVtbw==\n<BackendProtocol(\"id\") at id>\n",
    ),
];

/// What comes of answers to a login that went in one round trip, as most do.
const ANSWERS: &[(&[u8], &str)] = &[
    (b"zproxy1 OK [CAPABILITY IMAP4rev1] in\r\n", "<success |[CAPABILITY IMAP4rev1] in>\n"),
    (b"zproxy1 NO wrong\r\n", "<Refused(Credentials)>\n"),
    (b"* OK [ALERT] a\r\nzproxy1 NO [AUTHENTICATIONFAILED] wrong\r\n", "<Refused(Credentials)>\n"),
    (b"zproxy1 no [unavailable] l\xc3\xa9ater\x1b\r\n", "<Refused(Told { code: \"UNAVAILABLE\", text: \"later\" })>\n"),
    (b"zproxy1 NO [REFERRAL imap://evil/] there\r\n", "<Refused(Temporary)>\n"),
    (b"* CAPABILITY A\r\nzproxy1 OK [REFERRAL imap://evil/] in\r\n", "<success * CAPABILITY A\\r\\n|in>\n"),
    (b"a1 OK in\r\n", "<BackendProtocol(\"login\") at login>\n"),
    (b"zproxy1 BAD what?\r\n", "<Refused(Temporary)>\n"),
    (b"+ \r\n", "<BackendProtocol(\"login\") at login>\n"),
    (b"* BYE enough\r\n", "<BackendQuit(\"login\") at login>\n"),
];

fn cases() -> Vec<(Setting, Vec<&'static [u8]>, String)> {
    let carried = |end: &str| format!("zproxy1 AUTHENTICATE PLAIN AHNpdGkAZGVtbw==\n{end}");
    let answers = ANSWERS.iter().map(|(answer, end)| (plain as Setting, vec![IR, answer], carried(end)));
    answers.chain(CASES.iter().map(|(setting, said, end)| (*setting, said.to_vec(), (*end).to_owned()))).collect()
}

#[test]
fn talks_to_each_backend_as_it_should() {
    for (setting, said, expected) in cases() {
        assert_eq!(hear(setting(), &said), expected, "{}", said.concat().escape_ascii());
    }
}

#[test]
fn talks_the_same_wherever_the_bytes_are_cut() {
    for (setting, said, expected) in cases() {
        let longest = said.iter().map(|said| said.len()).max().unwrap();
        for at in 0..=longest {
            let cut: Vec<&[u8]> =
                said.iter().flat_map(|said| [&said[..at.min(said.len())], &said[at.min(said.len())..]]).collect();
            assert_eq!(hear(setting(), &cut), expected, "{} cut at {at}", said.concat().escape_ascii());
        }
        assert_eq!(hear(setting(), &octets(&said)), expected, "{} byte by byte", said.concat().escape_ascii());
    }
}

#[test]
fn believes_no_answer_that_came_before_the_question() {
    for (said, phase) in [
        (&[IR, IN].concat()[..], "login"),
        (b"* OK hi\r\n* CAPABILITY A\r\nzproxy1 OK\r\n", "capability"),
        (b"* OK hi\r\n+ \r\n", "capability"),
    ] {
        let heard = hear(plain(), &[said]);
        assert!(heard.ends_with(&format!("<BackendProtocol(\"{phase}\") at {phase}>\n")), "{heard}");
    }
}

#[test]
fn bytes_behind_the_answer_to_starttls_are_an_injection() {
    let said: [&[u8]; 2] = [b"* OK [CAPABILITY STARTTLS] hi\r\n", b"zproxy1 OK go\r\n* CAPABILITY AUTH=PLAIN\r\n"];
    let heard = hear(starttls(), &said);
    assert!(heard.contains("<BytesBehindBackendStarttls at starttls>"), "{heard}");
}

#[test]
fn what_follows_the_success_line_is_the_clients() {
    let heard = hear(plain(), &[IR, b"zproxy1 OK [CAPABILITY A] in\r\n* 1 EXISTS\r\n"]);
    assert!(heard.ends_with("in>\n<left * 1 EXISTS\\r\\n>\n"), "{heard}");
}

#[test]
fn a_login_that_went_round_in_a_ring_ends() {
    let mut login = siti();
    login.client.ttl = 0;
    assert_eq!(hear(setting(login), &[IR]).lines().next(), Some("<TooManyHops at greeting>"));
}

#[test]
fn whatever_a_backend_sends_has_an_end() {
    let alerts = [IR, &b"* OK [ALERT] "[..], &[b'x'; 8192], b"\r\n"].concat();
    for said in [
        vec![b'x'; 16 << 20],
        b"* OK hi\r\n".repeat(1_000_000),
        [IR, &b"* 1 EXISTS\r\n".repeat(1000)[..]].concat(),
        [IR, b"* ID {70000}\r\n"].concat(),
        alerts,
    ] {
        let (mut client, mut input, mut heard) = (Imap.client(plain()), Input::new(), String::new());
        let over = said.chunks(16_384).position(|chunk| {
            input.extend(chunk);
            assert!(input.len() <= 2 * 16_384);
            advance(&mut *client, &mut input, &mut heard)
        });
        assert!(over.is_some_and(|chunk| chunk <= 4), "{over:?}");
        assert!(heard.contains("<BackendOverflow"), "{heard}");
    }
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic_or_talk_much(
        text in "([*] |zproxy[12] |OK |NO |BYE |[+] |[\\[]CAPABILITY AUTH=PLAIN STARTTLS[\\]]|[\\[]ALERT[\\]]|CAPABILITY AUTH=PLAIN|\r\n|[{][0-9]{1,2}[}]\r\n|\0|.){0,40}",
        way in 0..4_usize,
    ) {
        let setting = [plain, starttls, probe, forwarding][way];
        let heard = hear(setting(), &octets(&[b"* OK hi\r\n", text.as_bytes()]));
        prop_assert!(heard.len() < 4096 + 8 * text.len());
    }
}
