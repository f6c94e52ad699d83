//! Where does a command or response with literals end? Finds out without reading what it says, and without looking at
//! an octet twice: they stay in the input, where they are wiped, until the whole is there.

use crate::strings::{Ending, ending};

/// How far it has been read.
#[derive(Debug, Default)]
pub(crate) struct Cutter {
    /// Where the line now being read begins: behind the last literal.
    line: usize,
    /// Where the last line that was read whole ends.
    read: usize,
    /// No LF before.
    searched: usize,
}

/// What was found.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Cut {
    /// Its last line ends in LF alone: guessing where a line ends is how commands are smuggled.
    BareLf,
    /// The next one cannot be told from the rest of this one: it is longer than allowed, or nobody knows how long.
    Endless,
    /// A literal of it is to come, and was announced as one that waits for leave. Cut on, or forget it.
    Leave,
    /// More octets are needed.
    More,
    /// It wants leave for a literal that is longer than allowed.
    TooLong,
    /// It is there.
    Whole,
}

/// Octets that may come.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Most {
    /// Of the whole, literals included.
    pub(crate) all: usize,
    /// Of one literal.
    pub(crate) literal: usize,
}

impl Cutter {
    /// Reads on in all that has come of it.
    pub(crate) fn cut(&mut self, bytes: &[u8], most: Most) -> Cut {
        loop {
            let Some(end) = self.line_end(bytes) else {
                self.searched = bytes.len().max(self.line);
                return if bytes.len() > most.all { Cut::Endless } else { Cut::More };
            };
            if end > most.all {
                return Cut::Endless;
            }
            let line = bytes.get(self.line..end).unwrap_or_default();
            self.read = end;
            match ending(line) {
                Ending::BareLf => return Cut::BareLf,
                Ending::Literal { size, waits } => {
                    let next = usize::try_from(size).ok().filter(|&size| size <= most.literal);
                    let next = next.and_then(|size| end.checked_add(size)).filter(|&next| next <= most.all);
                    match (next, waits) {
                        (Some(next), waits) => {
                            self.line = next;
                            self.searched = next;
                            if waits {
                                return Cut::Leave;
                            }
                        }
                        (None, true) => return Cut::TooLong,
                        (None, false) => return Cut::Endless,
                    }
                }
                Ending::Plain => return Cut::Whole,
                Ending::Unreadable => return Cut::Endless,
            }
        }
    }

    /// Octets up to the end of the last line that was read: all of what is whole.
    pub(crate) fn len(&self) -> usize {
        self.read
    }

    fn line_end(&self, bytes: &[u8]) -> Option<usize> {
        let from = self.searched.max(self.line);
        let at = bytes.get(from..)?.iter().position(|&octet| octet == b'\n')?;
        from.checked_add(at)?.checked_add(1)
    }
}
