//! A question that costs a server nothing, by which it shows that it lives.

use crate::{Client, ClientStep, Error, Input, Secret};

/// As HAProxy asks: whatever runs there answers, and makes no session for it.
const QUESTION: &[u8] = b"OPTIONS / HTTP/1.0\r\nUser-Agent: zproxy\r\n\r\n";
/// `HTTP/1.1 200`.
const STATUS_LINE: usize = 12;

/// Asks, and reads the status: 5xx says that the server cannot serve, anything else that it does; and so does 501, by
/// which a server says that it does not know the question.
#[derive(Debug, Default)]
pub(super) struct Probe {
    asked: bool,
}

impl Client for Probe {
    fn advance(&mut self, input: &mut Input, out: &mut Vec<u8>) -> Result<ClientStep, Error> {
        if !self.asked {
            self.asked = true;
            out.extend_from_slice(QUESTION);
            return Ok(ClientStep::More);
        }
        let Some(line) = input.bytes().get(..STATUS_LINE) else { return Ok(ClientStep::More) };
        match line {
            [.., b' ', b'5', b'0', b'1'] if line.starts_with(b"HTTP/1.") => Ok(ClientStep::Probed(Vec::new())),
            [b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'0' | b'1', b' ', b'5', ..] => Err(Error::BackendCannotServe),
            [b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'0' | b'1', b' ', b'1'..=b'4', ..] => {
                Ok(ClientStep::Probed(Vec::new()))
            }
            _ => Err(Error::BackendProtocol("HTTP status line")),
        }
    }

    fn respond(&mut self, _: &Secret, _: &mut Vec<u8>) {}

    fn secured(&mut self) {}

    fn phase(&self) -> &'static str {
        "probe"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn probed(answer: &[u8]) -> Result<bool, Error> {
        let (mut probe, mut input, mut out) = (Probe::default(), Input::new(), Vec::new());
        assert!(matches!(probe.advance(&mut input, &mut out)?, ClientStep::More));
        assert_eq!(out, QUESTION);
        for octet in answer {
            input.extend(&[*octet]);
            match probe.advance(&mut input, &mut out)? {
                ClientStep::More => {}
                step => return Ok(matches!(step, ClientStep::Probed(_))),
            }
        }
        Ok(false)
    }

    #[test]
    fn a_server_that_answers_lives_unless_it_says_that_it_cannot() {
        for answer in ["HTTP/1.1 200 OK", "HTTP/1.0 404 Not Found", "HTTP/1.1 405 ", "HTTP/1.1 302", "HTTP/1.0 501"] {
            assert!(probed(answer.as_bytes()).unwrap(), "{answer}");
        }
        assert!(!probed(b"HTTP/1.1 20").unwrap(), "a line that has not ended");
        assert!(matches!(probed(b"HTTP/1.1 503 Service"), Err(Error::BackendCannotServe)));
        for answer in ["* OK Dovecot ready", "HTTP/2.0 200", "HTTP/1.1 999", "SSH-2.0-OpenSSH"] {
            assert!(matches!(probed(answer.as_bytes()), Err(Error::BackendProtocol(_))), "{answer}");
        }
    }
}
