//! What a client says before its login: a command, or the string that answers a challenge.

use super::words::Words;
use crate::sasl::{self, Mechanism};
use crate::text::is_printable;
use crate::{Secret, ServerSetting};

/// Longest tag of NOOP: it is said back, and who needs more than a few digits only wants to hear himself (ALPACA).
const MAX_TAG: usize = 64;

/// A command that may come before the login.
#[derive(Debug)]
pub(super) enum Command {
    Authenticate {
        mechanism: Mechanism,
        initial: Option<Secret>,
    },
    Capability,
    Logout,
    /// With the tag that is to be said back.
    Noop(Option<Vec<u8>>),
    StartTls,
}

/// Why a command is answered `NO`, in words for the client. Its own words are never repeated (ALPACA).
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(super) enum Bad {
    #[error("a line ends with CRLF and holds no other CR or LF")]
    LineEnd,
    #[error("unknown authentication mechanism")]
    Mechanism,
    #[error("log in first")]
    NotLoggedIn,
    #[error("a command holds no NUL")]
    Nul,
    #[error("response is not a string")]
    Response,
    #[error(transparent)]
    Sasl(#[from] sasl::Refused),
    #[error("TLS is not offered here")]
    StartTlsNotOffered,
    #[error("syntax error in the arguments")]
    Syntax,
    #[error("tag is not 64 octets of printable ASCII, or less")]
    Tag,
    #[error("login needs TLS: say STARTTLS first")]
    TlsRequired,
    #[error("unknown command")]
    Unknown,
}

impl Bad {
    /// The response code that says it to a program; may be empty.
    pub(super) fn code(self) -> &'static str {
        if self == Self::TlsRequired { "ENCRYPT-NEEDED" } else { "" }
    }
}

impl Command {
    /// Reads a whole command, up to the line end behind its last literal.
    pub(super) fn parse(command: &[u8]) -> Result<Self, Bad> {
        if command.contains(&0) {
            return Err(Bad::Nul);
        }
        let mut words = Words(command);
        let parsed = match words.atom().to_ascii_uppercase().as_slice() {
            b"AUTHENTICATE" => authenticate(&mut words)?,
            b"CAPABILITY" => Self::Capability,
            b"LOGOUT" => Self::Logout,
            b"NOOP" => noop(&mut words)?,
            b"STARTTLS" => Self::StartTls,
            b"CHECKSCRIPT" | b"DELETESCRIPT" | b"GETSCRIPT" | b"HAVESPACE" | b"LISTSCRIPTS" | b"PUTSCRIPT"
            | b"RENAMESCRIPT" | b"SETACTIVE" | b"UNAUTHENTICATE" => return Err(Bad::NotLoggedIn),
            _ => return Err(Bad::Unknown),
        };
        if words.is_at_end() { Ok(parsed) } else { Err(Bad::Syntax) }
    }
}

/// A mechanism that we do not have is said to be none before what follows it is looked at.
fn authenticate(words: &mut Words<'_>) -> Result<Command, Bad> {
    let name = next_string(words)?.ok_or(Bad::Syntax)?;
    let mechanism = Mechanism::parse(name.expose()).ok_or(Bad::Mechanism)?;
    Ok(Command::Authenticate { mechanism, initial: next_string(words)? })
}

fn noop(words: &mut Words<'_>) -> Result<Command, Bad> {
    let tag = next_string(words)?.map(|tag| tag.expose().to_vec());
    match &tag {
        Some(tag) if tag.len() > MAX_TAG || !tag.iter().copied().all(is_printable) => Err(Bad::Tag),
        _ => Ok(Command::Noop(tag)),
    }
}

/// The string behind a space; none: the command ends here.
fn next_string(words: &mut Words<'_>) -> Result<Option<Secret>, Bad> {
    if !words.octet(b' ') {
        return Ok(None);
    }
    words.string().map(|string| Some(Secret::new(&string))).ok_or(Bad::Syntax)
}

/// Reads the answer to a challenge: one string and the line end.
pub(super) fn response(octets: &[u8]) -> Result<Secret, Bad> {
    let mut words = Words(octets);
    match words.string() {
        Some(string) if words.is_at_end() => Ok(Secret::new(&string)),
        _ => Err(Bad::Response),
    }
}

