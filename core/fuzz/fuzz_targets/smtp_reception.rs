//! What clients say that bring mail.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| zproxy_fuzz::hear_mail(data));
