use super::*;

/// Runs the client's octets through a guard until it wants more.
fn pass(guard: &mut Guard, mut said: &[u8]) -> Result<(Vec<u8>, String, Verdict), Error> {
    let (mut passed, mut out) = (Vec::new(), Vec::new());
    loop {
        match guard.client_says(said, &mut out)? {
            Verdict::Drop(octets) => said = &said[octets..],
            Verdict::Pass(octets) => {
                passed.extend_from_slice(&said[..octets]);
                said = &said[octets..];
            }
            end => return Ok((passed, String::from_utf8(out).unwrap(), end)),
        }
    }
}

#[test]
fn commands_pass_or_are_refused() {
    let table: &[(&[u8], &str)] = &[
        (b"MAIL FROM:<siti@tgg.net.id>\r\n", ""),
        (b"noop\r\n", ""),
        (b"X-OWN thing\r\n", ""),
        (b"BDAT 0 LAST \r\n", ""),
        (b"XCLIENT ADDR=192.0.2.1\r\n", "550 5.7.1"),
        (b"xForward NAME=x\r\n", "550 5.7.1"),
        (b"XCLIENT\r\n", "550 5.7.1"),
        (b"AUTH PLAIN\r\n", "503 5.5.1"),
        (b"STARTTLS\r\n", "502 5.5.1"),
        (b" XCLIENT ADDR=192.0.2.1\r\n", "500 5.5.2"),
        (b"\tXCLIENT ADDR=192.0.2.1\r\n", "500 5.5.2"),
        (b"XCLIENT\tADDR=192.0.2.1\r\n", "500 5.5.2"),
        (b"XCLIENT\x0bADDR=192.0.2.1\r\n", "500 5.5.2"),
        (b"XCLIENT:ADDR=192.0.2.1\r\n", "500 5.5.2"),
        (b"\"XCLIENT\" ADDR=192.0.2.1\r\n", "500 5.5.2"),
        (b"NOOP\nXCLIENT ADDR=192.0.2.1", "500 5.5.2"),
        (b"NOOP\rXCLIENT ADDR=192.0.2.1\r\n", "500 5.5.2"),
        (b"XCLIENT\0 ADDR=192.0.2.1\r\n", "500 5.5.2"),
        (b"\r\n", "500 5.5.2"),
        (b"BDAT 5 6\r\n", "501 5.5.4"),
        (b"BDAT 4294967301\r\n", "501 5.5.4"),
    ];
    for (said, refused) in table {
        let (passed, reply, _) = pass(&mut Guard::new(true), said).unwrap();
        assert!(reply.starts_with(refused) && reply.is_empty() == refused.is_empty(), "{}", said.escape_ascii());
        assert_eq!(passed.is_empty(), !refused.is_empty(), "{}", said.escape_ascii());
    }
}

#[test]
fn a_refusal_waits_for_the_answers_to_what_came_before() {
    let mut guard = Guard::new(true);
    let said = b"MAIL FROM:<>\r\nRSET\r\nXCLIENT ADDR=192.0.2.1\r\nNOOP\r\n";
    let (passed, reply, end) = pass(&mut guard, said).unwrap();
    assert_eq!((passed.len(), reply.as_str(), end), (20, "", Verdict::Hold));
    for answer in [&b"250 Ok\r\n"[..], b"250-2.0.0 O", b"k\r\n250 2.0.0 Ok\r"] {
        guard.backend_says(answer).unwrap();
        assert_eq!(pass(&mut guard, &said[20..]).unwrap(), (vec![], String::new(), Verdict::Hold));
    }
    guard.backend_says(b"\n").unwrap();
    let (passed, reply, end) = pass(&mut guard, &said[20..]).unwrap();
    assert_eq!(passed, b"NOOP\r\n");
    assert_eq!((reply.as_str(), end), ("550 5.7.1 That is for proxies only.\r\n", Verdict::More));
}

#[test]
fn a_message_follows_data_where_the_backend_says_so() {
    for (answer, message) in [("354 go on\r\n", true), ("503 5.5.1 no\r\n", false)] {
        let mut guard = Guard::new(true);
        assert_eq!(
            pass(&mut guard, b"data\r\nXCLIENT x\r\n").unwrap(),
            (b"data\r\n".to_vec(), "".into(), Verdict::Hold)
        );
        guard.backend_says(answer.as_bytes()).unwrap();
        let (passed, reply, _) = pass(&mut guard, b"XCLIENT x\r\n.\r\nXFORWARD x\r\n").unwrap();
        assert_eq!(passed, if message { &b"XCLIENT x\r\n.\r\n"[..] } else { b"" });
        assert_eq!(reply.is_empty(), message);
    }
}

