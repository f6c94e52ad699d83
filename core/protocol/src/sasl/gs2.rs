//! What mechanisms of the GS2 family (RFC 5801) begin with: whether the channel is bound, and whom to act as.

use crate::name::MAX_NAME;

/// Reads the escapes of a `saslname`: comma and equals sign are written `=2C` and `=3D`, and nothing else is escaped.
pub(super) fn unescape(mut text: &[u8]) -> Option<Vec<u8>> {
    // A longer one is no name; it is not decoded to the end only to hear so.
    let mut name = Vec::with_capacity(text.len().min(MAX_NAME));
    while let Some((&octet, rest)) = text.split_first() {
        let (decoded, rest) = match (octet, rest) {
            (b'=', [b'2', b'C' | b'c', rest @ ..]) => (b',', rest),
            (b'=', [b'3', b'D' | b'd', rest @ ..]) => (b'=', rest),
            (b'=' | b',', _) => return None,
            _ => (octet, rest),
        };
        name.push(decoded);
        text = rest;
    }
    Some(name)
}
