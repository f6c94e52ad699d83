//! Would a line of ours be understood now, or would it land inside of something?

/// Longest literal announcement at the end of a line: `{18446744073709551615+}` and CRLF.
const TAIL: usize = 26;

/// What the last octets of a session say.
#[derive(Debug, Default)]
pub(super) struct Quiet {
    tail: [u8; TAIL],
    len: u8,
    /// The client asked for COMPRESS (RFC 4978): whatever follows is not lines.
    compressed: bool,
    /// The last octets went by splice(2).
    unseen: bool,
    /// The backend's last line began with SMTP's 354: a message is under way.
    message: bool,
}

impl Quiet {
    /// Begins behind what was read of both sides together with the login.
    pub(super) fn after(client: &[u8], backend: &[u8]) -> Self {
        let mut quiet = Self { compressed: asks_to_compress(client), ..Self::default() };
        if !backend.is_empty() {
            quiet.backend_said(backend);
        }
        quiet
    }

    /// Looks at what the client sent. A command is small, so only small reads are searched.
    pub(super) fn client_said(&mut self, bytes: &[u8]) {
        self.compressed = self.compressed || (bytes.len() <= 1024 && asks_to_compress(bytes));
    }

    /// Keeps the last octets the backend sent; an empty slice: they were not seen.
    pub(super) fn backend_said(&mut self, bytes: &[u8]) {
        self.unseen = bytes.is_empty();
        self.look_for_354(bytes);
        let kept = usize::from(self.len).min(TAIL.saturating_sub(bytes.len()));
        let drop = usize::from(self.len) - kept;
        self.tail.copy_within(drop..drop + kept, 0);
        let new = &bytes[bytes.len().saturating_sub(TAIL)..];
        self.tail[kept..kept + new.len()].copy_from_slice(new);
        self.len = u8::try_from(kept + new.len()).unwrap_or(0);
    }

    /// A reply line that comes in pieces is not recognised; backends send it whole.
    fn look_for_354(&mut self, bytes: &[u8]) {
        let lines = bytes.strip_suffix(b"\n").unwrap_or(bytes);
        let last = lines.rsplit(|&byte| byte == b'\n').next().unwrap_or(lines);
        self.message = last.starts_with(b"354");
    }

    /// Whether the backend's last octets ended a plain line.
    pub(super) fn line_ended(&self) -> bool {
        let tail = &self.tail[..usize::from(self.len)];
        // No octet yet: the success line that we wrote ourselves was the last.
        let line = match tail {
            [] => Some(tail),
            _ => tail.strip_suffix(b"\r\n"),
        };
        !self.compressed && !self.unseen && !self.message && line.is_some_and(|line| !announces_literal(line))
    }
}

fn asks_to_compress(bytes: &[u8]) -> bool {
    const WORD: &[u8] = b"COMPRESS ";
    bytes.windows(WORD.len()).any(|window| window.eq_ignore_ascii_case(WORD))
}

fn announces_literal(line: &[u8]) -> bool {
    let Some(inner) = line.strip_suffix(b"}") else { return false };
    let inner = inner.strip_suffix(b"+").unwrap_or(inner);
    let digits = inner.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
    digits > 0 && inner[..inner.len() - digits].ends_with(b"{")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speaks_only_behind_a_plain_line() {
        let cases: [(&[&[u8]], bool); 9] = [
            (&[], true),
            (&[b"* 3 EXISTS\r\n"], true),
            (&[b"* 3 EXI", b"STS\r", b"\n"], true),
            (&[b"* 3 EXISTS"], false),
            (&[b"* 1 FETCH (BODY[] {30", b"0}\r\n"], false),
            (&[b"a line much longer than the tail that is kept of it {x}\r\n"], true),
            (&[b"* 3 EXISTS\r\n", b""], false),
            (&[b"250 OK\r\n354 Go on\r\n"], false),
            (&[b"354 Go on\r\n", b"250 Queued\r\n"], true),
        ];
        for (said, speak) in cases {
            let mut quiet = Quiet::default();
            for bytes in said {
                quiet.backend_said(bytes);
            }
            assert_eq!(quiet.line_ended(), speak, "{said:?}");
        }
    }

    #[test]
    fn never_speaks_into_a_compressed_stream() {
        let mut quiet = Quiet::default();
        quiet.client_said(b"a compress deflate\r\n");
        assert!(!quiet.line_ended());
    }
}
