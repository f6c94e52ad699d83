//! XCLIENT as Dovecot takes it in POP3 and ManageSieve: who the client is, told before the login. SMTP's is another.

use crate::ClientInfo;

/// Octets of a session id that Dovecot keeps (`LOGIN_MAX_SESSION_ID_LEN`).
pub(crate) const MAX_SESSION_ID: usize = 64;

/// The command, without its line end. Session id and host name are left out where they would need an escape, which there
/// is none of.
pub(crate) fn line(client: &ClientInfo) -> String {
    let (address, local) = (client.address.ip().to_canonical(), client.local.ip().to_canonical());
    let (port, local_port) = (client.address.port(), client.local.port());
    let mut line = format!("XCLIENT ADDR={address} PORT={port} DESTADDR={local} DESTPORT={local_port}");
    let word = |text: &&str| !text.is_empty() && text.bytes().all(|octet| octet.is_ascii_graphic());
    if let Some(id) = Some(client.session_id.as_str()).filter(word).filter(|id| id.len() <= MAX_SESSION_ID) {
        line.push_str(" SESSION=");
        line.push_str(id);
    }
    line.push_str(&format!(" TTL={}", client.ttl));
    if let Some(name) = client.server_name.as_deref().filter(word) {
        line.push_str(" DESTNAME=");
        line.push_str(name);
    }
    line
}
