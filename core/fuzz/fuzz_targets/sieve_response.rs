//! What ManageSieve backends say.
#![no_main]

use zproxy_fuzz::hear_backend;
use zproxy_protocol::sieve::Sieve;

libfuzzer_sys::fuzz_target!(|data: &[u8]| hear_backend(&Sieve, data));
