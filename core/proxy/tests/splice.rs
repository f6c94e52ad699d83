//! Bytes both ways: all of them, in order, with half-close, back-pressure, idle limits and goodbyes in quiet moments.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use zproxy_protocol::Input;
use zproxy_protocol::smtp::Guard;
use zproxy_proxy::error::EndedBy;
use zproxy_proxy::service::Service;
use zproxy_proxy::sessions::{Ending, Entry, Facts, Filter, Sessions};
use zproxy_proxy::splice::{Ended, Splice, Terms};
use zproxy_proxy::stream::Stream;

const LONG: Duration = Duration::from_secs(60);

/// A spliced session with both far ends in hand.
struct Stage {
    client: TcpStream,
    backend: TcpStream,
    sessions: Arc<Sessions>,
    running: JoinHandle<Ended>,
}

impl Stage {
    async fn new(service: Service, idle: Duration) -> Self {
        Self::with_leftovers(service, idle, b"", b"").await
    }

    async fn with_leftovers(service: Service, idle: Duration, from_client: &[u8], from_backend: &[u8]) -> Self {
        let (client, client_side) = pair().await;
        let (backend, backend_side) = pair().await;
        let sessions = Arc::new(Sessions::default());
        let entry = sessions.enter(facts(service), sessions.era());
        let splice = Splice::new(
            (Stream::Plain(client_side), input(from_client)),
            (Stream::Plain(backend_side), input(from_backend)),
        );
        let running = tokio::spawn(async move { run(splice, entry, service, idle).await });
        Self { client, backend, sessions, running }
    }
}

async fn run(mut splice: Splice, entry: Entry, service: Service, idle: Duration) -> Ended {
    splice.run(entry.live(), &Terms { protocol: service.protocol(), idle }).await
}

async fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (far, near) = tokio::join!(TcpStream::connect(listener.local_addr().unwrap()), listener.accept());
    (far.unwrap(), near.unwrap().0)
}

fn input(bytes: &[u8]) -> Input {
    let mut input = Input::new();
    input.extend(bytes);
    input
}

fn facts(service: Service) -> Facts {
    Facts {
        id: "1".into(),
        account: "siti@tgg.net.id".into(),
        backend: "mbox-1".into(),
        client: "127.0.0.1:40000".parse().unwrap(),
        service,
        listener: "imap".into(),
        tls: "",
    }
}

/// Bytes that show where they were lost or swapped.
fn pattern(len: usize) -> Vec<u8> {
    (0..len as u64).map(|at| (at.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 56) as u8).collect()
}

#[tokio::test]
async fn leftovers_go_first() {
    let mut stage = Stage::with_leftovers(Service::Imap, LONG, b"b NOOP\r\n", b"* 1 EXISTS\r\n").await;
    stage.client.write_all(b"c NOOP\r\n").await.unwrap();
    let mut said = vec![0; 16];
    stage.backend.read_exact(&mut said).await.unwrap();
    assert_eq!(said, b"b NOOP\r\nc NOOP\r\n");
    let mut heard = vec![0; 12];
    stage.client.read_exact(&mut heard).await.unwrap();
    assert_eq!(heard, b"* 1 EXISTS\r\n");
}

#[tokio::test]
async fn twenty_mebibytes_arrive_whole_in_both_directions_at_once() {
    let stage = Stage::new(Service::Imap, LONG).await;
    let sent = pattern(20 << 20);
    let (mut client_reads, mut client_writes) = stage.client.into_split();
    let (mut backend_reads, mut backend_writes) = stage.backend.into_split();
    let (up, down) = (sent.clone(), sent.clone());
    let writes = tokio::spawn(async move {
        client_writes.write_all(&up).await.unwrap();
        client_writes.shutdown().await.unwrap();
    });
    let answers = tokio::spawn(async move {
        backend_writes.write_all(&down).await.unwrap();
        backend_writes.shutdown().await.unwrap();
    });
    let (mut at_client, mut at_backend) = (Vec::new(), Vec::new());
    let (client, backend) =
        tokio::join!(client_reads.read_to_end(&mut at_client), backend_reads.read_to_end(&mut at_backend));
    client.unwrap();
    backend.unwrap();
    writes.await.unwrap();
    answers.await.unwrap();
    assert!(at_client == sent, "what the client got differs");
    assert!(at_backend == sent, "what the backend got differs");
    assert!(stage.running.await.unwrap().error.is_none());
}

