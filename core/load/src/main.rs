//! Load for benches and load tests: fake backends that are never the slow ones, and clients that come as fast as they
//! are answered, or at a rate.
//!
//! ```text
//! zproxy-load fake-backend --imap 127.0.0.1:0 --pop3 127.0.0.1:0 --submission 127.0.0.1:0 --http 127.0.0.1:0
//!     [--name mbox-1] [--serves accounts]
//! zproxy-load churn --protocol imap --target 127.0.0.1:1143 --account user{}@example.com --accounts 1000
//!     --logins 10000 --concurrency 32 [--rate 500] [--sources 127.9.0.0/24] [--end logout|hold]
//!     [--tls implicit|starttls --tls-name mail.example.com --ca-file ca.pem [--resume true]
//!     [--tls-version 1.3] [--suite TLS13_AES_128_GCM_SHA256] [--groups X25519,X25519MLKEM768]]
//! zproxy-load churn --account-file accounts.json ...
//! zproxy-load idle --sessions 9000 ...
//! zproxy-load bulk --direction fetch|append|get|put --octets 20000000 --transfers 50 --concurrency 2 ...
//! zproxy-load http --target 127.0.0.1:8080 --path /1k --requests 100000 [--upload 20m] [--keep-alive false] ...
//! zproxy-load mixed --shares imap=5,idle=1,get=4 --turns 10000 --imap 127.0.0.1:1143 --http 127.0.0.1:8080 ...
//! ```
//! Each prints JSON on stdout, with `--every 1` also what is new each second. Backends, sessions that are held, and
//! clients who are not told how often, go on until stdin is closed.

mod accounts;
mod backend;
mod body;
mod bulk;
mod churn;
mod connection;
mod crowd;
mod door;
mod http;
mod idle;
mod kinds;
mod latency;
mod login;
mod mixed;
mod options;
mod report;
mod script;
mod sources;
mod tally;
mod tls;

use std::process::ExitCode;

use rustix::process::{Resource, getrlimit, setrlimit};

use options::Options;

fn main() -> ExitCode {
    match run(std::env::args().skip(1)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("zproxy-load: {message}");
            ExitCode::FAILURE
        }
    }
}

fn run(mut arguments: impl Iterator<Item = String>) -> Result<(), String> {
    // A session is a descriptor, and the usual limit is made for programs of another kind.
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, rustix::process::Rlimit { current: limit.maximum, ..limit })
        .map_err(|error| format!("the limit of descriptors: {error}"))?;
    // One thread: the numbers are of one core, and the other is the proxy's.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|e| e.to_string())?;
    let tasks = tokio::task::LocalSet::new();
    let command = arguments.next();
    tasks.block_on(&runtime, async {
        match command.as_deref() {
            Some("bulk") => bulk::run(&Options::parse(arguments, bulk::OPTIONS)?).await,
            Some("churn") => churn::run(&Options::parse(arguments, churn::OPTIONS)?).await,
            Some("fake-backend") => backend::run(&Options::parse(arguments, backend::OPTIONS)?).await,
            Some("http") => http::run(&Options::parse(arguments, http::OPTIONS)?).await,
            Some("idle") => idle::run(&Options::parse(arguments, idle::OPTIONS)?).await,
            Some("mixed") => mixed::run(&Options::parse(arguments, mixed::OPTIONS)?).await,
            other => Err(format!("{} is no command; there are {COMMANDS}", other.unwrap_or("nothing"))),
        }
    })
}

const COMMANDS: &str = "bulk, churn, fake-backend, http, idle and mixed";
