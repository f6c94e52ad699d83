//! Clients that have the keys and make records as they like.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustls::crypto::cipher::{Iv, MessageEncrypter, OutboundChunks, OutboundPlainMessage};
use rustls::crypto::tls13::{OkmBlock, expand};
use rustls::pki_types::ServerName;
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, ClientConnection, ContentType, KeyLog, ProtocolVersion};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use zproxy_proxy::stream::Stream;

use super::handshake::Edge;

const DEADLINE: Duration = Duration::from_secs(20);
/// Finished, and what its length says: no Finished is so long, but other messages are.
const LONG_MESSAGE: [u8; 4] = [20, 0, 0xff, 0xf0];
const TOO_LONG: &str = "received corrupt message of type HandshakePayloadTooLarge";

/// The secrets, as rustls tells them to who wants to look into its connections.
#[derive(Debug, Default)]
struct Told(Mutex<HashMap<String, Vec<u8>>>);

impl KeyLog for Told {
    fn log(&self, label: &str, _: &[u8], secret: &[u8]) {
        self.0.lock().unwrap().insert(label.into(), secret.into());
    }
}

/// A client that went by the rules until it knew a secret.
struct Forger {
    tcp: TcpStream,
    connection: ClientConnection,
    told: Arc<Told>,
    encrypter: Option<Box<dyn MessageEncrypter>>,
    sequence: u64,
}

impl Forger {
    fn new(tcp: TcpStream, mut config: ClientConfig) -> Self {
        let told = Arc::<Told>::default();
        config.key_log = Arc::clone(&told) as _;
        let name = ServerName::try_from("mail.tgg.net.id").unwrap();
        let connection = ClientConnection::new(Arc::new(config), name).unwrap();
        Self { tcp, connection, told, encrypter: None, sequence: 0 }
    }

    /// Goes by the rules until the server has said all of its handshake; what is next to be said is not said.
    async fn hear_the_server_out(mut self) -> Self {
        while self.connection.is_handshaking() {
            self.say_what_is_due().await;
            let mut heard = [0; 4096];
            let count = self.tcp.read(&mut heard).await.unwrap();
            assert!(count > 0);
            self.connection.read_tls(&mut &heard[..count]).unwrap();
            self.connection.process_new_packets().unwrap();
        }
        self
    }

    async fn say_what_is_due(&mut self) {
        let mut due = Vec::new();
        while self.connection.wants_write() {
            self.connection.write_tls(&mut due).unwrap();
        }
        self.tcp.write_all(&due).await.unwrap();
    }

    /// From here on records are made under that secret.
    fn under(mut self, secret: &str) -> Self {
        let suite = self.connection.negotiated_cipher_suite().unwrap().tls13().unwrap();
        let secret = self.told.0.lock().unwrap()[secret].clone();
        let expander = suite.hkdf_provider.expander_for_okm(&OkmBlock::new(&secret));
        let key = expand::<[u8; 32], 32>(&*expander, &[&[0, 32, 9], b"tls13 key", &[0]]);
        let iv = expand::<Iv, 12>(&*expander, &[&[0, 12, 8], b"tls13 iv", &[0]]);
        self.encrypter = Some(suite.aead_alg.encrypter(key.into(), iv));
        self
    }

    /// A record; `padding` octets nobody needs are in it.
    fn record(&mut self, kind: ContentType, payload: &[u8], padding: usize) -> Vec<u8> {
        let mut inner = payload.to_vec();
        inner.push(kind.into());
        inner.resize(inner.len() + padding, 0);
        let last = inner.pop().unwrap();
        let payload = OutboundChunks::Single(&inner);
        let message = OutboundPlainMessage { typ: last.into(), version: ProtocolVersion::TLSv1_3, payload };
        self.sequence += 1;
        self.encrypter.as_mut().unwrap().encrypt(message, self.sequence - 1).unwrap().encode()
    }

    /// A message of the handshake that does not end, octet by octet, until nobody listens any more.
    async fn go_on_and_on(mut self, padding: usize) -> Self {
        for at in 0..LONG_MESSAGE.len() + 0xfff0 {
            let octet = LONG_MESSAGE.get(at).copied().unwrap_or_default();
            let record = self.record(ContentType::Handshake, &[octet], padding);
            if self.tcp.write_all(&record).await.is_err() {
                break;
            }
        }
        self
    }

