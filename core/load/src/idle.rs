//! Sessions that are logged in and rest, in IDLE where there is such a thing, until stdin is closed.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use serde_json::json;
use tokio::task::spawn_local;
use tokio::time::sleep;

use crate::accounts;
use crate::connection::LINE_BUFFER;
use crate::crowd::{self, Client, Crowd};
use crate::door::{self, Door};
use crate::kinds::Kinds;
use crate::login::{LoginClient, Logins};
use crate::options::Options;
use crate::report::{report, stdin_closed};
use crate::tally::{Tally, Watch};
use crate::tls;

pub(crate) const OPTIONS: &[&[&str]] =
    &[door::OPTIONS, tls::OPTIONS, accounts::OPTIONS, crowd::OPTIONS, &["target", "protocol", "sessions"]];

/// Sessions that have ended while they rested, by how.
pub(crate) type Disturbed = Rc<RefCell<BTreeMap<String, u64>>>;

/// Says when all are in; at the end, how many still rested.
pub(crate) async fn run(options: &Options) -> Result<(), String> {
    let door = Door::new(&options.required::<String>("target")?, options)?;
    // Without an end to them descriptors would be the end.
    options.required::<u64>("sessions")?;
    let logins = Rc::new(Logins::new(options.required("protocol")?, door, options)?);
    let kinds = Rc::new(Kinds::one("sessions"));
    let disturbed = Disturbed::default();
    let make = || Idle::new(logins.client(), &disturbed);
    let seconds = Crowd::new(options, "sessions")?.run(&kinds, make).await?;
    let mut figures = kinds.report(seconds);
    figures["ready"] = json!(true);
    report(&figures)?;
    stdin_closed().await;
    sleep(GRACE).await;
    let disturbed = disturbed.borrow();
    let rested = figures["sessions"].as_u64().unwrap_or_default() - disturbed.values().sum::<u64>();
    report(&json!({"sessions": rested, "disturbed": *disturbed}))
}

/// What the kernel has got by then is read before sessions are counted.
const GRACE: Duration = Duration::from_millis(50);

/// One client, of one session after another.
pub(crate) struct Idle {
    login: LoginClient,
    disturbed: Disturbed,
}

impl Idle {
    /// One that tells here what becomes of its sessions.
    pub(crate) fn new(login: LoginClient, disturbed: &Disturbed) -> Self {
        Self { login, disturbed: disturbed.clone() }
    }
}

impl Client for Idle {
    async fn turn(&mut self, number: u64, tally: &Tally, mut watch: Watch) -> Result<(), String> {
        let mut connection = self.login.log_in(number, LINE_BUFFER, (tally, &mut watch)).await?;
        self.login.script().idle(&mut connection).await?;
        watch.lap("idle");
        tally.done(&watch);
        let disturbed = self.disturbed.clone();
        spawn_local(async move {
            let how = connection.ended().await;
            *disturbed.borrow_mut().entry(how).or_default() += 1;
        });
        Ok(())
    }
}
