use imap_codec::CommandCodec;
use imap_codec::decode::Decoder as _;
use imap_codec::imap_types::command::CommandBody;
use proptest::prelude::*;

use super::*;
use crate::strings::quote;

const MOST: usize = 8192;

/// What a reader makes of the input until it wants more, each thing in words.
fn read_all(pieces: &[&[u8]]) -> Vec<String> {
    let (mut input, mut reader, mut seen) = (Input::new(), Reader::default(), Vec::new());
    for piece in pieces {
        input.extend(piece);
        loop {
            match reader.read(&mut input, MOST) {
                Ok(Read::More) => break,
                Ok(read) => seen.push(words(&read)),
                Err(Endless { tag }) => {
                    seen.push(format!("{} endless", tag_words(tag.as_ref())));
                    return seen;
                }
            }
        }
    }
    seen
}

fn tag_words(tag: Option<&Tag>) -> &str {
    tag.map_or("*", Tag::as_str)
}

fn words(read: &Read) -> String {
    match read {
        Read::Bad { tag, refused } => format!("{} {refused:?}", tag_words(tag.as_ref())),
        Read::Command { tag, command: Command::Login { name, password } } => {
            format!("{} login {} {}", tag.as_str(), name.as_str(), password.expose().escape_ascii())
        }
        Read::Command { tag, command: Command::Authenticate { mechanism, initial } } => {
            let initial = initial.as_ref().map(|initial| initial.expose().escape_ascii().to_string());
            format!("{} authenticate {mechanism:?} {initial:?}", tag.as_str())
        }
        Read::Command { tag, command: Command::Id(Parameters { said, hops }) } => {
            let hops = hops.map_or(String::new(), |hops| format!(" {hops} hops"));
            format!("{} id {said:?}{hops}", tag.as_str())
        }
        Read::Command { tag, command } => format!("{} {command:?}", tag.as_str()),
        Read::Literal { tag, verb } => format!("{} + {verb:?}", tag_words(tag.as_ref())),
        Read::More => "more".to_owned(),
    }
}

