//! Clients, before the server machines that read line by line: what is true of all of these, whatever they speak.

#[path = "harness/client.rs"]
mod harness;

use harness::{MAX_COMMAND, MAX_RESPONSE, Talk, setting, talk};
use proptest::prelude::*;
use zproxy_protocol::pop3::Pop3;
use zproxy_protocol::sieve::Sieve;
use zproxy_protocol::smtp::Submission;
use zproxy_protocol::{Error, LoginOffer, Protocol, ServerSetting};

/// What clients of a protocol say.
struct Spoken {
    protocol: &'static dyn Protocol,
    shared: &'static [&'static str],
    /// Octets of a command and of a response.
    most: (usize, usize),
    conversation: &'static str,
    /// What the session is asked for in it.
    steps: &'static [&'static str],
    pieces: &'static [&'static str],
}

impl Spoken {
    fn talk<'a>(&self, pieces: impl IntoIterator<Item = &'a [u8]>) -> Talk {
        let (max_command, max_response) = self.most;
        let setting = setting(LoginOffer::NowOrAfterTls, self.shared);
        let setting = ServerSetting { bad_commands: 3, max_command, max_response, ..setting };
        talk(self.protocol, setting, pieces)
    }
}

static ALL: [Spoken; 3] = [
    Spoken {
        protocol: &Pop3,
        shared: &["UTF8", "TOP"],
        most: (MAX_COMMAND, MAX_RESPONSE),
        conversation: "CAPA\r\nAUTH LOGIN\r\n*\r\nUTF8\r\nUSER siti\r\nPASS demo\r\nAUTH PLAIN AHNpdGkAZGVtbw==\r\n\
            AUTH LOGIN c2l0aQ==\r\nZGVtbw==\r\nNOOP\nQUIT\r\n",
        steps: &["USER |siti|demo utf8", "PLAIN |siti|demo utf8", "LOGIN |siti|demo utf8", "goodbye"],
        pieces: &[
            "USER siti\r\n",
            "PASS demo\r\n",
            "CAPA\r\n",
            "NOOP\r\n",
            "UTF8\r\n",
            "AUTH\r\n",
            "AUTH PLAIN\r\n",
            "AUTH LOGIN\r\n",
            "AUTH PLAIN =\r\n",
            "AHNpdGkAZGVtbw==\r\n",
            "c2l0aQ==\r\n",
            "*\r\n",
            "GET ",
            "\n",
            "\r",
        ],
    },
    Spoken {
        protocol: &Submission,
        shared: &["PIPELINING", "SIZE 10"],
        most: (8192, 65_536),
        conversation: "EHLO x\r\nAUTH LOGIN\r\n*\r\nMAIL FROM:<>\r\nBDAT 6\r\nQUIT\r\nAUTH PLAIN AHNpdGkAZGVtbw==\r\n\
            AUTH LOGIN c2l0aQ==\r\nZGVtbw==\r\nRSET\r\nQUIT\r\n",
        steps: &["PLAIN |siti|demo x", "LOGIN |siti|demo x", "goodbye"],
        pieces: &[
            "EHLO x\r\n",
            "HELO x\r\n",
            "NOOP\r\n",
            "MAIL FROM:<>\r\n",
            "BDAT 7\r\n",
            "BDAT 99999\r\n",
            "XCLIENT ADDR=192.0.2.1\r\n",
            "AUTH PLAIN\r\n",
            "AUTH LOGIN\r\n",
            "AUTH PLAIN =\r\n",
            "AUTH PLAIN AHNpdGkAZGVtbw==\r\n",
            "AHNpdGkAZGVtbw==\r\n",
            "c2l0aQ==\r\n",
            "*\r\n",
            "GET ",
            "\n",
            "\r",
        ],
    },
    Spoken {
        protocol: &Sieve,
        shared: &["SIEVE fileinto"],
        most: (MAX_COMMAND, MAX_RESPONSE),
        conversation: "CAPABILITY\r\nNOOP {4+}\r\na\r\nb\r\nAUTHENTICATE \"LOGIN\"\r\n\"*\"\r\nNOOP \"x\"\r\n\
            AUTHENTICATE \"PLAIN\"\r\n{16+}\r\nAHNpdGkAZGVtbw==\r\nAUTHENTICATE {5}\r\nPLAIN \"AHNpdGkAZGVtbw==\"\r\n\
            LOGOUT\r\n",
        steps: &["PLAIN |siti|demo", "PLAIN |siti|demo", "goodbye"],
        pieces: &[
            "CAPABILITY\r\n",
            "NOOP",
            "AUTHENTICATE",
            " \"PLAIN\"",
            " \"LOGIN\"",
            " \"AHNpdGkAZGVtbw==\"\r\n",
            "\"c2l0aQ==\"\r\n",
            "\"*\"\r\n",
            " {4+}\r\n",
            "{4}\r\nAAAA\r\n",
            "LISTSCRIPTS\r\n",
            "\r\n",
            "\n",
            "\"",
            "GET ",
        ],
    },
];

#[test]
fn a_conversation_is_the_same_however_it_is_split() {
    for spoken in &ALL {
        let said = spoken.conversation.as_bytes();
        let whole = spoken.talk([said]);
        assert_eq!(whole.steps, spoken.steps);
        assert_eq!(spoken.talk(said.chunks(1)), whole);
        for at in 0..said.len() {
            assert_eq!(spoken.talk([&said[..at], &said[at..]]), whole, "{at}");
        }
    }
}

#[test]
fn http_is_not_answered() {
    for spoken in &ALL {
        for before in ["", "NOOP\r\n"] {
            let answered = spoken.talk([before.as_bytes()]).sent;
            for said in ["GET / HTTP/1.1\r\n", "POST /x", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"] {
                let talk = spoken.talk([before.as_bytes(), said.as_bytes()]);
                assert_eq!((&talk.sent, talk.end), (&answered, Some(Error::SpeaksHttp)));
            }
        }
    }
}

fn piece(known: &'static [&'static str]) -> impl Strategy<Value = Vec<u8>> {
    let known = prop::sample::select(known).prop_map(|piece| piece.as_bytes().to_vec());
    let long = (0..13_000_usize).prop_map(|octets| vec![b'A'; octets]);
    prop_oneof![16 => known, 4 => prop::collection::vec(any::<u8>(), 0..300), 1 => long]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256 * 3))]

    #[test]
    fn any_octets_get_the_same_answers_however_they_are_split(
        (spoken, pieces) in (0..ALL.len())
            .prop_flat_map(|spoken| (Just(spoken), prop::collection::vec(piece(ALL[spoken].pieces), 0..16))),
        size in 1..50_usize,
    ) {
        let said = pieces.concat();
        let whole = ALL[spoken].talk([&said[..]]);
        let mut split = ALL[spoken].talk(said.chunks(size));
        // Behind the end nothing is read.
        if whole.end.is_some() {
            split.rest = whole.rest;
        }
        prop_assert_eq!(split, whole);
    }
}
