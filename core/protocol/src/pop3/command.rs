//! What a client says: lines, and the commands in them.

use crate::name::BadName;
use crate::sasl::{self, Mechanism};
use crate::{Error, Name, Secret, ServerSetting};

/// A command that may come before the login.
#[derive(Debug)]
pub(super) enum Command<'a> {
    Auth {
        mechanism: Mechanism,
        initial: Option<&'a [u8]>,
    },
    /// AUTH without an argument: an old way to ask for the mechanisms, still Outlook's.
    AuthList,
    Capa,
    Noop,
    Pass(Secret),
    Quit,
    Stls,
    User(Name),
    Utf8,
}

/// Why a line is answered `-ERR`, in words for the client. Its own words are never repeated (ALPACA).
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(super) enum Bad {
    #[error("missing or superfluous argument")]
    Arguments,
    #[error("password is empty")]
    EmptyPassword,
    #[error("a line ends with CRLF and holds no other CR or LF")]
    LineEnd,
    #[error("unknown authentication mechanism")]
    Mechanism,
    #[error(transparent)]
    Name(#[from] BadName),
    #[error("[SYS/PERM] no server here takes passwords")]
    NoPasswords,
    #[error("a line holds no NUL")]
    Nul,
    #[error("say USER first")]
    PassBeforeUser,
    #[error(transparent)]
    Sasl(#[from] sasl::Refused),
    #[error("TLS is not offered here")]
    StlsNotOffered,
    #[error("[SYS/PERM] login needs TLS: say STLS first")]
    TlsRequired,
    #[error("unknown command")]
    Unknown,
}

impl<'a> Command<'a> {
    /// Reads a line that [`line`] gave.
    pub(super) fn parse(line: &'a [u8]) -> Result<Self, Bad> {
        let (keyword, argument) = match line.iter().position(|&octet| octet == b' ') {
            Some(space) => (line.get(..space).unwrap_or_default(), line.get(space.saturating_add(1)..)),
            None => (line, None),
        };
        match keyword.to_ascii_uppercase().as_slice() {
            b"AUTH" => argument.map_or(Ok(Self::AuthList), Self::auth),
            b"CAPA" => Self::without(argument, Self::Capa),
            b"NOOP" => Self::without(argument, Self::Noop),
            b"PASS" => match argument.unwrap_or_default() {
                [] => Err(Bad::EmptyPassword),
                password => Ok(Self::Pass(Secret::new(password))),
            },
            b"QUIT" => Self::without(argument, Self::Quit),
            b"STLS" => Self::without(argument, Self::Stls),
            b"USER" => Ok(Self::User(Name::new(argument.unwrap_or_default())?)),
            b"UTF8" => Self::without(argument, Self::Utf8),
            _ => Err(Bad::Unknown),
        }
    }

    fn auth(argument: &'a [u8]) -> Result<Self, Bad> {
        let mut words = argument.split(|&octet| octet == b' ');
        let mechanism = Mechanism::parse(words.next().unwrap_or_default()).ok_or(Bad::Mechanism)?;
        let initial = words.next();
        if words.next().is_some() || initial == Some(b"") {
            return Err(Bad::Arguments);
        }
        Ok(Self::Auth { mechanism, initial })
    }

    fn without(argument: Option<&[u8]>, command: Self) -> Result<Self, Bad> {
        if argument.is_some() { Err(Bad::Arguments) } else { Ok(command) }
    }
}

/// A line that came.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Line<'a> {
    /// Without its CRLF.
    pub(super) text: Result<&'a [u8], Bad>,
    /// Its octets, with its end.
    pub(super) length: usize,
}

/// The first line; none: it is not complete. `limit` does not count the CRLF.
///
/// # Errors
/// It is longer than that, also where its end is not there yet.
pub(super) fn line(bytes: &[u8], limit: usize) -> Result<Option<Line<'_>>, Error> {
    let Some(at) = bytes.iter().position(|&octet| octet == b'\n') else {
        // The last octet may be the CR that does not count.
        return if bytes.len() > limit.saturating_add(1) { Err(Error::CommandTooLong) } else { Ok(None) };
    };
    let length = at.saturating_add(1);
    if length > limit.saturating_add(2) {
        return Err(Error::CommandTooLong);
    }
    let text = match bytes.get(..at) {
        Some([text @ .., b'\r']) if text.contains(&0) => Err(Bad::Nul),
        Some([text @ .., b'\r']) if !text.contains(&b'\r') => Ok(text),
        _ => Err(Bad::LineEnd),
    };
    Ok(Some(Line { text, length }))
}

