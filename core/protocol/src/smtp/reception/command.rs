//! The commands of a client that brings mail.

use crate::smtp::command::{self, Bad, Hello};
use crate::smtp::transport::Transport;

/// A command, its argument unread where that depends on what came before.
#[derive(Debug)]
pub(super) enum Command<'a> {
    /// So many octets follow that are no commands (RFC 3030).
    Bdat(u64),
    Data,
    Hello {
        name: Hello,
        /// The list of extensions is asked for.
        extended: bool,
    },
    Help,
    /// And what follows it.
    Mail(&'a [u8]),
    Noop,
    Quit,
    /// And what follows it.
    Recipient(&'a [u8]),
    Rset,
    StartTls,
    Vrfy,
}

impl<'a> Command<'a> {
    pub(super) fn parse(line: &'a [u8], transport: Transport) -> Result<Self, Bad> {
        // RFC 5321, section 4.1.1: white space before the CRLF is to be overlooked.
        let (keyword, argument) = command::split(line.trim_ascii_end());
        match (keyword.to_ascii_uppercase().as_slice(), transport) {
            (b"BDAT", _) => command::chunk(argument).map(Self::Bdat).ok_or(Bad::Arguments),
            (b"DATA", _) => Self::without(argument, Self::Data),
            // RFC 2033, section 4.1.
            (b"EHLO" | b"HELO", Transport::Lmtp) => Err(Bad::SayLhlo),
            (b"EHLO", Transport::Mx) | (b"LHLO", Transport::Lmtp) => Self::hello(argument, true),
            (b"HELO", Transport::Mx) => Self::hello(argument, false),
            (b"HELP", _) => Ok(Self::Help),
            (b"MAIL", _) => Ok(Self::Mail(argument)),
            (b"NOOP", _) => Ok(Self::Noop),
            (b"QUIT", _) => Self::without(argument, Self::Quit),
            (b"RCPT", _) => Ok(Self::Recipient(argument)),
            (b"RSET", _) => Self::without(argument, Self::Rset),
            (b"STARTTLS", _) => Self::without(argument, Self::StartTls),
            (b"VRFY", _) => Ok(Self::Vrfy),
            (b"XCLIENT" | b"XFORWARD", _) => Err(Bad::ProxiesOnly),
            (verb, _) if NOT_IMPLEMENTED.contains(&verb) => Err(Bad::NotImplemented),
            _ => Err(Bad::Unknown),
        }
    }

    fn hello(name: &[u8], extended: bool) -> Result<Self, Bad> {
        Ok(Self::Hello { name: Hello::new(name)?, extended })
    }

    fn without(argument: &[u8], command: Self) -> Result<Self, Bad> {
        if argument.is_empty() { Ok(command) } else { Err(Bad::Arguments) }
    }
}

/// Commands of SMTP that nobody needs who brings mail.
const NOT_IMPLEMENTED: &[&[u8]] = &[b"ATRN", b"AUTH", b"BURL", b"ETRN", b"EXPN", b"SAML", b"SEND", b"SOML", b"TURN"];
