//! What both sides of a guarded session say, in turn, with an octet between that neither of them needs.
#![no_main]

use zproxy_protocol::Error;
use zproxy_protocol::smtp::{Guard, Verdict};

const TURN: u8 = 0xfe;
/// Octets of a line that is not complete.
const MAX_LINE: usize = 2050;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let (mut at_once, mut by_octet) = (Session::new(), Session::new());
    for (turn, said) in data.split(|&octet| octet == TURN).enumerate() {
        if turn % 2 == 1 {
            let heard = (at_once.guard.backend_says(said), by_octet.guard.backend_says(said));
            assert_eq!(heard.0, heard.1);
            if heard.0.is_err() {
                return;
            }
        }
        let more = if turn % 2 == 0 { said } else { b"" };
        let passed = at_once.hear(more);
        let split = more.chunks(1).try_for_each(|octet| by_octet.hear(octet)).and_then(|()| by_octet.hear(b""));
        assert_eq!(split, passed);
        if passed.is_err() {
            return;
        }
        assert_eq!((&by_octet.passed, &by_octet.out), (&at_once.passed, &at_once.out));
    }
});

struct Session {
    guard: Guard,
    held: Vec<u8>,
    passed: Vec<u8>,
    out: Vec<u8>,
}

impl Session {
    fn new() -> Self {
        Self { guard: Guard::new(true), held: Vec::new(), passed: Vec::new(), out: Vec::new() }
    }

    fn hear(&mut self, said: &[u8]) -> Result<(), Error> {
        self.held.extend_from_slice(said);
        loop {
            match self.guard.client_says(&self.held, &mut self.out)? {
                Verdict::Drop(0) | Verdict::Pass(0) => panic!("nothing moved"),
                Verdict::Drop(octets) => drop(self.held.drain(..octets)),
                Verdict::Pass(octets) => self.passed.extend(self.held.drain(..octets)),
                Verdict::Hold => return Ok(()),
                Verdict::More => {
                    assert!(self.held.len() <= MAX_LINE, "{} octets held", self.held.len());
                    return Ok(());
                }
            }
        }
    }
}
