//! Version 1: one line of text.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use super::{Family, Header, Parsed, Proxied, begins_with, proxied};
use crate::Error;

/// Octets of the longest line, CRLF included.
pub const MAX_LEN: usize = 107;

/// Writes a header; if one address is IPv6, so is the other.
#[must_use]
pub fn write(source: SocketAddr, destination: SocketAddr) -> Vec<u8> {
    let (from, to) = (source.port(), destination.port());
    match Family::of(source, destination) {
        Family::V4([source, destination]) => format!("PROXY TCP4 {source} {destination} {from} {to}\r\n"),
        Family::V6([source, destination]) => format!("PROXY TCP6 {source} {destination} {from} {to}\r\n"),
    }
    .into_bytes()
}

pub(super) fn parse(bytes: &[u8]) -> Result<Parsed, Error> {
    if begins_with(bytes, b"PROXY ")?.is_none() {
        return Ok(Parsed::Incomplete);
    }
    let Some(length) = line_length(bytes)? else {
        return Ok(Parsed::Incomplete);
    };
    let line = bytes.get(b"PROXY ".len()..length.saturating_sub(b"\r\n".len())).unwrap_or_default();
    let proxied = if line == b"UNKNOWN" || line.starts_with(b"UNKNOWN ") { None } else { Some(addresses(line)?) };
    Ok(Parsed::Header { header: Header { proxied, authority: None }, length })
}

fn line_length(bytes: &[u8]) -> Result<Option<usize>, Error> {
    let line = bytes.get(..MAX_LEN).unwrap_or(bytes);
    let Some(end) = line.iter().position(|octet| matches!(octet, b'\r' | b'\n')) else {
        return if line.len() < MAX_LEN { Ok(None) } else { Err(Error::ProxyHeader("line too long")) };
    };
    match line.get(end..) {
        Some([b'\r', b'\n', ..]) => Ok(Some(end.saturating_add(2))),
        Some([b'\r']) if line.len() < MAX_LEN => Ok(None),
        Some([b'\r']) => Err(Error::ProxyHeader("line too long")),
        _ => Err(Error::ProxyHeader("line does not end with CRLF")),
    }
}

fn addresses(line: &[u8]) -> Result<Proxied, Error> {
    let text = std::str::from_utf8(line).map_err(|_| Error::ProxyHeader("line is not ASCII"))?;
    let mut words = text.split(' ');
    let (Some(family), Some(source), Some(destination), Some(source_port), Some(destination_port), None) =
        (words.next(), words.next(), words.next(), words.next(), words.next(), words.next())
    else {
        return Err(Error::ProxyHeader("line has not six words"));
    };
    let address = match family {
        "TCP4" => address::<Ipv4Addr>,
        "TCP6" => address::<Ipv6Addr>,
        _ => return Err(Error::ProxyHeader("unknown protocol family")),
    };
    Ok(proxied((address(source)?, port(source_port)?), (address(destination)?, port(destination_port)?)))
}

fn address<T: FromStr + Into<IpAddr>>(word: &str) -> Result<IpAddr, Error> {
    word.parse::<T>().map(Into::into).map_err(|_| Error::ProxyHeader("malformed address"))
}

fn port(word: &str) -> Result<u16, Error> {
    let canonical = word == "0" || (!word.starts_with('0') && word.bytes().all(|octet| octet.is_ascii_digit()));
    word.parse().ok().filter(|_| canonical).ok_or(Error::ProxyHeader("malformed port"))
}
