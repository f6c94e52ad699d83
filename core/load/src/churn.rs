//! Clients that connect, log in, leave and come back, as fast as they are answered; then how long it took them.

mod client;
mod latency;
mod tls;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Instant;

use serde_json::json;
use tokio::task::spawn_local;

use crate::options::Options;
use crate::{report, stdin_closed};
use client::{Connection, Script};
use latency::Latencies;
use tls::Tls;

pub(crate) const OPTIONS: &[&str] =
    &["protocol", "target", "account", "accounts", "password", "logins", "concurrency", "tls-name", "ca-file", "end"];

/// What all clients share.
struct Churn {
    script: Script,
    target: String,
    /// `{}` in it stands for a number.
    account: String,
    accounts: u64,
    password: String,
    tls: Option<Tls>,
    /// Sessions stay open.
    hold: bool,
    logins: u64,
    begun: Cell<u64>,
    latencies: RefCell<Latencies>,
    errors: RefCell<BTreeMap<String, u64>>,
    held: RefCell<Vec<Connection>>,
}

/// Logs in as often as asked and reports; where sessions are held, goes on until stdin is closed.
pub(crate) async fn run(options: &Options) -> Result<(), String> {
    let churn = Rc::new(Churn::new(options)?);
    let concurrency: u64 = options.value("concurrency")?.unwrap_or(1);
    let start = Instant::now();
    let clients: Vec<_> = (0..concurrency.max(1)).map(|_| spawn_local(churn.clone().client())).collect();
    for client in clients {
        client.await.map_err(|error| error.to_string())?;
    }
    let seconds = start.elapsed().as_secs_f64();
    let latencies = churn.latencies.take();
    report(&json!({
        "logins": latencies.len(),
        "seconds": seconds,
        "logins_per_second": latencies.len() as f64 / seconds,
        "latency_ms": latencies.summary(),
        "errors": *churn.errors.borrow(),
    }))?;
    if churn.hold {
        stdin_closed().await;
    }
    Ok(())
}

impl Churn {
    fn new(options: &Options) -> Result<Self, String> {
        let end: Option<String> = options.value("end")?;
        let hold = match end.as_deref() {
            None | Some("logout") => false,
            Some("hold") => true,
            Some(other) => return Err(format!("--end {other}: logout or hold")),
        };
        let tls_name: Option<String> = options.value("tls-name")?;
        Ok(Self {
            script: options.required("protocol")?,
            target: options.required("target")?,
            account: options.required("account")?,
            accounts: options.value("accounts")?.unwrap_or(1).max(1),
            password: options.value("password")?.unwrap_or_else(|| "demo".to_owned()),
            tls: tls_name.map(|name| Tls::new(name, options.required("ca-file")?)).transpose()?,
            hold,
            logins: options.required("logins")?,
            begun: Cell::new(0),
            latencies: RefCell::default(),
            errors: RefCell::default(),
            held: RefCell::default(),
        })
    }

    /// One client: the next login, until all are begun.
    async fn client(self: Rc<Self>) {
        while self.begun.get() < self.logins {
            let number = self.begun.replace(self.begun.get() + 1);
            if let Err(error) = self.one_login(number).await {
                *self.errors.borrow_mut().entry(error).or_default() += 1;
            }
        }
    }

    async fn one_login(&self, number: u64) -> Result<(), String> {
        let account = self.account.replace("{}", &(number % self.accounts).to_string());
        let start = Instant::now();
        let mut connection = Connection::open(&self.target, self.tls.as_ref()).await?;
        self.script.log_in(&mut connection, &account, &self.password).await?;
        self.latencies.borrow_mut().push(start.elapsed());
        if self.hold {
            self.held.borrow_mut().push(connection);
            return Ok(());
        }
        self.script.leave(&mut connection).await
    }
}
