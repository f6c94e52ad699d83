//! PROXY protocol headers: what is taken, what is not, and that both sides agree.

use std::net::{IpAddr, SocketAddr};

use proptest::prelude::*;
use zproxy_protocol::Error;
use zproxy_protocol::proxy_header::{self, Header, MAX_V1, MAX_V2, Parsed, Proxied, parse};

const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

fn ends(source: &str, destination: &str) -> Option<Proxied> {
    Some(Proxied { source: source.parse().unwrap(), destination: destination.parse().unwrap() })
}

fn v2(command: u8, family: u8, block: &[u8]) -> Vec<u8> {
    let length = u16::try_from(block.len()).unwrap().to_be_bytes();
    [SIGNATURE, &[command, family], &length, block].concat()
}

const LOCAL: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x20\x00\0\x03";
const TCP4: &[u8] = &[192, 0, 2, 1, 198, 51, 100, 2, 0xDC, 4, 0x03, 0xE1];

fn with_tlvs(tlvs: &[u8]) -> Vec<u8> {
    v2(0x21, 0x11, &[TCP4, tlvs].concat())
}

fn header(bytes: &[u8]) -> Header {
    match parse(bytes) {
        Ok(Parsed::Header { header, length }) if length == bytes.len() => header,
        other => panic!("{}: {other:?}", bytes.escape_ascii()),
    }
}

fn reason(bytes: &[u8]) -> &'static str {
    match parse(bytes) {
        Err(Error::ProxyHeader(reason)) => reason,
        other => panic!("{}: {other:?}", bytes.escape_ascii()),
    }
}

#[test]
fn version_1_lines_that_are_taken() {
    let table: &[(&[u8], Option<Proxied>)] = &[
        (b"PROXY TCP4 192.0.2.1 198.51.100.2 56324 993\r\n", ends("192.0.2.1:56324", "198.51.100.2:993")),
        (b"PROXY TCP4 0.0.0.0 255.255.255.255 0 65535\r\n", ends("0.0.0.0:0", "255.255.255.255:65535")),
        (b"PROXY TCP6 2001:DB8::1 ::1 1 2\r\n", ends("[2001:db8::1]:1", "[::1]:2")),
        (b"PROXY TCP6 ::ffff:192.0.2.1 2001:db8::1 1 2\r\n", ends("192.0.2.1:1", "[2001:db8::1]:2")),
        (b"PROXY UNKNOWN\r\n", None),
        (b"PROXY UNKNOWN what ever\xff is here\r\n", None),
    ];
    for (line, proxied) in table {
        assert_eq!(header(line), Header { proxied: *proxied, authority: None });
    }
}

