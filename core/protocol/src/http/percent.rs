//! Escapes of URIs (RFC 3986, section 2.1) and of forms, decoded once.

/// Decodes each `%XX` once; none: an escape is none. The `percent-encoding` crate passes those, and what one server
/// passes another decodes.
pub(super) fn decode(text: &[u8]) -> Option<Vec<u8>> {
    let (mut decoded, mut rest) = (Vec::with_capacity(text.len()), text);
    while let Some((&octet, behind)) = rest.split_first() {
        rest = behind;
        decoded.push(if octet == b'%' {
            let (&[high, low], behind) = rest.split_first_chunk()?;
            rest = behind;
            hex(high, low)?
        } else {
            octet
        });
    }
    Some(decoded)
}

/// Decodes a name or value of a form, where `+` is a space.
pub(super) fn decode_form(text: &[u8]) -> Option<Vec<u8>> {
    let spaced: Vec<u8> = text.iter().map(|&octet| if octet == b'+' { b' ' } else { octet }).collect();
    decode(&spaced)
}

/// Writes a value of a form.
pub(super) fn encode_form(value: &[u8]) -> Vec<u8> {
    const DIGITS: [char; 16] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'A', 'B', 'C', 'D', 'E', 'F'];
    let digit = |nibble: u8| DIGITS.get(usize::from(nibble)).copied().unwrap_or_default() as u8;
    let mut text = Vec::with_capacity(value.len());
    for &octet in value {
        match octet {
            b' ' => text.push(b'+'),
            b'*' | b'-' | b'.' | b'_' => text.push(octet),
            _ if octet.is_ascii_alphanumeric() => text.push(octet),
            _ => text.extend([b'%', digit(octet >> 4), digit(octet & 15)]),
        }
    }
    text
}

/// The octet of two hexadecimal digits.
pub(super) fn hex(high: u8, low: u8) -> Option<u8> {
    let value = |digit: u8| char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok());
    Some(value(high)? << 4 | value(low)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn escapes_are_decoded_once() {
        let table: [(&[u8], Option<&[u8]>); 9] = [
            (b"siti%40tgg.net.id", Some(b"siti@tgg.net.id")),
            (b"%2540", Some(b"%40")),
            (b"a+b", Some(b"a+b")),
            (b"%c3%A9", Some("é".as_bytes())),
            (b"%00", Some(b"\0")),
            (b"%", None),
            (b"%4", None),
            (b"%4g", None),
            (b"%+1", None),
        ];
        for (text, expected) in table {
            assert_eq!(decode(text).as_deref(), expected, "{}", text.escape_ascii());
        }
        assert_eq!(decode_form(b"a+b%2Bc").as_deref(), Some(&b"a b+c"[..]));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(value: Vec<u8>) {
            let text = encode_form(&value);
            prop_assert!(text.iter().all(u8::is_ascii_graphic));
            prop_assert_eq!(decode_form(&text), Some(value));
        }
    }
}
