//! A backend before a client machine: what it says line by line, and what it hears.

use zproxy_protocol::smtp::Guard;
use zproxy_protocol::{
    Client, ClientInfo, ClientStep, Credential, Error, Forward, Input, LoginAtBackend, Name, Replay, Secret,
};

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

/// One end of a conversation, or that there is none yet.
pub(crate) type End = Result<String, Error>;

fn show(step: ClientStep) -> String {
    match step {
        ClientStep::Success(success) => {
            let guard = match success.guard {
                None => "",
                Some(guard) if guard == Guard::new(true) => " guarded with chunks",
                Some(_) => " guarded",
            };
            format!("success {}{guard}", success.text.escape_ascii())
        }
        ClientStep::Challenge(challenge) => format!("{challenge:?}"),
        ClientStep::Refused(refusal) => format!("{refusal:?}"),
        ClientStep::Probed(words) => format!("probed {}", words.join(",")),
        ClientStep::More => "more".into(),
        ClientStep::StartTls => "starttls".into(),
    }
}

/// Says each piece of the backend when the machine is silent; returns what the machine said, an answer a `/`.
pub(crate) fn talk(client: &mut dyn Client, backend: &[&str]) -> (String, End) {
    let (mut input, mut said) = (Input::new(), String::new());
    let mut end = Ok("more".into());
    for piece in backend {
        input.extend(piece.as_bytes());
        let mut out = Vec::new();
        end = client.advance(&mut input, &mut out).map(show);
        said += &String::from_utf8(out).unwrap().replace("\r\n", ";");
        said.push('/');
        match end.as_deref() {
            Ok("more") => {}
            Ok("starttls") => client.secured(),
            _ => break,
        }
    }
    (said, end)
}

/// Says each answer in pieces of `size` octets: an answer is sent when it is asked for, however slowly.
pub(crate) fn slowly(client: &mut dyn Client, backend: &[&str], size: usize) -> (String, End) {
    let mut said = String::new();
    let mut end = Ok("more".into());
    for answer in backend {
        let mut input = Input::new();
        for piece in answer.as_bytes().chunks(size) {
            input.extend(piece);
            let mut out = Vec::new();
            end = client.advance(&mut input, &mut out).map(show);
            said += &String::from_utf8(out).unwrap();
            if end.as_deref() != Ok("more") {
                return (said, end);
            }
        }
    }
    (said, end)
}
