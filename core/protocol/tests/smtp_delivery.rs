//! The machine that brings mail to a backend, before backends good and bad.

use zproxy_protocol::smtp::{Answer, BareNewline};
use zproxy_protocol::smtp::{Delivery, Presented, Reception, ReceptionSetting, Recipient, Sender, Step, Transport};
use zproxy_protocol::{Client as _, ClientInfo, ClientStep, Error, Input, Language as _, LoginOffer};

const HI: &str = "220 mx ESMTP\r\n";
const PLAIN: &str = "250-mx\r\n250-SIZE 10\r\n250 DSN\r\n";
const TAKES: &str = "250-mx\r\n250-STARTTLS\r\n250 XCLIENT NAME ADDR PROTO HELO LOGIN\r\n";

fn presented(xclient: bool) -> Presented {
    Presented {
        info: ClientInfo {
            address: "192.0.2.7:50123".parse().unwrap(),
            local: "192.0.2.1:25".parse().unwrap(),
            server_name: None,
            session_id: "a-1".into(),
            ttl: 5,
        },
        hello: Some("there".into()),
        xclient,
    }
}

/// Says what is given a piece at a time; what was sent, and how it ended.
fn converse(machine: &mut Delivery, said: &[&str]) -> (String, Result<(), Error>) {
    let (mut input, mut out) = (Input::new(), Vec::new());
    for piece in said {
        input.extend(piece.as_bytes());
        match machine.advance(&mut input, &mut out) {
            Ok(ClientStep::More) => {}
            Ok(ClientStep::StartTls) => {
                out.extend_from_slice(b"<TLS>\r\n");
                machine.secured();
                assert!(matches!(machine.advance(&mut input, &mut out), Ok(ClientStep::More)));
            }
            Ok(ClientStep::Success(_)) => out.extend_from_slice(b"<ready>\r\n"),
            Ok(ClientStep::Probed(words)) => out.extend_from_slice(format!("<{words:?}>").as_bytes()),
            Ok(other) => panic!("{other:?}"),
            Err(error) => return (String::from_utf8(out).unwrap(), Err(error)),
        }
    }
    (String::from_utf8(out).unwrap(), Ok(()))
}

/// What a client says of a message, read by the machine that faces it.
fn envelope(sender: &str, recipient: &str) -> (Sender, Recipient) {
    let mut machine = Reception::new(ReceptionSetting {
        transport: Transport::Mx,
        hostname: "mail".into(),
        tls: LoginOffer::Now,
        shared: ["8BITMIME", "DSN", "SMTPUTF8"].map(str::to_owned).into(),
        bad_commands: 1,
        max_command: 999,
        max_recipients: 9,
        max_message: 9999,
        bare_newline: BareNewline::Reject,
    });
    let (mut input, mut out) = (Input::new(), Vec::new());
    input.extend(format!("EHLO x\r\nMAIL FROM:{sender}\r\nRCPT TO:{recipient}\r\n").as_bytes());
    let Ok(Step::Mail(sender)) = machine.advance(&mut input, &mut out) else { panic!("no sender") };
    let Ok(Step::Recipient(recipient)) = machine.advance(&mut input, &mut out) else { panic!("no recipient") };
    (sender, recipient)
}

fn answers(machine: &mut Delivery, said: &[u8]) -> Vec<Result<Option<Answer>, Error>> {
    let mut input = Input::new();
    input.extend(said);
    let mut all = Vec::new();
    loop {
        all.push(machine.answer(&mut input));
        if !matches!(all.last(), Some(Ok(Some(_)))) {
            return all;
        }
    }
}

fn ready(capabilities: &str) -> Delivery {
    let mut machine = Delivery::new(Transport::Mx, false, presented(false));
    assert_eq!(converse(&mut machine, &[HI, capabilities]).1, Ok(()));
    machine
}

#[test]
fn a_backend_is_greeted_by_its_transport_and_told_of_the_client() {
    let table: &[(Transport, bool, bool, &[&str], &str)] = &[
        (Transport::Mx, false, false, &[HI, PLAIN], "EHLO there\r\n<ready>\r\n"),
        (Transport::Lmtp, false, false, &[HI, PLAIN], "LHLO there\r\n<ready>\r\n"),
        (
            Transport::Mx,
            true,
            true,
            &[HI, TAKES, "220 go\r\n", TAKES, HI, PLAIN],
            "EHLO there\r\nSTARTTLS\r\n<TLS>\r\nEHLO there\r\n\
             XCLIENT PROTO=ESMTP HELO=there NAME=[UNAVAILABLE] ADDR=192.0.2.7\r\nEHLO there\r\n<ready>\r\n",
        ),
        (
            Transport::Lmtp,
            false,
            true,
            &[HI, TAKES, HI, PLAIN],
            "LHLO there\r\nXCLIENT PROTO=LMTP HELO=there NAME=[UNAVAILABLE] ADDR=192.0.2.7\r\nLHLO there\r\n<ready>\r\n",
        ),
    ];
    for (transport, starttls, xclient, said, expected) in table {
        let mut machine = Delivery::new(*transport, *starttls, presented(*xclient));
        assert_eq!(converse(&mut machine, said), ((*expected).to_owned(), Ok(())));
    }
}

