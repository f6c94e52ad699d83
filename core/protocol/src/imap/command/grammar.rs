//! The grammar of a whole command (RFC 3501, section 9): tag, verb, strings.

use zeroize::Zeroizing;

use crate::sasl::Mechanism;
use crate::{Name, Secret, strings};

use super::super::tag::Tag;
use super::{Command, Parameters, Read, Refused};

/// RFC 2971, section 3.3: at most 30 pairs, fields of 30 and values of 1024 octets.
const MAX_PAIRS: usize = 30;
const MAX_FIELD: usize = 30;
const MAX_VALUE: usize = 1024;

/// The first word of a command.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Verb {
    /// AUTHENTICATE.
    Authenticate,
    /// CAPABILITY.
    Capability,
    /// ID.
    Id,
    /// LOGIN.
    Login,
    /// LOGOUT.
    Logout,
    /// NOOP.
    Noop,
    /// None of these.
    Other,
    /// STARTTLS.
    StartTls,
}

/// The tag and the verb of a command, as far as they are there.
pub(super) fn opening(command: &[u8]) -> (Option<Tag>, Verb) {
    let mut words = Words(command);
    let tag = words.tag();
    let verb = words.space().map_or(Verb::Other, |()| words.verb());
    (tag, verb)
}

/// A whole command: up to the line end behind its last literal.
pub(super) fn read(command: &[u8]) -> Read {
    let mut words = Words(command);
    let Some(tag) = words.tag() else { return Read::Bad { tag: None, refused: Refused::Tag } };
    let command = if command.contains(&0) { Err(Refused::Syntax) } else { words.command() };
    match command {
        Ok(command) => Read::Command { tag, command },
        Err(refused) => Read::Bad { tag: Some(tag), refused },
    }
}

/// What of a command is not yet read.
struct Words<'a>(&'a [u8]);

impl<'a> Words<'a> {
    fn command(&mut self) -> Result<Command, Refused> {
        self.space()?;
        let command = match self.verb() {
            Verb::Authenticate => self.authenticate()?,
            Verb::Capability => Command::Capability,
            Verb::Id => self.id()?,
            Verb::Login => self.login()?,
            Verb::Logout => Command::Logout,
            Verb::Noop => Command::Noop,
            Verb::Other => return Err(Refused::Unknown),
            Verb::StartTls => Command::StartTls,
        };
        if self.0 == b"\r\n" { Ok(command) } else { Err(Refused::Syntax) }
    }

    /// A word that nothing follows is no tag: a SASL response that came unasked looks like one, and is not said back.
    fn tag(&mut self) -> Option<Tag> {
        let tag = Tag::new(self.until(|octet| b" \r\n".contains(&octet)))?;
        (self.0.first() == Some(&b' ')).then_some(tag)
    }

    fn verb(&mut self) -> Verb {
        match self.until(|octet| b" \r\n".contains(&octet)).to_ascii_uppercase().as_slice() {
            b"AUTHENTICATE" => Verb::Authenticate,
            b"CAPABILITY" => Verb::Capability,
            b"ID" => Verb::Id,
            b"LOGIN" => Verb::Login,
            b"LOGOUT" => Verb::Logout,
            b"NOOP" => Verb::Noop,
            b"STARTTLS" => Verb::StartTls,
            _ => Verb::Other,
        }
    }

    fn authenticate(&mut self) -> Result<Command, Refused> {
        self.space()?;
        let mechanism = Mechanism::parse(self.atom()?);
        let initial = match self.space() {
            Ok(()) => Some(Secret::new(self.atom()?)),
            Err(_) => None,
        };
        Ok(Command::Authenticate { mechanism, initial })
    }

    fn login(&mut self) -> Result<Command, Refused> {
        self.space()?;
        let name = self.astring()?;
        self.space()?;
        let password = self.astring()?;
        let name = Name::new(&name).map_err(Refused::Name)?;
        if password.is_empty() {
            return Err(Refused::EmptyPassword);
        }
        Ok(Command::Login { name, password: Secret::new(&password) })
    }

    fn id(&mut self) -> Result<Command, Refused> {
        self.space()?;
        let mut kept = Parameters::default();
        if self.nil() {
            return Ok(Command::Id(kept));
        }
        self.octet(b'(')?;
        for pairs in 0_usize.. {
            if self.octet(b')').is_ok() {
                break;
            }
            if pairs >= MAX_PAIRS {
                return Err(Refused::Id);
            }
            if pairs > 0 {
                self.space()?;
            }
            let field = self.id_string(MAX_FIELD)?;
            self.space()?;
            let value = if self.nil() { None } else { Some(self.id_string(MAX_VALUE)?) };
            let proxys_own = field.get(..2).is_some_and(|prefix| prefix.eq_ignore_ascii_case("x-"));
            if !proxys_own {
                kept.said.push((field, value));
            } else if field.eq_ignore_ascii_case("x-proxy-ttl") {
                kept.hops = value.and_then(|hops| hops.parse().ok());
            }
        }
        Ok(Command::Id(kept))
    }

    fn id_string(&mut self, most: usize) -> Result<String, Refused> {
        let octets = self.string()?;
        if octets.len() > most { Err(Refused::Id) } else { Ok(String::from_utf8_lossy(&octets).into_owned()) }
    }

    fn nil(&mut self) -> bool {
        let Some((word, rest)) = self.0.split_at_checked(3) else { return false };
        let is_nil = word.eq_ignore_ascii_case(b"NIL") && rest.first().is_none_or(|octet| b" )\r".contains(octet));
        if is_nil {
            self.0 = rest;
        }
        is_nil
    }

    fn astring(&mut self) -> Result<Zeroizing<Vec<u8>>, Refused> {
        match self.0.first() {
            Some(b'"' | b'{') => self.string(),
            _ => Ok(Zeroizing::new(self.atom()?.to_vec())),
        }
    }

    fn string(&mut self) -> Result<Zeroizing<Vec<u8>>, Refused> {
        let quoted = strings::quoted(self.0);
        let string =
            quoted.or_else(|| strings::literal(self.0).map(|(text, rest)| (Zeroizing::new(text.to_vec()), rest)));
        let (text, rest) = string.ok_or(Refused::Syntax)?;
        self.0 = rest;
        Ok(text)
    }

    /// Takes `% * \ ]` for letters, as Dovecot does: passwords have them, and clients do not always quote.
    fn atom(&mut self) -> Result<&'a [u8], Refused> {
        let atom = self.until(|octet| !octet.is_ascii_graphic() || b"(){\"".contains(&octet));
        if atom.is_empty() { Err(Refused::Syntax) } else { Ok(atom) }
    }

    fn space(&mut self) -> Result<(), Refused> {
        self.octet(b' ')
    }

    fn octet(&mut self, expected: u8) -> Result<(), Refused> {
        match self.0.split_first() {
            Some((&octet, rest)) if octet == expected => {
                self.0 = rest;
                Ok(())
            }
            _ => Err(Refused::Syntax),
        }
    }

    fn until(&mut self, stop: impl Fn(u8) -> bool) -> &'a [u8] {
        let end = self.0.iter().position(|&octet| stop(octet)).unwrap_or(self.0.len());
        let (word, rest) = self.0.split_at_checked(end).unwrap_or((self.0, &[]));
        self.0 = rest;
        word
    }
}
