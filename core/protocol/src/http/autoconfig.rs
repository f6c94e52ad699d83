//! For whom mail programs ask, when they ask for our servers: an address in a query, or Outlook's XML.
//!
//! Both come from strangers. An address is read as SMTP reads one, so that what is told of it is fit for any program;
//! XML is read without document types, and without entities but the five that XML itself has.

use quick_xml::Reader;
use quick_xml::escape::resolve_xml_entity;
use quick_xml::events::{BytesRef, Event};

use super::identify::parameters;
use super::percent;
use crate::smtp::Path;

/// Octets of Outlook's XML that are read. What Outlook and phones send has some 500.
pub const MAX_BODY: usize = 16 << 10;

/// An address that is none, or that is there twice.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not one mail address")]
pub struct NoAddress;

/// The address in a parameter of a query; none: nobody asks. A plus sign is one, for it is common in addresses.
///
/// # Errors
/// It is there, and none.
pub fn address(query: &str, parameter: &str) -> Result<Option<Path>, NoAddress> {
    let mut found = parameters(query).filter(|&(name, _)| name == parameter.as_bytes()).map(|(_, value)| value);
    let Some(value) = found.next() else { return Ok(None) };
    let text = percent::decode(value).filter(|_| found.next().is_none()).ok_or(NoAddress)?;
    let text = std::str::from_utf8(&text).map_err(|_| NoAddress)?;
    Path::of_name(text).ok_or(NoAddress).map(Some)
}

/// What Outlook asks (MS-OXDSCLI, section 2.2.3.1), and what phones ask before ActiveSync (MS-ASAB).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Autodiscover {
    /// For whom.
    pub address: Path,
    /// What the answer shall be.
    pub schema: Schema,
}

/// What can be answered.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Schema {
    /// Where ActiveSync is.
    MobileSync,
    /// Something that nobody here knows.
    Other,
    /// Mail servers.
    Outlook,
}

impl Schema {
    fn of(name: &str) -> Self {
        match name {
            "http://schemas.microsoft.com/exchange/autodiscover/mobilesync/responseschema/2006" => Self::MobileSync,
            "http://schemas.microsoft.com/exchange/autodiscover/outlook/responseschema/2006a" => Self::Outlook,
            _ => Self::Other,
        }
    }
}

impl Autodiscover {
    /// Reads a body; none: it is no such question. Prefixes of namespaces are not looked at, as by others.
    #[must_use]
    pub fn read(body: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(body).ok().filter(|_| body.len() <= MAX_BODY)?;
        let mut reader = Reader::from_str(text.strip_prefix('\u{feff}').unwrap_or(text));
        let (mut asked, mut at) = (Asked::default(), Vec::new());
        loop {
            match reader.read_event().ok()? {
                Event::Start(element) => {
                    at.push(element.local_name().as_ref().to_owned());
                    asked.open(&at)?;
                }
                // An empty one says nothing, whatever it is.
                Event::Comment(_) | Event::Decl(_) | Event::Empty(_) => {}
                Event::End(_) => drop(at.pop()),
                Event::Text(text) => asked.say(&at, &text)?,
                Event::CData(text) => asked.say(&at, &text)?,
                Event::GeneralRef(reference) => asked.say(&at, &resolve(&reference)?)?,
                Event::DocType(_) | Event::PI(_) => return None,
                Event::Eof => break,
            }
        }
        let address = Path::of_name(asked.address?.trim()).filter(|_| at.is_empty())?;
        Some(Self { address, schema: Schema::of(asked.schema?.trim()) })
    }
}

/// What was said so far.
#[derive(Default)]
struct Asked {
    address: Option<String>,
    schema: Option<String>,
}

impl Asked {
    /// An element begins; none: it has been there before, and which of them would count is anybody's guess.
    fn open(&mut self, at: &[String]) -> Option<()> {
        let Some(field) = self.field(at) else { return Some(()) };
        field.replace(String::new()).is_none().then_some(())
    }

    /// Text; none: it is outside of the root.
    fn say(&mut self, at: &[String], text: &str) -> Option<()> {
        if let Some(Some(field)) = self.field(at) {
            field.push_str(text);
        }
        (!at.is_empty() || text.trim().is_empty()).then_some(())
    }

    fn field(&mut self, at: &[String]) -> Option<&mut Option<String>> {
        let [root, request, element] = at else { return None };
        match (root.as_str(), request.as_str(), element.as_str()) {
            ("Autodiscover", "Request", "EMailAddress") => Some(&mut self.address),
            ("Autodiscover", "Request", "AcceptableResponseSchema") => Some(&mut self.schema),
            _ => None,
        }
    }
}

