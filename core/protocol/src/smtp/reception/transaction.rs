//! A transaction up to its message: what MAIL, RCPT and DATA may say, in which order.

use super::setting::ReceptionSetting;
use crate::LoginOffer;
use crate::smtp::command::{Bad, Hello};
use crate::smtp::envelope::{Recipient, Sender};
use crate::smtp::path::Utf8;
use crate::smtp::transport::Transport;

/// What a client called itself.
#[derive(Debug)]
pub(super) struct Greeted {
    pub(super) name: Hello,
    /// By a command that lists extensions.
    pub(super) extended: bool,
}

impl Greeted {
    /// Whether it was told of an extension.
    fn knows(&self, extension: &str, setting: &ReceptionSetting) -> bool {
        self.extended && setting.offers(extension)
    }
}

/// One that MAIL began.
#[derive(Debug)]
pub(super) struct Transaction {
    utf8: Utf8,
    /// Those that were taken.
    recipients: u32,
}

impl Transaction {
    /// Reads what follows MAIL.
    pub(super) fn begin(
        argument: &[u8],
        greeted: Option<&Greeted>,
        setting: &ReceptionSetting,
    ) -> Result<(Self, Sender), Bad> {
        if setting.tls == LoginOffer::OnlyAfterTls {
            return Err(Bad::MustStartTls);
        }
        let greeted = greeted.ok_or(match setting.transport {
            Transport::Lmtp => Bad::LhloFirst,
            Transport::Mx => Bad::EhloFirst,
        })?;
        let sender = Sender::parse(argument, |extension| greeted.knows(extension, setting))?;
        if sender.size() > setting.size() {
            return Err(Bad::Size);
        }
        Ok((Self { utf8: sender.utf8(), recipients: 0 }, sender))
    }

    /// Reads what follows RCPT.
    pub(super) fn recipient(
        &self,
        argument: &[u8],
        greeted: Option<&Greeted>,
        setting: &ReceptionSetting,
    ) -> Result<Recipient, Bad> {
        let knows = |extension: &str| greeted.is_some_and(|greeted| greeted.knows(extension, setting));
        let recipient = Recipient::parse(argument, self.utf8, knows)?;
        if self.recipients >= setting.max_recipients { Err(Bad::TooManyRecipients) } else { Ok(recipient) }
    }

    /// A recipient is taken.
    pub(super) fn take(&mut self) {
        self.recipients = self.recipients.saturating_add(1);
    }

    /// Whether there is somebody whom a message would be for.
    pub(super) fn has_recipients(&self) -> bool {
        self.recipients > 0
    }

    /// How many answers a message has.
    pub(super) fn answers(&self, transport: Transport) -> u32 {
        match transport {
            Transport::Lmtp => self.recipients,
            Transport::Mx => 1,
        }
    }
}