/// Octets a line that begins like this may have: an initial response is as long as any other.
pub(super) fn limit(bytes: &[u8], setting: &ServerSetting) -> usize {
    match bytes.get(..b"AUTH ".len()) {
        Some(start) if start.eq_ignore_ascii_case(b"AUTH ") => setting.max_command.max(setting.max_response),
        _ => setting.max_command,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_ends_with_crlf_and_nothing_else() {
        let whole = |bytes: &[u8], text: Result<&[u8], Bad>| {
            let behind = [bytes, b"QUIT\r\n"].concat();
            assert_eq!(line(&behind, 8), Ok(Some(Line { text, length: bytes.len() })), "{}", bytes.escape_ascii());
            for end in 0..bytes.len() {
                assert_eq!(line(&bytes[..end], 8), Ok(None), "{}", bytes.escape_ascii());
            }
        };
        whole(b"NOOP\r\n", Ok(b"NOOP"));
        whole(b"\r\n", Ok(b""));
        whole(b"NOOP\n", Err(Bad::LineEnd));
        whole(b"\n", Err(Bad::LineEnd));
        whole(b"NO\rOP\r\n", Err(Bad::LineEnd));
        whole(b"NOOP\r\r\n", Err(Bad::LineEnd));
        whole(b"NO\0OP\r\n", Err(Bad::Nul));
    }

    #[test]
    fn a_line_may_have_as_many_octets_as_its_limit() {
        assert_eq!(line(b"1234\r\n", 4), Ok(Some(Line { text: Ok(b"1234"), length: 6 })));
        assert_eq!(line(b"12345\r\n", 4), Err(Error::CommandTooLong));
        assert_eq!(line(b"1234\r", 4), Ok(None));
        assert_eq!(line(b"12345\r", 4), Err(Error::CommandTooLong));
    }

    #[test]
    fn a_line_with_a_response_may_be_longer() {
        let setting = |max_command, max_response| ServerSetting {
            hostname: "mail".into(),
            login: crate::LoginOffer::Now,
            shared: [].into(),
            passwords: true,
            certificate: false,
            bad_commands: 9,
            max_command,
            max_response,
        };
        assert_eq!(limit(b"auth P", &setting(255, 4096)), 4096);
        assert_eq!(limit(b"auth P", &setting(8192, 4096)), 8192);
        assert_eq!(limit(b"AUTHPL", &setting(255, 4096)), 255);
    }

    #[test]
    fn commands_are_read_in_any_case_and_take_their_arguments_as_they_are() {
        assert!(matches!(Command::parse(b"noop"), Ok(Command::Noop)));
        assert!(matches!(Command::parse(b"AUTH"), Ok(Command::AuthList)));
        assert!(matches!(Command::parse(b"auth plain ="), Ok(Command::Auth { initial: Some(b"="), .. })));
        assert!(matches!(Command::parse(b"AUTH LOGIN"), Ok(Command::Auth { initial: None, .. })));
        assert!(matches!(Command::parse(b"USER a b "), Ok(Command::User(name)) if name.as_str() == "a b "));
        assert!(matches!(Command::parse(b"PASS  a b "), Ok(Command::Pass(password)) if password.expose() == b" a b "));
    }

    #[test]
    fn bad_commands_say_what_is_wrong() {
        let table: &[(&[u8], Bad)] = &[
            (b"", Bad::Unknown),
            (b" NOOP", Bad::Unknown),
            (b"STAT", Bad::Unknown),
            (b"APOP siti 0123", Bad::Unknown),
            (b"XCLIENT ADDR=192.0.2.1", Bad::Unknown),
            (b"XOIP 192.0.2.1", Bad::Unknown),
            (b"\xff\xfe", Bad::Unknown),
            (b"NOOP ", Bad::Arguments),
            (b"CAPA x", Bad::Arguments),
            (b"USER", Bad::Name(BadName::Empty)),
            (b"USER \xff", Bad::Name(BadName::Utf8)),
            (b"USER a\tb", Bad::Name(BadName::Control)),
            (b"PASS", Bad::EmptyPassword),
            (b"PASS ", Bad::EmptyPassword),
            (b"AUTH ", Bad::Mechanism),
            (b"AUTH CRAM-MD5", Bad::Mechanism),
            (b"AUTH PLAIN ", Bad::Arguments),
            (b"AUTH PLAIN AA== x", Bad::Arguments),
        ];
        for (line, expected) in table {
            assert_eq!(Command::parse(line).err(), Some(*expected), "{}", line.escape_ascii());
        }
    }
}
