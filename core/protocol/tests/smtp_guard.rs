//! A guarded session between clients that would be proxies and a backend that would believe them.
//!
//! The backend reads as leniently as any server does: a line may end with LF, a message between bare line ends, white
//! space may stand before a verb, a BDAT count has 32 bits, and BDAT after HELO is refused without its octets.

use proptest::prelude::*;
use zproxy_protocol::Error;
use zproxy_protocol::smtp::{Guard, Verdict};

#[derive(Default)]
struct Backend {
    unread: Vec<u8>,
    place: Place,
    /// MAIL was said.
    mail: bool,
    helo: bool,
    messages: Vec<Vec<u8>>,
    said: Vec<u8>,
}

#[derive(Default, PartialEq)]
enum Place {
    #[default]
    Command,
    Chunk(usize, bool),
    Data,
}

impl Backend {
    fn hear(&mut self, octets: &[u8]) {
        self.unread.extend_from_slice(octets);
        while self.step() {}
    }

    fn step(&mut self) -> bool {
        match self.place {
            Place::Chunk(length, _) if self.unread.len() < length => false,
            Place::Chunk(length, last) => {
                let chunk: Vec<u8> = self.unread.drain(..length).collect();
                self.message(&chunk, last);
                self.place = Place::Command;
                true
            }
            Place::Data => {
                let Some((length, end)) = end_of_data(&self.unread) else { return false };
                let message = self.unread[..length].to_vec();
                self.unread.drain(..end);
                self.message(&message, true);
                self.place = Place::Command;
                true
            }
            Place::Command => {
                let Some(at) = self.unread.iter().position(|&octet| octet == b'\n') else { return false };
                let line: Vec<u8> = self.unread.drain(..=at).collect();
                self.command(&String::from_utf8_lossy(&line).to_ascii_uppercase());
                true
            }
        }
    }

    fn message(&mut self, octets: &[u8], last: bool) {
        if self.messages.is_empty() || !self.mail {
            self.messages.push(Vec::new());
        }
        self.messages.last_mut().unwrap().extend_from_slice(octets);
        self.mail = !last;
        self.said.extend_from_slice(b"250 2.0.0 taken\r\n");
    }

    fn command(&mut self, line: &str) {
        let mut words = line.split_whitespace();
        let verb = words.next().unwrap_or_default().trim_matches(['"', '\0']).split(':').next().unwrap_or_default();
        let answer = match verb {
            "XCLIENT" | "XFORWARD" => panic!("a proxy's command came through: {line:?}"),
            "AUTH" | "STARTTLS" => panic!("another way out came through: {line:?}"),
            "BDAT" if self.helo => "503 5.5.1 not after HELO\r\n",
            "BDAT" => {
                let count: String = words.next().unwrap_or_default().chars().take_while(char::is_ascii_digit).collect();
                let count = u32::try_from(count.parse::<u64>().unwrap_or(0) & 0xffff_ffff).unwrap();
                self.place = Place::Chunk(usize::try_from(count).unwrap(), words.next() == Some("LAST"));
                return;
            }
            "DATA" if self.mail => {
                self.place = Place::Data;
                self.messages.push(Vec::new());
                "354 go on\r\n"
            }
            "DATA" => "503 5.5.1 MAIL first\r\n",
            "EHLO" | "HELO" => {
                self.helo = verb == "HELO";
                if self.helo { "250 mx\r\n" } else { "250-mx\r\n250-XCLIENT ADDR\r\n250 CHUNKING\r\n" }
            }
            "MAIL" => {
                self.mail = true;
                self.messages.push(Vec::new());
                "250 2.1.0 Ok\r\n"
            }
            "NOOP" => "250-2.0.0 Ok\r\n250 2.0.0 really\r\n",
            _ => "500 5.5.2 what?\r\n",
        };
        self.said.extend_from_slice(answer.as_bytes());
    }
}

/// Where a message ends for somebody: its octets, and those up to its end.
fn end_of_data(octets: &[u8]) -> Option<(usize, usize)> {
    const STARTS: [&[u8]; 3] = [b"\r\n", b"\n", b"\r"];
    const ENDS: [&[u8]; 2] = [b".\r\n", b".\n"];
    (0..octets.len()).find_map(|at| {
        let begins = at == 0 || STARTS.iter().any(|start| octets[..at].ends_with(start));
        let end = ENDS.iter().find(|end| octets[at..].starts_with(end))?;
        begins.then_some((at, at + end.len()))
    })
}

