//! Octets in both directions, in whatever pieces their records come and go.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use rustls::SupportedProtocolVersion;
use rustls::pki_types::ServerName;
use rustls::version::{TLS12, TLS13};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use zproxy_proxy::stream::Stream;

use super::handshake::Edge;

const DEADLINE: Duration = Duration::from_secs(20);
const VERSIONS: [&SupportedProtocolVersion; 2] = [&TLS12, &TLS13];

/// A connection that writes a few octets at a time, each in a packet of its own.
struct Drip {
    tcp: TcpStream,
    octets: usize,
}

impl AsyncRead for Drip {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().tcp).poll_read(cx, buf)
    }
}

impl AsyncWrite for Drip {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        let drip = self.get_mut();
        Pin::new(&mut drip.tcp).poll_write(cx, &octets[..octets.len().min(drip.octets)])
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().tcp).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().tcp).poll_shutdown(cx)
    }
}

/// Both ends of a connection: ours, and a client of another make.
async fn connected(version: &'static SupportedProtocolVersion, octets: usize) -> (Stream, TlsStream<Drip>) {
    let edge = Edge::with(|_, _| {});
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let tcp = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    tcp.set_nodelay(true).unwrap();
    let name = ServerName::try_from("mail.tgg.net.id").unwrap();
    let connecting = TlsConnector::from(Arc::new(edge.client_of(version))).connect(name, Drip { tcp, octets });
    let accepting = async {
        let (tcp, _) = listener.accept().await.unwrap();
        edge.server().accept(tcp, DEADLINE).await.unwrap().0
    };
    let (client, server) = tokio::join!(connecting, accepting);
    (server, client.unwrap())
}

fn said(length: usize) -> Vec<u8> {
    (0..length).map(|at| u8::try_from(at % 251).unwrap()).collect()
}

async fn read_in_pieces(from: &mut (impl AsyncRead + Unpin), length: usize, room: usize) -> Vec<u8> {
    let (mut heard, mut piece) = (Vec::new(), vec![0; room]);
    while heard.len() < length {
        let count = from.read(&mut piece).await.unwrap();
        assert!(count > 0, "it ended after {}", heard.len());
        heard.extend_from_slice(&piece[..count]);
    }
    heard
}

#[tokio::test]
async fn records_come_whole_in_whatever_pieces() {
    for version in VERSIONS {
        for (octets, room) in [(1, 4096), (7, 5), (1000, 100), (1 << 20, 1 << 20)] {
            let (mut server, mut client) = connected(version, octets).await;
            let said = said(20_000);
            let saying = async {
                client.write_all(&said).await.unwrap();
                client.flush().await.unwrap();
            };
            let ((), heard) = tokio::join!(saying, read_in_pieces(&mut server, said.len(), room));
            assert!(heard == said, "{octets} {room}");
        }
    }
}

#[tokio::test]
async fn what_a_client_takes_late_waits_and_comes_in_order() {
    for version in VERSIONS {
        let (mut server, mut client) = connected(version, 1 << 20).await;
        let said = said(8 << 20);
        let saying = async {
            server.write_all(&said).await.unwrap();
            server.shutdown().await.unwrap();
        };
        let hearing = async {
            let heard = read_in_pieces(&mut client, said.len(), 1000).await;
            let mut more = Vec::new();
            client.read_to_end(&mut more).await.unwrap();
            assert!(more.is_empty());
            heard
        };
        let ((), heard) = tokio::join!(saying, hearing);
        assert!(heard == said);
    }
}

#[tokio::test]
async fn pieces_that_are_written_together_go_together_and_in_order() {
    for version in VERSIONS {
        let (mut server, mut client) = connected(version, 1 << 20).await;
        let said = said(200_000);
        // A piece of HTTP/2, and what a write of many has to cut.
        let (head, rest) = said.split_at(9);
        let (none, (body, rest)) = (&said[..0], rest.split_at(16_384));
        let saying = async {
            let first = server.write_vectored(&[head, none, body].map(IoSlice::new)).await.unwrap();
            assert_eq!(first, head.len() + body.len());
            let mut written = 0;
            while written < rest.len() {
                let (one, other) = rest[written..].split_at((rest.len() - written).min(1000));
                written += server.write_vectored(&[one, other].map(IoSlice::new)).await.unwrap();
            }
            server.flush().await.unwrap();
        };
        let ((), heard) = tokio::join!(saying, read_in_pieces(&mut client, said.len(), 1000));
        assert!(heard == said);
    }
}

#[tokio::test]
async fn keys_change_while_both_speak() {
    let (mut server, mut client) = connected(&TLS13, 1).await;
    for round in 0..5_u8 {
        client.get_mut().1.refresh_traffic_keys().unwrap();
        // Part of the update has come when we speak.
        client.write_all(&[round]).await.unwrap();
        let (heard, ()) = tokio::join!(read_in_pieces(&mut server, 1, 10), async { client.flush().await.unwrap() });
        server.write_all(&heard).await.unwrap();
        server.flush().await.unwrap();
        assert_eq!(read_in_pieces(&mut client, 1, 10).await, [round]);
    }
}

#[tokio::test]
async fn we_may_speak_while_half_a_message_of_the_handshake_is_there() {
    let (mut server, mut client) = connected(&TLS13, 3).await;
    client.get_mut().1.refresh_traffic_keys().unwrap();
    let mut update = Vec::new();
    client.get_mut().1.write_tls(&mut update).unwrap();
    let tcp = &mut client.get_mut().0.tcp;
    tcp.write_all(&update[..update.len() - 1]).await.unwrap();
    let nothing = tokio::time::timeout(Duration::from_millis(100), server.read_u8()).await;
    assert!(nothing.is_err());
    server.write_all(b"still here").await.unwrap();
    server.flush().await.unwrap();
    assert_eq!(read_in_pieces(&mut client, 10, 10).await, b"still here");
    client.get_mut().0.tcp.write_all(&update[update.len() - 1..]).await.unwrap();
    let (heard, ()) = tokio::join!(read_in_pieces(&mut server, 2, 10), async {
        client.write_all(b"ok").await.unwrap();
        client.flush().await.unwrap();
    });
    assert_eq!(heard, b"ok");
}

#[tokio::test]
async fn a_client_that_has_said_all_still_hears() {
    for version in VERSIONS {
        let (mut server, mut client) = connected(version, 1 << 20).await;
        client.write_all(b"last").await.unwrap();
        client.shutdown().await.unwrap();
        let mut heard = Vec::new();
        server.read_to_end(&mut heard).await.unwrap();
        assert_eq!(heard, b"last");
        server.write_all(b"answer").await.unwrap();
        server.shutdown().await.unwrap();
        let mut heard = Vec::new();
        client.read_to_end(&mut heard).await.unwrap();
        assert_eq!(heard, b"answer");
    }
}

#[tokio::test]
async fn an_end_without_a_word_is_an_end_and_noise_is_an_error() {
    for (last, ends) in [(&b""[..], true), (b"GET / HTTP/1.1\r\n\r\n", false), (&[0x17, 3, 3, 0, 1], true)] {
        let (mut server, mut client) = connected(&TLS13, 1 << 20).await;
        client.write_all(b"last").await.unwrap();
        client.flush().await.unwrap();
        client.get_mut().0.tcp.write_all(last).await.unwrap();
        client.get_mut().0.tcp.shutdown().await.unwrap();
        assert_eq!(read_in_pieces(&mut server, 4, 4).await, b"last");
        assert_eq!(server.read(&mut [0; 10]).await.is_ok_and(|count| count == 0), ends, "{last:?}");
    }
}
