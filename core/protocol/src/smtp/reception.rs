//! Facing a client that brings mail, by SMTP or LMTP: one transaction after the other, each step asked of the caller.
//!
//! The machine knows the protocol: which command may come, what its argument may be, where a message ends. Whether a
//! recipient is taken, and what became of a message, is for the caller to say. Nothing that the client said is said back.

mod body;
mod command;
mod patience;
mod setting;
mod state;
mod transaction;

pub use setting::ReceptionSetting;

use super::answer::{Answer, say};
use super::command::{self as line, Bad, Line};
use super::envelope::{Recipient, Sender};
use crate::text::{is_http, printable};
use crate::{Error, Input, LoginOffer};
use body::{Body, Part};
use command::Command;
use patience::Patience;
use state::State;
use transaction::{Greeted, Transaction};

/// Octets of a text that is not ours.
const MAX_TEXT: usize = 400;

/// What a [`Reception`] asks of the caller.
#[derive(Debug, Eq, PartialEq)]
pub enum Step {
    /// So many of the first octets of the input are the message's, as they travel: to be sent on and consumed.
    Body(usize),
    /// The client has all its recipients: ask their servers, then [`Reception::proceed`] or [`Reception::refuse_data`].
    Data,
    /// The message is complete, CRLF included, and its end has been consumed: [`Reception::finish`].
    End,
    /// The client said goodbye and was answered: send and close.
    Goodbye,
    /// A transaction has begun.
    Mail(Sender),
    /// More bytes are needed.
    More,
    /// Somebody the message shall go to: [`Reception::judge`].
    Recipient(Recipient),
    /// The transaction is over before it came to a message.
    Reset,
    /// Send, then hand the connection to TLS. `input` is empty: bytes behind the command were an error.
    StartTls,
    /// The message has more octets than it may have: no server shall get it. What is left of it is thrown away, its end
    /// included, and the client told.
    TooLarge,
}

/// The conversation with a client that brings mail.
#[derive(Debug)]
pub struct Reception {
    setting: ReceptionSetting,
    /// What the client called itself, once it did.
    hello: Option<Greeted>,
    transaction: Option<Transaction>,
    state: State,
    patience: Patience,
}

impl Reception {
    /// Begins.
    #[must_use]
    pub fn new(setting: ReceptionSetting) -> Self {
        Self { setting, hello: None, transaction: None, state: State::Command, patience: Patience::default() }
    }

    /// Writes the greeting. Called once, first.
    pub fn greet(&self, out: &mut Vec<u8>) {
        say(out, &format!("220 {} {} ready.", self.setting.hostname, self.setting.transport.protocol()));
    }

    /// Turns a client away in place of the greeting.
    pub fn turn_away(&self, text: &str, out: &mut Vec<u8>) {
        say(out, &format!("554 5.7.1 {} {}", self.setting.hostname, printable(text.as_bytes(), MAX_TEXT)));
    }

    /// Consumes as much input as leads to one step; writes replies to `out`. Called again with the same input until it
    /// returns [`Step::More`].
    ///
    /// # Errors
    /// The conversation is over; its last words are in `out`.
    pub fn advance(&mut self, input: &mut Input, out: &mut Vec<u8>) -> Result<Step, Error> {
        loop {
            if let State::Body(body) = &mut self.state {
                let part = body.advance(input);
                if let Some(step) = self.part(part, out)? {
                    return Ok(step);
                }
                continue;
            }
            if !self.state.skip(input) {
                return Ok(Step::More);
            }
            if is_http(input.bytes()) {
                return Err(Error::SpeaksHttp);
            }
            let limit = self.setting.max_command.min(line::MAX_COMMAND);
            let step = match line::line(input.bytes(), limit) {
                Line::More => return Ok(Step::More),
                Line::TooLong => {
                    self.state = State::Rest;
                    Err(Bad::TooLong)
                }
                Line::Whole { text, length } => {
                    let step = text.and_then(|text| self.command(text, out));
                    input.consume(length);
                    step
                }
            };
            let borne = match &step {
                Ok(Some(Step::Data | Step::Mail(_) | Step::Recipient(_))) | Err(Bad::TooManyRecipients) => {
                    self.patience.check()
                }
                _ => self.patience.idle_command(),
            };
            borne.map_err(|error| self.tired(error, out))?;
            match step {
                Ok(Some(Step::StartTls)) if !input.is_empty() => {
                    say(out, "501 5.5.1 Nothing may follow STARTTLS before TLS.");
                    return Err(Error::BytesBehindStarttls);
                }
                Ok(Some(step)) => {
                    if step == Step::StartTls {
                        say(out, "220 2.0.0 Begin TLS.");
                    }
                    return Ok(step);
                }
                Ok(None) => {}
                Err(bad) => self.refuse(bad, out).map_err(|error| self.tired(error, out))?,
            }
        }
    }

