//! Conversations with an IMAP backend: what it says and what it hears, however its bytes are cut.

use std::fmt::Write as _;

use proptest::prelude::*;
use zproxy_protocol::imap::Imap;
use zproxy_protocol::{
    Client, ClientInfo, ClientSetting, ClientStep, Credential, Forward, Goal, Input, LoginAtBackend, Name,
    Protocol as _, Replay, Secret,
};

fn login(name: &str, password: &[u8]) -> LoginAtBackend {
    LoginAtBackend {
        name: Name::new(name.as_bytes()).unwrap(),
        authzid: None,
        credential: Some(Credential::Password(Secret::new(password))),
        forward: Forward::None,
        client: ClientInfo {
            address: "[::ffff:192.0.2.7]:4711".parse().unwrap(),
            local: "198.51.100.1:993".parse().unwrap(),
            server_name: Some("mail.test".to_owned()),
            session_id: "s1".to_owned(),
            ttl: 5,
        },
        replay: Replay::default(),
    }
}

fn siti() -> LoginAtBackend {
    login("siti", b"x")
}

fn setting(login: LoginAtBackend) -> ClientSetting {
    ClientSetting { starttls: false, goal: Goal::Login(Box::new(login)) }
}

/// What the backend hears, and in angle brackets what the session is told.
fn hear(setting: ClientSetting, said: &[&[u8]], cut: impl Fn(&[u8]) -> Vec<&[u8]>) -> String {
    let (mut client, mut input, mut heard) = (Imap.client(setting), Input::new(), String::new());
    for piece in said.iter().flat_map(|said| cut(said)) {
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

fn whole(said: &[u8]) -> Vec<&[u8]> {
    vec![said]
}

/// One conversation, and what comes of it.
struct Case {
    setting: fn() -> ClientSetting,
    said: &'static [&'static [u8]],
    expected: &'static str,
}

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
    setting(LoginAtBackend { forward: Forward::Id, replay: Replay { id, ..Replay::default() }, ..siti() })
}

fn replaying() -> ClientSetting {
    let id = vec![("name".to_owned(), Some("mua".to_owned()))];
    setting(LoginAtBackend { replay: Replay { id, ..Replay::default() }, ..siti() })
}

fn acting() -> ClientSetting {
    setting(LoginAtBackend { authzid: Name::new(b"budi").ok(), ..siti() })
}

fn eight_bit() -> ClientSetting {
    setting(login("s\u{e9}ti", b"a\xffb"))
}

const IR: &[u8] = b"* OK [CAPABILITY IMAP4rev1 SASL-IR ID AUTH=PLAIN] hi\r\n";

