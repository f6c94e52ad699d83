//! Writes XML: elements that are closed, and text that stays text.

use std::fmt::Write as _;

/// A document that grows.
pub(super) struct Xml(String);

impl Xml {
    /// With what stands before the root.
    pub(super) fn new(prologue: &str) -> Self {
        Self(format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n{prologue}"))
    }

    /// An element with what is in it.
    pub(super) fn element(&mut self, name: &str, attributes: &[(&str, &str)], inside: impl FnOnce(&mut Self)) {
        self.0.push('<');
        self.0.push_str(name);
        for (attribute, value) in attributes {
            // Writing to a String cannot fail.
            let _ = write!(self.0, " {attribute}=\"{}\"", escape(value));
        }
        self.0.push_str(">\n");
        inside(self);
        let _ = writeln!(self.0, "</{name}>");
    }

    /// An element of text.
    pub(super) fn text(&mut self, name: &str, text: &str) {
        let _ = writeln!(self.0, "<{name}>{}</{name}>", escape(text));
    }

    /// An element of nothing.
    pub(super) fn empty(&mut self, name: &str) {
        let _ = writeln!(self.0, "<{name}/>");
    }

    /// The whole of it.
    pub(super) fn finish(self) -> String {
        self.0
    }
}

/// Text as it may stand in an element or an attribute. What XML has no way to say (1.0, section 2.2) is replaced.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&apos;"),
            '\u{fffe}' | '\u{ffff}' => escaped.push(char::REPLACEMENT_CHARACTER),
            _ if character.is_control() => escaped.push(char::REPLACEMENT_CHARACTER),
            _ => escaped.push(character),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_stays_text() {
        let table = [
            ("Élise & Co <b>\"x\"</b> 'y'", "Élise &amp; Co &lt;b&gt;&quot;x&quot;&lt;/b&gt; &apos;y&apos;"),
            ("]]>&lt;", "]]&gt;&amp;lt;"),
            ("a\0b\u{1b}\u{9f}\u{fffe}\r\n", "a\u{fffd}b\u{fffd}\u{fffd}\u{fffd}\u{fffd}\u{fffd}"),
        ];
        for (text, expected) in table {
            assert_eq!(escape(text), expected);
        }
        let mut xml = Xml::new("");
        xml.element("a", &[("b", "\"><c d=\"")], |xml| xml.text("e", "</e>"));
        assert!(xml.finish().ends_with("<a b=\"&quot;&gt;&lt;c d=&quot;\">\n<e>&lt;/e&gt;</e>\n</a>\n"));
    }
}
