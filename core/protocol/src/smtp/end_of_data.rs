//! Where a message ends: at CRLF `.` CRLF, and at nothing that some servers take for it (SMTP smuggling,
//! CVE-2023-51764 to 51766).

use crate::Error;

/// What the last octets of a message say of its end.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum EndOfData {
    /// A CR.
    Cr,
    /// A dot at the start of a line.
    Dot(LineStart),
    /// CRLF `.` CR.
    DotCr,
    /// The start of a line.
    Line(LineStart),
    /// Nothing.
    Text,
}

/// What is done about a CR or LF alone in a message.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum BareNewline {
    /// It goes on unchanged; only where it may be part of an end of data, the conversation ends.
    Pass,
    /// The conversation ends.
    Reject,
}

/// What a line began behind.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum LineStart {
    /// CRLF.
    Crlf,
    /// Something that some servers take for it: a CR or LF alone, or with a NUL.
    Lenient,
}

/// The CRLF of the DATA command itself may be the first of the end.
impl Default for EndOfData {
    fn default() -> Self {
        Self::Line(LineStart::Crlf)
    }
}

impl EndOfData {
    /// How many octets there are up to the end; none: it has not come.
    ///
    /// # Errors
    /// [`Error::AmbiguousEndOfData`]: the message ends for some servers, and goes on for others.
    pub(super) fn find(&mut self, said: &[u8]) -> Result<Option<usize>, Error> {
        self.search(said, BareNewline::Pass)
    }

    /// The same, with an opinion on lines that do not end with CRLF.
    ///
    /// # Errors
    /// [`Error::BareNewline`] too.
    pub(super) fn search(&mut self, said: &[u8], newline: BareNewline) -> Result<Option<usize>, Error> {
        let mut at = 0_usize;
        while let Some(&octet) = said.get(at) {
            at = at.saturating_add(1);
            if newline == BareNewline::Reject && self.is_bare_before(octet) {
                return Err(Error::BareNewline);
            }
            if *self == Self::DotCr && octet == b'\n' {
                return Ok(Some(at));
            }
            *self = self.then(octet).ok_or(Error::AmbiguousEndOfData)?;
            if *self == Self::Text {
                // Most of a message is this.
                let rest = said.get(at..).unwrap_or_default();
                let plain = rest.iter().position(|octet| b"\r\n".contains(octet)).unwrap_or(rest.len());
                at = at.saturating_add(plain);
            }
        }
        Ok(None)
    }

    /// How many of the last octets belong to the end, if it is one.
    pub(super) fn undecided(self) -> usize {
        match self {
            Self::Dot(LineStart::Crlf) => 1,
            Self::DotCr => 2,
            Self::Cr | Self::Dot(LineStart::Lenient) | Self::Line(_) | Self::Text => 0,
        }
    }

    /// Whether the next octet shows that a CR or LF stands alone.
    fn is_bare_before(self, next: u8) -> bool {
        let behind_cr = matches!(self, Self::Cr | Self::DotCr);
        behind_cr != (next == b'\n')
    }

    /// The next state; none: this is no end that all servers read alike.
    fn then(self, octet: u8) -> Option<Self> {
        match (self, octet) {
            (Self::Dot(LineStart::Crlf), b'\r') => Some(Self::DotCr),
            (Self::DotCr, _) | (Self::Dot(_), b'\r' | b'\n') => None,
            (Self::Dot(_), 0) => Some(Self::Dot(LineStart::Lenient)),
            (Self::Cr, b'\n') => Some(Self::Line(LineStart::Crlf)),
            (_, b'\n') => Some(Self::Line(LineStart::Lenient)),
            (_, b'\r') => Some(Self::Cr),
            (Self::Cr, b'.') => Some(Self::Dot(LineStart::Lenient)),
            (Self::Line(start), b'.') => Some(Self::Dot(start)),
            (Self::Cr | Self::Line(_), 0) => Some(Self::Line(LineStart::Lenient)),
            _ => Some(Self::Text),
        }
    }
}
