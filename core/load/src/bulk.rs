//! Big bodies, one after another over the same connection, each of them verified: messages by IMAP, files by HTTP.

use std::rc::Rc;

use crate::accounts;
use crate::body::Body;
use crate::connection::Connection;
use crate::crowd::{self, Client, Crowd};
use crate::door::{self, Door};
use crate::http::{Ask, Web, WebClient};
use crate::kinds::Kinds;
use crate::login::{LoginClient, Logins};
use crate::options::Options;
use crate::report::report;
use crate::script::{Script, TAG};
use crate::tally::{Tally, Watch};
use crate::tls;

pub(crate) const OPTIONS: &[&[&str]] = &[
    door::OPTIONS,
    tls::OPTIONS,
    accounts::OPTIONS,
    crowd::OPTIONS,
    &["target", "direction", "octets", "transfers", "host"],
];

/// Moves as many as asked, and reports.
pub(crate) async fn run(options: &Options) -> Result<(), String> {
    let body: Body = options.required("octets")?;
    let crowd = Crowd::new(options, "transfers")?;
    let kinds = Rc::new(Kinds::one("transfers"));
    let direction: String = options.required("direction")?;
    let door = Door::new(&options.required::<String>("target")?, options)?;
    let seconds = match direction.as_str() {
        "fetch" | "append" => {
            let logins = Rc::new(Logins::new(Script::Imap, door, options)?);
            let fetches = direction == "fetch";
            crowd.run(&kinds, || Messages::new(logins.client(), body, fetches)).await?
        }
        "get" | "put" => {
            let web = Rc::new(Web::new(door, options)?);
            let path = format!("/{}", body.len());
            let ask = Rc::new(if direction == "get" { Ask::get(path) } else { Ask::upload("PUT", path, body) });
            crowd.run(&kinds, || WebClient::new(&web, &ask, true)).await?
        }
        other => return Err(format!("--direction {other}: fetch, append, get or put")),
    };
    report(&kinds.report(seconds))
}

/// One client of IMAP.
pub(crate) struct Messages {
    login: LoginClient,
    body: Body,
    fetches: bool,
    /// Until something fails.
    session: Option<Connection>,
}

impl Messages {
    /// One that fetches, or else appends, messages of one size.
    pub(crate) fn new(login: LoginClient, body: Body, fetches: bool) -> Self {
        Self { login, body, fetches, session: None }
    }

    async fn fetch(&self, session: &mut Connection) -> Result<(), String> {
        session.send("FETCH", format!("{TAG}FETCH 1 BODY[]\r\n").as_bytes()).await?;
        let announced = session.line("FETCH", announced).await??;
        if announced != self.body.len() {
            return Err(format!("FETCH: {announced} octets instead of {}", self.body.len()));
        }
        session.body("FETCH", self.body).await?;
        self.login.script().hear(session, "FETCH").await
    }

    async fn append(&self, session: &mut Connection) -> Result<(), String> {
        let command = format!("{TAG}APPEND INBOX {{{}}}\r\n", self.body.len());
        session.send("APPEND", command.as_bytes()).await?;
        session.line("APPEND", |line| line.starts_with('+').then_some(())).await?;
        session.send_body("APPEND", self.body).await?;
        session.send("APPEND", b"\r\n").await?;
        self.login.script().hear(session, "APPEND").await
    }
}

impl Client for Messages {
    async fn turn(&mut self, number: u64, tally: &Tally, mut watch: Watch) -> Result<(), String> {
        let mut session = match self.session.take() {
            Some(session) => session,
            None => {
                let mut session = self.login.log_in(number, self.body.buffer(), (tally, &mut watch)).await?;
                self.login.script().say(&mut session, &format!("SELECT {}", self.body.len())).await?;
                session
            }
        };
        if self.fetches {
            self.fetch(&mut session).await?
        } else {
            self.append(&mut session).await?
        }
        watch.lap("transfer");
        tally.moved(self.body);
        tally.done(&watch);
        self.session = Some(session);
        Ok(())
    }
}

/// The size of the literal that a line of FETCH's answer announces; an error where the answer ends without one.
fn announced(line: &str) -> Option<Result<usize, String>> {
    if let Some(answer) = line.strip_prefix(TAG) {
        return Some(Err(format!("FETCH: {answer}")));
    }
    let (_, size) = line.strip_suffix('}')?.rsplit_once('{')?;
    size.parse().ok().map(Ok)
}
