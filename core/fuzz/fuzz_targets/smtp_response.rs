//! What SMTP backends say.
#![no_main]

use zproxy_fuzz::hear_backend;
use zproxy_protocol::smtp::Submission;

libfuzzer_sys::fuzz_target!(|data: &[u8]| hear_backend(&Submission, data));