#[tokio::test]
async fn a_half_closed_client_still_gets_its_answer() {
    let mut stage = Stage::new(Service::Pop3, LONG).await;
    stage.client.write_all(b"RETR 1\r\n").await.unwrap();
    stage.client.shutdown().await.unwrap();
    let mut asked = Vec::new();
    stage.backend.read_to_end(&mut asked).await.unwrap();
    assert_eq!(asked, b"RETR 1\r\n");
    stage.backend.write_all(b"+OK\r\n.\r\n").await.unwrap();
    drop(stage.backend);
    let mut answer = Vec::new();
    stage.client.read_to_end(&mut answer).await.unwrap();
    assert_eq!(answer, b"+OK\r\n.\r\n");
    let ended = stage.running.await.unwrap();
    assert_eq!(ended.by, EndedBy::Client);
    assert!(ended.error.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_side_that_does_not_follow_a_half_close_is_soon_left() {
    for (client_goes_first, by) in [(true, EndedBy::Client), (false, EndedBy::Backend)] {
        let mut stage = Stage::new(Service::Imap, 30 * LONG).await;
        let began = tokio::time::Instant::now();
        let first = if client_goes_first { &mut stage.client } else { &mut stage.backend };
        first.shutdown().await.unwrap();
        assert_eq!(stage.running.await.unwrap().by, by);
        assert!(began.elapsed() < 3 * LONG, "it was waited for {:?}", began.elapsed());
    }
}

#[tokio::test]
async fn a_reset_reaches_the_other_side_as_a_reset() {
    let mut stage = Stage::new(Service::Imap, LONG).await;
    stage.backend.set_zero_linger().unwrap();
    drop(stage.backend);
    let error = stage.client.read(&mut [0; 16]).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    assert_eq!(stage.running.await.unwrap().by, EndedBy::Backend);
}

#[tokio::test]
async fn silence_ends_a_session_and_bytes_keep_it() {
    let idle = Duration::from_millis(200);
    let mut stage = Stage::new(Service::Imap, idle).await;
    let began = std::time::Instant::now();
    while began.elapsed() < 3 * idle {
        stage.backend.write_all(b"* 1 EXISTS\r\n").await.unwrap();
        let mut heard = [0; 12];
        stage.client.read_exact(&mut heard).await.unwrap();
    }
    assert!(!stage.running.is_finished(), "bytes did not keep it");
    let ended = stage.running.await.unwrap();
    assert_eq!((ended.by, ended.error.unwrap().to_string().as_str()), (EndedBy::Proxy, "idle for too long"));
}

#[tokio::test(start_paused = true)]
async fn a_kick_speaks_in_a_quiet_moment_and_answers_when_the_session_is_gone() {
    let mut stage = Stage::new(Service::Imap, LONG).await;
    let ending = Ending { text: Arc::from("moved"), patience: LONG };
    assert_eq!(stage.sessions.kick(&Filter::default(), &ending).await, 1);
    let mut heard = Vec::new();
    stage.client.read_to_end(&mut heard).await.unwrap();
    assert_eq!(heard, b"* BYE moved\r\n");
}

#[tokio::test]
async fn a_kick_cuts_without_a_word_where_a_line_is_not_finished() {
    let mut stage = Stage::new(Service::Imap, LONG).await;
    stage.backend.write_all(b"* 1 FETCH (BODY[] {300}\r\n").await.unwrap();
    let mut heard = [0; 25];
    stage.client.read_exact(&mut heard).await.unwrap();
    let ending = Ending { text: Arc::from("moved"), patience: Duration::from_millis(50) };
    stage.sessions.kick(&Filter::default(), &ending).await;
    assert!(matches!(stage.client.read(&mut heard).await, Ok(0) | Err(_)));
}

#[tokio::test(start_paused = true)]
async fn a_kick_that_found_a_message_under_way_speaks_when_that_has_ended() {
    let mut stage = Stage::new(Service::Submission, LONG).await;
    stage.backend.write_all(b"354 go on\r\n").await.unwrap();
    let mut heard = [0; 11];
    stage.client.read_exact(&mut heard).await.unwrap();
    let ending = Ending { text: Arc::from("moved"), patience: LONG };
    let sessions = Arc::clone(&stage.sessions);
    let kicked = tokio::spawn(async move { sessions.kick(&Filter::default(), &ending).await });
    // Longer than a session must be quiet before it is spoken into.
    tokio::time::sleep(LONG / 4).await;
    stage.backend.write_all(b"250 queued\r\n").await.unwrap();
    let mut heard = String::new();
    stage.client.read_to_string(&mut heard).await.unwrap();
    assert_eq!(heard, "250 queued\r\n421 4.3.2 moved\r\n");
    assert_eq!(kicked.await.unwrap(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_kick_waits_for_the_answer_to_what_the_client_said_last() {
    let mut stage = Stage::new(Service::Submission, LONG).await;
    stage.client.write_all(b"BDAT 2 LAST\r\nhi").await.unwrap();
    let mut said = [0; 15];
    stage.backend.read_exact(&mut said).await.unwrap();
    let ending = Ending { text: Arc::from("moved"), patience: LONG };
    let sessions = Arc::clone(&stage.sessions);
    tokio::spawn(async move { sessions.kick(&Filter::default(), &ending).await });
    tokio::time::sleep(LONG / 4).await;
    stage.backend.write_all(b"250 queued\r\n").await.unwrap();
    let mut heard = String::new();
    stage.client.read_to_string(&mut heard).await.unwrap();
    assert_eq!(heard, "250 queued\r\n421 4.3.2 moved\r\n");
}

#[tokio::test]
async fn a_kick_says_nothing_into_a_compression_that_was_asked_for_behind_the_login() {
    let mut stage = Stage::with_leftovers(Service::Imap, LONG, b"b COMPRESS DEFLATE\r\n", b"").await;
    let ending = Ending { text: Arc::from("moved"), patience: Duration::from_secs(3) };
    stage.sessions.kick(&Filter::default(), &ending).await;
    let mut heard = Vec::new();
    let _ = stage.client.read_to_end(&mut heard).await;
    assert!(heard.is_empty(), "{}", heard.escape_ascii());
}

#[tokio::test]
async fn a_pop3_session_is_kicked_without_a_word() {
    let mut stage = Stage::new(Service::Pop3, LONG).await;
    let ending = Ending { text: Arc::from("moved"), patience: Duration::ZERO };
    stage.sessions.kick(&Filter::default(), &ending).await;
    let mut heard = Vec::new();
    let _ = stage.client.read_to_end(&mut heard).await;
    assert!(heard.is_empty());
}

#[tokio::test]
async fn a_guarded_session_keeps_xclient_from_its_backend_and_answers_in_its_place() {
    let (mut client, client_side) = pair().await;
    let (mut backend, backend_side) = pair().await;
    let sessions = Arc::new(Sessions::default());
    let entry = sessions.enter(facts(Service::Submission), sessions.era());
    let splice = Splice::guarded(
        (Stream::Plain(client_side), input(b"RSET\r\nXCLI")),
        (Stream::Plain(backend_side), input(b"")),
        Guard::new(false),
    );
    tokio::spawn(async move { run(splice, entry, Service::Submission, LONG).await });
    client.write_all(b"ENT ADDR=192.0.2.1\r\nNOOP\r\n").await.unwrap();
    let mut said = [0; 6];
    backend.read_exact(&mut said).await.unwrap();
    assert_eq!(&said, b"RSET\r\n");
    backend.write_all(b"250 2.0.0 reset\r\n").await.unwrap();
    backend.read_exact(&mut said).await.unwrap();
    assert_eq!(&said, b"NOOP\r\n");
    backend.write_all(b"250 2.0.0 noop\r\n").await.unwrap();
    drop(backend);
    let mut heard = String::new();
    client.read_to_string(&mut heard).await.unwrap();
    let codes: Vec<_> = heard.lines().map(|line| line.split(' ').next().unwrap()).collect();
    assert_eq!(codes, ["250", "550", "250"], "{heard}");
}

#[tokio::test]
async fn a_guarded_message_passes_byte_for_byte() {
    let (mut client, client_side) = pair().await;
    let (mut backend, backend_side) = pair().await;
    let sessions = Arc::new(Sessions::default());
    let entry = sessions.enter(facts(Service::Submission), sessions.era());
    let front = (Stream::Plain(client_side), input(b""));
    let splice = Splice::guarded(front, (Stream::Plain(backend_side), input(b"")), Guard::new(false));
    tokio::spawn(async move { run(splice, entry, Service::Submission, LONG).await });
    client.write_all(b"DATA\r\n").await.unwrap();
    let mut said = [0; 6];
    backend.read_exact(&mut said).await.unwrap();
    backend.write_all(b"354 go on\r\n").await.unwrap();
    let mut heard = [0; 11];
    client.read_exact(&mut heard).await.unwrap();
    let mut message = b"XCLIENT is only a word here\r\n".repeat(100_000);
    message.extend_from_slice(b".\r\n");
    let sent = message.clone();
    let sending = tokio::spawn(async move { client.write_all(&message).await.map(|()| client) });
    let mut got = vec![0; sent.len()];
    backend.read_exact(&mut got).await.unwrap();
    assert!(got == sent, "the message was changed");
    drop(sending.await.unwrap().unwrap());
}

#[tokio::test]
async fn what_a_guard_holds_back_is_sent_even_if_its_client_has_closed_its_half() {
    let (mut client, client_side) = pair().await;
    let (mut backend, backend_side) = pair().await;
    let entry = Arc::new(Sessions::default()).enter(facts(Service::Submission), 0);
    let front = (Stream::Plain(client_side), input(b"DATA\r\nhi\r\n.\r\nQUIT\r\nNO"));
    let splice = Splice::guarded(front, (Stream::Plain(backend_side), input(b"")), Guard::new(false));
    client.shutdown().await.unwrap();
    let running = tokio::spawn(async move { run(splice, entry, Service::Submission, LONG).await });
    let mut said = [0; 6];
    backend.read_exact(&mut said).await.unwrap();
    backend.write_all(b"354 go on\r\n").await.unwrap();
    let mut rest = String::new();
    backend.read_to_string(&mut rest).await.unwrap();
    assert_eq!(rest, "hi\r\n.\r\nQUIT\r\n");
    backend.write_all(b"250 queued\r\n221 bye\r\n").await.unwrap();
    drop(backend);
    let mut heard = String::new();
    client.read_to_string(&mut heard).await.unwrap();
    assert_eq!(heard, "354 go on\r\n250 queued\r\n221 bye\r\n");
    assert!(running.await.unwrap().error.is_none());
}
