//! False nonces: as long as those of the backends, and of the same letters.

/// What the server's part of a nonce looks like.
#[derive(Debug)]
pub(super) struct Nonces {
    octets: usize,
    /// Of base64, at the end.
    padding: usize,
    alphabet: Alphabet,
}

/// From narrow to wide: a nonce of few letters may be one of many by chance.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Alphabet {
    Hex,
    Base64,
    /// All that RFC 5802 allows: printable ASCII but commas.
    Printable,
}

impl Default for Nonces {
    /// Dovecot's.
    fn default() -> Self {
        Self { octets: 64, padding: 0, alphabet: Alphabet::Printable }
    }
}

impl Alphabet {
    fn letters(self) -> Vec<u8> {
        (b'!'..=b'~').filter(|&letter| letter != b',' && Self::of(letter) <= self).collect()
    }

    /// The narrowest that has a letter.
    fn of(letter: u8) -> Self {
        match letter {
            b'0'..=b'9' | b'a'..=b'f' => Self::Hex,
            b'A'..=b'Z' | b'g'..=b'z' | b'+' | b'/' => Self::Base64,
            _ => Self::Printable,
        }
    }
}

impl Nonces {
    pub(super) fn saw(&mut self, nonce: &[u8]) {
        let padding = nonce.iter().rev().take_while(|&&letter| letter == b'=').count();
        let (text, octets) = (&nonce[..nonce.len() - padding], nonce.len());
        let widest = text.iter().map(|&letter| Alphabet::of(letter)).max().unwrap_or(Alphabet::Hex);
        // In another alphabet the sign is a letter like others.
        let padding = if widest == Alphabet::Printable { 0 } else { padding };
        let alphabet = if octets == self.octets { widest.max(self.alphabet) } else { widest };
        *self = Self { octets, padding, alphabet };
    }

    /// A new one of that kind.
    pub(super) fn draw(&self) -> Box<[u8]> {
        let letters = self.alphabet.letters();
        let mut nonce: Vec<u8> = (self.padding..self.octets).map(|_| letters[super::random(letters.len())]).collect();
        nonce.resize(self.octets, b'=');
        nonce.into()
    }
}
