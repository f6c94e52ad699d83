//! A session of a client that brings mail, one straight line: accept, TLS, greet, and then transactions.

use std::sync::Arc;

use tokio::sync::watch;
use tokio::time::{Instant, sleep};
use zproxy_protocol::smtp::{Reception, ReceptionSetting};

use super::talk::Talk;
use crate::Error;
use crate::accept::Ends;
use crate::config::{ListenerTls, Transactions};
use crate::error::EndedBy;
use crate::front::Front;
use crate::server::Shared;
use crate::sessions::{Facts, Live};
use crate::stream::Stream;
use crate::visit::{Admitted, Arrival, Visit};

/// Octets of commands, or of a message, that are read at a time.
const ROOM: usize = 64 * 1024;

/// Serves a connection to its end.
pub async fn run(arrival: Arrival, shared: Arc<Shared>) {
    let (mut visit, tcp, peer) = Visit::begin(arrival, shared);
    let Some(rules) = visit.listening.listener.transactions.clone() else { return };
    let (ended, octets) = match visit.admit(tcp, peer).await {
        Ok(Admitted::Client(stream, ends)) => serve(&mut visit, &rules, stream, ends).await,
        Ok(Admitted::TooMany(tcp)) => (Err(too_many(&visit, &rules, tcp).await), 0),
        Err(error) => (Err(error), 0),
    };
    match ended {
        Ok(()) => visit.end(EndedBy::Client, None, (octets, 0)),
        Err(error) => visit.end(error.ended_by(), Some(&error), (octets, 0)),
    }
}

/// A polite word costs nothing in clear; a handshake for it would cost what the limit is to save.
async fn too_many(visit: &Visit, rules: &Transactions, tcp: tokio::net::TcpStream) -> Error {
    if visit.listening.listener.tls != ListenerTls::Implicit {
        let mut front = Front::new(Stream::Plain(tcp), visit.starttls(), ROOM);
        Reception::new(setting(visit, rules)).goodbye("too many sessions from your address", &mut front.out);
        front.leave().await;
    }
    Error::TooManySessions
}

fn setting(visit: &Visit, rules: &Transactions) -> ReceptionSetting {
    let config = &visit.setup.config;
    ReceptionSetting {
        transport: rules.transport,
        hostname: Arc::clone(&config.hostname),
        tls: visit.login_offer(),
        shared: Arc::clone(&visit.shared.pools.offer(visit.listening.listener.service).capabilities),
        bad_commands: config.limits.bad_commands,
        max_command: config.limits.line,
        max_recipients: config.limits.recipients,
        max_message: config.limits.message_size,
        bare_newline: rules.bare_newline,
    }
}

/// Serves a client whose address is known; also returns the octets of its messages.
async fn serve(visit: &mut Visit, rules: &Transactions, stream: Stream, ends: Ends) -> (Result<(), Error>, u64) {
    let era = visit.shared.sessions.era();
    let facts = Facts {
        id: Arc::clone(visit.record.id()),
        account: Arc::from(""),
        backend: Arc::from(""),
        client: ends.client,
        service: visit.listening.listener.service,
        listener: Arc::clone(&visit.listening.listener.name),
        tls: visit.record.tls_facts().map_or("", |facts| facts.version),
    };
    let entry = visit.shared.sessions.enter(facts, era);
    let (asked_to_end, ending) = watch::channel(None);
    let front = Front::new(stream, visit.starttls(), ROOM);
    let reception = Reception::new(setting(visit, rules));
    let mut talk = Talk {
        visit,
        rules,
        ends,
        front,
        reception,
        transaction: None,
        entry: &entry,
        ending,
        answered: Instant::now(),
        until: None,
    };
    let ended = tokio::select! {
        ended = talk.lead() => ended,
        () = patience(entry.live(), &asked_to_end) => Err(Error::Kicked),
    };
    if let Err(error) = &ended {
        talk.abort(error);
    }
    talk.front.leave().await;
    (ended, entry.live().bytes().0)
}

/// Ends when a session that was asked to end has had its time to do so by itself.
async fn patience(live: &Live, asked_to_end: &watch::Sender<Option<Arc<str>>>) {
    let ending = live.ending().await;
    asked_to_end.send_replace(Some(Arc::clone(&ending.text)));
    sleep(ending.patience).await;
}
