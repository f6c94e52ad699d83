//! What POP3 backends say.
#![no_main]

use zproxy_fuzz::hear_backend;
use zproxy_protocol::pop3::Pop3;

libfuzzer_sys::fuzz_target!(|data: &[u8]| hear_backend(&Pop3, data));
