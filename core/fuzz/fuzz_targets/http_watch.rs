//! Requests of HTTP/1 as a client sends them: watched whole or by the octet, they are the same up to the first fault, and
//! nothing is behind it.
#![no_main]

use zproxy_protocol::http::Watch;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let (whole, by_octet) = (watched(data, usize::MAX), watched(data, 1));
    assert_eq!(whole, by_octet);
    let (seen, spoilt) = whole;
    let kept = data.iter().zip(&seen).take_while(|(said, seen)| said == seen).count();
    assert!(kept == data.len() || spoilt, "changed, and nobody knows");
    assert!(seen.iter().skip(kept).all(|&octet| octet == 0));
});

fn watched(data: &[u8], step: usize) -> (Vec<u8>, bool) {
    let (mut watch, mut octets) = (Watch::default(), data.to_vec());
    octets.chunks_mut(step).for_each(|part| watch.look(part));
    (octets, watch.is_spoilt())
}