/// Octets a command that begins like this may have: an initial response is as long as any other.
pub(super) fn limit(bytes: &[u8], setting: &ServerSetting) -> usize {
    const COMMAND: &[u8] = b"AUTHENTICATE ";
    match bytes.get(..COMMAND.len()) {
        Some(start) if start.eq_ignore_ascii_case(COMMAND) => setting.max_command.max(setting.max_response),
        _ => setting.max_command,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(command: &[u8]) -> String {
        match Command::parse(command) {
            Ok(Command::Authenticate { mechanism, initial }) => {
                let initial = initial.map(|it| it.expose().escape_ascii().to_string());
                format!("{} {initial:?}", mechanism.name())
            }
            Ok(Command::Noop(tag)) => format!("NOOP {:?}", tag.map(|tag| tag.escape_ascii().to_string())),
            Ok(other) => format!("{other:?}"),
            Err(bad) => format!("{bad:?}"),
        }
    }

    #[test]
    fn commands_are_read_in_any_case_and_with_any_string() {
        let table: &[(&[u8], &str)] = &[
            (b"CAPABILITY\r\n", "Capability"),
            (b"capability\r\n", "Capability"),
            (b"LogOut\r\n", "Logout"),
            (b"STARTTLS\r\n", "StartTls"),
            (b"NOOP\r\n", "NOOP None"),
            (b"NOOP \"a b\"\r\n", "NOOP Some(\"a b\")"),
            (b"NOOP {2+}\r\na\"\r\n", "NOOP Some(\"a\\\\\\\"\")"),
            (b"AUTHENTICATE \"PLAIN\"\r\n", "PLAIN None"),
            (b"authenticate \"plain\" \"\"\r\n", "PLAIN Some(\"\")"),
            (b"AUTHENTICATE \"PLAIN\" \"AA==\"\r\n", "PLAIN Some(\"AA==\")"),
            (b"AUTHENTICATE {5+}\r\nPLAIN {4+}\r\nAA==\r\n", "PLAIN Some(\"AA==\")"),
            // Dovecot takes it so too; there is no leave to wait for.
            (b"AUTHENTICATE \"LOGIN\" {4}\r\nAA==\r\n", "LOGIN Some(\"AA==\")"),
        ];
        for (command, expected) in table {
            assert_eq!(shown(command), *expected, "{}", command.escape_ascii());
        }
    }

    #[test]
    fn bad_commands_say_what_is_wrong() {
        let long = [&b"NOOP \""[..], &[b'x'; MAX_TAG + 1], b"\"\r\n"].concat();
        let table: &[(&[u8], Bad)] = &[
            (b"\r\n", Bad::Unknown),
            (b" NOOP\r\n", Bad::Unknown),
            (b"\"NOOP\"\r\n", Bad::Unknown),
            (b"XCLIENT ADDR=192.0.2.1\r\n", Bad::Unknown),
            (b"a LOGIN siti demo\r\n", Bad::Unknown),
            (b"\xff\xfe\r\n", Bad::Unknown),
            (b"NO\0OP\r\n", Bad::Nul),
            (b"NOOP \"a\0\"\r\n", Bad::Nul),
            (b"HAVESPACE \"a\" 99\r\n", Bad::NotLoggedIn),
            (b"putscript \"a\" {5+}\r\nstop;\r\n", Bad::NotLoggedIn),
            (b"LISTSCRIPTS\r\n", Bad::NotLoggedIn),
            (b"UNAUTHENTICATE\r\n", Bad::NotLoggedIn),
            (b"CAPABILITY x\r\n", Bad::Syntax),
            (b"LOGOUT \r\n", Bad::Syntax),
            (b"STARTTLS\"\"\r\n", Bad::Syntax),
            (b"NOOP \r\n", Bad::Syntax),
            (b"NOOP a\r\n", Bad::Syntax),
            (b"NOOP \"a\r\n", Bad::Syntax),
            (b"NOOP \"a\" \r\n", Bad::Syntax),
            (b"NOOP \"a\\b\"\r\n", Bad::Syntax),
            (b"NOOP \"\xc3\xa9\"\r\n", Bad::Tag),
            (b"NOOP {2+}\r\n\r\n\r\n", Bad::Tag),
            (&long, Bad::Tag),
            (b"AUTHENTICATE\r\n", Bad::Syntax),
            (b"AUTHENTICATE PLAIN\r\n", Bad::Syntax),
            (b"AUTHENTICATE \"CRAM-MD5\"\r\n", Bad::Mechanism),
            (b"AUTHENTICATE \"CRAM-MD5\" x\r\n", Bad::Mechanism),
            (b"AUTHENTICATE \"PLAIN\" AA==\r\n", Bad::Syntax),
            (b"AUTHENTICATE \"PLAIN\" \"AA==\" \"\"\r\n", Bad::Syntax),
        ];
        for (command, expected) in table {
            assert_eq!(Command::parse(command).err(), Some(*expected), "{}", command.escape_ascii());
        }
    }

    #[test]
    fn a_response_is_one_string() {
        let read = |octets: &[u8]| response(octets).map(|secret| secret.expose().to_vec());
        for good in [&b"\"AA==\"\r\n"[..], b"{4+}\r\nAA==\r\n", b"{4}\r\nAA==\r\n"] {
            assert_eq!(read(good), Ok(b"AA==".to_vec()));
        }
        for bad in [&b"AA==\r\n"[..], b"*\r\n", b"\r\n", b"\"AA==\" \r\n", b"\"AA==\r\n", b"\"AA==\"x\r\n"] {
            assert_eq!(read(bad), Err(Bad::Response), "{}", bad.escape_ascii());
        }
    }
}
