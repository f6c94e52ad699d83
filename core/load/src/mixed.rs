//! Everything at once: each client takes turns of every kind, by their shares.

use std::rc::Rc;
use std::str::FromStr;

use serde_json::json;

use crate::accounts;
use crate::body::Body;
use crate::bulk::Messages;
use crate::churn::Churn;
use crate::crowd::{self, Client, Crowd};
use crate::door::{self, Door};
use crate::http::{Ask, Web, WebClient};
use crate::idle::{Disturbed, Idle};
use crate::kinds::Kinds;
use crate::login::Logins;
use crate::options::Options;
use crate::report::report;
use crate::script::Script;
use crate::tally::{Tally, Watch};
use crate::tls;

pub(crate) const OPTIONS: &[&[&str]] = &[
    door::OPTIONS,
    tls::OPTIONS,
    accounts::OPTIONS,
    crowd::OPTIONS,
    &["imap", "pop3", "submission", "http", "host", "shares", "turns", "path", "octets"],
];

/// Takes all turns, and reports of each kind.
pub(crate) async fn run(options: &Options) -> Result<(), String> {
    let Shares(shares) = options.required("shares")?;
    let kinds = Rc::new(Kinds::shared(&shares));
    let disturbed = Disturbed::default();
    let makers = shares.iter().map(|(kind, _)| maker(kind, options, &disturbed)).collect::<Result<Vec<_>, _>>()?;
    let make = || Mixed { kinds: kinds.clone(), clients: makers.iter().map(|make| make()).collect() };
    let seconds = Crowd::new(options, "turns")?.run(&kinds, make).await?;
    report(&json!({"seconds": seconds, "kinds": kinds.reports(seconds), "disturbed": *disturbed.borrow()}))
}

/// One client, of as many kinds as there are.
struct Mixed {
    kinds: Rc<Kinds>,
    clients: Vec<Kind>,
}

enum Kind {
    Churn(Churn),
    Idle(Idle),
    Messages(Messages),
    Web(WebClient),
}

impl Client for Mixed {
    async fn turn(&mut self, number: u64, tally: &Tally, watch: Watch) -> Result<(), String> {
        match &mut self.clients[self.kinds.of(number)] {
            Kind::Churn(client) => client.turn(number, tally, watch).await,
            Kind::Idle(client) => client.turn(number, tally, watch).await,
            Kind::Messages(client) => client.turn(number, tally, watch).await,
            Kind::Web(client) => client.turn(number, tally, watch).await,
        }
    }
}

/// What makes clients of a kind.
fn maker(kind: &str, options: &Options, disturbed: &Disturbed) -> Result<Box<dyn Fn() -> Kind>, String> {
    let door = |option: &str| Door::new(&options.required::<String>(option)?, options);
    let logins = |script, option| Logins::new(script, door(option)?, options).map(Rc::new);
    let body = || options.required::<Body>("octets");
    Ok(match kind {
        "imap" | "pop3" | "submission" => {
            let logins = logins(kind.parse()?, kind)?;
            Box::new(move || Kind::Churn(Churn::new(logins.client())))
        }
        "idle" => {
            let (logins, disturbed) = (logins(Script::Imap, "imap")?, disturbed.clone());
            Box::new(move || Kind::Idle(Idle::new(logins.client(), &disturbed)))
        }
        "fetch" | "append" => {
            let (logins, body, fetches) = (logins(Script::Imap, "imap")?, body()?, kind == "fetch");
            Box::new(move || Kind::Messages(Messages::new(logins.client(), body, fetches)))
        }
        "get" | "upload" => {
            let web = Rc::new(Web::new(door("http")?, options)?);
            let path = options.value("path")?.unwrap_or_else(|| "/1k".to_owned());
            let ask = Rc::new(if kind == "get" { Ask::get(path) } else { Ask::upload("POST", path, body()?) });
            Box::new(move || Kind::Web(WebClient::new(&web, &ask, true)))
        }
        other => return Err(format!("--shares {other}: {KINDS}")),
    })
}

const KINDS: &str = "imap, pop3 and submission log in; idle, fetch and append are of IMAP, get and upload of HTTP";

/// `imap=5,get=4`: of nine turns five and four.
struct Shares(Vec<(String, u32)>);

impl FromStr for Shares {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let share = |text: &str| {
            let (kind, share) = text.split_once('=')?;
            Some((kind.to_owned(), share.parse().ok().filter(|share| (1..=MOST).contains(share))?))
        };
        let shares: Option<Vec<_>> = text.split(',').map(share).collect();
        shares.map(Self).ok_or_else(|| format!("kinds and their shares, up to {MOST}, such as imap=5,get=4"))
    }
}

/// The order of turns is a list as long as the sum of the shares.
const MOST: u32 = 1000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_shares_and_refuses_what_is_none() {
        let Shares(shares) = "imap=5,get=4".parse().unwrap();
        assert_eq!(shares, [("imap".to_owned(), 5), ("get".to_owned(), 4)]);
        for text in ["", "imap", "imap=", "imap=0", "imap=-1", "imap=1001", "imap=1,"] {
            assert!(text.parse::<Shares>().is_err(), "{text}");
        }
    }

    #[test]
    fn says_which_kinds_there_are() {
        let options = Options::parse(std::iter::empty(), OPTIONS).unwrap();
        assert!(maker("sieve", &options, &Disturbed::default()).err().unwrap().starts_with("--shares sieve: imap, "));
    }
}