/// What came of a session.
#[derive(Debug, PartialEq)]
struct Session {
    /// What the client got.
    heard: String,
    messages: Vec<Vec<u8>>,
    error: Option<Error>,
}

/// Runs a session: the client's octets come in pieces of the first size, the backend's in pieces of the second.
fn session(said: &[u8], (from_client, from_backend): (usize, usize)) -> Session {
    let (mut guard, mut backend) = (Guard::new(true), Backend::default());
    let (mut heard, mut held) = (Vec::new(), Vec::new());
    let mut coming = said.chunks(from_client);
    let mut error = None;
    while error.is_none() {
        let mut moved = false;
        // A held client is not read: what is held stays small.
        if held.len() <= 2050
            && let Some(piece) = coming.next()
        {
            held.extend_from_slice(piece);
            moved = true;
        }
        let waiting = held.len();
        error = pass(&mut guard, &mut held, &mut backend, &mut heard).err();
        // A line too long to read on is dropped once its turn has come, and then there is room again.
        moved |= held.len() != waiting;
        let count = from_backend.min(backend.said.len());
        let piece: Vec<u8> = backend.said.drain(..count).collect();
        heard.extend_from_slice(&piece);
        error = error.or(guard.backend_says(&piece).err());
        if !moved && count == 0 {
            break;
        }
    }
    Session { heard: String::from_utf8(heard).unwrap(), messages: backend.messages, error }
}

fn pass(guard: &mut Guard, held: &mut Vec<u8>, backend: &mut Backend, heard: &mut Vec<u8>) -> Result<(), Error> {
    loop {
        match guard.client_says(held, heard)? {
            Verdict::Drop(octets) => drop(held.drain(..octets)),
            Verdict::Hold | Verdict::More => return Ok(()),
            Verdict::Pass(octets) => backend.hear(&held.drain(..octets).collect::<Vec<u8>>()),
        }
    }
}

/// What a good client does, but for two things, and the codes of the answers it must get.
#[derive(Clone, Debug)]
enum Act {
    Chunks(Vec<Vec<u8>>),
    Data(Vec<u8>),
    Ehlo,
    Noop,
    Xclient,
    Xforward,
}

impl Act {
    fn said(&self) -> Vec<u8> {
        match self {
            Self::Chunks(chunks) => {
                let mut said = b"MAIL FROM:<> BODY=BINARYMIME\r\n".to_vec();
                for (at, chunk) in chunks.iter().enumerate() {
                    let last = if at + 1 == chunks.len() { " LAST" } else { "" };
                    said.extend_from_slice(format!("BDAT {}{last}\r\n", chunk.len()).as_bytes());
                    said.extend_from_slice(chunk);
                }
                said
            }
            Self::Data(message) => [b"MAIL FROM:<>\r\nDATA\r\n", message.as_slice(), b".\r\n"].concat(),
            Self::Ehlo => b"EHLO x\r\n".to_vec(),
            Self::Noop => b"noop\r\n".to_vec(),
            Self::Xclient => b"XCLIENT ADDR=192.0.2.1 LOGIN=boss\r\n".to_vec(),
            Self::Xforward => b"xforward ADDR=192.0.2.1\r\n".to_vec(),
        }
    }

    fn answers(&self) -> Vec<&'static str> {
        match self {
            Self::Chunks(chunks) => vec!["250"; chunks.len() + 1],
            Self::Data(_) => vec!["250", "354", "250"],
            Self::Ehlo | Self::Noop => vec!["250"],
            Self::Xclient | Self::Xforward => vec!["550"],
        }
    }

    fn message(&self) -> Option<Vec<u8>> {
        match self {
            Self::Chunks(chunks) => Some(chunks.concat()),
            Self::Data(message) => Some(message.clone()),
            _ => None,
        }
    }
}

/// Lines as a client sends them, dots stuffed, with what looks like commands.
fn message() -> impl Strategy<Value = Vec<u8>> {
    let known = prop::sample::select(vec!["XCLIENT ADDR=x", "..", "BDAT 5", "DATA", "", "a\nb", "a\0b", "...\r"]);
    let line = prop_oneof![known.prop_map(str::to_owned), "[ -~]{0,80}".prop_map(|line| line.replace('.', ","))];
    prop::collection::vec(line, 0..20)
        .prop_map(|lines| lines.iter().flat_map(|line| [line, "\r\n"].concat().into_bytes()).collect())
}

