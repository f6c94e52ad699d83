//! What a client that brings mail is told of what stood in the way: the one place where causes become codes.

use zproxy_protocol::smtp::Answer;

use crate::Error;

/// What a recipient, or his mail, is told. Nothing that may pass is permanent: a 5yz is a bounce.
pub(super) fn of_error(error: &Error) -> Answer {
    match error {
        Error::UnknownUser => Answer::new(550, "5.1.1 There is no such mailbox."),
        Error::AccountClosed(_) => Answer::new(550, "5.2.1 This mailbox is closed."),
        Error::AccountMaintenance => Answer::new(450, "4.2.1 This mailbox is in maintenance, please try again later."),
        Error::LookupFailed(_) | Error::LookupOverload | Error::LookupTimeout => {
            Answer::new(451, "4.3.0 Nobody can say now who that is, please try again later.")
        }
        Error::NoHome(_) | Error::NoPool | Error::UnknownHome(_) => {
            Answer::new(451, "4.3.5 Nobody has said yet which server that is for, please try again later.")
        }
        _ => Answer::new(451, "4.4.2 The server of this mailbox does not answer, please try again later."),
    }
}

/// Mail for somebody elsewhere.
pub(super) fn relay_denied() -> Answer {
    Answer::new(554, "5.7.1 We take no mail for this domain.")
}

/// A recipient whose mail goes to another server than that of those before him.
pub(super) fn come_again() -> Answer {
    Answer::new(452, "4.5.3 That mailbox is on another server, please bring its mail in a message of its own.")
}

/// A recipient whom an address may not be told of: it has asked for too many that there are not.
pub(super) fn asked_too_often() -> Answer {
    Answer::new(450, "4.7.1 Your server has asked for too many mailboxes that there are not, please try again later.")
}