    /// What the server says from here on, and how it ends if not by goodbye.
    async fn hear_all(&mut self) -> (Vec<u8>, Option<String>) {
        let (mut heard, mut said) = (Vec::new(), Vec::new());
        self.tcp.read_to_end(&mut heard).await.unwrap();
        let mut left = &heard[..];
        while !left.is_empty() {
            self.connection.read_tls(&mut left).unwrap();
            match self.connection.process_new_packets() {
                Ok(state) => {
                    let from = said.len();
                    said.resize(from + state.plaintext_bytes_to_read(), 0);
                    std::io::Read::read_exact(&mut self.connection.reader(), &mut said[from..]).unwrap();
                }
                Err(error) => {
                    assert!(left.is_empty(), "something follows: {left:?}");
                    return (said, Some(error.to_string()));
                }
            }
        }
        (said, None)
    }
}

/// A client that does something, and what comes of it at the server.
async fn meet<F: Future>(edge: &Edge, client: impl FnOnce(TcpStream) -> F) -> (Result<Stream, String>, F::Output) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let tcp = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (accepted, _) = listener.accept().await.unwrap();
    let accepting = async { edge.server().accept(accepted, DEADLINE).await };
    let (met, done) = tokio::join!(accepting, client(tcp));
    (met.map(|(stream, _)| stream).map_err(|error| error.to_string()), done)
}

/// A client that has gone by the rules until both may speak.
async fn open(edge: &Edge) -> (Stream, Forger) {
    let config = edge.client_of(&TLS13);
    let (met, forger) = meet(edge, async |tcp| {
        let mut forger = Forger::new(tcp, config).hear_the_server_out().await;
        forger.say_what_is_due().await;
        forger.under("CLIENT_TRAFFIC_SECRET_0")
    })
    .await;
    (met.unwrap(), forger)
}

#[tokio::test]
async fn a_hello_in_endless_pieces_is_not_waited_for() {
    let edge = Edge::with(|_, _| {});
    let (met, ()) = meet(&edge, async |mut tcp: TcpStream| {
        for at in 0..0xffff {
            let octet = [1, 0, 0xff, 0xff].get(at).copied().unwrap_or_default();
            if tcp.write_all(&[0x16, 3, 1, 0, 1, octet]).await.is_err() {
                break;
            }
        }
    })
    .await;
    assert!(met.unwrap_err().contains(TOO_LONG));
}

#[tokio::test]
async fn a_handshake_that_hides_in_padding_is_not_waited_for() {
    let edge = Edge::with(|_, _| {});
    let config = edge.client_of(&TLS13);
    let (met, _) = meet(&edge, async |tcp| {
        let forger = Forger::new(tcp, config).hear_the_server_out().await;
        forger.under("CLIENT_HANDSHAKE_TRAFFIC_SECRET").go_on_and_on(16_000).await
    })
    .await;
    assert!(met.unwrap_err().contains(TOO_LONG));
}

#[tokio::test]
async fn after_the_handshake_neither() {
    let edge = Edge::with(|_, _| {});
    for padding in [0, 16_000] {
        let (mut server, forger) = open(&edge).await;
        let reading = async { server.read_u8().await.unwrap_err().to_string() };
        let going_on = tokio::spawn(forger.go_on_and_on(padding));
        assert!(reading.await.contains(TOO_LONG), "{padding}");
        drop(server);
        going_on.await.unwrap();
    }
}

