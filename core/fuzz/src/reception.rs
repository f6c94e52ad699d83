//! Random clients before the machine that takes their mail.

use std::sync::Arc;

use zproxy_protocol::smtp::{Answer, BareNewline, Reception, ReceptionSetting, Step, Transport};
use zproxy_protocol::{Error, Input, LoginOffer};

/// Small, so that the fuzzer finds the limits.
const MAX_COMMAND: usize = 512;
const MAX_MESSAGE: u64 = 2048;
/// Octets sent for one octet read, at most.
const MAX_ANSWER: usize = 64;
const MAX_UNASKED: usize = 1024;

/// Feeds `data` to the machine: one octet for the setting, one for the size of the pieces, then what is said.
///
/// # Panics
/// The machine is wrong.
pub fn hear_mail(data: &[u8]) {
    let &[choice, size, ref said @ ..] = data else { return };
    let whole = talk(choice, &mut std::iter::once(said));
    assert!(whole.sent.len() <= said.len() * MAX_ANSWER + MAX_UNASKED, "{} octets sent", whole.sent.len());
    // What follows STARTTLS in the same piece is an error, and in the next one it is TLS: there the split must matter. So
    // it does where a message is both too large and none.
    let split_matters =
        matches!(whole.end, Some(Error::AmbiguousEndOfData | Error::BareNewline | Error::BytesBehindStarttls));
    let split = talk(choice, &mut said.chunks(usize::from(size).max(1)));
    if !whole.secured && !split_matters {
        assert_eq!((&split.steps, &split.messages, &split.end), (&whole.steps, &whole.messages, &whole.end));
        assert_eq!(split.sent, whole.sent, "in pieces of {size}, and whole");
    }
}

#[derive(Debug, Default)]
struct Talk {
    sent: String,
    steps: Vec<String>,
    messages: Vec<Vec<u8>>,
    body: Vec<u8>,
    taken: usize,
    secured: bool,
    end: Option<Error>,
}

fn talk(choice: u8, pieces: &mut dyn Iterator<Item = &[u8]>) -> Talk {
    let setting = setting(choice);
    let transport = setting.transport;
    let mut machine = Reception::new(setting);
    let (mut input, mut out, mut talk) = (Input::new(), Vec::new(), Talk::default());
    for piece in pieces {
        input.extend(piece);
        while talk.end.is_none() && step(&mut machine, transport, (&mut input, &mut out), &mut talk) {}
        assert!(talk.end.is_some() || input.len() <= MAX_COMMAND + 2, "{} octets held", input.len());
    }
    assert!(!out.contains(&0), "NUL sent");
    talk.sent = out.escape_ascii().to_string();
    talk
}

/// Takes one step; true: there may be another.
fn step(
    machine: &mut Reception,
    transport: Transport,
    (input, out): (&mut Input, &mut Vec<u8>),
    talk: &mut Talk,
) -> bool {
    match machine.advance(input, out) {
        Ok(Step::More) => return false,
        Ok(Step::Body(octets)) => {
            assert!(octets > 0 && octets <= input.len());
            talk.body.extend_from_slice(&input.bytes()[..octets]);
            input.consume(octets);
            assert!(!ends_for_some(&talk.body), "{}", talk.body.escape_ascii());
        }
        Ok(Step::Data) => machine.proceed(out),
        Ok(Step::End) => {
            talk.messages.push(std::mem::take(&mut talk.body));
            let count = if transport == Transport::Lmtp { talk.taken } else { 1 };
            machine.finish(&vec![Answer::new(250, "2.0.0 Taken."); count], out);
        }
        Ok(Step::Mail(sender)) => {
            talk.taken = 0;
            talk.steps.push(format!("{sender:?}"));
        }
        Ok(Step::Recipient(recipient)) => {
            let path = recipient.path();
            assert!(!path.as_str().contains(['\r', '\n', '\0', '<', '>']) || path.as_str().starts_with('"'));
            let answer = match path.name() {
                Some(_) => Answer::new(250, "2.1.5 Known."),
                None => Answer::new(550, "5.1.1 Nobody."),
            };
            talk.taken += usize::from(answer.is_positive());
            talk.steps.push(format!("{recipient:?}"));
            machine.judge(&answer, out);
        }
        Ok(Step::StartTls) => {
            assert!(input.is_empty(), "octets behind STARTTLS");
            talk.secured = true;
            machine.secured();
        }
        Ok(Step::TooLarge) => {
            talk.body.clear();
            talk.steps.push("too large".into());
        }
        Ok(step) => talk.steps.push(format!("{step:?}")),
        Err(error) => talk.end = Some(error),
    }
    true
}

/// Whether the most lenient server would take a message for complete.
fn ends_for_some(body: &[u8]) -> bool {
    let body: Vec<u8> = [b"\r\n", body].concat().into_iter().filter(|&octet| octet != 0).collect();
    body.windows(3).any(|octets| b"\r\n".contains(&octets[0]) && octets[1] == b'.' && b"\r\n".contains(&octets[2]))
}

fn setting(choice: u8) -> ReceptionSetting {
    let words: &[&str] = if choice & 4 == 0 { &[] } else { &["8BITMIME", "DSN", "SIZE 1000", "SMTPUTF8"] };
    ReceptionSetting {
        transport: if choice & 8 == 0 { Transport::Mx } else { Transport::Lmtp },
        hostname: Arc::from("mail.tgg.net.id"),
        tls: match choice & 3 {
            0 => LoginOffer::OnlyAfterTls,
            1 => LoginOffer::NowOrAfterTls,
            _ => LoginOffer::Now,
        },
        shared: words.iter().map(|&word| word.to_owned()).collect(),
        bad_commands: 5,
        max_command: MAX_COMMAND,
        max_recipients: 3,
        max_message: MAX_MESSAGE,
        bare_newline: if choice & 16 == 0 { BareNewline::Pass } else { BareNewline::Reject },
    }
}
