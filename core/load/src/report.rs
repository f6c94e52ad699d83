//! What is said to the program that started us, and heard from it.

use std::io::{Read, Write};

use serde_json::Value;
use tokio::sync::oneshot;

/// Prints one JSON line.
pub(crate) fn report(value: &Value) -> Result<(), String> {
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{value}").and_then(|()| stdout.flush()).map_err(|error| format!("stdout: {error}"))
}

/// Completes when stdin is closed, as it is when the program that started us ends.
pub(crate) async fn stdin_closed() {
    let (sender, receiver) = oneshot::channel::<()>();
    std::thread::spawn(move || {
        let mut rest = [0; 1024];
        while matches!(std::io::stdin().read(&mut rest), Ok(1..)) {}
        drop(sender);
    });
    // An error says that the sender is gone: this is the event.
    let _ = receiver.await;
}
