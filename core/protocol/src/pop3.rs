//! POP3 (RFC 1939, RFC 2449, RFC 5034) before login.

/// The protocol.
#[derive(Debug)]
pub struct Pop3;
