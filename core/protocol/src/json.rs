//! The members of a JSON object as they stand in its text, so that one that comes twice is seen: parsers keep the last
//! or the first of two, and which one a backend keeps is not ours to guess.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// Members that are read, at most: nobody's login has more.
const MAX_MEMBERS: usize = 256;

/// The members, in order.
pub(crate) struct Members<'a>(pub(crate) Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'a> Members<'a> {
    /// Reads a text that is one object.
    pub(crate) fn read(text: &'a [u8]) -> Option<Self> {
        serde_json::from_slice(text).ok()
    }

    /// The value of a member that is there once.
    pub(crate) fn only(&self, name: &str) -> Option<&'a RawValue> {
        let mut found = self.0.iter().filter(|(member, _)| member == name).map(|&(_, value)| value);
        let value = found.next()?;
        found.next().is_none().then_some(value)
    }
}

/// What a value says, where it is a string.
pub(crate) fn string(value: &str) -> Option<String> {
    serde_json::from_str(value).ok()
}

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Object)
    }
}

struct Object;

impl<'de> Visitor<'de> for Object {
    type Value = Members<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = Vec::new();
        while let Some(Key(name)) = map.next_key()? {
            if members.len() == MAX_MEMBERS {
                return Err(serde::de::Error::custom("too many members"));
            }
            members.push((name, map.next_value()?));
        }
        Ok(Members(members))
    }
}

/// A name, borrowed where nothing in it is escaped: `Cow` itself is always a copy.
struct Key<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Key<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl<'de> Visitor<'de> for Text {
            type Value = Key<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name")
            }
            fn visit_borrowed_str<E>(self, name: &'de str) -> Result<Self::Value, E> {
                Ok(Key(Cow::Borrowed(name)))
            }
            fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
                Ok(Key(Cow::Owned(name.to_owned())))
            }
        }
        deserializer.deserialize_str(Text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn only(text: &str) -> Option<String> {
        Members::read(text.as_bytes())?.only("user").map(|value| value.get().to_owned())
    }

    #[test]
    fn a_member_counts_where_it_is_there_once() {
        assert_eq!(only(r#"{"user": "siti", "x": {"user": "budi"}}"#).as_deref(), Some(r#""siti""#));
        assert_eq!(only(r#"{"us\u0065r":"siti"}"#).as_deref(), Some(r#""siti""#));
        assert_eq!(only(r#"{"user":"siti","us\u0065r":"budi"}"#), None);
        for text in ["", "[]", "null", r#""user""#, r#"{"user":"siti""#, r#"{"user":"siti"} {}"#, r#"{"user":}"#, "{,}"]
        {
            assert_eq!(only(text), None, "{text}");
        }
        assert!(Members::read(&[b'['; 65_536]).is_none() && Members::read(b"{\"\xff\":1}").is_none());
        let many = |count| format!("{{{}}}", vec!["\"user\":1"; count].join(","));
        assert!(Members::read(many(MAX_MEMBERS).as_bytes()).is_some());
        assert!(Members::read(many(MAX_MEMBERS + 1).as_bytes()).is_none());
    }

    #[test]
    fn a_string_is_unescaped() {
        assert_eq!(string(r#""s\u0069ti\\""#).as_deref(), Some("siti\\"));
        assert_eq!((string("1"), string("null"), string("[\"a\"]"), string(r#""\ud800""#)), (None, None, None, None));
    }
}