#[tokio::test]
async fn who_asks_and_says_goodbye_at_once_has_asked() {
    for version in [&TLS12, &TLS13] {
        let edge = Edge::with(|_, _| {});
        let config = edge.client_of(version);
        let (met, mut forger) = meet(&edge, async |tcp| {
            let mut forger = Forger::new(tcp, config);
            // TLS 1.2 lets nobody speak before the server's last word.
            forger = forger.hear_the_server_out().await;
            std::io::Write::write_all(&mut forger.connection.writer(), b"NOOP\r\n").unwrap();
            forger.connection.send_close_notify();
            forger.say_what_is_due().await;
            forger
        })
        .await;
        let (mut server, mut heard) = (met.unwrap(), Vec::new());
        server.read_to_end(&mut heard).await.unwrap();
        assert_eq!(heard, b"NOOP\r\n");
        server.write_all(b"OK\r\n").await.unwrap();
        server.shutdown().await.unwrap();
        assert_eq!(forger.hear_all().await, (b"OK\r\n".to_vec(), None));
    }
}

#[tokio::test]
async fn what_is_no_record_is_told_once_and_ends_all() {
    let junk: [(&[u8], &str); 6] = [
        (b"\x17\x03\x03\x00\x15 no key has made this one", "BadRecordMac"),
        (b"\x17\x03\x03\x00\x00", "BadRecordMac"),
        (b"\x17\x03\x03\xff\xff", "DecodeError"),
        (b"\x16\x03\x03\x00\x04\x00\x00\x00\x00", "BadRecordMac"),
        (b"\x14\x03\x03\x00\x01\x01", "UnexpectedMessage"),
        (b"GET / HTTP/1.1\r\n\r\n", "DecodeError"),
    ];
    let edge = Edge::with(|_, _| {});
    for (octets, alert) in junk {
        let (mut server, mut forger) = open(&edge).await;
        let asked = forger.record(ContentType::ApplicationData, b"NOOP", 0);
        forger.tcp.write_all(&[&asked, octets].concat()).await.unwrap();
        let mut heard = [0; 4];
        server.read_exact(&mut heard).await.unwrap();
        assert_eq!(&heard, b"NOOP");
        assert!(server.read_u8().await.is_err(), "{octets:?}");
        assert_eq!(server.read(&mut heard).await.unwrap(), 0);
        assert!(server.write_all(b"OK").await.is_err());
        server.shutdown().await.unwrap();
        drop(server);
        assert_eq!(forger.hear_all().await, (Vec::new(), Some(format!("received fatal alert: {alert}"))), "{octets:?}");
    }
}

#[tokio::test]
async fn what_is_no_handshake_is_told_once() {
    let junk: [(&[u8], &str); 3] = [
        (b"\x17\x03\x03\x00\x15 no key has made this one", "BadRecordMac"),
        (b"\x17\x03\x03\xff\xff", "DecodeError"),
        (b"\x15\x03\x03\x00\x02\x02\x28", "nothing"),
    ];
    let edge = Edge::with(|_, _| {});
    for (octets, alert) in junk {
        let config = edge.client_of(&TLS13);
        let (met, mut forger) = meet(&edge, async |tcp| {
            let mut forger = Forger::new(tcp, config).hear_the_server_out().await;
            forger.tcp.write_all(octets).await.unwrap();
            forger
        })
        .await;
        met.unwrap_err();
        let told = forger.hear_all().await.1.unwrap_or_else(|| "nothing".into());
        assert!(told.ends_with(alert), "{octets:?}: {told}");
    }
}

#[tokio::test]
async fn keys_that_change_without_end_end_it() {
    let edge = Edge::with(|_, _| {});
    let (mut server, mut forger) = open(&edge).await;
    for _ in 0..100 {
        forger.connection.refresh_traffic_keys().unwrap();
    }
    forger.say_what_is_due().await;
    assert!(server.read_u8().await.unwrap_err().to_string().contains("TooManyKeyUpdateRequests"));
}

#[tokio::test]
async fn what_comes_after_goodbye_is_not_looked_at() {
    let edge = Edge::with(|_, _| {});
    let (mut server, mut forger) = open(&edge).await;
    let goodbye = forger.record(ContentType::Alert, &[1, 0], 0);
    forger.tcp.write_all(&[&goodbye[..], b"GET / HTTP/1.1\r\n\r\n"].concat()).await.unwrap();
    assert_eq!(server.read(&mut [0; 10]).await.unwrap(), 0);
    server.write_all(b"OK").await.unwrap();
    server.shutdown().await.unwrap();
    assert_eq!(forger.hear_all().await, (b"OK".to_vec(), None));
}
