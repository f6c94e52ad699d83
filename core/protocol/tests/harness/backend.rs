//! A backend before a client machine: what it says line by line, and what it hears.

mod login;

pub(crate) use login::{login, siti};
use zproxy_protocol::smtp::Guard;
use zproxy_protocol::{Client, ClientStep, Error, Input};

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

/// How a login ends whose answers are sent when they are asked for, in pieces of any size: it is always the same.
pub(crate) fn slowly(client: impl Fn() -> Box<dyn Client>, backend: &[&str]) -> End {
    let whole = in_pieces(&mut *client(), backend, usize::MAX);
    for size in 1..60 {
        assert_eq!(in_pieces(&mut *client(), backend, size), whole, "in pieces of {size}");
    }
    whole.1
}

fn in_pieces(client: &mut dyn Client, backend: &[&str], size: usize) -> (String, End) {
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

/// Whatever a backend says at last, little is said to it, and little kept of it.
pub(crate) fn bounded(client: &mut dyn Client, octets: &[u8], most_said: usize, most_kept: usize) {
    let (mut input, mut out) = (Input::new(), Vec::new());
    input.extend(octets);
    let step = client.advance(&mut input, &mut out);
    assert!(out.len() < most_said, "{}", out.len());
    assert!(!matches!(step, Ok(ClientStep::More)) || input.len() <= most_kept, "{}", input.len());
}
