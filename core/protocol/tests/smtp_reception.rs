//! Clients that bring mail, good and bad, before the machine that faces them.

use std::sync::Arc;

use proptest::prelude::*;
use zproxy_protocol::smtp::{Answer, BareNewline, Reception, ReceptionSetting, Step, Transport};
use zproxy_protocol::{Error, Input, LoginOffer};

fn setting(transport: Transport) -> ReceptionSetting {
    ReceptionSetting {
        transport,
        hostname: Arc::from("mail.tgg.net.id"),
        tls: LoginOffer::Now,
        shared: ["8BITMIME", "SIZE 1000", "DSN", "CHUNKING"].map(str::to_owned).into(),
        bad_commands: 3,
        max_command: 8192,
        max_recipients: 2,
        max_message: 4000,
        bare_newline: BareNewline::Reject,
    }
}

/// A conversation: what was sent, and what the machine asked of its caller.
#[derive(Debug, Default, PartialEq)]
struct Talk {
    sent: String,
    steps: Vec<String>,
    messages: Vec<Vec<u8>>,
    body: Vec<u8>,
    taken: usize,
    end: Option<Error>,
    rest: usize,
}

/// Takes whoever does not begin with `no`, and every message but those of `later@b`.
fn step(machine: &mut Reception, lmtp: bool, input: &mut Input, out: &mut Vec<u8>, talk: &mut Talk) -> bool {
    match machine.advance(input, out) {
        Ok(Step::More) => return false,
        Ok(Step::Body(octets)) => {
            assert!(octets > 0 && octets <= input.len());
            talk.body.extend_from_slice(&input.bytes()[..octets]);
            input.consume(octets);
        }
        Ok(Step::Data) if talk.steps.iter().any(|step| step.ends_with(" later@b")) => {
            talk.steps.push("data".into());
            machine.refuse_data(&Answer::new(451, "4.3.0 Later."), out);
        }
        Ok(Step::Data) => machine.proceed(out),
        Ok(Step::End) => {
            talk.messages.push(std::mem::take(&mut talk.body));
            let answer = Answer::new(250, "2.0.0 Taken.");
            machine.finish(&vec![answer; if lmtp { talk.taken } else { 1 }], out);
        }
        Ok(Step::Mail(sender)) => {
            talk.taken = 0;
            talk.steps.push(format!("mail {}", sender.path().as_str()));
        }
        Ok(Step::Recipient(recipient)) => {
            let path = recipient.path().as_str();
            talk.steps.push(format!("rcpt {path}"));
            let answer = if path.starts_with("no") {
                Answer::new(550, "5.1.1 Nobody.")
            } else {
                talk.taken += 1;
                Answer::new(250, "2.1.5 Known.")
            };
            machine.judge(&answer, out);
        }
        Ok(Step::StartTls) => {
            talk.steps.push("starttls".into());
            machine.secured();
        }
        Ok(Step::TooLarge) => {
            talk.body.clear();
            talk.steps.push("too large".into());
        }
        Ok(Step::Goodbye) => talk.steps.push("goodbye".into()),
        Ok(Step::Reset) => talk.steps.push("reset".into()),
        Err(error) => talk.end = Some(error),
    }
    true
}

fn talk<'a>(setting: ReceptionSetting, pieces: impl IntoIterator<Item = &'a [u8]>) -> Talk {
    let lmtp = setting.transport == Transport::Lmtp;
    let mut machine = Reception::new(setting);
    let (mut input, mut out, mut talk) = (Input::new(), Vec::new(), Talk::default());
    for piece in pieces {
        input.extend(piece);
        while talk.end.is_none() && step(&mut machine, lmtp, &mut input, &mut out, &mut talk) {}
    }
    talk.rest = input.len();
    talk.sent = String::from_utf8(out).unwrap();
    talk
}

/// What follows the first hello and its answer, on an mx listener.
fn greeted(said: &str) -> Talk {
    const ANSWER: &str = "250-mail.tgg.net.id\r\n250-PIPELINING\r\n250-SIZE 1000\r\n250-8BITMIME\r\n250 DSN\r\n";
    let mut talk = talk(setting(Transport::Mx), [format!("EHLO there\r\n{said}").as_bytes()]);
    talk.sent = talk.sent.strip_prefix(ANSWER).unwrap_or_else(|| panic!("{}", talk.sent)).to_owned();
    talk
}

