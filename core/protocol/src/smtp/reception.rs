//! Facing a client that brings mail, by SMTP or LMTP: one transaction after the other, each step asked of the caller.
//!
//! The machine knows the protocol: which command may come, what its argument may be, where a message ends. Whether a
//! recipient is taken, and what became of a message, is for the caller to say. Nothing that the client said is said back.

mod body;
mod command;

use std::sync::Arc;

use super::answer::Answer;
use super::capability;
use super::command::{self as line, Bad, Hello, Line};
use super::end_of_data::BareNewline;
use super::envelope::{Recipient, Sender};
use super::path::Utf8;
use super::transport::Transport;
use crate::text::{is_http, printable};
use crate::{Error, Input, LoginOffer};
use body::{Body, Part};
use command::Command;

/// Commands without a message, beyond which a client is after something else. As many as Postfix takes.
const MAX_COMMANDS: u32 = 100;
/// Recipients that one conversation is refused: more than any list has dead addresses.
const MAX_REFUSED: u32 = 10_000;
/// Octets of a text that is not ours.
const MAX_TEXT: usize = 400;

/// What a [`Reception`] begins with.
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
    /// Commands that were refused.
    bad: u32,
    /// Commands since the last message.
    commands: u32,
    /// Recipients that were not taken.
    refused: u32,
}

#[derive(Debug)]
struct Greeted {
    name: Hello,
    /// By a command that lists extensions.
    extended: bool,
}

#[derive(Debug)]
struct Transaction {
    utf8: Utf8,
    /// Those that were taken.
    recipients: u32,
}

#[derive(Debug, Default)]
enum State {
    /// A message comes.
    Body(Body),
    /// The rest of a BDAT chunk comes, and is thrown away.
    Chunk(u64),
    /// The next line is a command.
    #[default]
    Command,
    /// The caller has something to decide.
    Deciding,
    /// The rest of a line that is too long comes, and is thrown away.
    Rest,
}

