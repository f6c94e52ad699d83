//! What the backend hears before the login: the ID that tells the client's address, and the login itself.
//!
//! What we write is cut into pieces: behind each, but the last, the backend's leave (`+`) is awaited.

use std::collections::VecDeque;

use zeroize::{Zeroize as _, Zeroizing};

use crate::{Error, Forward, LoginAtBackend, Secret, sasl};

use super::capability::Capabilities;
use super::syntax::{is_quotable, quote};

/// RFC 2971, section 3.3.
const MAX_PAIRS: usize = 30;
const MAX_FIELD: usize = 30;
const MAX_VALUE: usize = 1024;

/// Longest initial response that goes with the command: RFC 7162, section 4, has servers take lines of
/// 8192 octets.
const MAX_INITIAL: usize = 4096;

/// The ID command's arguments; none: there is nothing to tell.
pub(super) fn id(login: &LoginAtBackend, backend: &Capabilities) -> Option<Vec<u8>> {
    let forward = login.forward == Forward::Id;
    if !forward && (login.replay.id.is_empty() || !backend.has("ID")) {
        return None;
    }
    let mut list = IdList::default();
    if forward {
        let client = &login.client;
        list.add("x-originating-ip", Some(&client.address.ip().to_canonical().to_string()));
        list.add("x-originating-port", Some(&client.address.port().to_string()));
        list.add("x-connected-ip", Some(&client.local.ip().to_canonical().to_string()));
        list.add("x-connected-port", Some(&client.local.port().to_string()));
        if let Some(name) = &client.server_name {
            list.add("x-connected-name", Some(name));
        }
        list.add("x-session-id", Some(&client.session_id));
        list.add("x-proxy-ttl", Some(&client.ttl.to_string()));
    }
    for (field, value) in &login.replay.id {
        // Whoever made the list: an address that a client tells of itself must not reach a backend.
        if !field.get(..2).is_some_and(|prefix| prefix.eq_ignore_ascii_case("x-")) {
            list.add(field, value.as_deref());
        }
    }
    Some(list.finish())
}

#[derive(Default)]
struct IdList {
    fields: Vec<String>,
    text: Vec<u8>,
}

impl IdList {
    /// A field is said once (RFC 2971, section 3.3), and what is past the bounds not at all.
    fn add(&mut self, field: &str, value: Option<&str>) {
        let known = self.fields.iter().any(|known| known.eq_ignore_ascii_case(field));
        let fits = field.len() <= MAX_FIELD && value.is_none_or(|value| value.len() <= MAX_VALUE);
        if known || !fits || self.fields.len() >= MAX_PAIRS {
            return;
        }
        self.fields.push(field.to_owned());
        self.text.push(if self.text.is_empty() { b'(' } else { b' ' });
        quote(field.as_bytes(), &mut self.text);
        self.text.push(b' ');
        match value {
            Some(value) => quote(value.as_bytes(), &mut self.text),
            None => self.text.extend_from_slice(b"NIL"),
        }
    }

    fn finish(mut self) -> Vec<u8> {
        if self.text.is_empty() {
            return b"NIL".to_vec();
        }
        self.text.push(b')');
        self.text
    }
}

/// The login command under `tag`, in pieces.
///
/// # Errors
/// The backend offers nothing that can carry this login.
pub(super) fn log_in(login: &LoginAtBackend, backend: &Capabilities, tag: &str) -> Result<VecDeque<Secret>, Error> {
    if backend.has("AUTH=PLAIN") {
        return Ok(authenticate(login, backend, tag));
    }
    if login.authzid.is_some() {
        return Err(Error::BackendLacks("AUTH=PLAIN, which alone can carry an authorization identity"));
    }
    if backend.has("LOGINDISABLED") {
        return Err(Error::BackendLacks("AUTH=PLAIN or LOGIN: does it want TLS?"));
    }
    let (name, password) = (login.name.as_str().as_bytes(), login.password.expose());
    let mut pieces = Pieces::new(name.len().saturating_add(password.len()));
    pieces.raw(tag.as_bytes());
    pieces.raw(b" LOGIN ");
    pieces.string(name, backend);
    pieces.raw(b" ");
    pieces.string(password, backend);
    Ok(pieces.finish())
}

fn authenticate(login: &LoginAtBackend, backend: &Capabilities, tag: &str) -> VecDeque<Secret> {
    let response = sasl::plain(login.authzid.as_ref(), &login.name, &login.password);
    let mut pieces = Pieces::new(response.expose().len());
    pieces.raw(tag.as_bytes());
    pieces.raw(b" AUTHENTICATE PLAIN");
    if backend.has("SASL-IR") && response.expose().len() <= MAX_INITIAL {
        pieces.raw(b" ");
    } else {
        pieces.wait();
    }
    pieces.raw(response.expose());
    pieces.finish()
}

/// Writes a command that may need the backend's leave to go on.
struct Pieces {
    done: VecDeque<Secret>,
    open: Zeroizing<Vec<u8>>,
}

impl Pieces {
    /// `strings` octets of strings are to come.
    fn new(strings: usize) -> Self {
        /// Tag, words, headers of literals.
        const WORDS: usize = 128;
        // So large that it never moves, escapes included: a copy left behind would not be wiped.
        let most = strings.saturating_mul(2).saturating_add(WORDS);
        Self { done: VecDeque::new(), open: Zeroizing::new(Vec::with_capacity(most)) }
    }

    fn raw(&mut self, octets: &[u8]) {
        self.open.extend_from_slice(octets);
    }

    /// Printable ASCII quoted, which costs no wait; all else as a literal, which nothing can break out of.
    fn string(&mut self, octets: &[u8], backend: &Capabilities) {
        if is_quotable(octets) {
            quote(octets, &mut self.open);
        } else if backend.literal_at_once(octets.len()) {
            self.raw(format!("{{{}+}}\r\n", octets.len()).as_bytes());
            self.raw(octets);
        } else {
            self.raw(format!("{{{}}}", octets.len()).as_bytes());
            self.wait();
            self.raw(octets);
        }
    }

    /// Ends a line behind which the backend's leave is awaited.
    fn wait(&mut self) {
        self.raw(b"\r\n");
        self.done.push_back(Secret::new(&self.open));
        self.open.zeroize();
    }

    fn finish(mut self) -> VecDeque<Secret> {
        self.wait();
        self.done
    }
}
