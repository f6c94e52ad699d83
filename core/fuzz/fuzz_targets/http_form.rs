//! Bodies of login forms and the pages they are filled again from: an octet for the encoding, the body, the octet fe,
//! and the page.
#![no_main]

use http::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use zproxy_protocol::Name;
use zproxy_protocol::http::LoginForm;
use zproxy_protocol::http::forms::{Encoding, MAX_BODY, hidden};

const PAGE: u8 = 0xfe;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Some((choice, data)) = data.split_first() else { return };
    let (encoding, media_type) = match choice % 3 {
        0 => (Encoding::Json, "application/json"),
        1 => (Encoding::Multipart, "multipart/form-data; boundary=x"),
        _ => (Encoding::Urlencoded, "application/x-www-form-urlencoded"),
    };
    let form = LoginForm { encoding, hidden: vec!["t".into()], field: "u".into(), ..LoginForm::horde("/") };
    let headers: HeaderMap = [(CONTENT_TYPE, HeaderValue::from_static(media_type))].into_iter().collect();
    let mut parts = data.splitn(2, |&octet| octet == PAGE);
    let (body, page) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());

    let fresh = hidden(page, &form);
    assert!(fresh.len() <= 1 && fresh.iter().all(|(_, value)| value.len() <= page.len()));
    let Ok(filled) = form.refill(&headers, body, &fresh) else { return };
    assert!(filled.as_slice().len() <= MAX_BODY);
    assert_eq!(form.name(&headers, filled.as_slice()), form.name(&headers, body), "another user");
    let token = LoginForm { field: "t".into(), ..form.clone() };
    match fresh.first() {
        None => assert_eq!(filled.as_slice(), body),
        Some((_, value)) => {
            let value = String::from_utf8_lossy(value);
            let expected = Name::new(value.trim_matches([' ', '\t']).as_bytes());
            if let (Ok(read), Ok(expected)) = (token.name(&headers, filled.as_slice()), expected) {
                assert_eq!(read, expected);
            }
        }
    }
    // Filled with the same again, nothing changes.
    let again = form.refill(&headers, filled.as_slice(), &fresh).expect("a form that we filled");
    assert_eq!(again.as_slice(), filled.as_slice());
});
