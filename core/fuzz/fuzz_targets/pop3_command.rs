//! What POP3 clients say.
#![no_main]

use zproxy_fuzz::hear_client;
use zproxy_protocol::pop3::Pop3;

libfuzzer_sys::fuzz_target!(|data: &[u8]| hear_client(&Pop3, data));