const TABLE: &[(&[u8], &[&str])] = &[
    (b"a CAPABILITY\r\nb noop\r\nc LogOut\r\nd STARTTLS\r\n", &["a Capability", "b Noop", "c Logout", "d StartTls"]),
    (b"a LOGIN siti geheim\r\n", &["a login siti geheim"]),
    (b"a LOGIN si]ti p%*\\w\r\n", &["a login si]ti p%*\\\\w"]),
    (b"a LOGIN \"si ti\" \"a\\\"b\\\\c\"\r\n", &["a login si ti a\\\"b\\\\c"]),
    (b"a LOGIN \"\xc3\xa9\" \"\xff\"\r\n", &["a login \u{e9} \\xff"]),
    (b"a LOGIN {4}\r\nsiti {6}\r\nge\r\nim\r\n", &["a + Login", "a + Login", "a login siti ge\\r\\nim"]),
    (b"a LOGIN {4+}\r\nsiti {6+}\r\nb NOOP\r\n", &["a login siti b NOOP"]),
    (b"a LOGIN {4+}\r\nsiti \"x\"\r\nb NOOP\r\n", &["a login siti x", "b Noop"]),
    (b"a LOGIN \"\" x\r\n", &["a Name(Empty)"]),
    (b"a LOGIN siti \"\"\r\n", &["a EmptyPassword"]),
    (b"a LOGIN {3}\r\na\nb x\r\n", &["a + Login", "a Name(Control)"]),
    (b"a LOGIN {1+}\r\n\0 x\r\n", &["a Syntax"]),
    (b"a LOGIN \"a\0\" x\r\n", &["a Syntax"]),
    (b"a LOGIN siti\r\n", &["a Syntax"]),
    (b"a LOGIN siti x y\r\n", &["a Syntax"]),
    (b"a LOGIN siti  x\r\n", &["a Syntax"]),
    (b"a LOGIN (((((((( x\r\n", &["a Syntax"]),
    (b"a LOGIN siti x \r\n", &["a Syntax"]),
    (b"a LOGIN siti \"x\r\n", &["a Syntax"]),
    (b"a LOGIN siti \"\\x\"\r\n", &["a Syntax"]),
    (b"a LOGIN siti x\ry\r\n", &["a Syntax"]),
    (b"a LOGIN siti x\nb NOOP\r\n", &["a BareLf", "b Noop"]),
    (b"a LOGIN siti {}\r\n", &["a Syntax"]),
    (b"a LOGIN siti {-1}\r\n", &["a Syntax"]),
    (b"a LOGIN siti {0x10}\r\n", &["a Syntax"]),
    (b"a LOGIN siti {4097}\r\nb NOOP\r\n", &["a TooLong", "b Noop"]),
    (b"a LOGIN siti {2147483648}\r\n", &["a TooLong"]),
    (b"a LOGIN siti {18446744073709551617}\r\n", &["a TooLong"]),
    (b"a LOGIN siti {4097+}\r\nb NOOP\r\n", &["a endless"]),
    (b"a LOGIN siti {18446744073709551617+}\r\nx\r\n", &["a endless"]),
    (b"a LOGIN siti {-1+}\r\nx\r\n", &["a endless"]),
    (b"a LOGIN siti {1+}\nx\r\n", &["a endless"]),
    (b"a LOGIN \"x {9+}\r\nb NOOP\r\n \r\nc NOOP\r\n", &["a Syntax", "c Noop"]),
    (b"a APPEND x {9+}\r\nb NOOP\r\n \r\nc NOOP\r\n", &["a Unknown", "c Noop"]),
    (b"a NOOP {3}\r\n", &["a + Noop"]),
    (b"a SELECT INBOX\r\n", &["a Unknown"]),
    (b"AHNpdGkAeA==\r\n\r\n \r\n", &["* Tag", "* Tag", "* Tag"]),
    (b"a\nb \n", &["* BareLf", "b BareLf"]),
    (b"a+ NOOP\r\n* NOOP\r\n\x80 NOOP\r\n\x16\x03\x01\r\n", &["* Tag", "* Tag", "* Tag", "* Tag"]),
    (b"a CAPABILITY \r\n", &["a Syntax"]),
    (b"a CAPA\0BILITY\r\n", &["a Syntax"]),
    (b"a AUTHENTICATE plain\r\n", &["a authenticate Some(Plain) None"]),
    (b"a AUTHENTICATE LOGIN =\r\n", &["a authenticate Some(Login) Some(\"=\")"]),
    (b"a AUTHENTICATE CRAM-MD5 AA==\r\n", &["a authenticate None Some(\"AA==\")"]),
    (b"a AUTHENTICATE\r\n", &["a Syntax"]),
    (b"a AUTHENTICATE PLAIN {4}\r\n", &["a + Authenticate"]),
    (b"a ID (\"X-Proxy-TTL\" \"3\" \"x-session-id\" \"s\")\r\n", &["a id [] 3 hops"]),
    (b"a ID (\"x-proxy-ttl\" \"many\")\r\n", &["a id []"]),
    (b"a ID NIL\r\na ID ()\r\n", &["a id []", "a id []"]),
    (
        b"a ID (\"name\" \"x\\\"y\" \"OS\" nil {2+}\r\nvs {3+}\r\n1 2 \"X-Originating-IP\" \"1.2.3.4\")\r\n",
        &["a id [(\"name\", Some(\"x\\\"y\")), (\"OS\", None), (\"vs\", Some(\"1 2\"))]"],
    ),
    (b"a ID (\"name\")\r\na ID (\"a\" \"b\"\r\na ID (name x)\r\na ID\r\n", &["a Syntax"; 4]),
];

#[test]
fn reads_each_input_as_it_should() {
    for (input, expected) in TABLE {
        let seen = read_all(&[input]);
        assert_eq!(&seen, expected, "{}", input.escape_ascii());
    }
}

#[test]
fn reads_the_same_wherever_the_input_is_cut() {
    for (input, _) in TABLE {
        let whole = read_all(&[input]);
        for cut in 0..=input.len() {
            let (before, after) = input.split_at(cut);
            assert_eq!(read_all(&[before, after]), whole, "{} cut at {cut}", input.escape_ascii());
        }
        let single: Vec<&[u8]> = input.chunks(1).collect();
        assert_eq!(read_all(&single), whole, "{} byte by byte", input.escape_ascii());
    }
}

