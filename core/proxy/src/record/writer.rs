//! The thread that writes records, and to the log what the edge's operator must hear.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::config::Records;
use crate::metrics::Metrics;

/// Lines that may wait for the disk: a second of logins of a big node.
const WAITING: usize = 65_536;

/// Where sessions leave their lines.
#[derive(Clone, Debug)]
pub struct Writer {
    lines: SyncSender<Message>,
    metrics: Arc<Metrics>,
}

#[derive(Debug)]
enum Message {
    Line(String),
    /// Of the edge itself: where control and every other daemon of the machine log, whatever file records go to.
    Log(String),
    /// Write to this file from now on; none: standard error.
    Reopen(Option<File>),
    /// Say when all before it is written.
    Flush(SyncSender<()>),
}

impl Writer {
    /// Starts the thread; `log` takes what is no record. It ends when the last `Writer` is gone.
    ///
    /// # Errors
    /// The file cannot be opened, or no thread be started.
    pub fn start(records: &Records, log: impl Write + Send + 'static, metrics: Arc<Metrics>) -> io::Result<Self> {
        let (lines, receiver) = sync_channel(WAITING);
        let file = open(records)?;
        std::thread::Builder::new().name("records".into()).spawn(move || write(&receiver, file, log))?;
        Ok(Self { lines, metrics })
    }

    /// Leaves a line, without waiting.
    pub fn put(&self, line: String) {
        self.leave(Message::Line(line));
    }

    /// Leaves a line about the edge itself, for its operator, in the log.
    pub fn log(&self, level: &str, message: &str) {
        let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        self.leave(Message::Log(serde_json::json!({"event": message, "level": level, "time": time}).to_string()));
    }

    /// Writes to another file from now on: after a rotation, or because the config names another; none: to standard
    /// error.
    pub fn reopen(&self, file: Option<File>) {
        // The thread lives as long as we do.
        let _ = self.lines.send(Message::Reopen(file));
    }

    fn leave(&self, message: Message) {
        if let Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) = self.lines.try_send(message) {
            self.metrics.records_lost.inc();
        }
    }

    /// Waits until all lines left before are written.
    pub fn flush(&self) {
        let (done, written) = sync_channel(1);
        if self.lines.send(Message::Flush(done)).is_ok() {
            let _ = written.recv();
        }
    }
}

/// Opens the file that records go to, if they go to one.
///
/// # Errors
/// It cannot be opened for append.
pub fn open(records: &Records) -> io::Result<Option<File>> {
    let append = |path: &Path| OpenOptions::new().create(true).append(true).open(path);
    match records {
        Records::File(path) => append(path).map(Some),
        Records::Stderr => Ok(None),
    }
}

fn write(lines: &Receiver<Message>, mut file: Option<File>, mut log: impl Write) {
    let mut next = lines.recv().ok();
    while let Some(first) = next.take() {
        let mut out: BufWriter<Box<dyn Write>> = BufWriter::new(match &mut file {
            Some(file) => Box::new(file),
            None => Box::new(io::stderr()),
        });
        // All that waits goes in one write; between batches nothing is held back.
        let mut message = Some(first);
        let mut flushed = Vec::new();
        let mut reopen = None;
        while let Some(it) = message.take() {
            match it {
                // A full disk loses lines, never a session.
                Message::Line(line) => drop(writeln!(out, "{line}")),
                Message::Log(line) => drop(writeln!(log, "{line}")),
                Message::Flush(done) => flushed.push(done),
                Message::Reopen(file) => {
                    reopen = Some(file);
                    break;
                }
            }
            message = lines.try_recv().ok();
        }
        let _ = out.flush();
        drop(out);
        for done in flushed {
            let _ = done.send(());
        }
        if let Some(reopened) = reopen {
            file = reopened;
        }
        next = lines.recv().ok();
    }
}