    /// What became of the recipient of [`Step::Recipient`].
    pub fn judge(&mut self, answer: &Answer, out: &mut Vec<u8>) {
        self.state = State::Command;
        match &mut self.transaction {
            Some(transaction) if answer.is_positive() => transaction.take(),
            _ => self.patience.refused_recipient(),
        }
        answer.write(out);
    }

    /// After [`Step::Data`]: the message may come.
    pub fn proceed(&mut self, out: &mut Vec<u8>) {
        self.state = State::Body(Body::new(self.setting.bare_newline, self.setting.size()));
        say(out, "354 End data with <CR><LF>.<CR><LF>");
    }

    /// After [`Step::Data`]: the message may not come, and the transaction is over.
    pub fn refuse_data(&mut self, answer: &Answer, out: &mut Vec<u8>) {
        self.state = State::Command;
        self.transaction = None;
        answer.write(out);
    }

    /// After [`Step::End`]: what became of the message; in LMTP of that of each recipient that was taken, in order.
    pub fn finish(&mut self, answers: &[Answer], out: &mut Vec<u8>) {
        self.state = State::Command;
        self.transaction = None;
        if answers.iter().any(Answer::is_positive) {
            self.patience.message();
        }
        answers.iter().for_each(|answer| answer.write(out));
    }

    /// The TLS handshake that [`Step::StartTls`] asked for is done. Forgets everything the client said before it.
    pub fn secured(&mut self) {
        let setting = ReceptionSetting { tls: LoginOffer::Now, ..self.setting.clone() };
        *self = Self::new(setting);
    }

    /// Last words before the connection is closed for a reason of ours: `timeout`, `shutting down` …
    pub fn goodbye(&self, text: &str, out: &mut Vec<u8>) {
        say(out, &format!("421 4.3.2 {} {}", self.setting.hostname, printable(text.as_bytes(), MAX_TEXT)));
    }

    /// What the client called itself, if a backend can be told.
    #[must_use]
    pub fn hello(&self) -> Option<&str> {
        self.hello.as_ref().and_then(|greeted| greeted.name.0.as_deref())
    }

    /// Whether no transaction is under way.
    #[must_use]
    pub fn is_between(&self) -> bool {
        self.transaction.is_none()
    }

    /// What a part of a message leads to; none: go on.
    fn part(&mut self, part: Result<Part, Error>, out: &mut Vec<u8>) -> Result<Option<Step>, Error> {
        match part {
            Ok(Part::Octets(count)) => Ok(Some(Step::Body(count))),
            Ok(Part::More) => Ok(Some(Step::More)),
            Ok(Part::TooLarge) => Ok(Some(Step::TooLarge)),
            Ok(Part::End { too_large: false }) => {
                self.state = State::Deciding;
                Ok(Some(Step::End))
            }
            Ok(Part::End { too_large: true }) => {
                let count = self.transaction.take().map_or(0, |it| it.answers(self.setting.transport));
                self.state = State::Command;
                (0..count).for_each(|_| say(out, &Bad::Size.to_string()));
                Ok(Some(Step::Reset))
            }
            Err(error) => {
                let told = match error {
                    Error::MessageTooLong => "552 5.3.4 Message is too large.",
                    _ => "521 5.5.2 Lines end with CRLF, and CR or LF stand nowhere else.",
                };
                say(out, told);
                Err(error)
            }
        }
    }

