//! XCLIENT: who the client is, told to a backend that takes it from us (Postfix's XCLIENT_README; Dovecot has more
//! attributes). Only what the backend lists is sent, for Postfix refuses a line with any other.

use std::net::IpAddr;

use crate::xclient::MAX_SESSION_ID;
use crate::{ClientInfo, Error, LoginAtBackend, Name};

/// Octets of a line, CRLF included.
const MAX_LINE: usize = 512;
/// Octets of one value.
const MAX_VALUE: usize = 255;
const COMMAND: &str = "XCLIENT";

/// The lines that tell a backend of the client, CRLF included; `listed` are the attributes it takes. Empty: it does not
/// take the address.
///
/// The address and the name come last: after them we are the client, whom the backend may not allow another XCLIENT. So
/// does who logs in: Postfix forgets it at the next XCLIENT.
///
/// # Errors
/// The backend must be told who logs in, and cannot be.
pub(super) fn lines(login: &LoginAtBackend, listed: &[&str]) -> Result<Vec<String>, Error> {
    let hello = login.replay.ehlo.as_deref();
    // A backend that hears LOGIN takes the client for logged in: whoever has a credential to show is not told of.
    let name = login.credential.is_none().then_some(&login.name);
    Presentation { client: &login.client, protocol: "ESMTP", hello, login: name }.lines(listed)
}

/// Who a client is.
#[derive(Clone, Copy)]
pub(super) struct Presentation<'a> {
    pub(super) client: &'a ClientInfo,
    /// As the trace of a message says it: `ESMTP`, `LMTP`.
    pub(super) protocol: &'static str,
    /// What it calls itself.
    pub(super) hello: Option<&'a str>,
    /// As whom it is logged in thereby; none: it is not.
    pub(super) login: Option<&'a Name>,
}

impl Presentation<'_> {
    /// As [`lines()`].
    pub(super) fn lines(self, listed: &[&str]) -> Result<Vec<String>, Error> {
        let taken = |(name, value): (&str, String)| {
            (listed.contains(&name) && !value.is_empty() && value.len() <= MAX_VALUE)
                .then(|| format!(" {name}={value}"))
        };
        if !listed.contains(&"ADDR") {
            return Ok(Vec::new());
        }
        let mut last: String = self.identity().into_iter().filter_map(taken).collect();
        if let Some(login) = self.login {
            let told = taken(("LOGIN", xtext(login.as_str()))).ok_or(Error::BackendLacks("XCLIENT LOGIN"))?;
            last.insert_str(0, &told);
        }
        let mut lines = Vec::new();
        let mut line = COMMAND.to_owned();
        for attribute in self.circumstances().into_iter().filter_map(taken).chain([last]) {
            if line.len().saturating_add(attribute.len()).saturating_add(b"\r\n".len()) > MAX_LINE {
                lines.push(std::mem::replace(&mut line, COMMAND.to_owned()) + "\r\n");
            }
            line.push_str(&attribute);
        }
        lines.push(line + "\r\n");
        Ok(lines)
    }

    fn circumstances(self) -> [(&'static str, String); 8] {
        let client = self.client;
        let session = Some(client.session_id.as_str()).filter(|id| id.len() <= MAX_SESSION_ID);
        [
            ("PROTO", self.protocol.to_owned()),
            ("HELO", self.hello.map(xtext).unwrap_or_default()),
            ("PORT", client.address.port().to_string()),
            ("DESTADDR", address(client.local.ip())),
            ("DESTPORT", client.local.port().to_string()),
            ("DESTNAME", client.server_name.as_deref().map(xtext).unwrap_or_default()),
            ("SESSION", session.map(xtext).unwrap_or_default()),
            ("TTL", client.ttl.to_string()),
        ]
    }

    /// We look up no names: unsaid, the backend would keep ours for the client's.
    fn identity(self) -> [(&'static str, String); 3] {
        const UNKNOWN: &str = "[UNAVAILABLE]";
        [
            ("NAME", UNKNOWN.to_owned()),
            ("REVERSE_NAME", UNKNOWN.to_owned()),
            ("ADDR", address(self.client.address.ip())),
        ]
    }
}

fn address(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("IPV6:{address}"),
    }
}

