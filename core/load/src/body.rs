//! What every body of so many octets consists of, known at both ends, so that it is verified by comparing alone.
//!
//! Lines of letters that repeat after a prime number of octets: a block that is lost, doubled or moved shifts what
//! follows, because no buffer's size divides a prime. Where in them a body begins depends on its size.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;
use std::sync::LazyLock;

/// So many octets of the known content.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Body(usize);

impl Body {
    /// Its size.
    pub(crate) fn len(self) -> usize {
        self.0
    }

    /// How much of it is best read at a time: so much that a system call costs little beside what it brings.
    pub(crate) fn buffer(self) -> usize {
        self.0.clamp(SMALLEST_BUFFER, 2 * CHUNK)
    }

    /// What it goes on with at an offset: all of the rest, or [`CHUNK`] octets.
    pub(crate) fn at(self, offset: usize) -> &'static [u8] {
        // Whole lines, so that no body begins within a CRLF.
        let phase = self.0 % LINES * LINE;
        let start = (phase + offset) % PERIOD;
        &LETTERS[start..start + CHUNK.min(self.0.saturating_sub(offset))]
    }

    /// CRC-32 of all of it.
    pub(crate) fn checksum(self) -> u32 {
        thread_local! {
            /// A run has few sizes.
            static KNOWN: RefCell<HashMap<usize, u32>> = RefCell::default();
        }
        KNOWN.with_borrow_mut(|known| {
            *known.entry(self.0).or_insert_with(|| {
                let mut hasher = crc32fast::Hasher::new();
                let mut offset = 0;
                while offset < self.0 {
                    hasher.update(self.at(offset));
                    offset += self.at(offset).len();
                }
                hasher.finalize()
            })
        })
    }
}

impl From<usize> for Body {
    fn from(octets: usize) -> Self {
        Self(octets)
    }
}

impl FromStr for Body {
    type Err = String;

    /// `20000000`, or `20m`; `k` is a thousand, `m` a million.
    fn from_str(size: &str) -> Result<Self, String> {
        let (digits, unit) = match size.strip_suffix(['k', 'm']) {
            None => (size, 1),
            Some(digits) => (digits, if size.ends_with('k') { 1_000 } else { 1_000_000 }),
        };
        let count: u32 = digits.parse().map_err(|_| "a number of octets, such as 1000, 1k or 20m".to_owned())?;
        Ok(Self(count as usize * unit))
    }
}

/// A body that arrives.
#[derive(Debug)]
pub(crate) struct Arrival {
    body: Body,
    seen: usize,
    wrong: Option<usize>,
}

impl Arrival {
    /// Of a body of which nothing has come yet.
    pub(crate) fn of(body: Body) -> Self {
        Self { body, seen: 0, wrong: None }
    }

    /// Takes what belongs to the body from the front of `octets`; returns how many these are.
    pub(crate) fn take(&mut self, octets: &[u8]) -> usize {
        let length = octets.len().min(self.left());
        let mut taken = 0;
        while taken < length {
            let expected = self.body.at(self.seen);
            let expected = &expected[..expected.len().min(length - taken)];
            let received = &octets[taken..taken + expected.len()];
            if self.wrong.is_none() && received != expected {
                let differs = received.iter().zip(expected).position(|(one, other)| one != other);
                self.wrong = differs.map(|place| self.seen + place);
            }
            taken += expected.len();
            self.seen += expected.len();
        }
        length
    }

    /// The size of the body.
    pub(crate) fn len(&self) -> usize {
        self.body.0
    }

    /// How much is still to come.
    pub(crate) fn left(&self) -> usize {
        self.body.0 - self.seen
    }

    /// Whether it was all there and as it must be.
    pub(crate) fn verdict(&self) -> Result<(), Damage> {
        match self.wrong {
            Some(offset) => Err(Damage::Wrong { offset, of: self.body.0 }),
            None if self.left() > 0 => Err(Damage::Short { octets: self.seen, of: self.body.0 }),
            None => Ok(()),
        }
    }
}

/// What is amiss with a body.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Damage {
    /// It ended early.
    Short {
        /// So many came.
        octets: usize,
        /// So many there should have been.
        of: usize,
    },
    /// Other octets than there should have been.
    Wrong {
        /// The first of them.
        offset: usize,
        /// The size of the body.
        of: usize,
    },
}

impl fmt::Display for Damage {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Short { octets, of } => write!(to, "ended after {octets} of {of} octets"),
            Self::Wrong { offset, of } => write!(to, "octet {offset} of {of} is wrong"),
        }
    }
}

