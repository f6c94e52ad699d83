//! Tells a backend's replies apart as they pass, octet by octet.

use crate::Error;

/// Octets at the start of a line that say all: the code, `-` or a space, and `CHUNKING` with what ends it.
const HEAD: usize = 4 + CHUNKING.len() + 1;
const CHUNKING: &[u8] = b"CHUNKING";

/// A reply that is complete.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Reply {
    pub(super) code: u16,
    /// One of its lines is CHUNKING, as in the answer to EHLO.
    pub(super) lists_chunking: bool,
}

/// The reply that is passing.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Replies {
    /// How the line begins.
    head: [u8; HEAD],
    /// Octets of the line, as far as they are kept.
    length: usize,
    /// A line of the reply has passed, and not its last.
    begun: bool,
    lists_chunking: bool,
}

impl Replies {
    /// Takes an octet; returns the reply that it ends.
    ///
    /// # Errors
    /// [`Error::BackendProtocol`]: the line is none of a reply.
    pub(super) fn take(&mut self, octet: u8) -> Result<Option<Reply>, Error> {
        if octet != b'\n' {
            if let Some(place) = self.head.get_mut(self.length) {
                *place = octet;
                self.length = self.length.saturating_add(1);
            }
            return Ok(None);
        }
        let (code, last) = self.line().ok_or(Error::BackendProtocol("a reply"))?;
        let reply = Reply { code, lists_chunking: self.lists_chunking };
        if last {
            *self = Self::default();
            return Ok(Some(reply));
        }
        self.begun = true;
        self.length = 0;
        Ok(None)
    }

    /// Whether a reply has begun to pass: a line of ours would land in the middle of it.
    pub(super) fn is_within(&self) -> bool {
        self.begun || self.length > 0
    }

    /// Reads the line that is complete: its code, and whether it is the last.
    fn line(&mut self) -> Option<(u16, bool)> {
        let head = self.head.get(..self.length)?;
        let line = head.strip_suffix(b"\r").unwrap_or(head);
        let (digits, rest) = line.split_at_checked(3)?;
        if !digits.iter().all(u8::is_ascii_digit) {
            return None;
        }
        let code = std::str::from_utf8(digits).ok()?.parse().ok()?;
        let (last, text) = match rest {
            [] => (true, rest),
            [b' ', text @ ..] => (true, text),
            [b'-', text @ ..] => (false, text),
            _ => return None,
        };
        let word = text.split(|&octet| octet == b' ').next().unwrap_or_default();
        self.lists_chunking |= word.eq_ignore_ascii_case(CHUNKING);
        Some((code, last))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hear(said: &[u8]) -> Result<Vec<(u16, bool)>, Error> {
        let mut replies = Replies::default();
        let mut heard = Vec::new();
        for &octet in said {
            heard.extend(replies.take(octet)?.map(|reply| (reply.code, reply.lists_chunking)));
        }
        Ok(heard)
    }

    #[test]
    fn replies_are_told_apart() {
        let broken = Err(Error::BackendProtocol("a reply"));
        type Row<'a> = (&'a [u8], Result<Vec<(u16, bool)>, Error>);
        let table: &[Row<'_>] = &[
            (b"250 Ok\r\n550 no\r\n", Ok(vec![(250, false), (550, false)])),
            (b"250-mx\r\n250-chunking\r\n250 DSN\r\n354 go\r\n", Ok(vec![(250, true), (354, false)])),
            (b"250-mx\r\n250 CHUNKING\r\n", Ok(vec![(250, true)])),
            (b"250-mx\r\n250 CHUNKING now\r\n", Ok(vec![(250, true)])),
            (b"250-mx\r\n250 CHUNKINGS\r\n", Ok(vec![(250, false)])),
            (b"250-mx\r\n250 X-CHUNKING\r\n", Ok(vec![(250, false)])),
            (b"250\r\n250-\r\n250\n", Ok(vec![(250, false), (250, false)])),
            (b"250 Ok", Ok(vec![])),
            (b"\r\n", broken.clone()),
            (b"25\r\n", broken.clone()),
            (b"2500\r\n", broken.clone()),
            (b"x50 x\r\n", broken),
        ];
        for (said, expected) in table {
            assert_eq!(hear(said), *expected, "{}", said.escape_ascii());
        }
    }

    #[test]
    fn a_reply_that_passes_is_known_until_its_last_octet() {
        let mut replies = Replies::default();
        let said = b"250-mx\r\n250 DSN\r\n";
        for (at, &octet) in said.iter().enumerate() {
            assert_eq!(replies.is_within(), at > 0, "{at}");
            replies.take(octet).unwrap();
        }
        assert!(!replies.is_within());
    }
}
