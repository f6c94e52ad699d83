//! A client before a server machine: what it says, and what the machine answers and asks of the session.

use zproxy_protocol::{Credential, Error, Input, LoginOffer, Protocol, Refusal, Server, ServerSetting, Step, Then};

/// Octets of a command that the machine takes.
pub(crate) const MAX_COMMAND: usize = 255;
/// Octets of a SASL response that it takes.
pub(crate) const MAX_RESPONSE: usize = 4096;

/// What the machine begins with: two bad commands are answered.
pub(crate) fn setting(login: LoginOffer, shared: &[&str]) -> ServerSetting {
    ServerSetting {
        hostname: "mail.tgg.net.id".into(),
        login,
        shared: shared.iter().map(|&word| word.to_owned()).collect(),
        passwords: true,
        certificate: false,
        bad_commands: 2,
        max_command: MAX_COMMAND,
        max_response: MAX_RESPONSE,
    }
}

/// A conversation: what was sent, and what the machine asked of the session. A login is refused, so that it goes on.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Talk {
    /// By the machine.
    pub(crate) sent: String,
    /// A line each.
    pub(crate) steps: Vec<String>,
    /// Why it is over.
    pub(crate) end: Option<Error>,
    /// Octets that were not read.
    pub(crate) rest: usize,
}

/// Feeds the machine pieces.
pub(crate) fn talk<'a>(
    protocol: &dyn Protocol,
    setting: ServerSetting,
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> Talk {
    let mut server = protocol.server(setting);
    let (mut input, mut out, mut talk) = (Input::new(), Vec::new(), Talk::default());
    for piece in pieces {
        input.extend(piece);
        while talk.end.is_none() && step(&mut *server, &mut input, &mut out, &mut talk) {}
    }
    talk.rest = input.len();
    talk.sent = String::from_utf8(out).unwrap();
    talk
}

fn step(server: &mut dyn Server, input: &mut Input, out: &mut Vec<u8>, talk: &mut Talk) -> bool {
    match server.advance(input, out) {
        Ok(Step::More) => return false,
        Ok(Step::Login(login)) => {
            let authzid = login.authzid.as_ref().map_or("", |name| name.as_str());
            let Credential::Password(password) = &login.credential else { panic!("no password: {login:?}") };
            let password = String::from_utf8_lossy(password.expose()).into_owned();
            let name = login.name.as_ref().map_or("", |name| name.as_str());
            let utf8 = if login.replay.utf8 { " utf8" } else { "" };
            let ehlo = login.replay.ehlo.as_ref().map(|name| format!(" {name}")).unwrap_or_default();
            talk.steps.push(format!("{} {authzid}|{name}|{password}{utf8}{ehlo}", login.mechanism));
            server.refuse(&Refusal::Credentials, Then::TryAgain, out);
        }
        Ok(step @ (Step::Abandoned | Step::Response(_))) => panic!("no login is relayed: {step:?}"),
        Ok(Step::Goodbye) => talk.steps.push("goodbye".into()),
        Ok(Step::StartTls) => {
            talk.steps.push("starttls".into());
            server.secured(false);
        }
        Err(error) => talk.end = Some(error),
    }
    true
}
