//! The arguments of MAIL and RCPT (RFC 5321, section 4.1.2): a path between angle brackets, and parameters behind it.

use super::command::Bad;
use crate::Name;

/// Octets of a path; RFC 5321 allows 256 and longer ones are on their way, such as those that name a bounce's cause.
const MAX_PATH: usize = 512;
/// Octets of a domain (RFC 5321, section 4.5.3.1.2).
const MAX_DOMAIN: usize = 255;
/// Parameters of one command: all that there are, and some.
const MAX_PARAMETERS: usize = 8;

/// What stands between the angle brackets: nothing, `postmaster`, or a mailbox.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Path {
    text: String,
    /// Octets of the local part; none: there is no domain.
    local: Option<usize>,
}

/// A parameter, as it was said: `SIZE=1000`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Parameter {
    /// In upper case.
    pub(super) keyword: String,
    pub(super) value: Option<String>,
    /// Keyword and value, as said.
    pub(super) said: String,
}

impl Path {
    /// As it was said, without its angle brackets.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether it is the null sender's, or `postmaster`'s: of this host, whatever domains there are.
    #[must_use]
    pub fn is_bare(&self) -> bool {
        self.local.is_none()
    }

    /// Whether it is `postmaster`'s, of whatever domain (RFC 5321, section 4.5.1).
    #[must_use]
    pub fn is_postmaster(&self) -> bool {
        self.local().eq_ignore_ascii_case(POSTMASTER)
    }

    /// The domain; empty: there is none.
    #[must_use]
    pub fn domain(&self) -> &str {
        self.local.and_then(|local| self.text.get(local.saturating_add(1)..)).unwrap_or_default()
    }

    /// What the directory may know it by: a quoted local part without its quotes. None: no name can be like this.
    #[must_use]
    pub fn name(&self) -> Option<Name> {
        let local = self.local();
        let Some(quoted) = local.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) else {
            return Name::new(self.text.as_bytes()).ok();
        };
        let mut plain = String::with_capacity(self.text.len());
        let mut characters = quoted.chars();
        while let Some(character) = characters.next() {
            plain.extend(if character == '\\' { characters.next() } else { Some(character) });
        }
        Name::new(format!("{plain}@{}", self.domain()).as_bytes()).ok()
    }

    /// A directory's name as a path; none: it is no mailbox that needs no quotes.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        Self::parse(name.as_bytes(), Utf8::Allowed).filter(|path| !path.is_bare())
    }

    fn local(&self) -> &str {
        self.local.and_then(|local| self.text.get(..local)).unwrap_or(&self.text)
    }

    /// Reads what stands between the angle brackets, `postmaster` included.
    fn parse(octets: &[u8], utf8: Utf8) -> Option<Self> {
        let text = std::str::from_utf8(octets).ok()?;
        let proper = utf8 == Utf8::Allowed || text.is_ascii();
        if octets.len() > MAX_PATH || !proper || text.chars().any(char::is_control) {
            return None;
        }
        if text.is_empty() || text.eq_ignore_ascii_case(POSTMASTER) {
            return Some(Self { text: text.to_owned(), local: None });
        }
        // A domain holds no `@`, and a local part does only between quotes.
        let at = text.rfind('@')?;
        let (local, domain) = (text.get(..at)?, text.get(at.saturating_add(1)..)?);
        (is_local(local) && is_domain(domain)).then(|| Self { text: text.to_owned(), local: Some(at) })
    }
}

/// Whether a path may hold more than ASCII (RFC 6531).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Utf8 {
    Allowed,
    Forbidden,
}

/// Reads what follows MAIL or RCPT: `FROM:` or `TO:`, a path, parameters. A path that is none is `bad`.
pub(super) fn argument(
    argument: &[u8],
    word: &[u8],
    utf8: impl Fn(&[Parameter]) -> Utf8,
    bad: Bad,
) -> Result<(Path, Vec<Parameter>), Bad> {
    let (said, rest) = argument.split_at_checked(word.len()).ok_or(Bad::Arguments)?;
    if !said.eq_ignore_ascii_case(word) {
        return Err(Bad::Arguments);
    }
    // RFC 5321 allows no space here, and all servers do.
    let rest = rest.trim_ascii_start().strip_prefix(b"<").ok_or(bad)?;
    let end = closing(rest).ok_or(bad)?;
    let (path, behind) = (rest.get(..end).unwrap_or_default(), rest.get(end.saturating_add(1)..).unwrap_or_default());
    let parameters = parameters(behind)?;
    let utf8 = utf8(&parameters);
    if utf8 == Utf8::Forbidden && !behind.is_ascii() {
        return Err(Bad::Utf8);
    }
    match Path::parse(path, utf8) {
        Some(path) => Ok((path, parameters)),
        None if utf8 == Utf8::Forbidden && Path::parse(path, Utf8::Allowed).is_some() => Err(Bad::Utf8),
        None => Err(bad),
    }
}