const CASES: &[Case] = &[
    // One round trip, where the backend helps.
    Case {
        setting: plain,
        said: &[IR, b"zproxy1 OK [CAPABILITY IMAP4rev1] in\r\n"],
        expected: "zproxy1 AUTHENTICATE PLAIN AHNpdGkAeA==\n<success |[CAPABILITY IMAP4rev1] in>\n",
    },
    Case {
        setting: forwarding,
        said: &[IR, b"* ID {3}\r\nx\r\n\r\nzproxy2 OK\r\n* CAPABILITY A B\r\nzproxy1 OK in\r\n"],
        expected: "zproxy2 ID (\"x-originating-ip\" \"192.0.2.7\" \"x-originating-port\" \"4711\" \
                   \"x-connected-ip\" \"198.51.100.1\" \"x-connected-port\" \"993\" \"x-connected-name\" \"mail.test\" \
                   \"x-session-id\" \"s1\" \"x-proxy-ttl\" \"5\" \"name\" \"m\\\"u\\\\a??b\" \"os\" NIL)\n\
                   zproxy1 AUTHENTICATE PLAIN AHNpdGkAeA==\n<success * CAPABILITY A B\\r\\n|in>\n",
    },
    Case {
        setting: replaying,
        said: &[IR, b"zproxy2 BAD what?\r\nzproxy1 OK [CAPABILITY A] in\r\n"],
        expected: "zproxy2 ID (\"name\" \"mua\")\nzproxy1 AUTHENTICATE PLAIN AHNpdGkAeA==\n<success |[CAPABILITY A] in>\n",
    },
    Case {
        setting: replaying,
        said: &[b"* OK [CAPABILITY IMAP4rev1] hi\r\n", b"zproxy1 OK [CAPABILITY A] in\r\n"],
        expected: "zproxy1 LOGIN \"siti\" \"x\"\n<success |[CAPABILITY A] in>\n",
    },
    // More, where it does not.
    Case {
        setting: plain,
        said: &[
            b"* OK hi\r\n",
            b"* CAPABILITY IMAP4rev1 AUTH=PLAIN\r\nzproxy1 OK\r\n",
            b"+ \r\n",
            b"* FLAGS ()\r\n* NO [ALERT] a\r\nzproxy2 OK in\r\n",
            b"* CAPABILITY X\r\nzproxy3 OK\r\n",
        ],
        expected: "zproxy1 CAPABILITY\nzproxy2 AUTHENTICATE PLAIN\nAHNpdGkAeA==\nzproxy3 CAPABILITY\n\
                   <success * NO [ALERT] a\\r\\n* CAPABILITY X\\r\\n|in>\n",
    },
    Case {
        setting: acting,
        said: &[IR, b"zproxy1 OK [CAPABILITY A] in\r\n"],
        expected: "zproxy1 AUTHENTICATE PLAIN YnVkaQBzaXRpAHg=\n<success |[CAPABILITY A] in>\n",
    },
    Case {
        setting: acting,
        said: &[b"* OK [CAPABILITY IMAP4rev1] hi\r\n"],
        expected: "<BackendLacks(\"AUTH=PLAIN, which alone can carry an authorization identity\") at greeting>\n",
    },
    Case {
        setting: plain,
        said: &[b"* OK [CAPABILITY IMAP4rev1 LOGINDISABLED] hi\r\n"],
        expected: "<BackendLacks(\"AUTH=PLAIN or LOGIN: does it want TLS?\") at greeting>\n",
    },
    Case {
        setting: eight_bit,
        said: &[b"* OK [CAPABILITY LITERAL+] hi\r\n", b"zproxy1 OK [CAPABILITY A] in\r\n"],
        expected: "zproxy1 LOGIN {5+}\ns\u{e9}ti {3+}\na\u{fffd}b\n<success |[CAPABILITY A] in>\n",
    },
    Case {
        setting: eight_bit,
        said: &[b"* OK [CAPABILITY IMAP4rev1] hi\r\n", b"+ go\r\n", b"+\r\n", b"zproxy1 OK [CAPABILITY A] in\r\n"],
        expected: "zproxy1 LOGIN {5}\ns\u{e9}ti {3}\na\u{fffd}b\n<success |[CAPABILITY A] in>\n",
    },
    Case {
        setting: eight_bit,
        said: &[b"* OK [CAPABILITY IMAP4rev1] hi\r\n", b"zproxy1 NO [LIMIT] too long\r\n"],
        expected: "zproxy1 LOGIN {5}\n<Refused(Told { code: \"LIMIT\", text: \"too long\" })>\n",
    },
    // Nothing is sent behind the ID that would have to wait for the backend's leave.
    Case {
        setting: replaying,
        said: &[b"* OK [CAPABILITY ID AUTH=PLAIN] hi\r\n", b"zproxy2 OK\r\n", b"+ \r\n", b"zproxy1 NO wrong\r\n"],
        expected: "zproxy2 ID (\"name\" \"mua\")\nzproxy1 AUTHENTICATE PLAIN\nAHNpdGkAeA==\n<Refused(Credentials)>\n",
    },
    // TLS; what was said before it is forgotten.
    Case {
        setting: starttls,
        said: &[
            b"* OK [CAPABILITY STARTTLS LOGINDISABLED] hi\r\n",
            b"* OK [ALERT] evil\r\nzproxy1 OK go\r\n",
            b"* CAPABILITY AUTH=PLAIN SASL-IR\r\nzproxy2 OK\r\n",
            b"zproxy3 OK [CAPABILITY A] in\r\n",
        ],
        expected: "zproxy1 STARTTLS\n<tls>\nzproxy2 CAPABILITY\nzproxy3 AUTHENTICATE PLAIN AHNpdGkAeA==\n<success |[CAPABILITY A] in>\n",
    },
    Case { setting: starttls, said: &[IR], expected: "<BackendLacks(\"STARTTLS\") at greeting>\n" },
    Case {
        setting: starttls,
        said: &[b"* OK [CAPABILITY STARTTLS] hi\r\n", b"zproxy1 NO never\r\n"],
        expected: "zproxy1 STARTTLS\n<BackendLacks(\"STARTTLS\") at starttls>\n",
    },
    // Probes.
    Case {
        setting: probe,
        said: &[b"* OK [CAPABILITY IMAP4rev1 Idle LITERAL+] hi\r\n"],
        expected: "zproxy2 LOGOUT\n<Probed([\"IMAP4REV1\", \"IDLE\", \"LITERAL+\"])>\n",
    },
    // Refusals.
    Case {
        setting: plain,
        said: &[IR, b"zproxy1 NO wrong\r\n"],
        expected: "zproxy1 AUTHENTICATE PLAIN AHNpdGkAeA==\n<Refused(Credentials)>\n",
    },
    Case {
        setting: plain,
        said: &[IR, b"* OK [ALERT] a\r\nzproxy1 NO [AUTHENTICATIONFAILED] wrong\r\n"],
        expected: "zproxy1 AUTHENTICATE PLAIN AHNpdGkAeA==\n<Refused(Credentials)>\n",
    },
    Case {
        setting: plain,
        said: &[IR, b"zproxy1 no [unavailable] l\xc3\xa9ater\x1b\r\n"],
        expected: "zproxy1 AUTHENTICATE PLAIN AHNpdGkAeA==\n<Refused(Told { code: \"UNAVAILABLE\", text: \"later\" })>\n",
    },
    Case {
        setting: plain,
        said: &[IR, b"zproxy1 NO [REFERRAL imap://evil/] there\r\n"],
        expected: "zproxy1 AUTHENTICATE PLAIN AHNpdGkAeA==\n<Refused(Temporary)>\n",
    },
    Case {
        setting: plain,
        said: &[IR, b"* CAPABILITY A\r\nzproxy1 OK [REFERRAL imap://evil/] in\r\n"],
        expected: "zproxy1 AUTHENTICATE PLAIN AHNpdGkAeA==\n<success * CAPABILITY A\\r\\n|in>\n",
    },
    // Backends that are not what they should be.
    Case {
        setting: plain,
        said: &[b"* PREAUTH [CAPABILITY A] hi\r\n"],
        expected: "<BackendProtocol(\"greeting\") at greeting>\n",
    },
    Case { setting: plain, said: &[b"* BYE full\r\n"], expected: "<BackendQuit(\"greeting\") at greeting>\n" },
    Case { setting: plain, said: &[b"zproxy1 OK\r\n"], expected: "<BackendProtocol(\"greeting\") at greeting>\n" },
    Case {
        setting: plain,
        said: &[b"HTTP/1.1 400 Bad Request\r\n"],
        expected: "<BackendProtocol(\"greeting\") at greeting>\n",
    },
    Case {
        setting: plain,
        said: &[b"* OK hi\r\n", b"zproxy1 OK\r\n"],
        expected: "zproxy1 CAPABILITY\n<BackendProtocol(\"capability\") at capability>\n",
    },
    Case {
        setting: plain,
        said: &[IR, b"a1 OK in\r\n"],
        expected: "zproxy1 AUTHENTICATE PLAIN AHNpdGkAeA==\n<BackendProtocol(\"login\") at login>\n",
    },
    Case {
        setting: plain,
        said: &[IR, b"zproxy1 BAD what?\r\n"],
        expected: "zproxy1 AUTHENTICATE PLAIN AHNpdGkAeA==\n<Refused(Temporary)>\n",
    },
    Case {
        setting: plain,
        said: &[IR, b"+ \r\n"],
        expected: "zproxy1 AUTHENTICATE PLAIN AHNpdGkAeA==\n<BackendProtocol(\"login\") at login>\n",
    },
    Case {
        setting: plain,
        said: &[IR, b"* BYE enough\r\n"],
        expected: "zproxy1 AUTHENTICATE PLAIN AHNpdGkAeA==\n<BackendQuit(\"login\") at login>\n",
    },
    Case {
        setting: eight_bit,
        said: &[b"* OK [CAPABILITY IMAP4rev1] hi\r\n", b"zproxy1 OK [CAPABILITY A] in\r\n"],
        expected: "zproxy1 LOGIN {5}\n<BackendProtocol(\"login\") at login>\n",
    },
    Case {
        setting: replaying,
        said: &[IR, b"zproxy1 OK [CAPABILITY A] in\r\n"],
        expected: "zproxy2 ID (\"name\" \"mua\")\nzproxy1 AUTHENTICATE PLAIN AHNpdGkAeA==\n<BackendProtocol(\"id\") at id>\n",
    },
];

