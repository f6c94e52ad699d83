//! The forms of webmails, as their sources have them. `at` is where the webmail is: `/`, `/webmail/`.

use http::Method;

use super::{Encoding, LoginForm};

impl LoginForm {
    /// Roundcube: everything it does goes to one path, so `_task` and `_action` say that this is a login. Its `_token`
    /// is the session's.
    #[must_use]
    pub fn roundcube(at: &str) -> Self {
        Self {
            requires: vec![("_task".into(), "login".into()), ("_action".into(), "login".into())],
            hidden: vec!["_token".into()],
            ..Self::posted(at.into(), Encoding::Urlencoded, "_user")
        }
    }

    /// SOGo 3 and later: a script posts JSON to `connect`, and needs no token for that.
    #[must_use]
    pub fn sogo(at: &str) -> Self {
        Self { page: at.into(), ..Self::posted(format!("{at}connect"), Encoding::Json, "userName") }
    }

    /// Horde 5 and later.
    #[must_use]
    pub fn horde(at: &str) -> Self {
        Self::posted(format!("{at}login.php"), Encoding::Urlencoded, "horde_user")
    }

    /// SnappyMail: a script posts JSON. Its token comes in a field of the head and from the salt of the installation,
    /// not from a page: servers that share `SALT.php` share it, and of others each takes only the posts of its own
    /// pages.
    #[must_use]
    pub fn snappymail(at: &str) -> Self {
        Self { requires: vec![("Action".into(), "Login".into())], ..Self::posted(at.into(), Encoding::Json, "Email") }
    }

    fn posted(path: String, encoding: Encoding, field: &str) -> Self {
        Self {
            method: Method::POST,
            page: path.as_str().into(),
            path: path.into(),
            encoding,
            field: field.into(),
            requires: Vec::new(),
            hidden: Vec::new(),
        }
    }
}