#[test]
fn a_backend_that_is_not_what_it_should_be_is_an_error() {
    let table: &[(bool, bool, &[&str], Error)] = &[
        (false, false, &["554 no\r\n"], Error::BackendQuit("greeting")),
        (false, false, &["250 hi\r\n"], Error::BackendProtocol("greeting")),
        (false, false, &["* OK\r\n"], Error::BackendProtocol("greeting")),
        (false, false, &[HI, "502 what?\r\n"], Error::BackendLacks("EHLO")),
        (false, false, &[HI, "421 bye\r\n"], Error::BackendQuit("ehlo")),
        (false, false, &["220 a\r\n220 b\r\n"], Error::BackendProtocol("a reply before it was asked for")),
        (true, false, &[HI, PLAIN], Error::BackendLacks("STARTTLS")),
        (true, false, &[HI, TAKES, "454 no\r\n"], Error::BackendLacks("STARTTLS")),
        (true, false, &[HI, TAKES, "220 go\r\n220 x\r\n"], Error::BytesBehindBackendStarttls),
        (false, true, &[HI, PLAIN], Error::BackendLacks("XCLIENT")),
        (false, true, &[HI, TAKES, "550 5.7.0 not you\r\n"], Error::BackendLacks("XCLIENT")),
    ];
    for (starttls, xclient, said, expected) in table {
        let mut machine = Delivery::new(Transport::Mx, *starttls, presented(*xclient));
        assert_eq!(converse(&mut machine, said).1, Err(*expected), "{said:?}");
    }
}

#[test]
fn a_probe_learns_what_there_is_and_leaves() {
    let mut machine = Transport::Lmtp.prober(false);
    let (mut input, mut out) = (Input::new(), Vec::new());
    input.extend(HI.as_bytes());
    assert!(matches!(machine.advance(&mut input, &mut out), Ok(ClientStep::More)));
    input.extend(PLAIN.as_bytes());
    let Ok(ClientStep::Probed(words)) = machine.advance(&mut input, &mut out) else { panic!("not probed") };
    assert_eq!(words, ["SIZE 10", "DSN"]);
    assert_eq!(out, b"LHLO [127.0.0.1]\r\nQUIT\r\n");
}

#[test]
fn an_envelope_is_told_as_it_was_said_to_whoever_understands_it() {
    let (sender, recipient) = envelope("<a@b> SIZE=7 RET=HDRS", "<c@d> NOTIFY=NEVER");
    let mut out = Vec::new();
    let mut machine = ready(PLAIN);
    machine.mail(&sender, &mut out).unwrap();
    machine.recipient(&recipient, &mut out).unwrap();
    machine.data(&mut out);
    machine.end(&mut out);
    let said = "MAIL FROM:<a@b> SIZE=7 RET=HDRS\r\nRCPT TO:<c@d> NOTIFY=NEVER\r\nDATA\r\n.\r\n";
    assert_eq!(String::from_utf8(out).unwrap(), said);
    let mut machine = ready("250 mx\r\n");
    assert_eq!(machine.mail(&sender, &mut Vec::new()), Err(Error::BackendLacks("DSN")));
    assert_eq!(machine.recipient(&recipient, &mut Vec::new()), Err(Error::BackendLacks("DSN")));
    let (eight_bit, _) = envelope("<a@b> BODY=8BITMIME", "<c@d>");
    assert_eq!(ready(PLAIN).mail(&eight_bit, &mut Vec::new()), Err(Error::BackendLacks("8BITMIME")));
}

#[test]
fn answers_come_one_by_one_and_an_intermediate_one_only_to_data() {
    let mut machine = ready(PLAIN);
    let told = |answer: &Result<Option<Answer>, Error>| answer.clone().unwrap().unwrap().to_string();
    let all = answers(&mut machine, b"250-2.1.5 a\r\n250 2.1.5 b\r\n550 5.1.1 no\r\n25");
    assert_eq!((told(&all[0]).as_str(), told(&all[1]).as_str()), ("250 2.1.5 a b", "550 5.1.1 no"));
    assert_eq!(all[2], Ok(None));
    machine.recipient(&envelope("<a@b>", "<c@d>").1, &mut Vec::new()).unwrap();
    assert_eq!(answers(&mut machine, b"354 go\r\n"), [Err(Error::BackendProtocol("rcpt"))]);
    machine.data(&mut Vec::new());
    assert_eq!(told(&answers(&mut machine, b"354 go\r\n")[0]), "354 go");
    assert_eq!(answers(&mut machine, b"350 go\r\n"), [Err(Error::BackendProtocol("data"))]);
    assert_eq!(answers(&mut machine, b"junk\r\n"), [Err(Error::BackendProtocol("data"))]);
    assert_eq!(answers(&mut machine, &[b'2'; 2000]), [Err(Error::BackendOverflow)]);
    // As many as there are recipients, each bounded for itself.
    machine.end(&mut Vec::new());
    assert_eq!(answers(&mut machine, &b"250 2.0.0 this one has it\r\n".repeat(9000)).len(), 9001);
}
