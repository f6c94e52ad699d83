//! A fake backend: IMAP and POP3 in memory, any password is right. It counts who logged in and holds no mail.

mod imap;
mod pop3;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::rc::Rc;

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::spawn_local;

use crate::options::Options;
use crate::{report, stdin_closed};

pub(crate) const OPTIONS: &[&str] = &["imap", "pop3"];

/// Logins by account.
type Logins = Rc<RefCell<BTreeMap<String, u64>>>;

/// One side of a conversation: what was read goes in, what is to be sent comes out.
trait Conversation {
    /// What is said first.
    const GREETING: &'static [u8];
    /// Consumes whole commands of `input`; what is incomplete stays in it.
    fn advance(&mut self, input: &mut Vec<u8>, out: &mut Vec<u8>) -> Turn;
}

/// What a conversation asks of its connection, or tells.
enum Turn {
    /// Send, then close.
    Close,
    /// Send; there may be more to consume.
    LoggedIn(String),
    /// Send, then read on.
    More,
}

/// Serves until stdin is closed; then reports who logged in how often.
pub(crate) async fn run(options: &Options) -> Result<(), String> {
    let logins = Logins::default();
    let imap = listen(options.required("imap")?).await?;
    let pop3 = listen(options.required("pop3")?).await?;
    let address = |listener: &TcpListener| listener.local_addr().map(|a| a.to_string()).map_err(|e| e.to_string());
    report(&json!({"ready": true, "imap": address(&imap)?, "pop3": address(&pop3)?}))?;
    spawn_local(accept::<imap::Imap>(imap, logins.clone()));
    spawn_local(accept::<pop3::Pop3>(pop3, logins.clone()));
    stdin_closed().await;
    let accounts = logins.borrow();
    report(&json!({"logins": accounts.values().sum::<u64>(), "accounts": *accounts}))
}

async fn listen(address: String) -> Result<TcpListener, String> {
    TcpListener::bind(&address).await.map_err(|error| format!("{address}: {error}"))
}

async fn accept<C: Conversation + Default + 'static>(listener: TcpListener, logins: Logins) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let logins = logins.clone();
                // A client that breaks off is the load's affair, not ours.
                spawn_local(async move { talk(stream, C::default(), logins).await.ok() });
            }
            // Out of descriptors: others must close first.
            Err(_) => tokio::task::yield_now().await,
        }
    }
}

async fn talk<C: Conversation>(mut stream: TcpStream, mut conversation: C, logins: Logins) -> io::Result<()> {
    stream.set_nodelay(true)?;
    stream.write_all(C::GREETING).await?;
    let (mut input, mut out) = (Vec::new(), Vec::new());
    while stream.read_buf(&mut input).await? > 0 {
        let mut turn = conversation.advance(&mut input, &mut out);
        while let Turn::LoggedIn(account) = turn {
            *logins.borrow_mut().entry(account).or_default() += 1;
            turn = conversation.advance(&mut input, &mut out);
        }
        stream.write_all(&out).await?;
        out.clear();
        if matches!(turn, Turn::Close) {
            break;
        }
    }
    Ok(())
}

/// The account of a SASL PLAIN message: the authzid, or the authcid where there is none.
fn plain_account(response: &[u8]) -> Option<String> {
    use base64::Engine;
    let message = base64::engine::general_purpose::STANDARD.decode(response).ok()?;
    let mut parts = message.split(|byte| *byte == 0);
    let (authzid, authcid) = (parts.next()?, parts.next()?);
    Some(text(if authzid.is_empty() { authcid } else { authzid }))
}

fn text(octets: &[u8]) -> String {
    String::from_utf8_lossy(octets).into_owned()
}
