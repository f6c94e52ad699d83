//! What a backend says: its lines, literals included, and the responses in them.

use super::words::Words;
use crate::cutter::{Cut, Cutter, Most};
use crate::text::printable;
use crate::{Error, Input, Refusal};

/// Octets of one response, literals included. Capabilities of a few hundred octets are the longest that backends send.
const MAX_RESPONSE: usize = 16_384;
/// Octets of all responses before the login.
const MAX_ALL: usize = 65_536;
/// Octets of a refusal's text that the client is told.
const MAX_TEXT: usize = 256;

/// A response.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Response {
    /// The backend leaves.
    Bye,
    /// `NO`, and what it means for a login.
    No(Refusal),
    /// `OK`, and its text.
    Ok(Done),
    /// A string, which asks for a response, or a capability and its value.
    Strings(Vec<u8>, Option<Vec<u8>>),
}

/// What is done. Codes are not passed on: a REFERRAL would lead the client round us.
#[derive(Debug, Default, Eq, PartialEq)]
pub(super) struct Done {
    /// In one line.
    pub(super) text: Vec<u8>,
    /// The code SASL: what the mechanism has a server say last (RFC 5804, section 1.3), in base64.
    pub(super) last: Option<Vec<u8>>,
}

/// Cuts responses, and counts them against [`MAX_ALL`].
#[derive(Debug, Default)]
pub(super) struct Responses {
    octets: usize,
    cutter: Cutter,
}

impl Responses {
    /// The octets of the next one; none: it is not complete.
    pub(super) fn next(&mut self, input: &mut Input) -> Result<Option<Vec<u8>>, Error> {
        const MOST: Most = Most { all: MAX_RESPONSE, literal: MAX_RESPONSE };
        loop {
            match self.cutter.cut(input.bytes(), MOST) {
                Cut::BareLf => return Err(Error::BackendProtocol("the end of a line")),
                Cut::Endless | Cut::TooLong => return Err(Error::BackendOverflow),
                // There is no leave to give: its octets follow.
                Cut::Leave => {}
                Cut::More => return Ok(None),
                Cut::Whole => break,
            }
        }
        let length = std::mem::take(&mut self.cutter).len();
        self.octets = self.octets.saturating_add(length);
        if self.octets > MAX_ALL {
            return Err(Error::BackendOverflow);
        }
        let response = input.bytes().get(..length).unwrap_or_default().to_vec();
        input.consume(length);
        Ok(Some(response))
    }
}

impl Response {
    /// Reads a whole response; none: it is not ManageSieve.
    pub(super) fn parse(octets: &[u8]) -> Option<Self> {
        if octets.contains(&0) {
            return None;
        }
        let mut words = Words(octets);
        if let Some(first) = words.string() {
            let second = if words.octet(b' ') { Some(words.string()?.to_vec()) } else { None };
            return words.is_at_end().then(|| Self::Strings(first.to_vec(), second));
        }
        let condition = words.atom().to_ascii_uppercase();
        let code = if words.0.starts_with(b" (") { Code::read(&mut words)? } else { Code::default() };
        let text = if words.octet(b' ') { words.string()?.to_vec() } else { Vec::new() };
        if !words.is_at_end() {
            return None;
        }
        match condition.as_slice() {
            b"BYE" => Some(Self::Bye),
            b"NO" => Some(Self::No(refusal(&code.name, &text))),
            b"OK" => {
                let last = code.string.filter(|_| code.name == "SASL");
                Some(Self::Ok(Done { text: in_one_line(text), last }))
            }
            _ => None,
        }
    }
}

/// A response code.
#[derive(Default)]
struct Code {
    /// Upper case; empty: there is none.
    name: String,
    /// The last string of its arguments.
    string: Option<Vec<u8>>,
}

impl Code {
    fn read(words: &mut Words<'_>) -> Option<Self> {
        if !(words.octet(b' ') && words.octet(b'(')) {
            return None;
        }
        let mut code = Self { name: printable(&words.atom().to_ascii_uppercase(), MAX_TEXT), string: None };
        let mut open: u32 = 1;
        while open > 0 {
            if let Some(string) = words.string() {
                code.string = Some(string.to_vec());
                continue;
            }
            match words.0.split_first()? {
                (b'(', rest) => (words.0, open) = (rest, open.checked_add(1)?),
                (b')', rest) => (words.0, open) = (rest, open.checked_sub(1)?),
                (b'\r' | b'\n', _) => return None,
                (_, rest) => words.0 = rest,
            }
        }
        Some(code)
    }
}

/// What a NO to the login means.
///
/// | code | meaning |
/// |---|---|
/// | none: that is how Dovecot and Cyrus refuse a password | one text of ours |
/// | TRYLATER, TRANSITION-NEEDED, AUTH-TOO-WEAK, QUOTA and QUOTA/… | told |
/// | ENCRYPT-NEEDED: the backend's endpoint is set up wrong | temporary |
/// | REFERRAL: our routes say otherwise, and it is never the client's business | temporary |
/// | any other: better an odd "try later" than a password that a client throws away | temporary |
fn refusal(code: &str, text: &[u8]) -> Refusal {
    match code {
        "" => Refusal::Credentials,
        "AUTH-TOO-WEAK" | "QUOTA" | "QUOTA/MAXSCRIPTS" | "QUOTA/MAXSIZE" | "TRANSITION-NEEDED" | "TRYLATER" => {
            Refusal::Told { code: code.to_owned(), text: printable(text, MAX_TEXT) }
        }
        _ => Refusal::Temporary,
    }
}