/// Where the angle bracket is that no quotes hold.
fn closing(path: &[u8]) -> Option<usize> {
    let (mut quoted, mut escaped) = (false, false);
    path.iter().position(|&octet| {
        match octet {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'>' => return !quoted,
            _ => {}
        }
        false
    })
}

/// Reads ` KEYWORD=value KEYWORD`.
fn parameters(text: &[u8]) -> Result<Vec<Parameter>, Bad> {
    let text = std::str::from_utf8(text).map_err(|_| Bad::Arguments)?;
    if !text.is_empty() && !text.starts_with(' ') {
        return Err(Bad::Arguments);
    }
    let mut parameters = Vec::<Parameter>::new();
    for said in text.split(' ').filter(|word| !word.is_empty()) {
        let (keyword, value) = said.split_once('=').map_or((said, None), |(keyword, value)| (keyword, Some(value)));
        let keyword = keyword.to_ascii_uppercase();
        let named = keyword.bytes().all(|octet| octet.is_ascii_alphanumeric() || octet == b'-') && !keyword.is_empty();
        let valued =
            value.is_none_or(|value| !value.is_empty() && !value.contains('=') && !value.contains(char::is_control));
        let twice = parameters.iter().any(|other| other.keyword == keyword);
        if !named || !valued || twice || parameters.len() >= MAX_PARAMETERS {
            return Err(Bad::Arguments);
        }
        parameters.push(Parameter { keyword, value: value.map(str::to_owned), said: said.to_owned() });
    }
    Ok(parameters)
}

/// Atoms and dots, wherever they stand: addresses with two in a row, or one at the end, are in use. Or a quoted string.
fn is_local(local: &str) -> bool {
    if let Some(quoted) = local.strip_prefix('"') {
        return closing_quote(quoted) == Some(quoted.len().saturating_sub(1));
    }
    !local.is_empty()
        && local.bytes().all(|octet| !octet.is_ascii() || octet.is_ascii_graphic() && !SPECIALS.contains(&octet))
}

/// Where the quote is that no backslash precedes.
fn closing_quote(quoted: &str) -> Option<usize> {
    let mut escaped = false;
    quoted.bytes().position(|octet| {
        let ends = octet == b'"' && !escaped;
        escaped = octet == b'\\' && !escaped;
        ends
    })
}

/// Labels, or an address in brackets.
fn is_domain(domain: &str) -> bool {
    if domain.len() > MAX_DOMAIN {
        return false;
    }
    if let Some(literal) = domain.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return !literal.is_empty()
            && literal.bytes().all(|octet| octet.is_ascii_alphanumeric() || b".:-".contains(&octet));
    }
    let plain = |letter: char| match letter {
        '-' | '_' => true,
        _ if letter.is_ascii() => letter.is_ascii_alphanumeric(),
        _ => !LIKE_AT.contains(&letter),
    };
    domain.split('.').all(|label| !label.is_empty() && label.chars().all(plain))
}

/// What ends an atom (RFC 5322, section 3.2.3).
const SPECIALS: &[u8] = b"()<>[]:;@\\,\"";
/// What Unicode's compatibility forms (NFKC), by which the directory knows names, make an `@` of: the domain would be
/// another one for us than for a server.
const LIKE_AT: &[char] = &['\u{fe6b}', '\u{ff20}'];
const POSTMASTER: &str = "postmaster";

#[cfg(test)]
mod tests {
    use super::*;

    type Read = Result<(String, String), Bad>;

    fn recipient(text: &str, utf8: Utf8) -> Read {
        let (path, parameters) = argument(text.as_bytes(), b"TO:", |_| utf8, Bad::Recipient)?;
        let said: Vec<_> = parameters.into_iter().map(|it| it.said).collect();
        Ok((path.text, said.join(" ")))
    }

