//! Logins that a client machine is to carry to a backend.

use zproxy_protocol::{ClientInfo, Credential, Forward, LoginAtBackend, Name, Replay, Secret};

/// A login whose address is not told.
pub(crate) fn login(name: &str, password: &str) -> LoginAtBackend {
    LoginAtBackend {
        name: Name::new(name.as_bytes()).unwrap(),
        authzid: None,
        credential: Some(Credential::Password(Secret::new(password.as_bytes()))),
        forward: Forward::None,
        client: ClientInfo {
            address: "192.0.2.7:50123".parse().unwrap(),
            local: "[2001:db8::1]:995".parse().unwrap(),
            server_name: Some("mail.tgg.net.id".into()),
            session_id: "a1b2".into(),
            ttl: 3,
        },
        replay: Replay { ehlo: Some("laptop".into()), ..Replay::default() },
    }
}

/// Most tests' user.
pub(crate) fn siti() -> LoginAtBackend {
    login("siti", "demo")
}
