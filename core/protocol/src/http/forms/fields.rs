//! What the encodings have in common: fields, each a name and the place of a value in the body.

use std::ops::Range;

use zeroize::Zeroizing;

use super::{Encoding, multipart, urlencoded};
use crate::http::list::{split_once, trim};
use crate::json::{self, Members};

/// Fields that are read, at most: nobody's login has more.
pub(super) const MAX_FIELDS: usize = 256;

/// A field of a body.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Field {
    /// Decoded.
    pub(super) name: Vec<u8>,
    /// As it stands in the body.
    pub(super) value: Range<usize>,
}

/// How a body is written.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Shape {
    Json,
    Multipart { boundary: Vec<u8> },
    Urlencoded,
}

impl Shape {
    /// Reads a Content-Type; none: it is not that of the encoding.
    pub(super) fn read(encoding: Encoding, media_type: &[u8]) -> Option<Self> {
        let (essence, parameters) = split_once(media_type, b';');
        let is = |name: &str| trim(essence).eq_ignore_ascii_case(name.as_bytes());
        match encoding {
            Encoding::Json => is("application/json").then_some(Self::Json),
            Encoding::Urlencoded => is("application/x-www-form-urlencoded").then_some(Self::Urlencoded),
            Encoding::Multipart => {
                let boundary = multipart::boundary(parameters.filter(|_| is("multipart/form-data"))?)?;
                Some(Self::Multipart { boundary })
            }
        }
    }

    /// The fields of a whole body; none: it is not what its type says.
    pub(super) fn fields(&self, body: &[u8]) -> Option<Vec<Field>> {
        match self {
            Self::Json => members(body),
            Self::Multipart { boundary } => multipart::fields(body, boundary),
            Self::Urlencoded => urlencoded::fields(body),
        }
    }

    /// What a field's value says.
    pub(super) fn decode(&self, body: &[u8], field: &Field) -> Option<Zeroizing<Vec<u8>>> {
        let value = body.get(field.value.clone())?;
        Some(Zeroizing::new(match self {
            Self::Json => json::string(std::str::from_utf8(value).ok()?)?.into_bytes(),
            Self::Multipart { .. } => value.to_vec(),
            Self::Urlencoded => urlencoded::decode(value)?,
        }))
    }

    /// Writes a value as it would stand in a body; none: it cannot.
    pub(super) fn encode(&self, value: &[u8]) -> Option<Vec<u8>> {
        match self {
            Self::Json => serde_json::to_vec(std::str::from_utf8(value).ok()?).ok(),
            // A line of its own might be a boundary.
            Self::Multipart { .. } => (!value.iter().any(|octet| b"\r\n".contains(octet))).then(|| value.to_vec()),
            Self::Urlencoded => Some(urlencoded::encode(value)),
        }
    }
}

/// Members of an object, and where in its text their values are: they are borrowed from it.
fn members(body: &[u8]) -> Option<Vec<Field>> {
    let start = body.as_ptr().addr();
    let members = Members::read(body)?.0.into_iter();
    let fields = members.map(|(name, value)| {
        let at = value.get().as_ptr().addr().checked_sub(start)?;
        Some(Field { name: name.into_owned().into_bytes(), value: at..at.checked_add(value.get().len())? })
    });
    fields.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_has_one_encoding() {
        let multipart = |boundary: &[u8]| Some(Shape::Multipart { boundary: boundary.to_vec() });
        let table = [
            (Encoding::Urlencoded, "application/x-www-form-urlencoded", Some(Shape::Urlencoded)),
            (Encoding::Urlencoded, " Application/X-WWW-form-urlencoded ; charset=UTF-8", Some(Shape::Urlencoded)),
            (Encoding::Urlencoded, "application/x-www-form-urlencoded2", None),
            (Encoding::Urlencoded, "application/json", None),
            (Encoding::Json, "application/json;charset=utf-8", Some(Shape::Json)),
            (Encoding::Json, "text/plain", None),
            (
                Encoding::Multipart,
                "multipart/form-data; boundary=----WebKitFormBoundaryX",
                multipart(b"----WebKitFormBoundaryX"),
            ),
            (Encoding::Multipart, "multipart/form-data; charset=utf-8; Boundary=\"a b\"", multipart(b"a b")),
            (Encoding::Multipart, "multipart/form-data", None),
            (Encoding::Multipart, "multipart/mixed; boundary=x", None),
            (Encoding::Multipart, "", None),
        ];
        for (encoding, media_type, expected) in table {
            assert_eq!(Shape::read(encoding, media_type.as_bytes()), expected, "{media_type}");
        }
    }

    #[test]
    fn a_member_is_found_in_its_text() {
        let body = br#" { "a" : "x" ,"b":[1, 2] } "#;
        let values: Vec<_> = members(body).unwrap().into_iter().map(|field| &body[field.value]).collect();
        assert_eq!(values, [&br#""x""#[..], b"[1, 2]"]);
    }
}
