//! Whose a message is and whom it is for, as a client said it and a backend is told.

use super::command::Bad;
use super::path::{self, Parameter, Path, Utf8};

/// What MAIL said.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Sender {
    path: Path,
    parameters: Vec<Parameter>,
    size: u64,
}

/// What RCPT said.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Recipient {
    path: Path,
    parameters: Vec<Parameter>,
}

impl Sender {
    /// Reads what follows MAIL; `offered` says whether the client was offered an extension.
    pub(super) fn parse(argument: &[u8], offered: impl Fn(&str) -> bool) -> Result<Self, Bad> {
        let utf8 = |parameters: &[Parameter]| {
            let asked = parameters.iter().any(|parameter| parameter.keyword == SMTPUTF8);
            if asked && offered(SMTPUTF8) { Utf8::Allowed } else { Utf8::Forbidden }
        };
        let (path, parameters) = path::argument(argument, b"FROM:", utf8, Bad::Sender)?;
        if path.is_bare() && !path.as_str().is_empty() {
            return Err(Bad::Sender);
        }
        let mut size = 0;
        for Parameter { keyword, value, .. } in &parameters {
            let valued = match (keyword.as_str(), value.as_deref()) {
                // RFC 1870: up to twenty digits. More octets than can be counted are too many for everybody.
                (SIZE, Some(digits)) if is_number(digits) => {
                    size = digits.parse().unwrap_or(u64::MAX);
                    true
                }
                ("BODY", Some(body)) => ["7BIT", "8BITMIME"].iter().any(|known| known.eq_ignore_ascii_case(body)),
                ("RET", Some(ret)) => ["FULL", "HDRS"].iter().any(|known| known.eq_ignore_ascii_case(ret)),
                ("ENVID", Some(_)) | (SMTPUTF8, None) => true,
                _ => false,
            };
            match extension_of_mail(keyword) {
                Some(extension) if offered(extension) && valued => {}
                Some(extension) if offered(extension) => return Err(Bad::Arguments),
                _ => return Err(Bad::Parameter),
            }
        }
        Ok(Self { path, parameters, size })
    }

    /// Where bounces go; empty: nowhere.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Octets that the client announced; 0: it did not.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Whether addresses may hold more than ASCII.
    pub(super) fn utf8(&self) -> Utf8 {
        let asked = self.parameters.iter().any(|parameter| parameter.keyword == SMTPUTF8);
        if asked { Utf8::Allowed } else { Utf8::Forbidden }
    }

    /// What a backend must be able to do. It need not know of SIZE, which only announces.
    pub(super) fn needs(&self) -> impl Iterator<Item = &'static str> {
        let extensions = self.parameters.iter().filter_map(|parameter| extension_of_mail(&parameter.keyword));
        extensions.filter(|&extension| extension != SIZE)
    }

    /// The command as a backend is told it.
    pub(super) fn command(&self, with_size: bool) -> String {
        let told = self.parameters.iter().filter(|parameter| with_size || parameter.keyword != SIZE);
        told.fold(format!("MAIL FROM:<{}>", self.path.as_str()), |line, parameter| line + " " + &parameter.said)
            + "\r\n"
    }
}

impl Recipient {
    /// Reads what follows RCPT.
    pub(super) fn parse(argument: &[u8], utf8: Utf8, offered: impl Fn(&str) -> bool) -> Result<Self, Bad> {
        let (path, parameters) = path::argument(argument, b"TO:", |_| utf8, Bad::Recipient)?;
        if path.as_str().is_empty() {
            return Err(Bad::Recipient);
        }
        if parameters.iter().any(|it| !matches!(it.keyword.as_str(), "NOTIFY" | "ORCPT") || !offered(DSN)) {
            return Err(Bad::Parameter);
        }
        if parameters.iter().any(|parameter| parameter.value.is_none()) {
            return Err(Bad::Arguments);
        }
        Ok(Self { path, parameters })
    }

    /// Who.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The same under another address.
    #[must_use]
    pub fn renamed(self, path: Path) -> Self {
        Self { path, ..self }
    }

    pub(super) fn needs_dsn(&self) -> bool {
        !self.parameters.is_empty()
    }

    /// The command as a backend is told it.
    pub(super) fn command(&self) -> String {
        let line = format!("RCPT TO:<{}>", self.path.as_str());
        self.parameters.iter().fold(line, |line, parameter| line + " " + &parameter.said) + "\r\n"
    }
}

/// The extension that a parameter of MAIL is of.
fn extension_of_mail(keyword: &str) -> Option<&'static str> {
    match keyword {
        "BODY" => Some("8BITMIME"),
        "ENVID" | "RET" => Some(DSN),
        "SIZE" => Some(SIZE),
        "SMTPUTF8" => Some(SMTPUTF8),
        _ => None,
    }
}