const TRANSACTION: &str = "MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n";
const BEGUN: &str = "250 2.1.0 Ok.\r\n250 2.1.5 Known.\r\n354 End data with <CR><LF>.<CR><LF>\r\n";

#[test]
fn the_greeting_says_what_is_spoken() {
    for (transport, expected) in [
        (Transport::Mx, "220 mail.tgg.net.id ESMTP ready.\r\n"),
        (Transport::Lmtp, "220 mail.tgg.net.id LMTP ready.\r\n"),
    ] {
        let mut out = Vec::new();
        Reception::new(setting(transport)).greet(&mut out);
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}

#[test]
fn a_line_leads_to_its_answer() {
    let table: &[(&str, &str)] = &[
        ("NOOP x", "250 2.0.0 Ok."),
        ("RSET", "250 2.0.0 Ok."),
        ("RSET x", "501 5.5.4 Missing or superfluous argument."),
        ("HELP", "214 2.0.0 See RFC 5321 and RFC 2033."),
        ("VRFY siti", "252 2.0.0 Send it and see."),
        ("EXPN all", "502 5.5.1 Command not implemented."),
        ("AUTH PLAIN", "502 5.5.1 Command not implemented."),
        ("BURL x", "502 5.5.1 Command not implemented."),
        ("BDAT x", "501 5.5.4 Missing or superfluous argument."),
        ("XCLIENT ADDR=192.0.2.1", "550 5.7.1 That is for proxies only."),
        ("STARTTLS", "502 5.5.1 TLS is not offered here."),
        ("LHLO x", "500 5.5.2 Unknown command."),
        ("HELO x", "250 mail.tgg.net.id"),
        ("HELO", "501 5.5.2 That is not the name of a host."),
        ("MAIL FROM:<a@b>", "250 2.1.0 Ok."),
        ("mail from:<> size=1000", "250 2.1.0 Ok."),
        ("MAIL FROM:<> SIZE=1001", "552 5.3.4 Message is too large."),
        ("MAIL FROM:<> SMTPUTF8", "555 5.5.4 Unknown parameter, or one that was not offered."),
        ("MAIL FROM:a@b", "501 5.1.7 That is no sender address."),
        ("MAIL TO:<a@b>", "501 5.5.4 Missing or superfluous argument."),
        ("MAIL", "501 5.5.4 Missing or superfluous argument."),
        ("RCPT TO:<a@b>", "503 5.5.1 Say MAIL first."),
        ("DATA", "503 5.5.1 Say MAIL first."),
        ("DATA x", "501 5.5.4 Missing or superfluous argument."),
        ("\0", "500 5.5.2 A line holds no NUL."),
        ("", "500 5.5.2 Unknown command."),
    ];
    for (said, expected) in table {
        assert_eq!(greeted(&format!("{said}\r\n")).sent, format!("{expected}\r\n"), "{said}");
    }
}

#[test]
fn within_a_transaction_order_is_kept() {
    let table: &[(&str, &str)] = &[
        ("MAIL FROM:<a@b>", "503 5.5.1 There is a transaction already."),
        ("DATA", "503 5.5.1 No valid recipients."),
        ("RCPT TO:<no@d>", "550 5.1.1 Nobody."),
        ("RCPT TO:<postmaster>", "250 2.1.5 Known."),
        ("RCPT TO:<c@d> NOTIFY=NEVER", "250 2.1.5 Known."),
        ("RCPT TO:<c@d> FOO=1", "555 5.5.4 Unknown parameter, or one that was not offered."),
        ("RCPT TO:<>", "501 5.1.3 That is no recipient address."),
        ("RCPT FROM:<c@d>", "501 5.5.4 Missing or superfluous argument."),
    ];
    for (said, expected) in table {
        assert_eq!(greeted(&format!("MAIL FROM:<a@b>\r\n{said}\r\n")).sent, format!("250 2.1.0 Ok.\r\n{expected}\r\n"));
    }
}

#[test]
fn hello_comes_first_and_is_the_transport_s_own() {
    let said: [&[u8]; 1] = [b"MAIL FROM:<a@b>\r\nEHLO x\r\n"];
    assert!(talk(setting(Transport::Mx), said).sent.starts_with("503 5.5.1 Say EHLO first.\r\n250-"));
    let lmtp = talk(setting(Transport::Lmtp), said).sent;
    assert_eq!(lmtp, "503 5.5.1 Say LHLO first.\r\n500 5.5.1 This is LMTP: say LHLO.\r\n");
    // Who asked for no list was offered nothing.
    let helo = talk(setting(Transport::Mx), [&b"HELO x\r\nMAIL FROM:<> SIZE=1\r\n"[..]]).sent;
    assert!(helo.ends_with("555 5.5.4 Unknown parameter, or one that was not offered.\r\n"), "{helo}");
}

#[test]
fn a_message_passes_as_it_travels_and_commands_follow_it() {
    let talk = greeted(&format!("{TRANSACTION}..\r\nHi.\r\n.\r\nMAIL FROM:<>\r\nQUIT\r\n"));
    assert_eq!(talk.messages, [b"..\r\nHi.\r\n"]);
    assert_eq!(talk.steps, ["mail a@b", "rcpt c@d", "mail ", "goodbye"]);
    assert_eq!(talk.sent, format!("{BEGUN}250 2.0.0 Taken.\r\n250 2.1.0 Ok.\r\n221 2.0.0 mail.tgg.net.id Bye.\r\n"));
}

#[test]
fn an_empty_message_is_one() {
    assert_eq!(greeted(&format!("{TRANSACTION}.\r\n")).messages, [b""]);
}

#[test]
fn in_lmtp_each_recipient_is_answered() {
    let said = b"LHLO x\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nRCPT TO:<no@d>\r\nRCPT TO:<e@d>\r\nDATA\r\nHi.\r\n.\r\n";
    let talk = talk(setting(Transport::Lmtp), [&said[..]]);
    assert!(talk.sent.ends_with("354 End data with <CR><LF>.<CR><LF>\r\n250 2.0.0 Taken.\r\n250 2.0.0 Taken.\r\n"));
}

#[test]
fn a_transaction_that_is_given_up_is_told() {
    for give_up in ["RSET", "EHLO x", "HELO x"] {
        let talk = greeted(&format!("MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\n{give_up}\r\nDATA\r\n"));
        assert_eq!(talk.steps, ["mail a@b", "rcpt c@d", "reset"]);
        assert!(talk.sent.ends_with("503 5.5.1 Say MAIL first.\r\n"));
    }
    let talk = greeted("MAIL FROM:<later@b>\r\nRCPT TO:<c@d>\r\nDATA\r\nRCPT TO:<c@d>\r\n");
    assert!(talk.sent.ends_with("451 4.3.0 Later.\r\n503 5.5.1 Say MAIL first.\r\n"));
}

#[test]
fn more_recipients_than_allowed_come_again() {
    let said = "MAIL FROM:<a@b>\r\n".to_owned() + &"RCPT TO:<c@d>\r\n".repeat(5) + "DATA\r\n";
    let sent = greeted(&said).sent;
    let expected = "250 2.1.5 Known.\r\n".repeat(2) + &"452 4.5.3 Too many recipients.\r\n".repeat(3) + "354 ";
    assert!(sent.contains(&expected), "{sent}");
}

#[test]
fn a_conversation_ends_with_recipients_without_end() {
    let said = "MAIL FROM:<a@b>\r\n".to_owned() + &"RCPT TO:<no@d>\r\n".repeat(10_002);
    let talk = greeted(&said);
    assert_eq!(talk.end, Some(Error::TooManyCommands));
    assert!(talk.sent.ends_with("421 4.7.0 mail.tgg.net.id Too many commands without a message.\r\n"));
}

#[test]
fn a_conversation_ends_with_commands_without_a_message() {
    for command in ["NOOP\r\n", "RSET\r\n", "EHLO x\r\n", "MAIL FROM:<>\r\nRSET\r\n"] {
        assert_eq!(greeted(&command.repeat(101)).end, Some(Error::TooManyCommands), "{command}");
    }
    // Within a transaction too, whose server would wait for ever.
    for command in ["NOOP\r\n", "HELP\r\n", "VRFY x\r\n", "DATA\r\n"] {
        let said = format!("MAIL FROM:<>\r\nRCPT TO:<no@d>\r\n{}", command.repeat(101));
        assert_eq!(greeted(&said).end, Some(Error::TooManyCommands), "{command}");
    }
    let message = format!("{TRANSACTION}Hi.\r\n.\r\nNOOP\r\n");
    assert_eq!(greeted(&message.repeat(200)).end, None);
}

#[test]
fn a_conversation_ends_with_bad_commands() {
    let talk = greeted(&"what\r\n".repeat(4));
    assert_eq!(talk.end, Some(Error::TooManyBadCommands));
    assert!(talk.sent.ends_with("421 4.7.0 mail.tgg.net.id Too many bad commands.\r\n"));
    assert_eq!(greeted("DATA\r\n").end, None);
}

#[test]
fn a_message_too_large_is_told_at_its_end_and_reaches_nobody() {
    let talk = greeted(&format!("{TRANSACTION}{}.\r\nNOOP\r\n", "0123456789abcdef\r\n".repeat(60)));
    assert_eq!(talk.steps.last().unwrap(), "reset");
    assert!(talk.steps.contains(&"too large".to_owned()) && talk.messages.is_empty());
    assert!(talk.sent.ends_with("552 5.3.4 Message is too large.\r\n250 2.0.0 Ok.\r\n"), "{}", talk.sent);
    let endless = greeted(&format!("{TRANSACTION}{}", "0123456789abcdef\r\n".repeat(120)));
    assert_eq!(endless.end, Some(Error::MessageTooLong));
}

#[test]
fn bdat_is_refused_and_its_octets_are_no_commands() {
    let talk = greeted("BDAT 6 LAST\r\nQUIT\r\nNOOP\r\n");
    assert_eq!(talk.sent, "502 5.5.1 Command not implemented.\r\n250 2.0.0 Ok.\r\n");
    assert!(talk.steps.is_empty());
}

#[test]
fn a_browser_is_not_answered() {
    let talk = talk(setting(Transport::Mx), [&b"POST / HTTP/1.1\r\nMAIL FROM:<a@b>\r\n"[..]]);
    assert_eq!((talk.sent.as_str(), talk.end), ("", Some(Error::SpeaksHttp)));
}

#[test]
fn starttls_comes_alone_and_forgets_what_was_said() {
    let optional = ReceptionSetting { tls: LoginOffer::NowOrAfterTls, ..setting(Transport::Mx) };
    let said: [&[u8]; 2] = [b"EHLO x\r\nMAIL FROM:<a@b>\r\nSTARTTLS\r\n", b"RCPT TO:<c@d>\r\nMAIL FROM:<a@b>\r\n"];
    let secured = talk(optional.clone(), said);
    assert_eq!(secured.steps, ["mail a@b", "starttls"]);
    let answers = "220 2.0.0 Begin TLS.\r\n503 5.5.1 Say MAIL first.\r\n503 5.5.1 Say EHLO first.\r\n";
    assert!(secured.sent.ends_with(answers), "{}", secured.sent);
    let injected = talk(optional, [&b"EHLO x\r\nSTARTTLS\r\nNOOP\r\n"[..]]);
    assert_eq!(injected.end, Some(Error::BytesBehindStarttls));
    let required = ReceptionSetting { tls: LoginOffer::OnlyAfterTls, ..setting(Transport::Mx) };
    let refused = talk(required, [&b"EHLO x\r\nMAIL FROM:<a@b>\r\n"[..]]);
    assert!(refused.sent.ends_with("250 STARTTLS\r\n530 5.7.0 Must issue a STARTTLS command first.\r\n"));
}

/// What the eight sequences of CVE-2023-51764 to 51766, and some with NUL, do to a message.
const SMUGGLERS: [&str; 14] = [
    "\n.\n",
    "\r\n.\n",
    "\n.\r\n",
    "\r.\r",
    "\r.\r\n",
    "\r\n.\r",
    "\r.\n",
    "\n.\r",
    "\r\n\0.\r\n",
    "\r\n.\0\r\n",
    "\0\n.\r\n",
    "\r\0\n.\r\n",
    "\r\n.\r\0\n",
    "\r\0.\r\n",
];
const SMUGGLED: &str = "MAIL FROM:<evil@b>\r\nRCPT TO:<c@d>\r\nDATA\r\nevil\r\n.\r\n";

#[test]
fn nothing_but_crlf_dot_crlf_ends_a_message() {
    for bare_newline in [BareNewline::Reject, BareNewline::Pass] {
        for smuggler in SMUGGLERS {
            let said = format!("EHLO x\r\n{TRANSACTION}good{smuggler}{SMUGGLED}");
            let setting = ReceptionSetting { bare_newline, ..setting(Transport::Mx) };
            let whole = talk(setting.clone(), [said.as_bytes()]);
            let split = talk(setting, said.as_bytes().chunks(1));
            for talk in [whole, split] {
                let judged = matches!(talk.end, Some(Error::AmbiguousEndOfData | Error::BareNewline));
                assert!(judged && talk.messages.is_empty(), "{smuggler:?} {talk:?}");
                assert!(!talk.steps.contains(&"mail evil@b".to_owned()), "{smuggler:?} {talk:?}");
                assert!(talk.sent.ends_with("521 5.5.2 Lines end with CRLF, and CR or LF stand nowhere else.\r\n"));
                // Nothing that the most lenient server would take for an end has gone out.
                assert!(!lenient_end(&talk.body), "{smuggler:?} {:?}", talk.body.escape_ascii().to_string());
            }
        }
    }
}

/// Whether some server takes a message for complete.
fn lenient_end(body: &[u8]) -> bool {
    let body: Vec<u8> = [b"\r\n", body].concat().into_iter().filter(|&octet| octet != 0).collect();
    body.windows(3).any(|octets| b"\r\n".contains(&octets[0]) && octets[1] == b'.' && b"\r\n".contains(&octets[2]))
}

#[test]
fn a_bare_newline_ends_the_conversation_or_passes_unchanged() {
    for message in ["a\nb\r\n", "a\rb\r\n", "\n\r\n", "a\r\r\n", "\r\n.x\n.y\r\n"] {
        let said = format!("EHLO x\r\n{TRANSACTION}{message}.\r\n");
        assert_eq!(talk(setting(Transport::Mx), [said.as_bytes()]).end, Some(Error::BareNewline), "{message:?}");
        let pass = ReceptionSetting { bare_newline: BareNewline::Pass, ..setting(Transport::Mx) };
        assert_eq!(talk(pass, [said.as_bytes()]).messages, [message.as_bytes()], "{message:?}");
    }
}

#[test]
fn an_octet_at_a_time_is_the_same() {
    let said = format!(
        "EHLO x\r\nNOOP\r\nMAIL FROM:<a@b> SIZE=9\r\nRCPT TO:<no@d>\r\nRCPT TO:<c@d>\r\nDATA\r\n..x\r\n.\ty\r\n\r\n.\r\n\
         BDAT 3\r\nabcRSET\r\n{TRANSACTION}.\r\nQUIT\r\n"
    );
    for transport in [Transport::Mx, Transport::Lmtp] {
        let said = if transport == Transport::Lmtp { said.replace("EHLO", "LHLO") } else { said.clone() };
        let whole = talk(setting(transport), [said.as_bytes()]);
        assert_eq!((whole.messages.len(), whole.end), (2, None), "{whole:?}");
        assert_eq!(talk(setting(transport), said.as_bytes().chunks(1)), whole);
        for at in 0..said.len() {
            let (one, other) = said.as_bytes().split_at(at);
            assert_eq!(talk(setting(transport), [one, other]), whole, "{at}");
        }
    }
}

proptest! {
    #[test]
    fn a_message_is_given_out_whole_however_it_comes(
        lines in prop::collection::vec("[a-z.\r\n\0]{0,6}", 0..12),
        size in 1_usize..9,
    ) {
        let message: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
        let said = format!("EHLO x\r\n{TRANSACTION}{message}.\r\n");
        let pass = ReceptionSetting { bare_newline: BareNewline::Pass, ..setting(Transport::Mx) };
        let whole = talk(pass.clone(), [said.as_bytes()]);
        let split = talk(pass, said.as_bytes().chunks(size));
        prop_assert_eq!((&split.messages, &split.end, &split.steps), (&whole.messages, &whole.end, &whole.steps));
        if let (None, Some(first)) = (whole.end, whole.messages.first()) {
            prop_assert!(message.as_bytes().starts_with(first));
            prop_assert!(!lenient_end(first));
        }
    }
}
