//! IMAP (RFC 3501, RFC 9051) before login.

/// The protocol.
#[derive(Debug)]
pub struct Imap;
