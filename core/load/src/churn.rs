//! Clients that connect, log in, leave and come back; then how long it took them.

use std::cell::RefCell;
use std::rc::Rc;

use crate::accounts;
use crate::connection::{Connection, LINE_BUFFER};
use crate::crowd::{self, Client, Crowd};
use crate::door::{self, Door};
use crate::kinds::Kinds;
use crate::login::{LoginClient, Logins};
use crate::options::Options;
use crate::report::{report, stdin_closed};
use crate::tally::{Tally, Watch};
use crate::tls;

pub(crate) const OPTIONS: &[&[&str]] =
    &[door::OPTIONS, tls::OPTIONS, accounts::OPTIONS, crowd::OPTIONS, &["target", "protocol", "logins", "end"]];

/// Logs in as often as asked and reports; where sessions are held, goes on until stdin is closed.
pub(crate) async fn run(options: &Options) -> Result<(), String> {
    let held = match options.value::<String>("end")?.as_deref() {
        None | Some("logout") => None,
        Some("hold") => Some(Rc::new(RefCell::default())),
        Some(other) => return Err(format!("--end {other}: logout or hold")),
    };
    let door = Door::new(&options.required::<String>("target")?, options)?;
    let logins = Rc::new(Logins::new(options.required("protocol")?, door, options)?);
    let kinds = Rc::new(Kinds::one("logins"));
    let make = || Churn { held: held.clone(), ..Churn::new(logins.client()) };
    let seconds = Crowd::new(options, "logins")?.run(&kinds, make).await?;
    report(&kinds.report(seconds))?;
    if held.is_some() {
        stdin_closed().await;
    }
    Ok(())
}

/// One client.
pub(crate) struct Churn {
    login: LoginClient,
    /// Where sessions stay that are not left.
    held: Option<Rc<RefCell<Vec<Connection>>>>,
}

impl Churn {
    /// One that leaves whenever it has logged in.
    pub(crate) fn new(login: LoginClient) -> Self {
        Self { login, held: None }
    }
}

impl Client for Churn {
    async fn turn(&mut self, number: u64, tally: &Tally, mut watch: Watch) -> Result<(), String> {
        let mut connection = self.login.log_in(number, LINE_BUFFER, (tally, &mut watch)).await?;
        tally.done(&watch);
        match &self.held {
            Some(held) => held.borrow_mut().push(connection),
            None => self.login.script().leave(&mut connection).await?,
        }
        Ok(())
    }
}