fn is_number(text: &str) -> bool {
    matches!(text.len(), 1..=20) && text.bytes().all(|octet| octet.is_ascii_digit())
}

const DSN: &str = "DSN";
const SIZE: &str = "SIZE";
const SMTPUTF8: &str = "SMTPUTF8";

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: fn(&str) -> bool = |_| true;
    const NONE: fn(&str) -> bool = |_| false;

    fn sender(text: &str, offered: fn(&str) -> bool) -> Result<(String, u64), Bad> {
        Sender::parse(text.as_bytes(), offered).map(|sender| (sender.command(true), sender.size))
    }

    #[test]
    fn a_sender_has_what_was_offered_and_nothing_else() {
        let good = |command: &str, size| Ok((command.to_owned(), size));
        type Row<'a> = (&'a str, fn(&str) -> bool, Result<(String, u64), Bad>);
        let table: &[Row<'_>] = &[
            ("FROM:<>", NONE, good("MAIL FROM:<>\r\n", 0)),
            ("FROM:<a@b>", NONE, good("MAIL FROM:<a@b>\r\n", 0)),
            ("FROM:<a@b> SIZE=20", ALL, good("MAIL FROM:<a@b> SIZE=20\r\n", 20)),
            (
                "FROM:<a@b> SIZE=99999999999999999999",
                ALL,
                good("MAIL FROM:<a@b> SIZE=99999999999999999999\r\n", u64::MAX),
            ),
            ("FROM:<a@b> SIZE=999999999999999999999", ALL, Err(Bad::Arguments)),
            ("FROM:<a@b> SIZE=-1", ALL, Err(Bad::Arguments)),
            ("FROM:<a@b> SIZE", ALL, Err(Bad::Arguments)),
            ("FROM:<a@b> SIZE=20", NONE, Err(Bad::Parameter)),
            ("FROM:<a@b> body=8bitmime", ALL, good("MAIL FROM:<a@b> body=8bitmime\r\n", 0)),
            ("FROM:<a@b> BODY=BINARYMIME", ALL, Err(Bad::Arguments)),
            ("FROM:<a@b> RET=HDRS ENVID=x", ALL, good("MAIL FROM:<a@b> RET=HDRS ENVID=x\r\n", 0)),
            ("FROM:<a@b> AUTH=<>", ALL, Err(Bad::Parameter)),
            ("FROM:<a@b> XFOO", ALL, Err(Bad::Parameter)),
            ("FROM:<\u{e9}@b> SMTPUTF8", ALL, good("MAIL FROM:<\u{e9}@b> SMTPUTF8\r\n", 0)),
            ("FROM:<\u{e9}@b> SMTPUTF8", NONE, Err(Bad::Utf8)),
            ("FROM:<\u{e9}@b>", ALL, Err(Bad::Utf8)),
            ("FROM:<postmaster>", ALL, Err(Bad::Sender)),
        ];
        for (text, offered, expected) in table {
            assert_eq!(sender(text, *offered), *expected, "{text}");
        }
    }

    #[test]
    fn a_backend_without_size_is_not_told_one_and_must_know_the_rest() {
        let sender = Sender::parse(b"FROM:<a@b> SIZE=2 BODY=8BITMIME RET=FULL SMTPUTF8", ALL).unwrap();
        assert_eq!(sender.command(false), "MAIL FROM:<a@b> BODY=8BITMIME RET=FULL SMTPUTF8\r\n");
        assert_eq!(sender.needs().collect::<Vec<_>>(), ["8BITMIME", "DSN", "SMTPUTF8"]);
    }

    #[test]
    fn a_recipient_has_the_parameters_of_dsn() {
        let parse = |text: &str, offered: fn(&str) -> bool| {
            Recipient::parse(text.as_bytes(), Utf8::Forbidden, offered).map(|recipient| recipient.command())
        };
        assert_eq!(parse("TO:<a@b> NOTIFY=NEVER", ALL).unwrap(), "RCPT TO:<a@b> NOTIFY=NEVER\r\n");
        assert_eq!(parse("TO:<a@b> NOTIFY=NEVER", NONE), Err(Bad::Parameter));
        assert_eq!(parse("TO:<a@b> NOTIFY", ALL), Err(Bad::Arguments));
        assert_eq!(parse("TO:<a@b> SIZE=2", ALL), Err(Bad::Parameter));
        assert_eq!(parse("TO:<>", ALL), Err(Bad::Recipient));
    }
}