fn in_one_line(mut text: Vec<u8>) -> Vec<u8> {
    for octet in text.iter_mut().filter(|octet| matches!(octet, b'\r' | b'\n')) {
        *octet = b' ';
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn responses_mean_what_the_rfc_says() {
        let told = |code: &str, text: &str| Some(Response::No(Refusal::Told { code: code.into(), text: text.into() }));
        let ok = |text: &[u8]| Some(Response::Ok(Done { text: text.to_vec(), last: None }));
        let last = |last: &[u8]| Some(Response::Ok(Done { text: b"in".to_vec(), last: Some(last.to_vec()) }));
        let strings = |one: &[u8], two: Option<&[u8]>| Some(Response::Strings(one.to_vec(), two.map(<[u8]>::to_vec)));
        let (wrong, temporary) = (Some(Response::No(Refusal::Credentials)), Some(Response::No(Refusal::Temporary)));
        let table: Vec<(&[u8], Option<Response>)> = vec![
            (b"OK\r\n", ok(b"")),
            (b"ok \"Logged \\\"in\\\".\"\r\n", ok(b"Logged \"in\".")),
            (b"OK {6}\r\na\r\nb\xc3\xa9\r\n", ok(b"a  b\xc3\xa9")),
            (b"OK (SASL \"cnNw\") \"in\"\r\n", last(b"cnNw")),
            (b"OK (sasl {4}\r\ncnNw) \"in\"\r\n", last(b"cnNw")),
            (b"OK (REFERRAL sieve://siti@192.0.2.1) \"in\"\r\n", ok(b"in")),
            (b"OK (A (\")\" {1}\r\n)) 3) \"in\"\r\n", ok(b"in")),
            (b"NO\r\n", wrong),
            (b"NO \"Authentication failed.\"\r\n", Some(Response::No(Refusal::Credentials))),
            (b"NO (TRYLATER) \"Down.\"\r\n", told("TRYLATER", "Down.")),
            (b"NO (trylater)\r\n", told("TRYLATER", "")),
            (b"NO (QUOTA/MAXSIZE) \"d\xc3\xa9\"\r\n", told("QUOTA/MAXSIZE", "d")),
            (b"NO (AUTH-TOO-WEAK) \"no\"\r\n", told("AUTH-TOO-WEAK", "no")),
            (b"NO (ENCRYPT-NEEDED) \"no\"\r\n", temporary),
            (b"NO (REFERRAL \"sieve://192.0.2.1\") \"no\"\r\n", Some(Response::No(Refusal::Temporary))),
            (b"NO (X-NEW) \"no\"\r\n", Some(Response::No(Refusal::Temporary))),
            (b"BYE (REFERRAL \"sieve://192.0.2.1\") \"Try there.\"\r\n", Some(Response::Bye)),
            (b"bye\r\n", Some(Response::Bye)),
            (b"\"\"\r\n", strings(b"", None)),
            (b"{4}\r\nAA==\r\n", strings(b"AA==", None)),
            (b"\"SIEVE\" \"fileinto\"\r\n", strings(b"SIEVE", Some(b"fileinto"))),
            (b"\"SIEVE\" {1}\r\nx\r\n", strings(b"SIEVE", Some(b"x"))),
            (b"\r\n", None),
            (b"OK \r\n", None),
            (b"OK in\r\n", None),
            (b"OK () x\r\n", None),
            (b"OK (A \"in\"\r\n", None),
            (b"OK \"in\" \r\n", None),
            (b"OK \"i\0n\"\r\n", None),
            (b"OKAY\r\n", None),
            (b"SIEVE \"fileinto\"\r\n", None),
            (b"\"SIEVE\" \r\n", None),
            (b"\"a\" \"b\" \"c\"\r\n", None),
            (b"* OK IMAP4rev1\r\n", None),
            (b"+OK POP3\r\n", None),
            (b"220 smtp\r\n", None),
        ];
        for (octets, expected) in table {
            assert_eq!(Response::parse(octets), expected, "{}", octets.escape_ascii());
        }
    }

    fn first(octets: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        let mut input = Input::new();
        input.extend(octets);
        Responses::default().next(&mut input)
    }

    #[test]
    fn a_response_ends_behind_its_last_literal_wherever_it_is_cut() {
        let response = b"OK (A {2}\r\n\r\n) {3}\r\nNO\n\r\n";
        let octets = [&response[..], b"OK\r\n"].concat();
        for at in 0..response.len() {
            let (mut input, mut responses) = (Input::new(), Responses::default());
            input.extend(&octets[..at]);
            assert_eq!(responses.next(&mut input), Ok(None), "{at}");
            input.extend(&octets[at..]);
            assert_eq!(responses.next(&mut input), Ok(Some(response.to_vec())), "{at}");
            assert_eq!(responses.next(&mut input), Ok(Some(b"OK\r\n".to_vec())), "{at}");
        }
    }

    #[test]
    fn a_response_and_all_of_them_are_bounded() {
        let long = |octets: usize| [&b"\""[..], &vec![b'x'; octets], b"\"\r\n"].concat();
        assert!(matches!(first(&long(MAX_RESPONSE - 4)), Ok(Some(_))));
        for endless in [&long(MAX_RESPONSE - 3)[..], &[b'x'; MAX_RESPONSE + 1], b"OK {4294967296}\r\n", b"{16384+}\r\n"]
        {
            assert_eq!(first(endless), Err(Error::BackendOverflow));
        }
        assert_eq!(first(b"OK\n"), Err(Error::BackendProtocol("the end of a line")));

        let (mut input, mut responses) = (Input::new(), Responses::default());
        input.extend(&b"OK\r\n".repeat(MAX_ALL / 4 + 1));
        for _ in 0..MAX_ALL / 4 {
            assert_eq!(responses.next(&mut input), Ok(Some(b"OK\r\n".to_vec())));
        }
        assert_eq!(responses.next(&mut input), Err(Error::BackendOverflow));
    }
}