    /// What a line leads to; none: go on with the next.
    fn command(&mut self, text: &[u8], out: &mut Vec<u8>) -> Result<Option<Step>, Bad> {
        match Command::parse(text, self.setting.transport)? {
            Command::Bdat(count) => {
                self.state = State::Chunk(count);
                return Err(Bad::NotImplemented);
            }
            Command::Data => return self.data().map(Some),
            Command::Hello { name, extended } => {
                self.hello = Some(Greeted { name, extended });
                self.setting.welcome(extended, out);
                return Ok(self.transaction.take().map(|_| Step::Reset));
            }
            Command::Help => say(out, "214 2.0.0 See RFC 5321 and RFC 2033."),
            Command::Mail(argument) => return self.mail(argument, out).map(Some),
            Command::Noop => say(out, "250 2.0.0 Ok."),
            Command::Quit => {
                say(out, &format!("221 2.0.0 {} Bye.", self.setting.hostname));
                return Ok(Some(Step::Goodbye));
            }
            Command::Recipient(argument) => return self.recipient(argument).map(Some),
            Command::Rset => {
                say(out, "250 2.0.0 Ok.");
                return Ok(self.transaction.take().map(|_| Step::Reset));
            }
            Command::StartTls if self.setting.tls == LoginOffer::Now => return Err(Bad::StartTlsNotOffered),
            // RFC 3207, section 4.2: what was said before is forgotten.
            Command::StartTls => return Ok(Some(Step::StartTls)),
            Command::Vrfy => say(out, "252 2.0.0 Send it and see."),
        }
        Ok(None)
    }

    fn mail(&mut self, argument: &[u8], out: &mut Vec<u8>) -> Result<Step, Bad> {
        if self.transaction.is_some() {
            return Err(Bad::NestedMail);
        }
        let (transaction, sender) = Transaction::begin(argument, self.hello.as_ref(), &self.setting)?;
        self.transaction = Some(transaction);
        say(out, "250 2.1.0 Ok.");
        Ok(Step::Mail(sender))
    }

    fn recipient(&mut self, argument: &[u8]) -> Result<Step, Bad> {
        let transaction = self.transaction.as_ref().ok_or(Bad::MailFirst)?;
        let recipient = transaction.recipient(argument, self.hello.as_ref(), &self.setting)?;
        self.state = State::Deciding;
        Ok(Step::Recipient(recipient))
    }

    fn data(&mut self) -> Result<Step, Bad> {
        let transaction = self.transaction.as_ref().ok_or(Bad::MailFirst)?;
        if !transaction.has_recipients() {
            return Err(Bad::NoRecipients);
        }
        self.state = State::Deciding;
        Ok(Step::Data)
    }

    /// Answers a line that was no good, and counts it where no honest client would say it.
    fn refuse(&mut self, bad: Bad, out: &mut Vec<u8>) -> Result<(), Error> {
        match bad {
            // Who pipelines says DATA before it knows of its recipients, and may have more of them than we take.
            Bad::NoRecipients | Bad::Size => {}
            Bad::TooManyRecipients => self.patience.refused_recipient(),
            _ => self.patience.bad_command(self.setting.bad_commands)?,
        }
        say(out, &bad.to_string());
        Ok(())
    }

    /// Says why there is no more patience.
    fn tired(&self, error: Error, out: &mut Vec<u8>) -> Error {
        let why = match error {
            Error::TooManyBadCommands => "Too many bad commands.",
            _ => "Too many commands without a message.",
        };
        say(out, &format!("421 4.7.0 {} {why}", self.setting.hostname));
        error
    }
}
