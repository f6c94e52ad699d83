//! The words of a command of IMAP.

/// The literal that a line announces at its end: its length, and whether it must be asked for.
pub(super) fn literal(line: &[u8]) -> Option<(usize, bool)> {
    let inner = line.strip_suffix(b"}")?;
    let start = inner.iter().rposition(|octet| *octet == b'{')?;
    let (digits, synchronizing) = match inner[start + 1..].strip_suffix(b"+") {
        Some(digits) => (digits, false),
        None => (&inner[start + 1..], true),
    };
    let length: u32 = std::str::from_utf8(digits).ok()?.parse().ok()?;
    Some((length as usize, synchronizing))
}

/// The words of a command: atoms, quoted strings and literals alike.
pub(super) fn words(mut command: &[u8]) -> Vec<Vec<u8>> {
    let mut words = Vec::new();
    while let Some(first) = command.first() {
        let (word, rest) = match first {
            b' ' => {
                command = &command[1..];
                continue;
            }
            b'"' => quoted(&command[1..]),
            b'{' => literal_word(command),
            _ => {
                let end = command.iter().position(|octet| *octet == b' ').unwrap_or(command.len());
                (command[..end].to_vec(), &command[end..])
            }
        };
        words.push(word);
        command = rest;
    }
    words
}

fn quoted(mut rest: &[u8]) -> (Vec<u8>, &[u8]) {
    let mut word = Vec::new();
    while let [octet, tail @ ..] = rest {
        rest = tail;
        match octet {
            b'"' => break,
            b'\\' => {
                word.extend(rest.first());
                rest = rest.get(1..).unwrap_or_default();
            }
            _ => word.push(*octet),
        }
    }
    (word, rest)
}

fn literal_word(command: &[u8]) -> (Vec<u8>, &[u8]) {
    let line = command.windows(2).position(|pair| pair == b"\r\n").unwrap_or(command.len());
    let length = literal(&command[..line]).map_or(0, |(length, _)| length);
    let rest = command.get(line + 2..).unwrap_or_default();
    let (word, rest) = rest.split_at(length.min(rest.len()));
    (word.to_vec(), rest)
}
