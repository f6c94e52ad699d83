//! Version 2: a binary block.

use std::net::{IpAddr, SocketAddr};

use super::{Family, Header, Parsed, Proxied, begins_with, proxied};
use crate::Error;

/// Octets of the longest header that is taken; haproxy's own, with a client certificate in it, may be longer, but a
/// sender can be told not to send that.
pub const MAX_LEN: usize = FIXED + 4096;

const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// The signature, the version with the command, the family, and the length of what follows.
const FIXED: usize = SIGNATURE.len() + 4;
const LOCAL: u8 = 0x20;
const PROXY: u8 = 0x21;
const TCP4: u8 = 0x11;
const TCP6: u8 = 0x21;
/// `AF_UNSPEC`, UDP and UNIX sockets: valid, and treated as `AF_UNSPEC`.
const NOT_TCP: [u8; 5] = [0x00, 0x12, 0x22, 0x31, 0x32];
const AUTHORITY: u8 = 0x02;
const MAX_AUTHORITY: usize = 255;
const CRC32C: u8 = 0x03;

/// Writes a header; if one address is IPv6, so is the other.
#[must_use]
pub fn write(source: SocketAddr, destination: SocketAddr) -> Vec<u8> {
    let mut header = SIGNATURE.to_vec();
    match Family::of(source, destination) {
        Family::V4(addresses) => {
            header.extend_from_slice(&[PROXY, TCP4, 0, 12]);
            header.extend(addresses.iter().flat_map(std::net::Ipv4Addr::octets));
        }
        Family::V6(addresses) => {
            header.extend_from_slice(&[PROXY, TCP6, 0, 36]);
            header.extend(addresses.iter().flat_map(std::net::Ipv6Addr::octets));
        }
    }
    header.extend_from_slice(&source.port().to_be_bytes());
    header.extend_from_slice(&destination.port().to_be_bytes());
    header
}

pub(super) fn parse(bytes: &[u8]) -> Result<Parsed, Error> {
    if begins_with(bytes, SIGNATURE)?.is_none() {
        return Ok(Parsed::Incomplete);
    }
    let fixed = bytes.get(SIGNATURE.len()..).unwrap_or_default();
    if fixed.first().is_some_and(|&command| command != LOCAL && command != PROXY) {
        return Err(Error::ProxyHeader("unknown version or command"));
    }
    let &[command, family, high, low, ..] = fixed else {
        return Ok(Parsed::Incomplete);
    };
    let length = FIXED.saturating_add(usize::from(u16::from_be_bytes([high, low])));
    if length > MAX_LEN {
        return Err(Error::ProxyHeader("header too long"));
    }
    let Some(whole) = bytes.get(..length) else {
        return Ok(Parsed::Incomplete);
    };
    // The block of LOCAL is discarded, its family included.
    let header = if command == LOCAL { Header::default() } else { block(family, whole)? };
    Ok(Parsed::Header { header, length })
}

fn block(family: u8, whole: &[u8]) -> Result<Header, Error> {
    let block = whole.get(FIXED..).unwrap_or_default();
    let (proxied, tlvs) = match family {
        TCP4 => addresses::<4>(block)?,
        TCP6 => addresses::<16>(block)?,
        _ if NOT_TCP.contains(&family) => return Ok(Header::default()),
        _ => return Err(Error::ProxyHeader("unknown address family or transport")),
    };
    Ok(Header { proxied: Some(proxied), authority: authority(tlvs, whole)? })
}

/// Both addresses, of `N` octets each, then both ports; returns the rest too.
fn addresses<const N: usize>(block: &[u8]) -> Result<(Proxied, &[u8]), Error>
where
    IpAddr: From<[u8; N]>,
{
    let split = || {
        let (source, rest) = block.split_first_chunk::<N>()?;
        let (destination, rest) = rest.split_first_chunk::<N>()?;
        let (source_port, rest) = rest.split_first_chunk::<2>()?;
        let (destination_port, rest) = rest.split_first_chunk::<2>()?;
        let source = (IpAddr::from(*source), u16::from_be_bytes(*source_port));
        let destination = (IpAddr::from(*destination), u16::from_be_bytes(*destination_port));
        Some((proxied(source, destination), rest))
    };
    split().ok_or(Error::ProxyHeader("addresses cut short"))
}

/// Checks the type-length-value vectors and returns the authority, if one is there.
fn authority(mut tlvs: &[u8], whole: &[u8]) -> Result<Option<String>, Error> {
    let mut authority = None;
    while !tlvs.is_empty() {
        let (kind, value, rest) = tlv(tlvs).ok_or(Error::ProxyHeader("TLV cut short"))?;
        match kind {
            AUTHORITY => authority = Some(host_name(value)?),
            CRC32C => check_crc(whole, value, rest.len())?,
            _ => {}
        }
        tlvs = rest;
    }
    Ok(authority)
}

fn tlv(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&[kind, high, low], rest) = bytes.split_first_chunk::<3>()?;
    let (value, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes([high, low])))?;
    Some((kind, value, rest))
}

fn host_name(value: &[u8]) -> Result<String, Error> {
    let allowed = |octet: &u8| octet.is_ascii_alphanumeric() || b".-_".contains(octet);
    if value.is_empty() || value.len() > MAX_AUTHORITY || !value.iter().all(allowed) {
        return Err(Error::ProxyHeader("authority is not a host name"));
    }
    Ok(value.iter().copied().map(char::from).collect())
}

/// The checksum is that of the whole header with zeros where the checksum is, `behind` octets before the end.
fn check_crc(whole: &[u8], value: &[u8], behind: usize) -> Result<(), Error> {
    let told = <[u8; 4]>::try_from(value).map_err(|_| Error::ProxyHeader("checksum has not four octets"))?;
    let end = whole.len().saturating_sub(behind);
    let before = whole.iter().take(end.saturating_sub(told.len()));
    let after = whole.iter().skip(end);
    if crc32c(before.chain(&[0; 4]).chain(after)) != u32::from_be_bytes(told) {
        return Err(Error::ProxyHeader("checksum does not match"));
    }
    Ok(())
}

/// Castagnoli's CRC (RFC 4960, appendix B), a bit at a time: headers are short and few have one.
fn crc32c<'a>(octets: impl Iterator<Item = &'a u8>) -> u32 {
    const REVERSED_POLYNOMIAL: u32 = 0x82F6_3B78;
    !octets.fold(u32::MAX, |crc, &octet| {
        (0..8).fold(crc ^ u32::from(octet), |crc, _| (crc >> 1) ^ if crc & 1 == 1 { REVERSED_POLYNOMIAL } else { 0 })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crc32c_of_the_test_vector_is_right() {
        assert_eq!(crc32c(b"123456789".iter()), 0xE306_9283);
    }
}
