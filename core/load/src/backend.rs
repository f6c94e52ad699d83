//! A fake backend: mail and pages in memory, any password is right. It counts who came, and what was moved.

mod counts;
mod http;

mod imap;
mod link;
mod out;
mod pop3;
mod submission;

use std::cell::RefCell;
use std::collections::HashSet;
use std::io;
use std::rc::Rc;

use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::spawn_local;

use crate::body::{Body, Damage};
use crate::options::Options;
use crate::report::{report, stdin_closed};
use counts::Counts;
use link::Link;
use out::Out;

pub(crate) const OPTIONS: &[&[&str]] = &[&["imap", "pop3", "submission", "http", "name", "serves"]];

/// One side of a conversation: what was read goes in, what is to be sent comes out.
trait Conversation: Default + 'static {
    /// What is said first.
    const GREETING: &'static [u8];
    /// Consumes whole commands of `input`; what is incomplete stays in it.
    fn advance(&mut self, input: &mut Vec<u8>, out: &mut Out) -> Turn;
    /// The body that [`Turn::Take`] announced is over.
    fn taken(&mut self, _verdict: Result<(), Damage>, _out: &mut Out) {}
}

/// What a conversation asks of its connection, or tells.
#[derive(Debug)]
enum Turn {
    /// Send, then close.
    Close,
    /// Send, then read on.
    More,
    /// Take a body out of what comes, and compare it.
    Take(Body),
}

/// Serves until stdin is closed; then reports who came how often.
pub(crate) async fn run(options: &Options) -> Result<(), String> {
    let counts = Rc::new(RefCell::new(Counts::new(served(options)?)));
    let name: Option<String> = options.value("name")?;
    let mut ready = json!({"ready": true, "name": name});
    for protocol in ["imap", "pop3", "submission", "http"] {
        let Some(address) = options.value::<String>(protocol)? else { continue };
        let listener = TcpListener::bind(&address).await.map_err(|error| format!("--{protocol} {address}: {error}"))?;
        ready[protocol] = json!(listener.local_addr().map_err(|error| error.to_string())?.to_string());
        let counts = counts.clone();
        match protocol {
            "imap" => spawn_local(accept::<imap::Imap>(listener, counts)),
            "pop3" => spawn_local(accept::<pop3::Pop3>(listener, counts)),
            "submission" => spawn_local(accept::<submission::Submission>(listener, counts)),
            _ => spawn_local(accept::<http::Http>(listener, counts)),
        };
    }
    report(&ready)?;
    stdin_closed().await;
    let mut figures = counts.borrow().report();
    figures["name"] = json!(name);
    report(&figures)
}

/// The accounts that live here; none: all do.
fn served(options: &Options) -> Result<Option<HashSet<String>>, String> {
    let Some(file) = options.value::<String>("serves")? else { return Ok(None) };
    let accounts = std::fs::read_to_string(&file).map_err(|error| format!("--serves {file}: {error}"))?;
    Ok(Some(accounts.lines().map(|line| line.trim().to_owned()).collect()))
}

async fn accept<C: Conversation>(listener: TcpListener, counts: Rc<RefCell<Counts>>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let counts = counts.clone();
                spawn_local(async move {
                    let mut link = Link::<C>::new(counts.clone());
                    // A client that breaks off is the load's affair, not ours.
                    talk(stream, &mut link).await.ok();
                    link.end();
                });
            }
            // Out of descriptors: others must close first.
            Err(_) => tokio::task::yield_now().await,
        }
    }
}

async fn talk<C: Conversation>(mut stream: TcpStream, link: &mut Link<C>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    stream.write_all(C::GREETING).await?;
    loop {
        stream.readable().await?;
        // The thread's: a connection that rests has no buffer.
        let fed = SCRATCH.with_borrow_mut(|scratch| match stream.try_read(scratch) {
            Ok(0) => Ok(None),
            Ok(length) => Ok(Some(link.feed(&scratch[..length]))),
            Err(error) => Err(error),
        });
        match fed {
            Ok(None) => return Ok(()),
            Ok(Some(closes)) => {
                link.out.send(&mut stream).await?;
                if closes {
                    return Ok(());
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
}

/// The account of a SASL PLAIN message: the authzid, or the authcid where there is none.
fn plain_account(response: &[u8]) -> Option<String> {
    let message = decoded(response)?;
    let mut parts = message.split(|byte| *byte == 0);
    let (authzid, authcid) = (parts.next()?, parts.next()?);
    Some(text(if authzid.is_empty() { authcid } else { authzid }))
}

fn decoded(base64: &[u8]) -> Option<Vec<u8>> {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.decode(base64).ok()
}

fn text(octets: &[u8]) -> String {
    String::from_utf8_lossy(octets).into_owned()
}

/// The first line of what came, without its CRLF; it is consumed.
fn line(input: &mut Vec<u8>) -> Option<Vec<u8>> {
    let end = memchr::memmem::find(input, b"\r\n")?;
    let line = input.drain(..end + 2).take(end).collect();
    Some(line)
}

/// Read at a time: enough for a system call to cost little beside what it brings.
const READ: usize = 256 * 1024;

thread_local! {
    static SCRATCH: RefCell<Vec<u8>> = RefCell::new(vec![0; READ]);
}
