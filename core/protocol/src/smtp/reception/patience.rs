//! How long a client that gets nowhere is borne with.

use crate::Error;

/// Commands without a message, beyond which a client is after something else. As many as Postfix takes.
const MAX_COMMANDS: u32 = 100;
/// Recipients that one conversation is refused: more than any list has dead addresses.
const MAX_REFUSED: u32 = 10_000;

/// What has been said in vain.
#[derive(Debug, Default)]
pub(super) struct Patience {
    /// Commands that were refused.
    bad: u32,
    /// Commands since the last message.
    commands: u32,
    /// Recipients that were not taken.
    refused: u32,
}

impl Patience {
    /// A command that no honest client would say. Of so many it ends.
    pub(super) fn bad_command(&mut self, most: u32) -> Result<(), Error> {
        self.bad = self.bad.saturating_add(1);
        if self.bad > most { Err(Error::TooManyBadCommands) } else { Ok(()) }
    }

    /// A command that brings no message nearer.
    pub(super) fn idle_command(&mut self) -> Result<(), Error> {
        self.commands = self.commands.saturating_add(1);
        self.check()
    }

    /// A recipient who is not taken. It ends with the next command: this one has its answer.
    pub(super) fn refused_recipient(&mut self) {
        self.refused = self.refused.saturating_add(1);
    }

    /// A message was taken: commands are counted anew.
    pub(super) fn message(&mut self) {
        self.commands = 0;
    }

    /// Whether it has ended.
    pub(super) fn check(&self) -> Result<(), Error> {
        let ended = self.commands > MAX_COMMANDS || self.refused > MAX_REFUSED;
        if ended { Err(Error::TooManyCommands) } else { Ok(()) }
    }
}