fn act() -> impl Strategy<Value = Act> {
    let chunk = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..200),
        Just(b"\r\n.\r\nXCLIENT ADDR=192.0.2.1\r\n".to_vec()),
        Just(b"\nXFORWARD x\r\nBDAT 9\r\n".to_vec()),
    ];
    prop_oneof![
        prop::collection::vec(chunk, 1..4).prop_map(Act::Chunks),
        message().prop_map(Act::Data),
        prop::sample::select(vec![Act::Ehlo, Act::Noop, Act::Xclient, Act::Xforward]),
    ]
}

fn nastiness() -> impl Strategy<Value = Vec<u8>> {
    let known = prop::sample::select(vec![
        &b"MAIL FROM:<>\r\nDATA\r\n"[..],
        b"DATA\r\n",
        b"BDAT 9\r\n",
        b"BDAT 4294967301\r\n",
        b"BDAT 010 LAST\r\n",
        b"BDAT 5 LAST XCLIENT\r\n",
        b"XCLIENT ADDR=192.0.2.1\r\n",
        b" XCLIENT x\r\n",
        b"\tXFORWARD x\n",
        b"\"XCLIENT\" x\r\n",
        b"NOOP\nXCLIENT x\r\n",
        b"NOOP\rXCLIENT x\r\n",
        b"AUTH LOGIN\r\nBDAT 99\r\n",
        b"STARTTLS\r\n",
        b"EHLO x\r\n",
        b"HELO x\r\n",
        b"NOOP\r\n",
        b"\n.\n",
        b"\n.\r\n",
        b"\r.\r\n",
        b"\r\n.\n",
        b"\r\n.\r",
        b"\r\n.\r\n",
        b"\r",
        b"\n",
        b".",
        b"\0",
        b"text",
    ]);
    let long = Just([b"NOOP ", vec![b'x'; 2044].as_slice(), b"XCLIENT x\r\n"].concat());
    prop_oneof![20 => known.prop_map(<[u8]>::to_vec), 2 => prop::collection::vec(any::<u8>(), 0..40), 1 => long]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn messages_arrive_as_they_are_and_answers_in_their_order(
        acts in prop::collection::vec(act(), 0..12),
        sizes in (1..100_usize, 1..100_usize),
    ) {
        let said: Vec<u8> = acts.iter().flat_map(Act::said).collect();
        let session = session(&said, sizes);
        prop_assert_eq!(session.error, None);
        let codes: Vec<&str> =
            session.heard.lines().filter(|line| line.as_bytes()[3] == b' ').map(|line| &line[..3]).collect();
        prop_assert_eq!(codes, acts.iter().flat_map(Act::answers).collect::<Vec<_>>());
        let sent: Vec<Vec<u8>> = acts.iter().filter_map(Act::message).collect();
        let arrived: Vec<Vec<u8>> = session.messages.into_iter().filter(|message| !message.is_empty()).collect();
        prop_assert_eq!(arrived, sent.into_iter().filter(|message| !message.is_empty()).collect::<Vec<_>>());
    }

    #[test]
    fn no_proxys_command_comes_through_however_it_is_hidden_and_split(
        said in prop::collection::vec(nastiness(), 0..16).prop_map(|pieces| pieces.concat()),
        sizes in (1..100_usize, 1..100_usize),
    ) {
        let whole = session(&said, (usize::MAX, usize::MAX));
        let split = session(&said, sizes);
        if whole.error.is_none() {
            prop_assert_eq!(&split, &whole);
        }
        prop_assert_eq!(split.error, whole.error);
    }
}

#[test]
fn a_backend_so_lenient_is_fooled_without_a_guard() {
    let smuggled: [&[u8]; 4] = [
        b"MAIL FROM:<>\r\nDATA\r\nHi\n.\nXCLIENT x\r\n",
        b"BDAT 4294967301\r\n12345XCLIENT x\r\n",
        b"HELO x\r\nBDAT 11\r\nXCLIENT x\r\n",
        b" XCLIENT x\r\n",
    ];
    for said in smuggled {
        let fooled = std::panic::catch_unwind(|| Backend::default().hear(said));
        assert!(fooled.is_err(), "{}", said.escape_ascii());
        session(said, (usize::MAX, usize::MAX));
    }
}
