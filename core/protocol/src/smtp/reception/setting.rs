//! What a client that brings mail is offered, and how much it may bring.

use std::sync::Arc;

use crate::LoginOffer;
use crate::smtp::answer::say;
use crate::smtp::capability;
use crate::smtp::end_of_data::BareNewline;
use crate::smtp::transport::Transport;

/// What a [`Reception`](super::Reception) begins with.
#[derive(Clone, Debug)]
pub struct ReceptionSetting {
    /// What is spoken.
    pub transport: Transport,
    /// Our host name.
    pub hostname: Arc<str>,
    /// When TLS is offered, and whether a message may come without.
    pub tls: LoginOffer,
    /// The capability lines, upper case, that every candidate backend offers.
    pub shared: Arc<[String]>,
    /// Bad commands before the conversation ends.
    pub bad_commands: u32,
    /// Octets of one command.
    pub max_command: usize,
    /// Recipients of one message.
    pub max_recipients: u32,
    /// Octets of one message; what backends say may be less.
    pub max_message: u64,
    /// What is done about a CR or LF alone in a message.
    pub bare_newline: BareNewline,
}

impl ReceptionSetting {
    /// Octets that a message may have, whatever its servers say.
    pub(super) fn size(&self) -> u64 {
        capability::size(&self.shared, self.max_message)
    }

    /// Whether an extension is on the list of those that ask for it.
    pub(super) fn offers(&self, extension: &str) -> bool {
        extension == "SIZE" || self.shared.iter().any(|line| capability::keyword(line) == extension)
    }

    /// Answers a hello, with the list of extensions where it asks for it.
    pub(super) fn welcome(&self, extended: bool, out: &mut Vec<u8>) {
        let mut said = self.hostname.to_string();
        if extended {
            let starttls = self.tls != LoginOffer::Now;
            for line in capability::of_messages(&self.shared, self.max_message, starttls) {
                say(out, &format!("250-{said}"));
                said = line;
            }
        }
        say(out, &format!("250 {said}"));
    }
}