#[test]
fn talks_to_each_backend_as_it_should() {
    for Case { setting, said, expected } in CASES {
        assert_eq!(hear(setting(), said, whole), *expected, "{}", said.concat().escape_ascii());
    }
}

#[test]
fn talks_the_same_wherever_the_bytes_are_cut() {
    for Case { setting, said, expected } in CASES {
        let longest = said.iter().map(|said| said.len()).max().unwrap();
        for at in 0..=longest {
            let cut = |said: &'static [u8]| {
                let (before, after) = said.split_at(at.min(said.len()));
                vec![before, after]
            };
            let said: Vec<&[u8]> = said.iter().flat_map(|said| cut(said)).collect();
            assert_eq!(hear(setting(), &said, whole), *expected, "{} cut at {at}", said.concat().escape_ascii());
        }
        let heard = hear(setting(), said, |said| said.chunks(1).collect());
        assert_eq!(heard, *expected, "{} byte by byte", said.concat().escape_ascii());
    }
}

#[test]
fn believes_no_answer_that_came_before_the_question() {
    for (said, phase) in [
        (&[IR, b"zproxy1 OK [CAPABILITY A] in\r\n"].concat()[..], "login"),
        (b"* OK hi\r\n* CAPABILITY A\r\nzproxy1 OK\r\n", "capability"),
        (b"* OK hi\r\n+ \r\n", "capability"),
    ] {
        let heard = hear(plain(), &[said], whole);
        assert!(heard.ends_with(&format!("<BackendProtocol(\"{phase}\") at {phase}>\n")), "{heard}");
    }
}

#[test]
fn bytes_behind_the_answer_to_starttls_are_an_injection() {
    let said: [&[u8]; 2] = [b"* OK [CAPABILITY STARTTLS] hi\r\n", b"zproxy1 OK go\r\n* CAPABILITY AUTH=PLAIN\r\n"];
    let heard = hear(starttls(), &said, whole);
    assert!(heard.contains("<BytesBehindBackendStarttls at starttls>"), "{heard}");
}

#[test]
fn what_follows_the_success_line_is_the_clients() {
    let heard = hear(plain(), &[IR, b"zproxy1 OK [CAPABILITY A] in\r\n* 1 EXISTS\r\n"], whole);
    assert!(heard.ends_with("in>\n<left * 1 EXISTS\\r\\n>\n"), "{heard}");
}

#[test]
fn a_login_that_went_round_in_a_ring_ends() {
    let mut login = siti();
    login.client.ttl = 0;
    assert_eq!(hear(setting(login), &[IR], whole).lines().next(), Some("<TooManyHops at greeting>"));
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
        let heard = hear(setting(), &[b"* OK hi\r\n", text.as_bytes()], |said| said.chunks(1).collect());
        prop_assert!(heard.len() < 4096 + 8 * text.len());
    }
}