impl Reception {
    /// Begins.
    #[must_use]
    pub fn new(setting: ReceptionSetting) -> Self {
        Self { setting, hello: None, transaction: None, state: State::Command, bad: 0, commands: 0, refused: 0 }
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
            if !self.skip(input) {
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
            self.count(out)?;
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
                Err(bad) => self.refuse_line(bad, out)?,
            }
        }
    }

    /// What became of the recipient of [`Step::Recipient`].
    pub fn judge(&mut self, answer: &Answer, out: &mut Vec<u8>) {
        self.state = State::Command;
        match &mut self.transaction {
            Some(transaction) if answer.is_positive() => {
                transaction.recipients = transaction.recipients.saturating_add(1);
            }
            _ => self.refused = self.refused.saturating_add(1),
        }
        answer.write(out);
    }

    /// After [`Step::Data`]: the message may come.
    pub fn proceed(&mut self, out: &mut Vec<u8>) {
        let most = capability::size(&self.setting.shared, self.setting.max_message);
        self.state = State::Body(Body::new(self.setting.bare_newline, most));
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
            self.commands = 0;
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
                let count = match self.setting.transport {
                    Transport::Lmtp => self.recipients(),
                    Transport::Mx => 1,
                };
                self.finish(&[], out);
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

    /// Throws away what is not a command; false: more of it is to come, or the caller has not decided.
    fn skip(&mut self, input: &mut Input) -> bool {
        match self.state {
            State::Chunk(left) => {
                let count = usize::try_from(left).unwrap_or(usize::MAX).min(input.len());
                input.consume(count);
                let left = left.saturating_sub(u64::try_from(count).unwrap_or(left));
                self.state = if left == 0 { State::Command } else { State::Chunk(left) };
                left == 0
            }
            State::Rest => {
                let (count, ended) = line::past_crlf(input.bytes());
                input.consume(count);
                if ended {
                    self.state = State::Command;
                }
                ended
            }
            State::Body(_) | State::Deciding => false,
            State::Command => true,
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
                self.welcome(extended, out);
                return Ok(self.transaction.take().map(|_| Step::Reset));
            }
            Command::Help => say(out, "214 2.0.0 See RFC 5321 and RFC 2033."),
            Command::Mail(argument) => return self.mail(argument, out).map(Some),
            Command::Noop => say(out, "250 2.0.0 Ok."),
            Command::Quit => {
                say(out, &format!("221 2.0.0 {} Bye.", self.setting.hostname));
                return Ok(Some(Step::Goodbye));
            }
            Command::Recipient(argument) => return self.recipient(argument),
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

    fn welcome(&self, extended: bool, out: &mut Vec<u8>) {
        let setting = &self.setting;
        let mut said = setting.hostname.to_string();
        if extended {
            let starttls = setting.tls != LoginOffer::Now;
            for line in capability::of_messages(&setting.shared, setting.max_message, starttls) {
                say(out, &format!("250-{said}"));
                said = line;
            }
        }
        say(out, &format!("250 {said}"));
    }

    fn mail(&mut self, argument: &[u8], out: &mut Vec<u8>) -> Result<Step, Bad> {
        let setting = &self.setting;
        if setting.tls == LoginOffer::OnlyAfterTls {
            return Err(Bad::MustStartTls);
        }
        if self.hello.is_none() {
            return Err(match setting.transport {
                Transport::Lmtp => Bad::LhloFirst,
                Transport::Mx => Bad::EhloFirst,
            });
        }
        if self.transaction.is_some() {
            return Err(Bad::NestedMail);
        }
        let sender = Sender::parse(argument, |extension| self.offered(extension))?;
        if sender.size() > capability::size(&setting.shared, setting.max_message) {
            return Err(Bad::Size);
        }
        self.transaction = Some(Transaction { utf8: sender.utf8(), recipients: 0 });
        say(out, "250 2.1.0 Ok.");
        Ok(Step::Mail(sender))
    }

    fn recipient(&mut self, argument: &[u8]) -> Result<Option<Step>, Bad> {
        let Transaction { utf8, recipients } = self.transaction.as_ref().ok_or(Bad::MailFirst)?;
        let recipient = Recipient::parse(argument, *utf8, |extension| self.offered(extension))?;
        if *recipients >= self.setting.max_recipients {
            self.refused = self.refused.saturating_add(1);
            return Err(Bad::TooManyRecipients);
        }
        self.state = State::Deciding;
        Ok(Some(Step::Recipient(recipient)))
    }

    fn data(&mut self) -> Result<Step, Bad> {
        if self.transaction.is_none() {
            return Err(Bad::MailFirst);
        }
        if self.recipients() == 0 {
            return Err(Bad::NoRecipients);
        }
        self.state = State::Deciding;
        Ok(Step::Data)
    }

    fn recipients(&self) -> u32 {
        self.transaction.as_ref().map_or(0, |transaction| transaction.recipients)
    }

    /// Whether the client was told of an extension.
    fn offered(&self, extension: &str) -> bool {
        let shared = || self.setting.shared.iter().any(|line| capability::keyword(line) == extension);
        self.hello.as_ref().is_some_and(|greeted| greeted.extended) && (extension == "SIZE" || shared())
    }

    /// Counts a command, within a transaction only the recipients that are not taken.
    fn count(&mut self, out: &mut Vec<u8>) -> Result<(), Error> {
        if self.transaction.is_none() {
            self.commands = self.commands.saturating_add(1);
        }
        if self.commands <= MAX_COMMANDS && self.refused <= MAX_REFUSED {
            return Ok(());
        }
        say(out, &format!("421 4.7.0 {} Too many commands without a message.", self.setting.hostname));
        Err(Error::TooManyCommands)
    }

    /// Tells the client what was wrong, and counts it where no honest client would be.
    fn refuse_line(&mut self, bad: Bad, out: &mut Vec<u8>) -> Result<(), Error> {
        // Who pipelines says DATA before it knows of its recipients, and may have more of them than we take.
        if !matches!(bad, Bad::NoRecipients | Bad::Size | Bad::TooManyRecipients) {
            self.bad = self.bad.saturating_add(1);
        }
        if self.bad > self.setting.bad_commands {
            say(out, &format!("421 4.7.0 {} Too many bad commands.", self.setting.hostname));
            return Err(Error::TooManyBadCommands);
        }
        say(out, &bad.to_string());
        Ok(())
    }
}

/// Writes a line.
fn say(out: &mut Vec<u8>, line: &str) {
    out.extend_from_slice(line.as_bytes());
    out.extend_from_slice(b"\r\n");
}
