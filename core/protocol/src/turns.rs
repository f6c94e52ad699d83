//! Turn by turn: what the machines share that ask a backend one thing after the other, and hear one reply to each. Those
//! of POP3, SMTP and ManageSieve do; in IMAP several answers may be awaited at once.

use crate::sasl::Mechanism;
use crate::{ClientStep, Error, Goal, Input, Secret};

/// A machine that takes turns with its backend.
pub(crate) trait Turns {
    /// What the conversation is for.
    fn goal(&self) -> &Goal;

    /// Hears one reply, or begins.
    fn turn(&mut self, input: &mut Input, out: &mut Vec<u8>) -> Result<Turn, Error>;
}

/// What came of a turn.
pub(crate) enum Turn {
    /// A reply was heard; none: go on with the next.
    Heard(Option<ClientStep>),
    /// There is no whole reply, or the conversation is over.
    Nothing,
}

/// [`Client::advance`](crate::Client::advance) of such a machine. Where a question is asked, its answer cannot be there
/// already.
pub(crate) fn advance(machine: &mut impl Turns, input: &mut Input, out: &mut Vec<u8>) -> Result<ClientStep, Error> {
    machine.goal().check_hops()?;
    loop {
        let sent = out.len();
        let Turn::Heard(step) = machine.turn(input, out)? else { return Ok(ClientStep::More) };
        if matches!(step, Some(ClientStep::StartTls)) && !input.is_empty() {
            return Err(Error::BytesBehindBackendStarttls);
        }
        let asked = out.len() > sent || matches!(step, Some(ClientStep::Challenge(_)));
        if asked && !input.is_empty() {
            return Err(Error::BackendProtocol("a reply before it was asked for"));
        }
        if let Some(step) = step {
            return Ok(step);
        }
    }
}

/// Writes AUTH, as POP3 and SMTP have it, with the response where the line has at most `most` octets, CRLF included;
/// true: it went with the command.
pub(crate) fn write_auth(mechanism: Mechanism, response: &Secret, most: usize, out: &mut Vec<u8>) -> bool {
    let command: &[&[u8]] = &[b"AUTH ", mechanism.name().as_bytes()];
    let line = [command, &[b" ", response.expose()]].concat();
    let at_once = length(&line).saturating_add(b"\r\n".len()) <= most;
    write_line(out, if at_once { &line } else { command });
    at_once
}

/// Writes a line.
pub(crate) fn write_line(out: &mut Vec<u8>, parts: &[&[u8]]) {
    write(out, &[parts, &[b"\r\n"]].concat());
}

/// Writes what is maybe secret. Room is made first: growing in between would leave a copy of a password behind unwiped.
pub(crate) fn write(out: &mut Vec<u8>, parts: &[&[u8]]) {
    out.reserve(length(parts));
    for part in parts {
        out.extend_from_slice(part);
    }
}

fn length(parts: &[&[u8]]) -> usize {
    parts.iter().fold(0, |sum, part| sum.saturating_add(part.len()))
}