#[test]
fn a_message_ends_where_every_server_says_so() {
    const AMBIGUOUS: Result<Option<usize>, Error> = Err(Error::AmbiguousEndOfData);
    type Row<'a> = (&'a [u8], Result<Option<usize>, Error>);
    let table: &[Row<'_>] = &[
        (b".\r\nNOOP\r\n", Ok(Some(3))),
        (b"Hi\r\n.\r\nNOOP\r\n", Ok(Some(7))),
        (b"\r\n\r\n.\r\n.\r\n", Ok(Some(7))),
        (b"..\r\n.x\r\n", Ok(None)),
        (b"a\nb\rc\0d\r\n", Ok(None)),
        (b"x.\r\ny.\ny.\r", Ok(None)),
        (b"\n.x\r.x\r\n\0.x", Ok(None)),
        (b"a\r\n.\r", Ok(None)),
        (b"a\n.\n", AMBIGUOUS),
        (b"a\n.\r\n", AMBIGUOUS),
        (b"a\r.\r\n", AMBIGUOUS),
        (b"a\r.\r", AMBIGUOUS),
        (b"a\r\n.\n", AMBIGUOUS),
        (b"a\r\n.\rb", AMBIGUOUS),
        (b"a\r\n.\r\r\n", AMBIGUOUS),
        (b"a\r\r\n\n.\r\n", AMBIGUOUS),
        (b"a\r\n\0.\r\n", AMBIGUOUS),
        (b"a\r\n.\0\r\n", AMBIGUOUS),
        (b"a\r\0\n.\r\n", AMBIGUOUS),
    ];
    for (said, expected) in table {
        assert_eq!(EndOfData::default().find(said), *expected, "{}", said.escape_ascii());
        for at in 0..said.len() {
            let mut end = EndOfData::default();
            let first = end.find(&said[..at]);
            let split = match first {
                Ok(None) => end.find(&said[at..]).map(|found| found.map(|octets| at + octets)),
                early => early,
            };
            assert_eq!(split, *expected, "{} at {at}", said.escape_ascii());
        }
    }
}

#[test]
fn a_chunk_is_as_long_as_it_says_and_only_where_chunking_is_offered() {
    let said = b"BDAT 21 LAST\r\nXCLIENT x\r\nXCLIENT x\r\nXCLIENT x\r\n";
    let (passed, reply, end) = pass(&mut Guard::new(true), said).unwrap();
    assert_eq!((passed.as_slice(), reply.as_str(), end), (&said[..35], "", Verdict::Hold));
    let (passed, reply, end) = pass(&mut Guard::new(false), said).unwrap();
    assert_eq!((passed.len(), reply.lines().count(), end), (0, 4, Verdict::More));
}

#[test]
fn what_may_follow_hangs_on_the_last_ehlo() {
    let table = [("EHLO x\r\n", "250-mx\r\n250 CHUNKING\r\n", true), ("EHLO x\r\n", "250-mx\r\n250 DSN\r\n", false)];
    for (hello, answer, chunking) in table.into_iter().chain([("helo x\r\n", "250 mx\r\n", false)]) {
        let mut guard = Guard::new(!chunking);
        assert_eq!(pass(&mut guard, hello.as_bytes()).unwrap().2, Verdict::Hold);
        guard.backend_says(answer.as_bytes()).unwrap();
        assert_eq!(guard, Guard::new(chunking));
    }
}

#[test]
fn a_line_too_long_is_refused_once_and_dropped_to_its_crlf() {
    let long = [&b"NOOP "[..], &[b'x'; MAX_COMMAND], b"\nXCLIENT x\r\nNOOP\r\n"].concat();
    for size in [1, 7, 2050, 5000] {
        let mut guard = Guard::new(true);
        let (mut held, mut passed, mut replies) = (Vec::new(), Vec::new(), String::new());
        for piece in long.chunks(size) {
            held.extend_from_slice(piece);
            assert!(held.len() <= MAX_COMMAND + 2 + size);
            let mut out = Vec::new();
            loop {
                match guard.client_says(&held, &mut out).unwrap() {
                    Verdict::Drop(octets) => drop(held.drain(..octets)),
                    Verdict::Pass(octets) => passed.extend(held.drain(..octets)),
                    Verdict::Hold | Verdict::More => break,
                }
            }
            replies += &String::from_utf8(out).unwrap();
        }
        assert_eq!((passed.as_slice(), replies.as_str()), (&b"NOOP\r\n"[..], "500 5.5.2 Line is too long.\r\n"));
    }
}

#[test]
fn refusals_have_an_end() {
    let mut guard = Guard::new(true);
    let flood = b"XCLIENT x\r\n".repeat(usize::try_from(MAX_REFUSED).unwrap() + 1);
    assert_eq!(pass(&mut guard, &flood), Err(Error::TooManyBadCommands));
}

#[test]
fn unanswered_commands_have_an_end() {
    let flood = b"NOOP\r\n".repeat(usize::try_from(MAX_UNANSWERED).unwrap() + 1);
    let (passed, _, end) = pass(&mut Guard::new(true), &flood).unwrap();
    assert_eq!((passed.len(), end), (flood.len() - 6, Verdict::Hold));
}

#[test]
fn a_backend_that_loses_count_ends_the_session() {
    type Row<'a> = (&'a [u8], &'a [u8], Result<(), Error>);
    let table: &[Row<'_>] = &[
        (b"", b"250 Ok\r\n", Err(Error::BackendProtocol("a reply before it was asked for"))),
        (b"", b"421 4.3.2 shutting down\r\n", Ok(())),
        (b"NOOP\r\n", b"250 Ok\r\n250 Ok\r\n", Err(Error::BackendProtocol("a reply before it was asked for"))),
        (b"NOOP\r\n", b"421 too many\r\n", Ok(())),
        (b"XEXCH50 5 2\r\n", b"354 send binary data\r\n", Err(Error::BackendProtocol("an intermediate reply"))),
        (b"NOOP\r\nDATA\r\n", b"354 now\r\n", Err(Error::BackendProtocol("an intermediate reply"))),
        (b"DATA\r\n", b"354 go\r\n250 done\r\n", Err(Error::BackendProtocol("a reply before it was asked for"))),
        (b"NOOP\r\n", b"* OK IMAP\r\n", Err(Error::BackendProtocol("a reply"))),
    ];
    for (said, answer, expected) in table {
        let mut guard = Guard::new(true);
        pass(&mut guard, said).unwrap();
        assert_eq!(guard.backend_says(answer), *expected, "{}", answer.escape_ascii());
    }
}
