//! SASL mechanisms: what identity and secret does an exchange carry?

/// Octets of one base64 line of an exchange; the token of an OAuth mechanism fits.
pub const MAX_LINE: usize = 65_536;
