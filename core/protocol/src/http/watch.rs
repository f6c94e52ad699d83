//! The octets of HTTP/1 requests, watched for what hyper does not mind: lines that end with LF alone, and lengths that
//! are said twice or beside a transfer coding, of which it keeps one without a word. By then nobody can tell.
//!
//! What is at fault is spoilt, with all that follows: NULs in its place, which hyper refuses in any head, as it refuses
//! what it minds itself. Nothing else changes and nothing is kept, so that hyper alone reads requests.

use super::list::{split_once, trim};

/// Watches the requests of one connection.
#[derive(Debug, Default)]
pub struct Watch {
    place: Place,
    /// What of the line is there to know it by.
    line: Vec<u8>,
    /// Its octets, its end not counted.
    length: usize,
    /// The last octet was a CR.
    cr: bool,
    framing: Framing,
}

/// What the octets belong to.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum Place {
    /// Empty lines may stand before a request.
    #[default]
    Before,
    Fields,
    /// So many octets of a body, or of a chunk and its end.
    Body(u64),
    ChunkSize,
    ChunkEnd,
    Trailers,
    /// Nothing more is to be read.
    Spoilt,
}

/// What the fields say of a body.
#[derive(Clone, Copy, Debug, Default)]
struct Framing {
    length: Option<u64>,
    chunked: bool,
}

/// What a line is that is to be spoilt.
struct Fault;

/// A line that is longer is no field that says a length: none is longer than its name, white space and 20 digits.
const KNOWN: usize = 128;
const SPOILT: u8 = 0;

impl Watch {
    /// Looks at what was read, and spoils it from the first fault on.
    pub fn look(&mut self, octets: &mut [u8]) {
        let mut rest = octets;
        while !rest.is_empty() {
            rest = match self.place {
                Place::Spoilt => return rest.fill(SPOILT),
                Place::Body(left) => self.body(left, rest),
                _ => self.line(rest),
            };
        }
    }

    /// Whether there was a fault: a chunk may hide it from hyper.
    #[must_use]
    pub fn is_spoilt(&self) -> bool {
        self.place == Place::Spoilt
    }

    /// Passes over octets of a body, and returns the others.
    fn body<'a>(&mut self, left: u64, octets: &'a mut [u8]) -> &'a mut [u8] {
        let passed = usize::try_from(left).unwrap_or(usize::MAX).min(octets.len());
        let left = left.saturating_sub(passed as u64);
        self.place = match (left, self.framing.chunked) {
            (0, true) => Place::ChunkEnd,
            (0, false) => Place::Before,
            _ => Place::Body(left),
        };
        octets.split_at_mut(passed).1
    }

    /// Takes a line, or what there is of it, and returns what is behind it, with its LF if that is to be spoilt.
    fn line<'a>(&mut self, octets: &'a mut [u8]) -> &'a mut [u8] {
        let Some(end) = octets.iter().position(|&octet| octet == b'\n') else {
            self.grow(octets);
            return &mut [];
        };
        let (said, rest) = octets.split_at_mut(end);
        self.grow(said);
        if !self.cr || self.line_ended().is_err() {
            self.place = Place::Spoilt;
            return rest;
        }
        (self.length, self.cr) = (0, false);
        self.line.clear();
        rest.split_at_mut(1).1
    }

    fn grow(&mut self, said: &[u8]) {
        self.line.extend(said.iter().take(KNOWN.saturating_sub(self.line.len())));
        self.length = self.length.saturating_add(said.len());
        self.cr = said.last().map_or(self.cr, |&octet| octet == b'\r');
    }

    fn line_ended(&mut self) -> Result<(), Fault> {
        let is_empty = self.length == 1;
        self.place = match self.place {
            Place::Before if is_empty => Place::Before,
            Place::Before => {
                self.framing = Framing::default();
                Place::Fields
            }
            Place::Fields if is_empty => self.head_ended()?,
            Place::Fields => {
                self.framing.field(&self.line, self.is_cut())?;
                Place::Fields
            }
            Place::ChunkSize => match chunk_size(&self.line, self.is_cut())? {
                0 => Place::Trailers,
                size => Place::Body(size),
            },
            Place::ChunkEnd if is_empty => Place::ChunkSize,
            Place::Trailers if is_empty => Place::Before,
            Place::Trailers => Place::Trailers,
            Place::ChunkEnd | Place::Body(_) | Place::Spoilt => return Err(Fault),
        };
        Ok(())
    }

    /// Whether there was more of the line than is there to know it by.
    fn is_cut(&self) -> bool {
        self.length > self.line.len()
    }

    /// Where the head leads.
    fn head_ended(&self) -> Result<Place, Fault> {
        match self.framing {
            Framing { length: Some(_), chunked: true } => Err(Fault),
            Framing { chunked: true, .. } => Ok(Place::ChunkSize),
            Framing { length: None | Some(0), .. } => Ok(Place::Before),
            Framing { length: Some(length), .. } => Ok(Place::Body(length)),
        }
    }
}

