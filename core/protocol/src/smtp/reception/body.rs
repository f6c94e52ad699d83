//! A message as it travels: how much of what came may be sent on, and where its end is.
//!
//! An octet that may be the end's stays with the caller until it is known not to be, so that a server that takes less
//! for the end (CRLF `.` CR) never gets that much.

use crate::smtp::end_of_data::{BareNewline, EndOfData};
use crate::{Error, Input};

/// Octets of the end: `.` CRLF.
const END: usize = b".\r\n".len();

/// A message that is coming.
#[derive(Debug)]
pub(super) struct Body {
    end: EndOfData,
    bare_newline: BareNewline,
    /// The first octets of the input, which were searched and may be the end's.
    held: usize,
    /// It has been found behind what was last given out.
    ended: bool,
    octets: u64,
    most: u64,
    too_large: bool,
}

/// What is next of a message.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Part {
    /// Its end, which was consumed.
    End { too_large: bool },
    /// More bytes are needed.
    More,
    /// So many of the first octets of the input.
    Octets(usize),
    /// It has more octets than it may have; told once.
    TooLarge,
}

impl Body {
    pub(super) fn new(bare_newline: BareNewline, most: u64) -> Self {
        let end = EndOfData::default();
        Self { end, bare_newline, held: 0, ended: false, octets: 0, most, too_large: false }
    }

    pub(super) fn advance(&mut self, input: &mut Input) -> Result<Part, Error> {
        loop {
            // As much again is read for the client's sake, who is told at the end.
            if self.octets > self.most.saturating_mul(2) {
                return Err(Error::MessageTooLong);
            }
            if self.ended {
                input.consume(END);
                return Ok(Part::End { too_large: self.too_large });
            }
            let fresh = input.bytes().get(self.held..).unwrap_or_default();
            if fresh.is_empty() {
                return Ok(Part::More);
            }
            let (searched, found) = (self.held.saturating_add(fresh.len()), self.end.search(fresh, self.bare_newline)?);
            let octets = match found {
                Some(at) => {
                    self.ended = true;
                    self.held.saturating_add(at).saturating_sub(END)
                }
                None => {
                    let held = self.end.undecided();
                    let octets = searched.saturating_sub(held);
                    self.held = held;
                    octets
                }
            };
            if octets == 0 {
                continue;
            }
            if let Some(part) = self.give(octets, input) {
                return Ok(part);
            }
        }
    }

    /// Gives out, or throws away.
    fn give(&mut self, octets: usize, input: &mut Input) -> Option<Part> {
        self.octets = self.octets.saturating_add(u64::try_from(octets).unwrap_or(u64::MAX));
        if self.octets <= self.most {
            return Some(Part::Octets(octets));
        }
        input.consume(octets);
        let first = !std::mem::replace(&mut self.too_large, true);
        first.then_some(Part::TooLarge)
    }
}
