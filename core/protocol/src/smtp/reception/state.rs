//! What comes next from a client that brings mail.

use super::body::Body;
use crate::Input;
use crate::smtp::command as line;

/// What the next octets are.
#[derive(Debug, Default)]
pub(super) enum State {
    /// A message's.
    Body(Body),
    /// So many of a BDAT chunk, to be thrown away.
    Chunk(u64),
    /// A command's.
    #[default]
    Command,
    /// To be looked at when the caller has decided.
    Deciding,
    /// The rest of a line that is too long, to be thrown away.
    Rest,
}

impl State {
    /// Throws away what is not a command; false: more of it is to come, or no command is.
    pub(super) fn skip(&mut self, input: &mut Input) -> bool {
        match *self {
            Self::Chunk(left) => {
                let count = usize::try_from(left).unwrap_or(usize::MAX).min(input.len());
                input.consume(count);
                let left = left.saturating_sub(u64::try_from(count).unwrap_or(left));
                *self = if left == 0 { Self::Command } else { Self::Chunk(left) };
                left == 0
            }
            Self::Rest => {
                let (count, ended) = line::past_crlf(input.bytes());
                input.consume(count);
                if ended {
                    *self = Self::Command;
                }
                ended
            }
            Self::Body(_) | Self::Deciding => false,
            Self::Command => true,
        }
    }
}
