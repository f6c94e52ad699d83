//! Keeps the commands of proxies from a client whose backend still takes them: XCLIENT and XFORWARD, by which a client
//! would become somebody else.
//!
//! A [`Guard`] is shown both directions of a session after its login. It knows which of the client's octets are commands
//! and which are a message (DATA to its end, BDAT by its count), lets pass unchanged what may pass, and answers itself
//! what may not. It lets pass only what every server reads alike: a command that begins with a plain word and ends with
//! CRLF, an end of data that is CRLF `.` CRLF. It owns no buffer: octets that must wait stay with the caller.

mod replies;

use super::command::{self, Bad, Line, MAX_COMMAND};
use super::end_of_data::EndOfData;
use crate::Error;
use replies::{Replies, Reply};

/// Commands that the backend has not answered, beyond which no more are passed on.
const MAX_UNANSWERED: u32 = 1000;
/// Commands refused in one session: nobody needs one.
const MAX_REFUSED: u32 = 20;

/// The machine.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Guard {
    place: Place,
    replies: Replies,
    /// Replies that the backend owes for what was passed on.
    unanswered: u32,
    /// The last EHLO listed CHUNKING. Where it does not, BDAT is refused: its octets would be read as commands.
    chunking: bool,
    refused: u32,
}

/// What shall be done with the client's octets.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Verdict {
    /// So many octets, one at least, go nowhere: they were refused.
    Drop(usize),
    /// Nothing yet: the backend must answer first. Until it has, nothing more need be read of the client.
    Hold,
    /// Nothing yet: the line is not complete. It is shorter than 2051 octets.
    More,
    /// So many octets, one at least, are the backend's as they are.
    Pass(usize),
}

/// What the client's next octets are.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Place {
    /// A BDAT chunk, with so many still to come.
    Chunk(u64),
    Command,
    /// A message.
    Data(EndOfData),
    /// The rest of a line that is too long.
    Rest,
    /// That hangs on the backend's answer to the last command.
    Waiting(Awaited),
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Awaited {
    /// 354, or a refusal.
    Data,
    /// The list of what the backend can do.
    Ehlo,
}

impl Guard {
    /// For a session that was just logged in to a backend whose last EHLO listed CHUNKING, or did not.
    #[must_use]
    pub fn new(chunking: bool) -> Self {
        Self { place: Place::Command, replies: Replies::default(), unanswered: 0, chunking, refused: 0 }
    }

    /// Judges the first of the client's octets that are neither passed on nor dropped. Called again with the rest until
    /// it returns [`Verdict::Hold`] or [`Verdict::More`]. What it writes to `out` is the client's, behind all that the
    /// backend has sent so far.
    ///
    /// # Errors
    /// The session must end and `said` stay unsent: [`Error::AmbiguousEndOfData`] or [`Error::TooManyBadCommands`].
    pub fn client_says(&mut self, said: &[u8], out: &mut Vec<u8>) -> Result<Verdict, Error> {
        match self.place {
            Place::Waiting(_) => Ok(Verdict::Hold),
            _ if said.is_empty() => Ok(Verdict::More),
            Place::Chunk(left) => Ok(self.pass_chunk(left, said.len())),
            Place::Command => self.command(said, out),
            Place::Data(end) => self.pass_data(end, said),
            Place::Rest => Ok(self.drop_rest(said)),
        }
    }

    /// Hears what the backend says, all of which is the client's, as it is.
    ///
    /// # Errors
    /// [`Error::BackendProtocol`]: nobody can tell any more which answer is whose, and the session must end.
    pub fn backend_says(&mut self, said: &[u8]) -> Result<(), Error> {
        for &octet in said {
            if let Some(reply) = self.replies.take(octet)? {
                self.answered(reply)?;
            }
        }
        Ok(())
    }

    fn command(&mut self, said: &[u8], out: &mut Vec<u8>) -> Result<Verdict, Error> {
        let (octets, judged) = match command::line(said, MAX_COMMAND) {
            Line::More => return Ok(Verdict::More),
            Line::TooLong => (0, Err(Bad::TooLong)),
            Line::Whole { text, length } => (length, text.and_then(|text| self.judge(text))),
        };
        match judged {
            Ok(_) if self.unanswered >= MAX_UNANSWERED => Ok(Verdict::Hold),
            Ok(next) => {
                self.unanswered = self.unanswered.saturating_add(1);
                self.place = next;
                Ok(Verdict::Pass(octets))
            }
            Err(_) if self.unanswered > 0 || self.replies.is_within() => Ok(Verdict::Hold),
            Err(bad) => {
                self.refuse(bad, out)?;
                if bad != Bad::TooLong {
                    return Ok(Verdict::Drop(octets));
                }
                self.place = Place::Rest;
                Ok(self.drop_rest(said))
            }
        }
    }

