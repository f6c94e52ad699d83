//! What the backend hears before the login: the ID that tells the client's address, and the login itself.
//!
//! What we write is cut into pieces: behind each, but the last, the backend's leave (`+`) is awaited.

use std::collections::VecDeque;

use zeroize::{Zeroize as _, Zeroizing};

use crate::sasl::{Credential, Mechanism};
use crate::strings::{is_quotable, quote};
use crate::{Error, Forward, LoginAtBackend, Refusal, Secret};

use super::capability::Capabilities;

/// RFC 2971, section 3.3.
const MAX_PAIRS: usize = 30;
const MAX_FIELD: usize = 30;
const MAX_VALUE: usize = 1024;
/// Octets of a field and its value as they are written, quotes and escapes included. At a longer string Dovecot says BYE
/// (`LOGIN_MAX_INBUF_SIZE`, 1024), which would speak against its health.
const MAX_WRITTEN: usize = 1000;
/// Octets of a whole list; RFC 7162, section 4, has servers take lines of 8192.
const MAX_LIST: usize = 4096;

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
        let before = self.text.len();
        self.text.push(if self.text.is_empty() { b'(' } else { b' ' });
        quote(field.as_bytes(), &mut self.text);
        self.text.push(b' ');
        match value {
            Some(value) => quote(value.as_bytes(), &mut self.text),
            None => self.text.extend_from_slice(b"NIL"),
        }
        if self.text.len().saturating_sub(before) > MAX_WRITTEN || self.text.len() > MAX_LIST {
            self.text.truncate(before);
        } else {
            self.fields.push(field.to_owned());
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

/// The login command under `tag`, in pieces, unless the backend does not take the mechanism of the client's token, or
/// there is nothing to say.
///
/// # Errors
/// The backend offers nothing that can carry this login.
pub(super) fn log_in(
    login: &LoginAtBackend,
    backend: &Capabilities,
    tag: &str,
) -> Result<Result<VecDeque<Secret>, Refusal>, Error> {
    let Some(credential) = &login.credential else { return Ok(Err(Refusal::Cannot)) };
    let (mechanism, response) = match login.message(credential) {
        Ok(message) => message,
        Err(refusal) => return Ok(Err(refusal)),
    };
    if backend.takes(mechanism) {
        return Ok(Ok(authenticate(mechanism, &response, backend, tag)));
    }
    let Credential::Password(password) = credential else { return Ok(Err(Refusal::Cannot)) };
    if login.authzid.is_some() {
        return Err(Error::BackendLacks("AUTH=PLAIN, which alone can carry an authorization identity"));
    }
    if backend.has("LOGINDISABLED") {
        return Err(Error::BackendLacks("AUTH=PLAIN or LOGIN: does it want TLS?"));
    }
    let (name, password) = (login.name.as_str().as_bytes(), password.expose());
    let mut pieces = Pieces::new(name.len().saturating_add(password.len()));
    pieces.raw(tag.as_bytes());
    pieces.raw(b" LOGIN ");
    pieces.string(name, backend);
    pieces.raw(b" ");
    pieces.string(password, backend);
    Ok(Ok(pieces.finish()))
}

fn authenticate(mechanism: Mechanism, response: &Secret, backend: &Capabilities, tag: &str) -> VecDeque<Secret> {
    let mut pieces = Pieces::new(response.expose().len());
    pieces.raw(tag.as_bytes());
    pieces.raw(b" AUTHENTICATE ");
    pieces.raw(mechanism.name().as_bytes());
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ClientInfo, Name, Replay};

    fn login(password: &[u8], forward: Forward, id: &[(&str, &str)]) -> LoginAtBackend {
        LoginAtBackend {
            name: Name::new(b"siti").unwrap(),
            authzid: None,
            credential: Some(Credential::Password(Secret::new(password))),
            forward,
            client: ClientInfo {
                address: "192.0.2.7:4711".parse().unwrap(),
                local: "[2001:db8::1]:993".parse().unwrap(),
                server_name: None,
                session_id: "s1".to_owned(),
                ttl: 5,
            },
            replay: Replay {
                id: id.iter().map(|&(field, value)| (field.to_owned(), Some(value.to_owned()))).collect(),
                ..Replay::default()
            },
        }
    }

    fn list(forward: Forward, id_of_client: &[(&str, &str)]) -> String {
        let login = login(b"x", forward, id_of_client);
        String::from_utf8(id(&login, &Capabilities::new(b"ID")).unwrap()).unwrap()
    }

    #[test]
    fn says_each_field_once_and_none_that_is_a_proxys_own() {
        let said = [("name", "a"), ("X-Originating-IP", "6.6.6.6"), ("NAME", "b"), ("os", "c")];
        assert_eq!(list(Forward::None, &said), "(\"name\" \"a\" \"os\" \"c\")");
        assert!(list(Forward::Id, &said).starts_with("(\"x-originating-ip\" \"192.0.2.7\" "));
        assert!(!list(Forward::Id, &said).contains("6.6.6.6"));
        assert_eq!(list(Forward::None, &[("x-a", "b")]), "NIL");
    }

    #[test]
    fn says_no_more_than_its_rfc_allows() {
        let (long_field, long_value) = ("f".repeat(31), "v".repeat(1025));
        let fields: Vec<String> = (0..40).map(|number| format!("f{number}")).collect();
        let mut said = vec![(long_field.as_str(), "v"), ("long", long_value.as_str())];
        said.extend(fields.iter().map(|field| (field.as_str(), "v")));
        let list = list(Forward::Id, &said);
        assert_eq!(list.matches('"').count(), 30 * 4);
        assert!(list.contains("\"x-proxy-ttl\" \"5\" \"f0\" \"v\"") && !list.contains("ff") && !list.contains("vv"));
    }

    #[test]
    fn says_no_more_than_a_backend_hears() {
        let quotes = |count| "\"".repeat(count);
        let said = [("a", &*quotes(495)), ("b", &quotes(500)), ("c", &"x".repeat(1000))];
        let escaped = "\\\"".repeat(495);
        assert_eq!(list(Forward::None, &said), format!("(\"a\" \"{escaped}\")"));
        let long = "x".repeat(900);
        let said = [("a", &*long), ("b", &long), ("c", &long), ("d", &long), ("e", &long), ("os", "x")];
        for forward in [Forward::Id, Forward::None] {
            let list = list(forward, &said);
            assert!(list.len() <= MAX_LIST + 1 && list.ends_with("\"os\" \"x\")"), "{}", list.len());
            assert_eq!(list.contains("x-proxy-ttl"), forward == Forward::Id);
        }
    }

    #[test]
    fn tells_nothing_to_a_backend_without_id_unless_it_must_know_the_address() {
        let backend = Capabilities::new(b"IMAP4rev1");
        assert_eq!(id(&login(b"x", Forward::None, &[("a", "b")]), &backend), None);
        assert_eq!(id(&login(b"x", Forward::None, &[]), &Capabilities::new(b"ID")), None);
        assert!(id(&login(b"x", Forward::Id, &[]), &backend).is_some());
    }

    #[test]
    fn a_long_response_waits_for_leave() {
        let backend = Capabilities::new(b"AUTH=PLAIN SASL-IR");
        let pieces =
            |length| log_in(&login(&vec![b'x'; length], Forward::None, &[]), &backend, "t").unwrap().unwrap().len();
        assert_eq!((pieces(3000), pieces(4000)), (1, 2));
    }
}
