use super::*;

#[test]
fn a_line_ends_with_crlf_and_nothing_else() {
    let whole = |bytes: &[u8], text: Result<&[u8], Bad>| {
        let behind = [bytes, b"QUIT\r\n"].concat();
        assert_eq!(line(&behind, 8), Line::Whole { text, length: bytes.len() }, "{}", bytes.escape_ascii());
        for end in 0..bytes.len() {
            assert_eq!(line(&bytes[..end], 8), Line::More, "{}", bytes.escape_ascii());
        }
    };
    whole(b"NOOP\r\n", Ok(b"NOOP"));
    whole(b"\r\n", Ok(b""));
    whole(b"NOOP\n", Err(Bad::LineEnd));
    whole(b"\n", Err(Bad::LineEnd));
    whole(b"NO\rOP\r\n", Err(Bad::LineEnd));
    whole(b"NOOP\r\r\n", Err(Bad::LineEnd));
    whole(b"NO\0OP\r\n", Err(Bad::Nul));
}

#[test]
fn a_line_may_have_as_many_octets_as_its_limit() {
    assert_eq!(line(b"1234\r\n", 4), Line::Whole { text: Ok(b"1234"), length: 6 });
    assert_eq!(line(b"12345\r\n", 4), Line::TooLong);
    assert_eq!(line(b"1234\r", 4), Line::More);
    assert_eq!(line(b"12345\r", 4), Line::TooLong);
    assert_eq!(limit(b"auth P", 255), (MAX_AUTH, Bad::AuthTooLong));
    assert_eq!(limit(b"AUTHPL", 255), (255, Bad::TooLong));
    assert_eq!(limit(b"NOOP", 65_536), (MAX_COMMAND, Bad::TooLong));
}

#[test]
fn what_is_too_long_ends_at_the_first_crlf() {
    let table: &[(&[u8], (usize, bool))] = &[
        (b"xx\r\nNOOP\r\n", (4, true)),
        (b"x\nx\rx\r\r\nN", (8, true)),
        (b"xx", (2, false)),
        (b"xx\r", (2, false)),
        (b"\r", (0, false)),
        (b"", (0, false)),
    ];
    for (bytes, expected) in table {
        assert_eq!(past_crlf(bytes), *expected, "{}", bytes.escape_ascii());
    }
}

fn hello(name: &str) -> Hello {
    Hello(Some(name.into()))
}

#[test]
fn commands_are_read_in_any_case_and_without_the_space_behind_them() {
    let table: &[(&[u8], Command)] = &[
        (b"noop", Command::Noop),
        (b"NOOP whatever", Command::Noop),
        (b"Quit \t ", Command::Quit),
        (b"ehlo [192.0.2.7] ", Command::Ehlo(hello("[192.0.2.7]"))),
        (b"HELO laptop", Command::Helo(hello("laptop"))),
        (b"EHLO my laptop", Command::Ehlo(Hello(None))),
        (b"EHLO l\xc3\xa4ptop", Command::Ehlo(Hello(None))),
        (b"AUTH", Command::Auth(b"")),
        (b"AUTH PLAIN =", Command::Auth(b"PLAIN =")),
        (b"BDAT 0", Command::Bdat(0)),
        (b"bdat 2147483647 last", Command::Bdat(2_147_483_647)),
        (b"MAIL FROM:<>", Command::Transaction),
        (b"mail", Command::Transaction),
        (b"RCPT junk", Command::Transaction),
        (b"DATA", Command::Transaction),
        (b"VRFY siti", Command::Vrfy),
        (b"HELP", Command::Help),
        (b"RSET", Command::Rset),
        (b"STARTTLS", Command::StartTls),
    ];
    for (line, expected) in table {
        assert_eq!(Command::parse(line).as_ref(), Ok(expected), "{}", line.escape_ascii());
    }
}

#[test]
fn bad_commands_say_what_is_wrong() {
    let long = [&b"EHLO "[..], &[b'x'; MAX_HELLO + 1]].concat();
    let table: &[(&[u8], Bad)] = &[
        (b"", Bad::Unknown),
        (b" NOOP", Bad::Unknown),
        (b"NOOP\tx", Bad::Unknown),
        (b"LHLO x", Bad::Unknown),
        (b"\xff\xfe", Bad::Unknown),
        (b"EXPN list", Bad::NotImplemented),
        (b"QUIT now", Bad::Arguments),
        (b"RSET now", Bad::Arguments),
        (b"STARTTLS now", Bad::Arguments),
        (b"BDAT", Bad::Arguments),
        (b"BDAT -1", Bad::Arguments),
        (b"BDAT +1", Bad::Arguments),
        (b"BDAT 0x10", Bad::Arguments),
        (b"BDAT 2147483648", Bad::Arguments),
        (b"BDAT 99999999999999999999", Bad::Arguments),
        (b"BDAT 5  LAST", Bad::Arguments),
        (b"BDAT  5", Bad::Arguments),
        (b"BDAT 5 LAST 5", Bad::Arguments),
        (b"XCLIENT ADDR=192.0.2.1", Bad::ProxiesOnly),
        (b"xforward NAME=x", Bad::ProxiesOnly),
        (b"EHLO", Bad::HelloName),
        (b"EHLO a\tb", Bad::HelloName),
        (b"HELO a\x01b", Bad::HelloName),
        (b"EHLO \x7f", Bad::HelloName),
        (&long, Bad::HelloName),
    ];
    for (line, expected) in table {
        assert_eq!(Command::parse(line), Err(*expected), "{}", line.escape_ascii());
    }
}

#[test]
fn auth_names_a_mechanism_and_may_begin_it() {
    type Row<'a> = (&'a [u8], Result<(Mechanism, Option<&'a [u8]>), Bad>);
    let table: &[Row<'_>] = &[
        (b"PLAIN", Ok((Mechanism::Plain, None))),
        (b"login AA==", Ok((Mechanism::Login, Some(b"AA==")))),
        (b"PLAIN =", Ok((Mechanism::Plain, Some(b"=")))),
        (b"PLAIN AA== x", Err(Bad::Arguments)),
        (b"PLAIN  AA==", Err(Bad::Arguments)),
        (b"CRAM-MD5", Err(Bad::Mechanism)),
        (b" PLAIN", Err(Bad::Mechanism)),
        (b"", Err(Bad::Arguments)),
    ];
    for (argument, expected) in table {
        assert_eq!(auth(argument), *expected, "{}", argument.escape_ascii());
    }
}

#[test]
fn every_refusal_is_a_reply_with_its_enhanced_code() {
    for bad in [Bad::Arguments, Bad::Sasl(sasl::Refused::Cancelled), Bad::Sasl(sasl::Refused::EmptyPassword)] {
        let reply = bad.to_string();
        let mut words = reply.split(' ');
        let (code, enhanced) = (words.next().unwrap(), words.next().unwrap());
        assert!(code.starts_with('5') && code.len() == 3 && enhanced.starts_with("5."), "{reply}");
    }
}
