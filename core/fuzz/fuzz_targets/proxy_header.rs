//! The first octets of a connection: more of them never change a verdict, and what was read can be written.
#![no_main]

use zproxy_protocol::proxy_header::{MAX_LEN, Parsed, Proxied, parse, v1, v2};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let whole = parse(data);
    for end in 0..data.len() {
        let part = parse(&data[..end]);
        assert!(part == Ok(Parsed::Incomplete) || part == whole, "{end} octets: {part:?}, all: {whole:?}");
    }
    let Ok(Parsed::Header { header, length }) = whole else { return };
    assert!(length <= data.len().min(MAX_LEN));
    let Some(Proxied { source, destination }) = header.proxied else { return };
    for written in [v1(source, destination), v2(source, destination)] {
        let Ok(Parsed::Header { header: read, length }) = parse(&written) else { panic!("what we wrote is no header") };
        assert_eq!((read.proxied, length), (header.proxied, written.len()));
    }
});