impl Framing {
    /// Takes a line of the head. Whether codings are known ones is for others to say, who refuse what is not.
    fn field(&mut self, line: &[u8], cut: bool) -> Result<(), Fault> {
        let (name, value) = split_once(line, b':');
        if name.eq_ignore_ascii_case(b"transfer-encoding") {
            self.chunked = true;
        }
        if name.eq_ignore_ascii_case(b"content-length") {
            let said = value.filter(|_| !cut && self.length.is_none()).ok_or(Fault)?;
            self.length = Some(number(trim(without_cr(said)), 10)?);
        }
        Ok(())
    }
}

/// RFC 9112, section 7.1: the size, and extensions that nobody needs.
fn chunk_size(line: &[u8], cut: bool) -> Result<u64, Fault> {
    let (size, extensions) = split_once(without_cr(line), b';');
    if cut && extensions.is_none() {
        return Err(Fault);
    }
    number(trim(size), 16)
}

fn without_cr(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

fn number(digits: &[u8], radix: u32) -> Result<u64, Fault> {
    // from_str_radix takes a sign.
    let digits = std::str::from_utf8(digits).ok().filter(|digits| digits.bytes().all(|it| it.is_ascii_alphanumeric()));
    digits.and_then(|digits| u64::from_str_radix(digits, radix).ok()).ok_or(Fault)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HEAD: &str = "POST / HTTP/1.1\r\nHost: a\r\n";
    const NEXT: &str = "GET / HTTP/1.1\r\n\r\n";

    fn watched(octets: &[u8], step: usize) -> Vec<u8> {
        let (mut watch, mut octets) = (Watch::default(), octets.to_vec());
        octets.chunks_mut(step).for_each(|part| watch.look(part));
        octets
    }

    /// From where on it is spoilt.
    fn spoilt(octets: &str) -> Option<usize> {
        let whole = watched(octets.as_bytes(), usize::MAX);
        assert_eq!(watched(octets.as_bytes(), 1), whole, "{octets:?}");
        let at = whole.iter().position(|&octet| octet == SPOILT);
        let (kept, lost) = whole.split_at(at.unwrap_or(whole.len()));
        assert!(octets.as_bytes().starts_with(kept) && lost.iter().all(|&octet| octet == SPOILT));
        at
    }

    #[test]
    fn requests_go_by_as_they_are() {
        let zeros = "0".repeat(KNOWN - 2);
        for rest in [
            "\r\n",
            "Content-Length: 3\r\n\r\na\nb",
            "content-length:\t0 \r\n\r\n",
            "Transfer-Encoding: chunked\r\n\r\n2;a=b\r\n\n\n\r\nA\r\n0123456789\r\n0\r\nX: y\r\n\r\n",
            "X-Content-Length: 1\r\nContent-Length: 1\r\n\r\nx",
            &format!("X: {}\r\nTransfer-Encoding: chunked\r\n\r\n{zeros}\r\n\r\n", "y".repeat(10_000)),
        ] {
            // The line feed alone at the end shows that it was known where each request ends.
            let said = format!("\r\n{HEAD}{rest}{NEXT}{HEAD}{rest}{NEXT}\n");
            assert_eq!(spoilt(&said), Some(said.len() - 1), "{rest:?}");
        }
    }

    #[test]
    fn what_others_may_read_differently_is_spoilt_where_its_line_ends() {
        let long = format!("Content-Length: {}1", " ".repeat(KNOWN));
        let zeros = format!("Transfer-Encoding: chunked\r\n\r\n{}1", "0".repeat(KNOWN));
        for fault in [
            "X: y",
            "X: y\r\n",
            "Content-Length: 1\r\nContent-Length: 1\r",
            "Content-Length: 1, 1\r",
            "Content-Length: +1\r",
            "Content-Length:\r",
            "Content-Length: 18446744073709551616\r",
            &format!("{long}\r"),
            "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r",
            "transfer-encoding: x\r\nCONTENT-LENGTH: 0\r\n\r",
            "Transfer-Encoding: chunked\r\n\r\n1",
            "Transfer-Encoding: chunked\r\n\r\n\r",
            "Transfer-Encoding: chunked\r\n\r\n-1\r",
            "Transfer-Encoding: chunked\r\n\r\n1 1\r",
            "Transfer-Encoding: chunked\r\n\r\n10000000000000000\r",
            "Transfer-Encoding: chunked\r\n\r\n1\r\nx",
            "Transfer-Encoding: chunked\r\n\r\n1\r\nxy\r",
            "Transfer-Encoding: chunked\r\n\r\n0\r\nX: y",
            &format!("{zeros}\r"),
        ] {
            let said = format!("{HEAD}{fault}\n");
            assert_eq!(spoilt(&said), Some(said.len() - 1), "{fault:?}");
            assert_eq!(spoilt(&format!("{said}{NEXT}\n")), Some(said.len() - 1), "and all behind it");
        }
        assert_eq!(spoilt("\n"), Some(0));
        assert_eq!(spoilt("GET / HTTP/1.1\n"), Some(14));
    }

    proptest! {
        #[test]
        fn it_is_the_same_in_pieces(octets in "[\r\nA:0-2 ;]{0,60}", step in 1_usize..7) {
            let said = format!("{HEAD}Transfer-Encoding: chunked\r\n\r\n{octets}");
            prop_assert_eq!(watched(said.as_bytes(), step), watched(said.as_bytes(), usize::MAX));
        }
    }
}
