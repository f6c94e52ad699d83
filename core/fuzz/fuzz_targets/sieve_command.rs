//! What ManageSieve clients say.
#![no_main]

use zproxy_fuzz::hear_client;
use zproxy_protocol::sieve::Sieve;

libfuzzer_sys::fuzz_target!(|data: &[u8]| hear_client(&Sieve, data));