    #[test]
    fn a_path_is_read_as_it_stands_and_junk_is_refused() {
        let good = |path: &str, parameters: &str| Ok((path.to_owned(), parameters.to_owned()));
        let long = format!("TO:<{}@tgg.net.id>", "a".repeat(MAX_PATH));
        let table: &[(&str, Read)] = &[
            ("TO:<siti@tgg.net.id>", good("siti@tgg.net.id", "")),
            ("to:<siti@tgg.net.id>", good("siti@tgg.net.id", "")),
            ("TO: <siti@tgg.net.id>", good("siti@tgg.net.id", "")),
            ("TO:<Postmaster>", good("Postmaster", "")),
            ("TO:<>", good("", "")),
            ("TO:<a..b.@tgg.net.id>", good("a..b.@tgg.net.id", "")),
            ("TO:<a%b@tgg.net.id>", good("a%b@tgg.net.id", "")),
            ("TO:<\"a b>@\\\"c\"@tgg.net.id>", good("\"a b>@\\\"c\"@tgg.net.id", "")),
            ("TO:<siti@[192.0.2.1]>", good("siti@[192.0.2.1]", "")),
            ("TO:<siti@[IPv6:2001:db8::1]>", good("siti@[IPv6:2001:db8::1]", "")),
            ("TO:<a@b> NOTIFY=NEVER orcpt=rfc822;a+40b", good("a@b", "NOTIFY=NEVER orcpt=rfc822;a+40b")),
            ("TO:<a@b>  SIZE=1", good("a@b", "SIZE=1")),
            ("TO:<sit\u{e9}@tgg.net.id>", Err(Bad::Utf8)),
            ("TO:<a@b> ORCPT=rfc822;sit\u{e9}@b", Err(Bad::Utf8)),
            ("TO:<a@b> ORCPT=rfc822;a\u{1}", Err(Bad::Arguments)),
            ("TO:<siti>", Err(Bad::Recipient)),
            ("TO:siti@tgg.net.id", Err(Bad::Recipient)),
            ("TO:<siti@tgg.net.id", Err(Bad::Recipient)),
            ("TO:<@a,@b:siti@tgg.net.id>", Err(Bad::Recipient)),
            ("TO:<si ti@tgg.net.id>", Err(Bad::Recipient)),
            ("TO:<siti@>", Err(Bad::Recipient)),
            ("TO:<@tgg.net.id>", Err(Bad::Recipient)),
            ("TO:<siti@tgg..id>", Err(Bad::Recipient)),
            ("TO:<siti@t_g.-x>", good("siti@t_g.-x", "")),
            ("TO:<siti@tgg/net>", Err(Bad::Recipient)),
            ("TO:<\"a\"b@tgg.net.id>", Err(Bad::Recipient)),
            ("TO:<si\tti@tgg.net.id>", Err(Bad::Recipient)),
            ("TO:<si\u{1}ti@tgg.net.id>", Err(Bad::Recipient)),
            ("TO:<a@b>SIZE=1", Err(Bad::Arguments)),
            ("TO:<a@b> =1", Err(Bad::Arguments)),
            ("TO:<a@b> SIZE=", Err(Bad::Arguments)),
            ("TO:<a@b> A=b=c", Err(Bad::Arguments)),
            ("TO:<a@b> A=1 a=2", Err(Bad::Arguments)),
            ("TO:<a@b> A B C D E F G H I", Err(Bad::Arguments)),
            ("FROM:<a@b>", Err(Bad::Arguments)),
            ("", Err(Bad::Arguments)),
            (&long, Err(Bad::Recipient)),
        ];
        for (text, expected) in table {
            assert_eq!(recipient(text, Utf8::Forbidden), *expected, "{text}");
        }
        assert_eq!(recipient("TO:<sit\u{e9}@t\u{e9}>", Utf8::Allowed), good("sit\u{e9}@t\u{e9}", ""));
        for at in LIKE_AT {
            let said = format!("TO:<siti+@evil.example{at}tgg.net.id>");
            assert_eq!(recipient(&said, Utf8::Allowed), Err(Bad::Recipient), "{at}");
        }
    }

    #[test]
    fn a_name_for_the_directory_has_no_quotes() {
        let table: &[(&str, Option<&str>)] = &[
            ("siti@tgg.net.id", Some("siti@tgg.net.id")),
            ("\"siti\"@tgg.net.id", Some("siti@tgg.net.id")),
            ("\"a\\\"b c\"@tgg.net.id", Some("a\"b c@tgg.net.id")),
            ("postmaster", Some("postmaster")),
        ];
        for (text, expected) in table {
            let path = Path::parse(text.as_bytes(), Utf8::Forbidden).unwrap();
            assert_eq!(path.name().as_ref().map(Name::as_str), *expected, "{text}");
        }
    }

    #[test]
    fn the_parts_of_a_path_are_known() {
        let path = |text: &str| Path::parse(text.as_bytes(), Utf8::Forbidden).unwrap();
        assert_eq!(path("\"a@b\"@tgg.net.id").domain(), "tgg.net.id");
        assert!(path("PostMaster").is_bare() && path("PostMaster").is_postmaster() && path("").is_bare());
        assert!(path("POSTMASTER@tgg.net.id").is_postmaster() && !path("postmasters@tgg.net.id").is_postmaster());
        assert!(Path::of_name("siti@tgg.net.id").is_some() && Path::of_name("siti").is_none());
        assert!(Path::of_name("a b@c").is_none() && Path::of_name("a\r\nDATA@c").is_none());
    }
}