#[test]
fn version_1_lines_that_are_not() {
    let table: &[(&[u8], &str)] = &[
        (b"GET / HTTP/1.1\r\n", "no signature of version 1 or 2"),
        (b"PROXY\r\n", "no signature of version 1 or 2"),
        (b"proxy TCP4 192.0.2.1 192.0.2.2 1 2\r\n", "no signature of version 1 or 2"),
        (b"a CAPABILITY\r\n", "no signature of version 1 or 2"),
        (b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\n", "line does not end with CRLF"),
        (b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\rX", "line does not end with CRLF"),
        (b"PROXY UNKNOWN \n \r\n", "line does not end with CRLF"),
        (b"PROXY UNKNOWNS\r\n", "line has not six words"),
        (b"PROXY \r\n", "line has not six words"),
        (b"PROXY  TCP4 192.0.2.1 192.0.2.2 1 2\r\n", "line has not six words"),
        (b"PROXY TCP4 192.0.2.1 192.0.2.2 1\r\n", "line has not six words"),
        (b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2 \r\n", "line has not six words"),
        (b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2 3\r\n", "line has not six words"),
        (b"PROXY TCP5 192.0.2.1 192.0.2.2 1 2\r\n", "unknown protocol family"),
        (b"PROXY UDP4 192.0.2.1 192.0.2.2 1 2\r\n", "unknown protocol family"),
        (b"PROXY TCP4 999.0.2.1 192.0.2.2 1 2\r\n", "malformed address"),
        (b"PROXY TCP4 192.0.2.01 192.0.2.2 1 2\r\n", "malformed address"),
        (b"PROXY TCP4 192.0.2 192.0.2.2 1 2\r\n", "malformed address"),
        (b"PROXY TCP4 ::1 ::1 1 2\r\n", "malformed address"),
        (b"PROXY TCP6 192.0.2.1 192.0.2.2 1 2\r\n", "malformed address"),
        (b"PROXY TCP6 fe80::1%lo ::1 1 2\r\n", "malformed address"),
        (b"PROXY TCP6 [::1] ::1 1 2\r\n", "malformed address"),
        (b"PROXY TCP4 192.0.2.1 192.0.2.2 65536 2\r\n", "malformed port"),
        (b"PROXY TCP4 192.0.2.1 192.0.2.2 +1 2\r\n", "malformed port"),
        (b"PROXY TCP4 192.0.2.1 192.0.2.2 01 2\r\n", "malformed port"),
        (b"PROXY TCP4 192.0.2.1 192.0.2.2 1 00\r\n", "malformed port"),
        (b"PROXY TCP4 192.0.2.1 192.0.2.2 1 -2\r\n", "malformed port"),
        (b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\xe9\r\n", "line is not ASCII"),
    ];
    for (line, expected) in table {
        assert_eq!(reason(line), *expected, "{}", line.escape_ascii());
    }
}

#[test]
fn a_version_1_line_may_have_107_octets_and_no_more() {
    let line = |length: usize| [&b"PROXY UNKNOWN "[..], &vec![b'x'; length - 16], b"\r\n"].concat();
    assert_eq!(header(&line(MAX_V1)), Header::default());
    assert_eq!(reason(&line(MAX_V1 + 1)), "line too long");
    assert_eq!(reason(&line(MAX_V1 + 2)), "line too long");
}

#[test]
fn version_2_headers_that_are_taken() {
    let tcp6 = [&[0x20, 1, 0xD, 0xB8][..], &[0; 11], &[1], &[0; 10], &[255, 255, 192, 0, 2, 9], &[0, 1, 0, 2]].concat();
    let table: &[(Vec<u8>, Option<Proxied>)] = &[
        (v2(0x21, 0x11, TCP4), ends("192.0.2.1:56324", "198.51.100.2:993")),
        (v2(0x21, 0x21, &tcp6), ends("[2001:db8::1]:1", "192.0.2.9:2")),
        (v2(0x21, 0x00, b""), None),
        (v2(0x21, 0x00, b"junk"), None),
        (v2(0x21, 0x12, TCP4), None),
        (v2(0x21, 0x31, &[b'/'; 216]), None),
        (v2(0x20, 0x00, b""), None),
        (v2(0x20, 0x11, TCP4), None),
        (v2(0x20, 0xFF, b"junk"), None),
        (with_tlvs(b"\x04\0\0\xE0\0\x02xy"), ends("192.0.2.1:56324", "198.51.100.2:993")),
        (with_tlvs(&[&b"\x04\x0F\xF1"[..], &[0; 0x0FF1]].concat()), ends("192.0.2.1:56324", "198.51.100.2:993")),
    ];
    for (bytes, proxied) in table {
        assert_eq!(header(bytes), Header { proxied: *proxied, authority: None });
    }
}

#[test]
fn version_2_headers_that_are_not() {
    let long = u16::try_from(MAX_V2 - 16 + 1).unwrap().to_be_bytes();
    let table: &[(Vec<u8>, &str)] = &[
        (b"\r\n\r\nQUIT".to_vec(), "no signature of version 1 or 2"),
        (v2(0x11, 0x11, TCP4), "unknown version or command"),
        (v2(0x22, 0x11, TCP4), "unknown version or command"),
        (v2(0x2F, 0x11, TCP4), "unknown version or command"),
        (v2(0x21, 0x01, TCP4), "unknown address family or transport"),
        (v2(0x21, 0x10, TCP4), "unknown address family or transport"),
        (v2(0x21, 0x13, TCP4), "unknown address family or transport"),
        (v2(0x21, 0x41, TCP4), "unknown address family or transport"),
        (v2(0x21, 0x11, &TCP4[1..]), "addresses cut short"),
        (v2(0x21, 0x21, TCP4), "addresses cut short"),
        ([SIGNATURE, &[0x21, 0x11], &long].concat(), "header too long"),
        (with_tlvs(b"\x04\0"), "TLV cut short"),
        (with_tlvs(b"\x04\0\x01"), "TLV cut short"),
        (with_tlvs(b"\x02\0\0"), "authority is not a host name"),
        (with_tlvs(b"\x02\0\x03a b"), "authority is not a host name"),
        (with_tlvs(b"\x02\0\x03a\r\n"), "authority is not a host name"),
        (with_tlvs(b"\x03\0\x03abc"), "checksum has not four octets"),
        (with_tlvs(b"\x03\0\x04\0\0\0\0"), "checksum does not match"),
    ];
    for (bytes, expected) in table {
        assert_eq!(reason(bytes), *expected, "{}", bytes.escape_ascii());
    }
}

#[test]
fn the_authority_is_told() {
    assert_eq!(header(&with_tlvs(b"\x02\0\x0fmail.tgg.net.id")).authority.as_deref(), Some("mail.tgg.net.id"));
}

#[test]
fn a_checksum_that_matches_is_taken_wherever_it_stands() {
    // The checksum was computed by another program.
    let mut bytes = with_tlvs(b"\x04\0\x01x\x03\0\x04\xfe\xb7\xf0\x08\x04\0\x01y");
    assert!(header(&bytes).proxied.is_some());
    *bytes.last_mut().unwrap() ^= 1;
    assert_eq!(reason(&bytes), "checksum does not match");
}

fn address() -> impl Strategy<Value = SocketAddr> {
    (any::<IpAddr>(), any::<u16>()).prop_map(|(ip, port)| SocketAddr::new(ip.to_canonical(), port))
}

proptest! {
    #[test]
    fn what_we_write_we_read_back(source in address(), destination in address()) {
        for bytes in [proxy_header::v1(source, destination), proxy_header::v2(source, destination)] {
            let proxied = Some(Proxied { source, destination });
            prop_assert_eq!(header(&bytes), Header { proxied, authority: None });
            for end in 0..bytes.len() {
                prop_assert_eq!(parse(&bytes[..end]), Ok(Parsed::Incomplete));
            }
            let length = bytes.len();
            let behind = [&bytes[..], b"PROXY "].concat();
            prop_assert_eq!(parse(&behind), Ok(Parsed::Header { header: header(&bytes), length }));
        }
    }

    #[test]
    fn more_bytes_never_change_a_verdict(
        start in proptest::sample::select(vec![&b""[..], b"PROXY ", b"PROXY TCP4 192.0.2.1 ", SIGNATURE, LOCAL]),
        rest in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        let bytes = [start, &rest].concat();
        let whole = parse(&bytes);
        for end in 0..bytes.len() {
            let part = parse(&bytes[..end]);
            prop_assert!(part == Ok(Parsed::Incomplete) || part == whole, "{end}: {part:?}, then {whole:?}");
        }
    }
}
