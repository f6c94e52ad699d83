//! What IMAP clients say.
#![no_main]

use zproxy_fuzz::hear_client;
use zproxy_protocol::imap::Imap;

libfuzzer_sys::fuzz_target!(|data: &[u8]| hear_client(&Imap, data));
