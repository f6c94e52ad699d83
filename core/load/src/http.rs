//! Requests by HTTP/1.1, over connections that are kept or made anew; what comes is verified where it is known.

use std::rc::Rc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::accounts::{self, Accounts};
use crate::body::Body;
use crate::connection::Connection;
use crate::crowd::{self, Client, Crowd};
use crate::door::{self, Door, DoorClient};
use crate::kinds::Kinds;
use crate::options::Options;
use crate::report::report;
use crate::tally::{Tally, Watch};
use crate::tls::{self, Start};

pub(crate) const OPTIONS: &[&[&str]] = &[
    door::OPTIONS,
    tls::OPTIONS,
    accounts::OPTIONS,
    crowd::OPTIONS,
    &["target", "host", "path", "requests", "keep-alive", "upload"],
];

/// Asks as often as asked to, and reports.
pub(crate) async fn run(options: &Options) -> Result<(), String> {
    let door = Door::new(&options.required::<String>("target")?, options)?;
    let web = Rc::new(Web::new(door, options)?);
    let path = options.value("path")?.unwrap_or_else(|| "/1k".to_owned());
    let ask = Rc::new(match options.value("upload")? {
        None => Ask::get(path),
        Some(body) => Ask::upload("POST", path, body),
    });
    let keeps = options.value("keep-alive")?.unwrap_or(true);
    let kinds = Rc::new(Kinds::one("requests"));
    let seconds = Crowd::new(options, "requests")?.run(&kinds, || WebClient::new(&web, &ask, keeps)).await?;
    report(&kinds.report(seconds))
}

/// The same for all clients of a run.
pub(crate) struct Web {
    door: Rc<Door>,
    host: String,
    /// Who asks, by Basic; none: nobody in particular.
    accounts: Option<Accounts>,
}

impl Web {
    /// Through a door, as the options say.
    pub(crate) fn new(door: Door, options: &Options) -> Result<Self, String> {
        if door.start() == Some(Start::Starttls) {
            return Err("--tls starttls: HTTP knows it not".to_owned());
        }
        let host = match options.value("host")? {
            Some(host) => Some(host),
            None => options.value("tls-name")?,
        };
        Ok(Self {
            door: Rc::new(door),
            host: host.unwrap_or_else(|| "load.example".to_owned()),
            accounts: Accounts::if_any(options)?,
        })
    }
}

/// What is asked.
pub(crate) struct Ask {
    method: &'static str,
    path: String,
    sends: Body,
    /// What must come; none: whatever does.
    brings: Option<Body>,
    /// What the answer must say of what was sent.
    checksum: Option<String>,
}

impl Ask {
    /// For a page; one whose name is a size, as the fake backend has them, is verified.
    pub(crate) fn get(path: String) -> Self {
        let brings = path.trim_start_matches('/').parse().ok();
        Self { method: "GET", path, sends: Body::from(0), brings, checksum: None }
    }

    /// To take a body, as the fake backend does, which answers with its checksum.
    pub(crate) fn upload(method: &'static str, path: String, body: Body) -> Self {
        let checksum = Some(format!("{:08x}", body.checksum()));
        Self { method, path, sends: body, brings: None, checksum }
    }
}

/// One client.
pub(crate) struct WebClient {
    web: Rc<Web>,
    ask: Rc<Ask>,
    door: DoorClient,
    keeps: bool,
    connection: Option<Connection>,
}

impl WebClient {
    /// One that asks this again and again.
    pub(crate) fn new(web: &Rc<Web>, ask: &Rc<Ask>, keeps: bool) -> Self {
        Self { web: web.clone(), ask: ask.clone(), door: web.door.client(), keeps, connection: None }
    }

    fn head(&self, number: u64) -> String {
        let Ask { method, path, .. } = &*self.ask;
        let mut head = format!("{method} {path} HTTP/1.1\r\nHost: {}\r\n", self.web.host);
        if let Some(accounts) = &self.web.accounts {
            let (name, password) = accounts.of(number);
            let credentials = STANDARD.encode(format!("{name}:{password}"));
            head += &format!("Authorization: Basic {credentials}\r\n");
        }
        if *method != "GET" {
            head += &format!("Content-Length: {}\r\n", self.ask.sends.len());
        }
        if !self.keeps {
            head += "Connection: close\r\n";
        }
        head + "\r\n"
    }

    /// Reads the answer; says whether another may follow on this connection.
    async fn answer(&self, from: &mut Connection, tally: &Tally) -> Result<bool, String> {
        let method = self.ask.method;
        let status = from.line(method, |line| Some(line.to_owned())).await?;
        // A redirect has not the body that is asked for.
        let known = self.ask.brings.is_some() || self.ask.checksum.is_some();
        let good = if known { &['2'][..] } else { &['2', '3'] };
        if !status.split(' ').nth(1).is_some_and(|code| code.starts_with(good)) {
            return Err(format!("{method}: {status}"));
        }
        let (mut length, mut last) = (None, false);
        loop {
            let line = from.line(method, |line| Some(line.to_ascii_lowercase())).await?;
            match line.split_once(':') {
                Some(("content-length", value)) => length = value.trim().parse::<usize>().ok(),
                Some(("connection", value)) => last = value.trim() == "close",
                Some(_) => {}
                None => break,
            }
        }
        let length = length.ok_or_else(|| format!("{method}: an answer without Content-Length"))?;
        match (self.ask.brings, &self.ask.checksum) {
            (Some(body), _) if body.len() != length => {
                return Err(format!("{method}: {length} octets instead of {}", body.len()));
            }
            (Some(body), _) => {
                from.body(method, body).await?;
                tally.moved(body);
            }
            (None, Some(checksum)) => {
                if from.octets(method, length).await?.trim_ascii() != checksum.as_bytes() {
                    return Err(format!("{method}: the checksum is another"));
                }
                tally.moved(self.ask.sends);
            }
            (None, None) => {
                from.octets(method, length).await?;
            }
        }
        Ok(!last)
    }
}

impl Client for WebClient {
    async fn turn(&mut self, number: u64, tally: &Tally, mut watch: Watch) -> Result<(), String> {
        let Ask { method, sends, brings, .. } = *self.ask;
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.door.open(number, brings.unwrap_or(sends).buffer(), (tally, &mut watch)).await?,
        };
        connection.send(method, self.head(number).as_bytes()).await?;
        connection.send_body(method, sends).await?;
        let another = self.answer(&mut connection, tally).await?;
        watch.lap("answer");
        tally.done(&watch);
        self.connection = (self.keeps && another).then_some(connection);
        Ok(())
    }
}
