//! Load for benches and load tests: a fake backend that is never the slow one, and clients that log in as fast as they
//! are answered.
//!
//! ```text
//! zproxy-load fake-backend --imap 127.0.0.1:0 --pop3 127.0.0.1:0
//! zproxy-load churn --protocol imap --target 127.0.0.1:1143 --account user{}@example.com --accounts 1000
//!     --logins 10000 --concurrency 32 [--tls-name mail.example.com --ca-file ca.pem] [--end logout|hold]
//! ```
//! Each prints JSON on stdout. The backend, and sessions that are held, go on until stdin is closed.

mod backend;
mod churn;
mod options;

use std::io::{Read, Write};
use std::process::ExitCode;

use serde_json::Value;
use tokio::sync::oneshot;

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
    // One thread: the numbers are of one core, and the other is the proxy's.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|e| e.to_string())?;
    let tasks = tokio::task::LocalSet::new();
    match arguments.next().as_deref() {
        Some("fake-backend") => tasks.block_on(&runtime, backend::run(&Options::parse(arguments, backend::OPTIONS)?)),
        Some("churn") => tasks.block_on(&runtime, churn::run(&Options::parse(arguments, churn::OPTIONS)?)),
        other => Err(format!("{} is no command; there are fake-backend and churn", other.unwrap_or("nothing"))),
    }
}

/// Prints one JSON line, for the program that started us.
fn report(value: &Value) -> Result<(), String> {
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{value}").and_then(|()| stdout.flush()).map_err(|error| format!("stdout: {error}"))
}

/// Completes when stdin is closed, as it is when the program that started us ends.
async fn stdin_closed() {
    let (sender, receiver) = oneshot::channel::<()>();
    std::thread::spawn(move || {
        let mut rest = [0; 1024];
        while matches!(std::io::stdin().read(&mut rest), Ok(1..)) {}
        drop(sender);
    });
    // An error says that the sender is gone: this is the event.
    let _ = receiver.await;
}