    /// What follows a command if it may pass.
    fn judge(&self, line: &[u8]) -> Result<Place, Bad> {
        let (verb, argument) = split_verb(line).ok_or(Bad::Unknown)?;
        match verb.to_ascii_uppercase().as_slice() {
            // The client is logged in (RFC 4954, section 4), and its responses must not be taken for commands.
            b"AUTH" => Err(Bad::LoggedIn),
            b"BDAT" if !self.chunking => Err(Bad::NotImplemented),
            b"BDAT" => Ok(after_chunk(command::chunk(argument).ok_or(Bad::Arguments)?)),
            b"DATA" => Ok(Place::Waiting(Awaited::Data)),
            b"EHLO" | b"HELO" => Ok(Place::Waiting(Awaited::Ehlo)),
            // What came behind TLS could not be seen.
            b"STARTTLS" => Err(Bad::StartTlsNotOffered),
            b"XCLIENT" | b"XFORWARD" => Err(Bad::ProxiesOnly),
            _ => Ok(Place::Command),
        }
    }

    fn refuse(&mut self, bad: Bad, out: &mut Vec<u8>) -> Result<(), Error> {
        self.refused = self.refused.saturating_add(1);
        if self.refused > MAX_REFUSED {
            return Err(Error::TooManyBadCommands);
        }
        out.extend_from_slice(format!("{bad}\r\n").as_bytes());
        Ok(())
    }

    fn drop_rest(&mut self, said: &[u8]) -> Verdict {
        let (octets, ended) = command::past_crlf(said);
        if ended {
            self.place = Place::Command;
        }
        // A CR alone may begin the CRLF.
        if octets == 0 { Verdict::More } else { Verdict::Drop(octets) }
    }

    fn pass_chunk(&mut self, left: u64, came: usize) -> Verdict {
        let octets = usize::try_from(left).unwrap_or(usize::MAX).min(came);
        self.place = after_chunk(left.saturating_sub(u64::try_from(octets).unwrap_or(left)));
        Verdict::Pass(octets)
    }

    fn pass_data(&mut self, mut end: EndOfData, said: &[u8]) -> Result<Verdict, Error> {
        let octets = match end.find(said)? {
            Some(octets) => {
                self.unanswered = self.unanswered.saturating_add(1);
                self.place = Place::Command;
                octets
            }
            None => {
                self.place = Place::Data(end);
                said.len()
            }
        };
        Ok(Verdict::Pass(octets))
    }

    fn answered(&mut self, reply: Reply) -> Result<(), Error> {
        /// RFC 5321, section 3.8: it may come at any time.
        const CLOSING: u16 = 421;
        if self.unanswered == 0 {
            let asked = reply.code == CLOSING;
            return if asked { Ok(()) } else { Err(Error::BackendProtocol("a reply before it was asked for")) };
        }
        self.unanswered = self.unanswered.saturating_sub(1);
        self.place = match (self.place, reply.code) {
            (Place::Waiting(Awaited::Data), 354) if self.unanswered == 0 => Place::Data(EndOfData::default()),
            // It asks for something of which we do not know where it ends.
            (_, 300..400) => return Err(Error::BackendProtocol("an intermediate reply")),
            (Place::Waiting(awaited), _) if self.unanswered == 0 => {
                if awaited == Awaited::Ehlo {
                    self.chunking = reply.lists_chunking;
                }
                Place::Command
            }
            (place, _) => place,
        };
        Ok(())
    }
}

fn after_chunk(left: u64) -> Place {
    if left == 0 { Place::Command } else { Place::Chunk(left) }
}

/// The word that a line begins with, and what follows it. Servers differ in what else may stand there: Postfix overlooks
/// white space in front, others take a tab or a colon for the end.
fn split_verb(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let plain = |octet: &u8| octet.is_ascii_alphanumeric() || *octet == b'-';
    let end = line.iter().position(|octet| !plain(octet)).unwrap_or(line.len());
    let (verb, rest) = line.split_at_checked(end).filter(|(verb, _)| !verb.is_empty())?;
    match rest {
        [] => Some((verb, rest)),
        [b' ', argument @ ..] => Some((verb, argument.trim_ascii_end())),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