/// Letters of a line, and CRLF; none begins with a dot, so mail need not be stuffed.
const LINE: usize = 78;
/// Fits into a core's second cache with a [`CHUNK`], and is prime.
const PERIOD: usize = 131_071;
const LINES: usize = PERIOD / LINE;
/// Written and compared at a time: enough for a system call to cost nothing beside it.
const CHUNK: usize = 128 * 1024;
/// Of what has a head before it, or records of TLS about it.
const SMALLEST_BUFFER: usize = 4096;

static LETTERS: LazyLock<Vec<u8>> = LazyLock::new(|| {
    // A linear congruential generator, by Knuth: two places that are alike for long must not be found by accident.
    let mut random: u64 = 1;
    let mut letter = || {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        b'A' + (random >> 33) as u8 % 26
    };
    let mut period: Vec<u8> = (0..PERIOD).map(|_| letter()).collect();
    for end in (LINE..=PERIOD).step_by(LINE) {
        period[end - 2..end].copy_from_slice(b"\r\n");
    }
    period.iter().copied().cycle().take(PERIOD + CHUNK).collect()
});

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(body: Body) -> Vec<u8> {
        let mut octets = Vec::new();
        while octets.len() < body.len() {
            octets.extend_from_slice(body.at(octets.len()));
        }
        octets
    }

    #[test]
    fn reads_sizes_with_and_without_unit() {
        for (size, octets) in [("0", 0), ("1000", 1000), ("1k", 1000), ("20m", 20_000_000)] {
            assert_eq!(size.parse(), Ok(Body(octets)));
        }
        for size in ["", "k", "-1", "1g", "4294967296"] {
            assert!(size.parse::<Body>().is_err(), "{size}");
        }
    }

    #[test]
    fn is_as_long_as_it_says_and_intact_in_whatever_pieces_it_arrives() {
        for size in [0, 1, LINE, 100_000, PERIOD, 300_001] {
            let octets = whole(Body(size));
            assert_eq!(octets.len(), size);
            for piece in [1000, 4096, size.max(1)] {
                let mut arrival = Arrival::of(Body(size));
                let taken: usize = octets.chunks(piece).map(|piece| arrival.take(piece)).sum();
                assert_eq!((taken, arrival.verdict()), (size, Ok(())));
            }
        }
    }

    #[test]
    fn one_octet_changed_is_found_where_it_is() {
        for offset in [0, 77, 131_071, 299_999] {
            let mut octets = whole(Body(300_000));
            octets[offset] ^= 1;
            let mut arrival = Arrival::of(Body(300_000));
            arrival.take(&octets);
            assert_eq!(arrival.verdict(), Err(Damage::Wrong { offset, of: 300_000 }));
        }
    }

    #[test]
    fn a_block_lost_doubled_or_swapped_is_found() {
        let octets = whole(Body(400_000));
        let block = 65_536;
        let (first, rest) = octets.split_at(block);
        let (second, rest) = rest.split_at(block);
        for damaged in [[first, rest, first], [first, first, rest], [second, first, rest]] {
            let mut arrival = Arrival::of(Body(400_000));
            arrival.take(&damaged.concat());
            assert!(matches!(arrival.verdict(), Err(Damage::Wrong { .. })), "{:?}", arrival.verdict());
        }
    }

    #[test]
    fn a_body_cut_short_or_of_another_size_is_found() {
        let octets = whole(Body(1000));
        let mut arrival = Arrival::of(Body(1000));
        arrival.take(&octets[..999]);
        assert_eq!(arrival.verdict(), Err(Damage::Short { octets: 999, of: 1000 }));
        let mut arrival = Arrival::of(Body(1001));
        arrival.take(&octets);
        assert!(matches!(arrival.verdict(), Err(Damage::Wrong { .. })));
    }

    #[test]
    fn what_follows_a_body_is_left() {
        let mut octets = whole(Body(10));
        octets.extend_from_slice(b")\r\n");
        assert_eq!(Arrival::of(Body(10)).take(&octets), 10);
    }

    #[test]
    fn its_checksum_is_that_of_its_octets_and_can_be_sent_as_mail() {
        for size in [0, 1000, 300_000] {
            assert_eq!(Body(size).checksum(), crc32fast::hash(&whole(Body(size))));
        }
        let text = whole(Body(300_000));
        assert!(!text.contains(&b'.') && !text.starts_with(b"\n"));
        assert_eq!(memchr::memmem::find_iter(&text, "\r\n").count(), text.iter().filter(|o| **o == b'\n').count());
    }
}
