//! What Outlook asks. Whoever it is for has one mail address, and a document type is never read.
#![no_main]

use zproxy_protocol::http::autoconfig::{Autodiscover, MAX_BODY};
use zproxy_protocol::smtp::Path;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Some(asked) = Autodiscover::read(data) else { return };
    assert!(data.len() <= MAX_BODY);
    assert_eq!(Path::of_name(asked.address.as_str()), Some(asked.address.clone()));
    assert!(!asked.address.as_str().chars().any(char::is_control) && !asked.address.domain().is_empty());
    // What nobody reads changes nothing.
    let padded = [b"<!-- x -->", data].concat();
    if padded.len() <= MAX_BODY && !data.starts_with(b"\xef\xbb\xbf") && !data.starts_with(b"<?xml") {
        assert_eq!(Autodiscover::read(&padded), Some(asked));
    }
    let typed = [b"<!DOCTYPE x>", data].concat();
    assert_eq!(Autodiscover::read(&typed), None);
});
