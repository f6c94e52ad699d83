//! Learning where a user lives from a login form: who logs in, and how to log in at another server than the one that
//! made the form.
//!
//! A form's token and session live on the server that made it. Where the user's own server is another, the edge gets
//! the login page there without cookies, puts the page's [`hidden`] fields into the body ([`LoginForm::refill`]) and
//! its cookies into the request ([`set_cookies::request`]), posts, and returns both answers' cookies
//! ([`set_cookies::merge`]). That is done only where our own page is the [`maker`](fn@maker): the token is what tells a
//! server that its own page made the post, and a stranger's page must not be given a fresh one.

mod body;
mod fields;
mod hidden;
mod html;
mod multipart;
mod presets;
mod provenance;
mod refill;
pub mod set_cookies;
mod urlencoded;

use http::Method;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap};
use http::request::Parts;

use super::list::trim;
use crate::Name;
use crate::name::BadName;
use fields::{Field, Shape};

pub use body::{Body, MAX_BODY, TooLong};
pub use hidden::{MAX_PAGE, hidden};
pub use provenance::{Maker, maker};
pub use refill::NoRefill;

/// A form that users log in by.
#[derive(Clone, Debug)]
pub struct LoginForm {
    /// How it is sent: POST.
    pub method: Method,
    /// Where to, without a query.
    pub path: Box<str>,
    /// How its fields are written.
    pub encoding: Encoding,
    /// The field with the login name.
    pub field: Box<str>,
    /// Fields that have a certain value at a login; the path alone may be that of everything an application does.
    pub requires: Vec<(Box<str>, Box<str>)>,
    /// Fields that belong to the session of the server that made the form, such as a token against forgery.
    pub hidden: Vec<Box<str>>,
    /// Where the form itself is to be had: path, and query where there is one.
    pub page: Box<str>,
}

/// How fields are written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Encoding {
    /// `application/json`: the members of one object.
    Json,
    /// `multipart/form-data` (RFC 7578).
    Multipart,
    /// `application/x-www-form-urlencoded`.
    Urlencoded,
}

/// Why a form teaches nothing.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum NoName {
    /// It is there more than once.
    #[error("field is there more than once")]
    Doubled,
    /// It is not there.
    #[error("field is missing")]
    Missing,
    /// Its value is none.
    #[error(transparent)]
    Name(#[from] BadName),
    /// It is another form of the same path.
    #[error("form is not that of a login")]
    Other,
    /// It is not what its type says.
    #[error("form cannot be read")]
    Unreadable,
}

impl LoginForm {
    /// Whether a request may be this form's, by its head. One that announces more than [`MAX_BODY`] is none, nor is one
    /// whose body is compressed: no browser does that.
    #[must_use]
    pub fn is_posted(&self, head: &Parts) -> bool {
        let length =
            head.headers.get(CONTENT_LENGTH).map(|length| length.to_str().unwrap_or_default().parse::<usize>());
        head.method == self.method
            && head.uri.path() == &*self.path
            && length.is_none_or(|length| length.is_ok_and(|length| length <= MAX_BODY))
            && !head.headers.contains_key(CONTENT_ENCODING)
            && self.shape(&head.headers).is_some()
    }

    /// Who logs in, by the whole body of a request whose head [`is_posted`](Self::is_posted).
    ///
    /// # Errors
    /// See [`NoName`]. The request goes on as any other does.
    pub fn name(&self, headers: &HeaderMap, body: &[u8]) -> Result<Name, NoName> {
        let shape = self.shape(headers).ok_or(NoName::Unreadable)?;
        let fields = shape.fields(body).ok_or(NoName::Unreadable)?;
        for (required, expected) in &self.requires {
            let value = only(&fields, required).and_then(|field| shape.decode(body, field).ok_or(NoName::Unreadable));
            if !value.is_ok_and(|value| value.as_slice() == expected.as_bytes()) {
                return Err(NoName::Other);
            }
        }
        let value = shape.decode(body, only(&fields, &self.field)?).ok_or(NoName::Unreadable)?;
        // As every webmail does with what people paste.
        Ok(Name::new(trim(&value))?)
    }

    /// How the body is written, where its type is the one of this form.
    fn shape(&self, headers: &HeaderMap) -> Option<Shape> {
        let mut types = headers.get_all(CONTENT_TYPE).iter();
        let media_type = types.next()?.as_bytes();
        Shape::read(self.encoding, media_type).filter(|_| types.next().is_none())
    }
}

/// The field of a name that is there once.
fn only<'a>(fields: &'a [Field], name: &str) -> Result<&'a Field, NoName> {
    let mut found = fields.iter().filter(|field| field.name == name.as_bytes());
    let field = found.next().ok_or(NoName::Missing)?;
    if found.next().is_some() { Err(NoName::Doubled) } else { Ok(field) }
}
