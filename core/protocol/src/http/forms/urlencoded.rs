//! `application/x-www-form-urlencoded`.

use super::fields::{Field, MAX_FIELDS};
use crate::http::list::split_once;
use crate::http::percent;

pub(super) use percent::{decode_form as decode, encode_form as encode};

/// The fields, in order. An empty pair is none, as for every server.
pub(super) fn fields(body: &[u8]) -> Option<Vec<Field>> {
    let (mut fields, mut start) = (Vec::new(), 0_usize);
    for pair in body.split(|&octet| octet == b'&') {
        let end = start.checked_add(pair.len())?;
        if !pair.is_empty() {
            let (name, value) = split_once(pair, b'=');
            let length = value.map_or(0, <[u8]>::len);
            fields.push(Field { name: decode(name)?, value: end.checked_sub(length)?..end });
        }
        if fields.len() > MAX_FIELDS {
            return None;
        }
        start = end.checked_add(1)?;
    }
    Some(fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_pairs() {
        let read = |body: &str| {
            let fields = fields(body.as_bytes())?.into_iter();
            Some(
                fields.map(|field| format!("{}|{}", field.name.escape_ascii(), &body[field.value])).collect::<Vec<_>>(),
            )
        };
        assert_eq!(read("a=1&b+c=2%20&&_user=x=y&d&=e").unwrap(), ["a|1", "b c|2%20", "_user|x=y", "d|", "|e"]);
        assert_eq!(read("").unwrap(), [""; 0]);
        assert_eq!(read("%zz=1"), None);
        assert_eq!(read(&"a&".repeat(MAX_FIELDS)).map(|fields| fields.len()), Some(MAX_FIELDS));
        assert_eq!(read(&"a&".repeat(MAX_FIELDS + 1)), None);
    }
}
