//! Sessions that are logged in and rest, in IDLE where there is such a thing, until stdin is closed.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use serde_json::json;
use tokio::task::spawn_local;

use crate::connection::LINE_BUFFER;
use crate::crowd::{self, Client, Crowd};
use crate::door;
use crate::login::{self, LoginClient, Logins};
use crate::options::Options;
use crate::report::{report, stdin_closed};
use crate::tally::{Tally, Watch};
use crate::tls;

pub(crate) const OPTIONS: &[&[&str]] = &[door::OPTIONS, tls::OPTIONS, login::OPTIONS, crowd::OPTIONS, &["sessions"]];

/// Sessions that have ended or were spoken to while they rested, by how.
type Disturbed = Rc<RefCell<BTreeMap<String, u64>>>;

/// Says when all are in; at the end, how many were left in peace.
pub(crate) async fn run(options: &Options) -> Result<(), String> {
    let logins = Rc::new(Logins::new(options)?);
    let tally = Rc::new(Tally::default());
    let disturbed = Disturbed::default();
    let make = || Idle { login: logins.client(), disturbed: disturbed.clone() };
    let seconds = Crowd::new(options, "sessions")?.run(&tally, make).await?;
    let mut figures = tally.report("sessions", seconds);
    figures["ready"] = json!(true);
    report(&figures)?;
    stdin_closed().await;
    let disturbed = disturbed.borrow();
    let rested = figures["sessions"].as_u64().unwrap_or_default() - disturbed.values().sum::<u64>();
    report(&json!({"sessions": rested, "disturbed": *disturbed}))
}

/// One client, of one session after another.
struct Idle {
    login: LoginClient,
    disturbed: Disturbed,
}

impl Client for Idle {
    async fn turn(&mut self, number: u64, tally: &Tally, mut watch: Watch) -> Result<(), String> {
        let mut connection = self.login.log_in(number, LINE_BUFFER, (tally, &mut watch)).await?;
        self.login.script().idle(&mut connection).await?;
        watch.lap("idle");
        tally.done(&watch);
        let disturbed = self.disturbed.clone();
        spawn_local(async move {
            let how = connection.disturbed().await;
            *disturbed.borrow_mut().entry(how).or_default() += 1;
        });
        Ok(())
    }
}
