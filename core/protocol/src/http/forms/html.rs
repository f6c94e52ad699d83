//! As much of HTML as it takes to see a form's inputs: tags and two of their attributes. It never fails, and it reads
//! each octet once. A parser of all of HTML (`html5ever`) would be twenty crates for this.

/// Elements whose content is text, whatever it looks like (HTML, section 13.2.5).
const TEXT: [&[u8]; 7] = [b"iframe", b"noembed", b"noframes", b"script", b"style", b"textarea", b"title"];
/// Octets between `&` and `;` of the longest reference that is read: `#x10FFFF`.
const MAX_REFERENCE: usize = 8;

/// A tag.
#[derive(Debug, Default, Eq, PartialEq)]
pub(super) struct Tag {
    /// In lower case; that of an end begins with `/`.
    pub(super) element: Vec<u8>,
    /// The attribute `name`.
    pub(super) name: Vec<u8>,
    /// The attribute `value`.
    pub(super) value: Vec<u8>,
}

/// The tags of a page.
pub(super) struct Tags<'a>(pub(super) &'a [u8]);

impl Iterator for Tags<'_> {
    type Item = Tag;

    fn next(&mut self) -> Option<Tag> {
        loop {
            self.until(|octet| octet == b'<');
            self.0 = self.0.get(1..)?;
            match self.0 {
                [b'!', b'-', b'-', ..] => self.skip(|rest| rest.starts_with(b"-->")),
                [b'/', letter, ..] | [letter, ..] if letter.is_ascii_alphabetic() => return Some(self.tag()),
                // A declaration, or a sign that stands for itself.
                _ => {}
            }
        }
    }
}

impl<'a> Tags<'a> {
    fn tag(&mut self) -> Tag {
        let begins_name = |octet: u8| octet.is_ascii_alphabetic();
        let slash = self.until(begins_name);
        let name = self.until(|octet| octet.is_ascii_whitespace() || b"/>".contains(&octet));
        let mut tag = Tag { element: [slash, name].concat().to_ascii_lowercase(), ..Tag::default() };
        // The first of two attributes of a name holds.
        let (mut has_name, mut has_value) = (false, false);
        while let Some((name, value)) = self.attribute() {
            if name.eq_ignore_ascii_case(b"name") && !std::mem::replace(&mut has_name, true) {
                tag.name = unescape(value);
            } else if name.eq_ignore_ascii_case(b"value") && !std::mem::replace(&mut has_value, true) {
                tag.value = unescape(value);
            }
        }
        if TEXT.contains(&tag.element.as_slice()) {
            let ends = |rest: &[u8]| {
                let end = rest.strip_prefix(b"</").and_then(|rest| rest.split_at_checked(tag.element.len()));
                end.is_some_and(|(name, _)| name.eq_ignore_ascii_case(&tag.element))
            };
            self.skip(ends);
        }
        tag
    }

    /// The next attribute of the tag; none: it has ended, or the page has.
    fn attribute(&mut self) -> Option<(&'a [u8], &'a [u8])> {
        self.until(|octet| !octet.is_ascii_whitespace() && octet != b'/');
        if matches!(self.0, [] | [b'>', ..]) {
            return None;
        }
        // An equals sign at its beginning is part of a name.
        let mut first = true;
        let name =
            self.until(|octet| !std::mem::take(&mut first) && (octet.is_ascii_whitespace() || b"=/>".contains(&octet)));
        self.until(|octet| !octet.is_ascii_whitespace());
        let Some(rest) = self.0.strip_prefix(b"=") else { return Some((name, b"")) };
        self.0 = rest;
        self.until(|octet| !octet.is_ascii_whitespace());
        let &[quote @ (b'"' | b'\''), ref rest @ ..] = self.0 else {
            return Some((name, self.until(|octet| octet.is_ascii_whitespace() || octet == b'>')));
        };
        self.0 = rest;
        let value = self.until(|octet| octet == quote);
        self.0 = self.0.get(1..).unwrap_or_default();
        Some((name, value))
    }

