//! What a client says before its login: commands cut out of the input, literals included, and read into [`Command`].
//!
//! [`Reader`] finds where a command ends; it leaves the octets in the input, where they are wiped, and counts none
//! twice. The grammar then reads it whole. Both agree because a literal's header is one only at the end of a line.
//! A line ends in CR LF; one that ends in LF alone is refused with BAD, one with a CR or NUL inside too.

mod grammar;

use crate::cutter::{Cut, Cutter, Most};
use crate::name::BadName;
use crate::sasl::Mechanism;
use crate::{Input, Name, Secret, ServerSetting};

use super::tag::Tag;

pub use grammar::Verb;

/// Longest literal before login. Names have [`MAX_NAME`](crate::name::MAX_NAME), tokens go by AUTHENTICATE, and RFC 7888
/// gives LITERAL- the same bound.
pub const MAX_LITERAL: usize = 4096;

/// What a client's ID (RFC 2971) says.
#[derive(Debug, Default)]
pub struct Parameters {
    /// Fields and values, without the `x-` keys, which only a proxy may say.
    pub said: Vec<(String, Option<String>)>,
    /// Its `x-proxy-ttl`: the one such key that is heard, because it ends loops.
    pub hops: Option<u8>,
}

/// The commands that are known before login.
#[derive(Debug)]
pub enum Command {
    /// Log in by SASL.
    Authenticate {
        /// None: one that we do not have.
        mechanism: Option<Mechanism>,
        /// The base64 of RFC 4959.
        initial: Option<Secret>,
    },
    /// Say what you can.
    Capability,
    /// Who is who; none: `NIL`.
    Id(Parameters),
    /// Log in.
    Login {
        /// Whose password it is.
        name: Name,
        /// Not empty.
        password: Secret,
    },
    /// Goodbye.
    Logout,
    /// Nothing.
    Noop,
    /// TLS, please.
    StartTls,
}

/// Why a command is refused, in words for the client.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Refused {
    /// A line that ends in LF alone: guessing where a line ends is how commands are smuggled.
    #[error("line does not end in CR LF")]
    BareLf,
    /// A password of no octets: some directories take it for an anonymous bind.
    #[error("password is empty")]
    EmptyPassword,
    /// Beyond the bounds of RFC 2971, section 3.3.
    #[error("ID has more than 30 fields, or one that is too long")]
    Id,
    /// The name is none.
    #[error("{0}")]
    Name(BadName),
    /// Arguments that the command's grammar does not know.
    #[error("syntax error in the arguments")]
    Syntax,
    /// No tag, too long a tag, or one of other characters.
    #[error("no valid tag")]
    Tag,
    /// A literal longer than [`MAX_LITERAL`] or than the command may be.
    #[error("literal is too long")]
    TooLong,
    /// No command that may come before login.
    #[error("unknown command, or not allowed before login")]
    Unknown,
}

/// What a [`Reader`] found.
#[derive(Debug)]
pub enum Read {
    /// A command, consumed, that nobody can obey.
    Bad {
        /// None: there was no legal tag.
        tag: Option<Tag>,
        /// Why.
        refused: Refused,
    },
    /// A command, consumed.
    Command {
        /// To answer under.
        tag: Tag,
        /// What is wanted.
        command: Command,
    },
    /// The client waits for leave to send a literal of this command. Give it and read on, or [`Reader::drop_command`].
    Literal {
        /// None: there is no legal tag.
        tag: Option<Tag>,
        /// The command it is for.
        verb: Verb,
    },
    /// More bytes are needed.
    More,
}

/// The next command cannot be told from the rest of this one, which is longer than allowed: only closing helps.
#[derive(Debug)]
pub struct Endless {
    /// The tag to tell it under.
    pub tag: Option<Tag>,
}

/// Octets a command that begins like this may have: an initial response is as long as any other.
pub(super) fn limit(bytes: &[u8], setting: &ServerSetting) -> usize {
    match grammar::opening(bytes) {
        (Some(_), Verb::Authenticate) => setting.max_command.max(setting.max_response),
        _ => setting.max_command,
    }
}

/// How far a command has been read. Its octets stay in the input until it is whole.
#[derive(Debug, Default)]
pub struct Reader(Cutter);

impl Reader {
    /// Reads on, up to `most` octets a command.
    ///
    /// # Errors
    /// See [`Endless`].
    pub fn read(&mut self, input: &mut Input, most: usize) -> Result<Read, Endless> {
        match self.0.cut(input.bytes(), Most { all: most, literal: MAX_LITERAL }) {
            Cut::BareLf => Ok(self.take(input, Some(Refused::BareLf))),
            Cut::Endless => Err(endless(input.bytes())),
            Cut::Leave => {
                let (tag, verb) = grammar::opening(input.bytes());
                Ok(Read::Literal { tag, verb })
            }
            Cut::More => Ok(Read::More),
            Cut::TooLong => Ok(self.take(input, Some(Refused::TooLong))),
            Cut::Whole => Ok(self.take(input, None)),
        }
    }

    /// Forgets a command whose literal gets no leave; the client goes on with its next command.
    pub fn drop_command(&mut self, input: &mut Input) {
        input.consume(self.0.len());
        *self = Self::default();
    }

    fn take(&mut self, input: &mut Input, refused: Option<Refused>) -> Read {
        let command = input.bytes().get(..self.0.len()).unwrap_or_default();
        let read = match refused {
            Some(refused) => Read::Bad { tag: grammar::opening(command).0, refused },
            None => grammar::read(command),
        };
        self.drop_command(input);
        read
    }
}

fn endless(bytes: &[u8]) -> Endless {
    Endless { tag: grammar::opening(bytes).0 }
}

#[cfg(test)]
mod tests;