#[test]
fn a_command_and_a_tag_have_an_end() {
    let long = [&b"a LOGIN "[..], &[b'x'; MOST]].concat();
    assert_eq!(read_all(&[&long]), ["a endless"]);
    assert_eq!(read_all(&[&[b'x'; MOST + 1]]), ["* endless"]);
    assert_eq!(read_all(&[&[&[b'x'; 64][..], b" NOOP\r\n"].concat()]).len(), 1);
    assert_eq!(read_all(&[&[&[b'x'; 65][..], b" NOOP\r\n"].concat()]), ["* Tag"]);
    let literals = [&b"a LOGIN {4096+}\r\n"[..], &[b'x'; 4096], b" {4096+}\r\n"].concat();
    assert_eq!(read_all(&[&literals]), ["a endless"]);
}

#[test]
fn id_is_bounded_as_its_rfc_says() {
    let id = |pairs: usize, field: usize, value: usize| {
        let pair = format!("\"{}\" \"{}\"", "f".repeat(field), "v".repeat(value));
        read_all(&[format!("a ID ({})\r\n", vec![pair; pairs].join(" ")).as_bytes()])
    };
    assert!(id(30, 30, 20)[0].starts_with("a id ["));
    assert!(id(1, 1, 1024)[0].starts_with("a id ["));
    assert_eq!(id(31, 1, 1), ["a Id"]);
    assert_eq!(id(1, 31, 1), ["a Id"]);
    assert_eq!(id(1, 1, 1025), ["a Id"]);
}

#[test]
fn a_refused_literal_is_forgotten_and_the_next_command_read() {
    let (mut input, mut reader) = (Input::new(), Reader::default());
    input.extend(b"a LOGIN {4}\r\nb NOOP\r\n");
    assert!(matches!(reader.read(&mut input, MOST), Ok(Read::Literal { verb: Verb::Login, .. })));
    reader.drop_command(&mut input);
    assert!(matches!(reader.read(&mut input, MOST), Ok(Read::Command { command: Command::Noop, .. })));
}

/// The name and password that imap-codec reads.
fn oracle(command: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let (rest, command) = CommandCodec::default().decode(command).ok()?;
    let CommandBody::Login { username, password } = command.body else { return None };
    rest.is_empty().then(|| (username.as_ref().to_vec(), password.declassify().as_ref().to_vec()))
}

fn ours(command: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let mut input = Input::new();
    input.extend(command);
    let mut reader = Reader::default();
    loop {
        match reader.read(&mut input, MOST) {
            Ok(Read::Command { command: Command::Login { name, password }, .. }) => {
                return Some((name.as_str().into(), password.expose().to_vec()));
            }
            Ok(Read::Literal { .. }) => {}
            _ => return None,
        }
    }
}

fn string() -> impl Strategy<Value = Vec<u8>> {
    let text = "[ -~]{1,12}";
    prop_oneof![
        "[a-zA-Z0-9.@_+-]{1,12}".prop_map(String::into_bytes),
        text.prop_map(|text| {
            let mut out = Vec::new();
            quote(text.as_bytes(), &mut out);
            out
        }),
        text.prop_map(|text| format!("{{{}}}\r\n{text}", text.len()).into_bytes()),
        text.prop_map(|text| format!("{{{}+}}\r\n{text}", text.len()).into_bytes()),
    ]
}

proptest! {
    #[test]
    fn reads_every_login_as_imap_codec_does(name in string(), password in string()) {
        let command = [&b"a LOGIN "[..], &name, b" ", &password, b"\r\n"].concat();
        let expected = oracle(&command);
        prop_assert!(expected.is_some());
        prop_assert_eq!(ours(&command), expected);
    }

    #[test]
    fn takes_no_login_for_another_than_imap_codec_does(command in "a LOGIN [a\" {}0-3+\\\\\r\n(]{0,16}\r\n") {
        if let (Some(expected), Some(ours)) = (oracle(command.as_bytes()), ours(command.as_bytes())) {
            prop_assert_eq!(ours, expected);
        }
    }

    #[test]
    fn never_panics_and_never_holds_more_than_it_must(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let single: Vec<&[u8]> = bytes.chunks(1).collect();
        prop_assert_eq!(read_all(&[&bytes]), read_all(&single));
    }

    #[test]
    fn reads_likely_rubbish_the_same_however_cut(text in "([aA* ]|LOGIN|ID|NOOP|\r\n|\n|[{][0-9]{1,2}[+]?[}]|[{]|[+}]|\"|\\\\|[(]|NIL){0,24}") {
        let single: Vec<&[u8]> = text.as_bytes().chunks(1).collect();
        prop_assert_eq!(read_all(&[text.as_bytes()]), read_all(&single));
    }
}
