//! A login again, with another server's hidden fields in the old ones' place.

use http::HeaderMap;
use zeroize::Zeroizing;

use super::fields::Field;
use super::{Body, LoginForm, MAX_BODY, NoName, only};

/// Why a form cannot be filled again. It goes to the server that made it, unchanged.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum NoRefill {
    /// The page lacks a field that the form has: the old value would be refused.
    #[error("login page lacks a hidden field of the form")]
    NotOnPage,
    /// The body is not what the rule says.
    #[error(transparent)]
    Body(#[from] NoName),
    /// A value of the page cannot be written in the form's encoding, or makes it too long.
    #[error("login page has a hidden field that the form cannot hold")]
    Unwritable,
}

impl LoginForm {
    /// The body with each of the rule's hidden fields as `fresh` has it; of the rest no octet changes. A field that the
    /// body lacks is not added: its server did not ask for it.
    ///
    /// # Errors
    /// See [`NoRefill`].
    pub fn refill(&self, headers: &HeaderMap, body: &[u8], fresh: &[(Box<str>, Vec<u8>)]) -> Result<Body, NoRefill> {
        let shape = self.shape(headers).ok_or(NoName::Unreadable)?;
        let fields = shape.fields(body).ok_or(NoName::Unreadable)?;
        let mut changes: Vec<(&Field, Vec<u8>)> = Vec::new();
        for hidden in &self.hidden {
            let field = match only(&fields, hidden) {
                Err(NoName::Missing) => continue,
                field => field?,
            };
            let (_, value) = fresh.iter().find(|(name, _)| name == hidden).ok_or(NoRefill::NotOnPage)?;
            changes.push((field, shape.encode(value).ok_or(NoRefill::Unwritable)?));
        }
        changes.sort_by_key(|(field, _)| field.value.start);
        let room = changes.iter().fold(body.len(), |room, (_, value)| room.saturating_add(value.len()));
        let mut refilled = Zeroizing::new(Vec::with_capacity(room));
        let mut at = 0;
        for (field, value) in changes {
            refilled.extend_from_slice(body.get(at..field.value.start).ok_or(NoName::Unreadable)?);
            refilled.extend_from_slice(&value);
            at = field.value.end;
        }
        refilled.extend_from_slice(body.get(at..).ok_or(NoName::Unreadable)?);
        if refilled.len() > MAX_BODY { Err(NoRefill::Unwritable) } else { Ok(Body::from_vec(refilled)) }
    }
}