/// A character by number, or one of XML's own five; none: what a document type would have to say.
fn resolve(reference: &BytesRef) -> Option<String> {
    match reference.resolve_char_ref().ok()? {
        Some(character) => Some(character.to_string()),
        None => resolve_xml_entity(reference).map(str::to_owned),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_one_parameter_decoded_once() {
        let table: [(&str, Result<Option<&str>, NoAddress>); 16] = [
            ("emailaddress=siti@tgg.net.id", Ok(Some("siti@tgg.net.id"))),
            ("a=1&emailaddress=siti%2Bnews%40tgg.net.id", Ok(Some("siti+news@tgg.net.id"))),
            ("emailaddress=siti+news@tgg.net.id", Ok(Some("siti+news@tgg.net.id"))),
            ("emailaddress=%C3%A9lise@tgg.net.id", Ok(Some("élise@tgg.net.id"))),
            ("emailaddress=%22a<b%22@tgg.net.id", Ok(Some("\"a<b\"@tgg.net.id"))),
            ("", Ok(None)),
            ("EmailAddress=siti@tgg.net.id", Ok(None)),
            ("emailaddress=", Err(NoAddress)),
            ("emailaddress", Err(NoAddress)),
            ("emailaddress=siti", Err(NoAddress)),
            ("emailaddress=%25EMAILADDRESS%25", Err(NoAddress)),
            ("emailaddress=siti%2540tgg.net.id", Err(NoAddress)),
            ("emailaddress=a@b&emailaddress=a@b", Err(NoAddress)),
            ("emailaddress=a@b%0d%0aSet-Cookie:x", Err(NoAddress)),
            ("emailaddress=a@b<script>", Err(NoAddress)),
            ("emailaddress=%ff@b", Err(NoAddress)),
        ];
        for (query, expected) in table {
            let read = address(query, "emailaddress");
            assert_eq!(read.as_ref().map(|path| path.as_ref().map(Path::as_str)), expected.as_ref().map(|it| *it));
        }
    }

    const OUTLOOK: &str = "http://schemas.microsoft.com/exchange/autodiscover/outlook/responseschema/2006a";

    fn request(inside: &str) -> String {
        format!("<Autodiscover><Request>{inside}</Request></Autodiscover>")
    }

    fn asked(address: &str) -> String {
        let schema = format!("<AcceptableResponseSchema>{OUTLOOK}</AcceptableResponseSchema>");
        request(&format!("<EMailAddress>{address}</EMailAddress>{schema}"))
    }

    fn read(body: &str) -> Option<(String, Schema)> {
        Autodiscover::read(body.as_bytes()).map(|it| (it.address.as_str().to_owned(), it.schema))
    }

    #[test]
    fn what_outlook_and_phones_ask_is_read() {
        let siti = |schema| Some(("siti@tgg.net.id".to_owned(), schema));
        let outlook = format!(
            "<?xml version=\"1.0\" encoding=\"utf-8\"?><Autodiscover xmlns=\"http://schemas.microsoft.com/exchange/\
             autodiscover/outlook/requestschema/2006\"><Request><EMailAddress>siti@tgg.net.id</EMailAddress>\
             <LegacyDN/><AcceptableResponseSchema>{OUTLOOK}</AcceptableResponseSchema></Request></Autodiscover>"
        );
        assert_eq!(read(&outlook), siti(Schema::Outlook));
        let phone = outlook.replace(OUTLOOK, &OUTLOOK.replace("outlook", "mobilesync").replace("2006a", "2006"));
        assert_eq!(read(&format!("\u{feff}{phone}")), siti(Schema::MobileSync));
        assert_eq!(read(&outlook.replace("2006a", "2007")), siti(Schema::Other));
        assert_eq!(read(&outlook.replace("2006a", "&#50;006a ")), siti(Schema::Outlook));
    }

    #[test]
    fn an_address_may_be_written_in_any_way_of_xml() {
        let table = [
            ("\r\n  siti@tgg.net.id\r\n", Some("siti@tgg.net.id")),
            ("si<!-- x -->ti@tgg.net.id", Some("siti@tgg.net.id")),
            ("<![CDATA[siti]]>@tgg.net.id", Some("siti@tgg.net.id")),
            ("a&amp;b&apos;&#x63;@tgg.net.id", Some("a&b'c@tgg.net.id")),
            ("siti<b>x</b>@tgg.net.id", Some("siti@tgg.net.id")),
            ("", None),
            ("siti", None),
            ("&xxe;@tgg.net.id", None),
            ("a&b@tgg.net.id", None),
            ("a&#0;@tgg.net.id", None),
            ("a&#13;&#10;b@tgg.net.id", None),
            ("a&#xD800;@tgg.net.id", None),
            ("a&#x110000;@tgg.net.id", None),
            ("a</EMailAddress><EMailAddress>b@c", None),
        ];
        for (text, expected) in table {
            assert_eq!(read(&asked(text)).as_ref().map(|(address, _)| address.as_str()), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_question_is_refused() {
        let good = asked("siti@tgg.net.id");
        assert!(read(&good).is_some());
        let bomb = "<!DOCTYPE x [<!ENTITY a \"aaaaaaaaaa\"><!ENTITY b \"&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;\">]>";
        let external = "<!DOCTYPE x [<!ENTITY xxe SYSTEM \"file:///etc/passwd\">]>";
        let table = [
            format!("{bomb}{}", asked("&b;@tgg.net.id")),
            format!("{external}{}", asked("&xxe;")),
            format!("{external}{good}"),
            format!("<?php x ?>{good}"),
            format!("x{good}"),
            format!("{good}x"),
            format!("{good}&lt;"),
            good.replace("</Autodiscover>", ""),
            good.replace("</Request>", "</request>"),
            good.replace("Request>", "Response>"),
            request("<EMailAddress>siti@tgg.net.id</EMailAddress>"),
            request(&format!("<AcceptableResponseSchema>{OUTLOOK}</AcceptableResponseSchema>")),
            format!("<a>{good}</a>"),
            "<a>".repeat(MAX_BODY / 3),
            format!("{good}{}", " ".repeat(MAX_BODY)),
            "{\"Email\": \"siti@tgg.net.id\"}".to_owned(),
            String::new(),
        ];
        for body in table {
            assert_eq!(read(&body), None, "{body}");
        }
        assert_eq!(Autodiscover::read(b"\xff\xfe<\0"), None);
        for end in 0..good.len() {
            assert_eq!(Autodiscover::read(&good.as_bytes()[..end]), None, "cut at {end}");
        }
    }
}