    /// Takes what is before the first octet that ends it.
    fn until(&mut self, mut ends: impl FnMut(u8) -> bool) -> &'a [u8] {
        let end = self.0.iter().position(|&octet| ends(octet)).unwrap_or(self.0.len());
        let (taken, rest) = self.0.split_at(end);
        self.0 = rest;
        taken
    }

    /// Goes to where the rest is what was waited for, or to the end of the page.
    fn skip(&mut self, awaited: impl Fn(&[u8]) -> bool) {
        while !self.0.is_empty() && !awaited(self.0) {
            self.0 = self.0.get(1..).unwrap_or_default();
        }
    }
}

/// Decodes the references that servers write into attributes; others stand for themselves.
fn unescape(text: &[u8]) -> Vec<u8> {
    let (mut plain, mut rest) = (Vec::with_capacity(text.len()), text);
    while let Some((&octet, behind)) = rest.split_first() {
        let end = behind.iter().take(MAX_REFERENCE.saturating_add(1)).position(|&octet| octet == b';');
        let reference = end.filter(|_| octet == b'&').and_then(|end| behind.split_at_checked(end));
        match reference.and_then(|(reference, end)| Some((character(reference)?, end.get(1..)?))) {
            Some((character, behind)) => {
                plain.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
                rest = behind;
            }
            None => {
                plain.push(octet);
                rest = behind;
            }
        }
    }
    plain
}

fn character(reference: &[u8]) -> Option<char> {
    let number = |digits: &[u8], radix| {
        let digits = std::str::from_utf8(digits).ok().filter(|digits| !digits.starts_with('+'))?;
        u32::from_str_radix(digits, radix).ok().and_then(char::from_u32)
    };
    match reference {
        b"amp" => Some('&'),
        b"apos" => Some('\''),
        b"gt" => Some('>'),
        b"lt" => Some('<'),
        b"quot" => Some('"'),
        [b'#', b'x' | b'X', digits @ ..] => number(digits, 16),
        [b'#', digits @ ..] => number(digits, 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(page: &str) -> Vec<String> {
        let text = |text: &[u8]| String::from_utf8_lossy(text).into_owned();
        Tags(page.as_bytes())
            .map(|tag| format!("{} {}={}", text(&tag.element), text(&tag.name), text(&tag.value)))
            .collect()
    }

    #[test]
    fn tags_are_read_as_browsers_read_them() {
        let table: [(&str, &[&str]); 14] = [
            ("<input name=\"a\" value=\"1\">", &["input a=1"]),
            ("<INPUT\nNAME = a\tVALUE='1'/>", &["input a=1"]),
            ("<input/name=a/value=1/>", &["input a/value=1/="]),
            ("<input value=1 name=a>x</form>", &["input a=1", "/form ="]),
            ("<input name=a name=b value='' value=2>", &["input a="]),
            ("<input disabled name=\"a\"value=\"<>\">", &["input a=<>"]),
            ("<input =x name=a>", &["input a="]),
            ("<!doctype html><?php ?>< input name=a>1<2", &[]),
            ("<!-- <input name=a> --><b>", &["b ="]),
            ("<!-- <input name=a>", &[]),
            ("<script>if (a<b) '<input name=a>'</SCRIPT ><b>", &["script =", "/script =", "b ="]),
            ("<textarea><input name=a></text></textarea>", &["textarea =", "/textarea ="]),
            ("<input name=a value=\"1", &["input a=1"]),
            ("<input", &["input ="]),
        ];
        for (page, expected) in table {
            assert_eq!(read(page), expected, "{page}");
        }
    }

    #[test]
    fn references_are_decoded() {
        let table = [
            ("a&amp;b&quot;&#39;&#x2F;&lt;&gt;&apos;", "a&b\"'/<>'"),
            ("&amp;amp;", "&amp;"),
            ("&nbsp;&amp &;&#;&#x;&#xD800;&#x110000;&#+1;&", "&nbsp;&amp &;&#;&#x;&#xD800;&#x110000;&#+1;&"),
            ("&#x00E9;", "é"),
        ];
        for (text, expected) in table {
            assert_eq!(String::from_utf8(unescape(text.as_bytes())).unwrap(), expected);
        }
    }
}