/// RFC 3461, section 4: whatever is not visible ASCII, `+` and `=` become `+` and two hexadecimal digits.
fn xtext(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for octet in text.bytes() {
        if octet.is_ascii_graphic() && !b"+=".contains(&octet) {
            encoded.push(char::from(octet));
        } else {
            encoded.push_str(&format!("+{octet:02X}"));
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Credential, Forward, Replay, Secret};

    const POSTFIX: &[&str] =
        &["NAME", "ADDR", "PROTO", "HELO", "REVERSE_NAME", "PORT", "LOGIN", "DESTADDR", "DESTPORT"];

    fn login(ehlo: &str, server_name: &str) -> LoginAtBackend {
        LoginAtBackend {
            name: Name::new(b"siti").unwrap(),
            authzid: None,
            credential: Some(Credential::Password(Secret::new(b"demo"))),
            forward: Forward::Xclient,
            client: ClientInfo {
                address: "[::ffff:192.0.2.7]:50123".parse().unwrap(),
                local: "[2001:db8::1]:587".parse().unwrap(),
                server_name: Some(server_name.into()),
                session_id: "a+b".into(),
                ttl: 3,
            },
            replay: Replay { ehlo: Some(ehlo.into()), ..Replay::default() },
        }
    }

    #[test]
    fn a_backend_is_told_what_it_lists_and_not_who_logs_in_by_a_credential() {
        let expected = "XCLIENT PROTO=ESMTP HELO=a+2Bb+3Dc PORT=50123 DESTADDR=IPV6:2001:db8::1 DESTPORT=587 \
            NAME=[UNAVAILABLE] REVERSE_NAME=[UNAVAILABLE] ADDR=192.0.2.7\r\n";
        assert_eq!(lines(&login("a+b=c", "mail"), POSTFIX).unwrap(), [expected]);
        let dovecot = &["ADDR", "SESSION", "TTL", "DESTNAME", "TIMEOUT", "LOGIN"];
        let expected = "XCLIENT DESTNAME=mail SESSION=a+2Bb TTL=3 ADDR=192.0.2.7\r\n";
        assert_eq!(lines(&login("a", "mail"), dovecot).unwrap(), [expected]);
        assert!(lines(&login("a", "mail"), &["NAME", "HELO"]).unwrap().is_empty());
    }

    #[test]
    fn no_line_is_longer_than_512_octets_and_the_address_is_in_the_last() {
        let all = [POSTFIX, &["DESTNAME", "SESSION", "TTL"]].concat();
        for length in 1..=255 {
            let name = "x".repeat(length);
            let lines = lines(&login(&name, &name), &all).unwrap();
            assert!(lines.iter().all(|line| line.len() <= MAX_LINE && line.ends_with("\r\n")), "{lines:?}");
            let (last, before) = lines.split_last().unwrap();
            assert!(last.contains(" NAME=[UNAVAILABLE] ") && last.ends_with(" ADDR=192.0.2.7\r\n"), "{lines:?}");
            assert!(!before.iter().any(|line| line.contains(" NAME=") || line.contains(" ADDR=")), "{lines:?}");
            assert!(lines.concat().contains(&format!(" HELO={name}")) && lines.concat().contains(" DESTNAME=x"));
        }
    }

    #[test]
    fn who_logs_in_without_a_credential_is_told_in_the_last_line_or_it_fails() {
        let named = |octets: &[u8]| LoginAtBackend {
            name: Name::new(octets).unwrap(),
            credential: None,
            ..login(&"x".repeat(255), &"y".repeat(255))
        };
        let told = lines(&named(b"siti=x+y@tgg.net.id"), POSTFIX).unwrap();
        let expected = " LOGIN=siti+3Dx+2By@tgg.net.id NAME=[UNAVAILABLE] REVERSE_NAME=[UNAVAILABLE] \
            ADDR=192.0.2.7\r\n";
        assert!(told.last().unwrap().ends_with(expected), "{told:?}");
        assert_eq!(told.concat().matches("LOGIN=").count(), 1);
        assert!(lines(&named(&[b'a'; MAX_VALUE]), POSTFIX).unwrap().iter().all(|line| line.len() <= MAX_LINE));
        for (name, listed) in [(&[b'a'; MAX_VALUE + 1][..], POSTFIX), (b"siti", &["ADDR", "NAME"])] {
            assert_eq!(lines(&named(name), listed), Err(Error::BackendLacks("XCLIENT LOGIN")));
        }
    }

    #[test]
    fn a_value_too_long_is_left_out() {
        assert!(!lines(&login(&"=".repeat(86), "mail"), POSTFIX).unwrap().concat().contains("HELO"));
    }

    #[test]
    fn xtext_leaves_nothing_that_could_end_a_value() {
        for octet in 0..=127_u8 {
            let encoded = xtext(&char::from(octet).to_string());
            assert!(encoded.bytes().all(|octet| octet.is_ascii_graphic() && octet != b'='), "{octet}");
            assert_eq!(encoded.len(), if octet.is_ascii_graphic() && !b"+=".contains(&octet) { 1 } else { 3 });
        }
    }
}
