//! The thread that writes records, and to the log what the edge's operator must hear.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::config::Records;
use crate::metrics::Metrics;

/// Lines that may wait for the disk: a second of logins of a big node.
const WAITING: usize = 65_536;

/// What one write takes; more goes in the next.
const MOST_BATCHED: usize = 1 << 20;

/// Between two writes: to wake the thread for each line costs more than to make the line.
const PAUSE: Duration = Duration::from_millis(5);

/// Where sessions leave their lines.
#[derive(Clone, Debug)]
pub struct Writer {
    lines: SyncSender<Message>,
    metrics: Arc<Metrics>,
}

#[derive(Debug)]
enum Message {
    Line(Vec<u8>),
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
        let pen = Pen { file, log, metrics: Arc::clone(&metrics), batch: Vec::new(), lines: 0, torn: false };
        std::thread::Builder::new().name("records".into()).spawn(move || pen.run(&receiver))?;
        Ok(Self { lines, metrics })
    }

    /// Leaves a line, without waiting.
    pub fn put(&self, line: Vec<u8>) {
        self.leave(Message::Line(line));
    }

    /// Leaves a line about the edge itself, for its operator, in the log.
    pub fn log(&self, level: &str, message: &str) {
        self.leave(Message::Log(log_line(level, message)));
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

/// The thread's own side.
struct Pen<L> {
    /// None: standard error.
    file: Option<File>,
    log: L,
    metrics: Arc<Metrics>,
    /// Lines not written yet.
    batch: Vec<u8>,
    lines: u64,
    /// The last write failed, maybe in the middle of a line.
    torn: bool,
}

impl<L: Write> Pen<L> {
    fn run(mut self, messages: &Receiver<Message>) {
        while let Ok(first) = messages.recv() {
            self.take(first);
            // All that waits goes in one write.
            while self.batch.len() < MOST_BATCHED
                && let Ok(next) = messages.try_recv()
            {
                self.take(next);
            }
            self.write();
            std::thread::sleep(PAUSE);
        }
    }

    fn take(&mut self, message: Message) {
        match message {
            Message::Line(line) => {
                self.batch.extend_from_slice(&line);
                self.batch.push(b'\n');
                self.lines += 1;
            }
            Message::Log(line) => drop(writeln!(self.log, "{line}")),
            Message::Reopen(file) => {
                self.write();
                (self.file, self.torn) = (file, false);
            }
            Message::Flush(done) => {
                self.write();
                let _ = done.send(());
            }
        }
    }

    /// A full disk loses lines, never a session; they are counted, and told of once.
    fn write(&mut self) {
        if self.batch.is_empty() {
            return;
        }
        if self.torn {
            self.batch.insert(0, b'\n');
        }
        let written = match &mut self.file {
            Some(file) => file.write_all(&self.batch),
            None => io::stderr().write_all(&self.batch),
        };
        if let Err(error) = &written {
            self.metrics.records_lost.inc_by(self.lines);
            if !self.torn {
                let told = format!("records are lost: {error}; make room, or name another file by log.records");
                let _ = writeln!(self.log, "{}", log_line("error", &told));
            }
        }
        self.torn = written.is_err();
        self.batch.clear();
        self.lines = 0;
    }
}

fn log_line(level: &str, message: &str) -> String {
    let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    serde_json::json!({"event": message, "level": level, "time": time}).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_full_disk_loses_is_counted_and_told_of_once() {
        let metrics = Arc::new(Metrics::default());
        let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let (file, log) = (Some(full), Vec::new());
        let mut pen = Pen { file, log, metrics: Arc::clone(&metrics), batch: Vec::new(), lines: 0, torn: false };
        for _ in 0..2 {
            pen.take(Message::Line("{}".into()));
            pen.take(Message::Line("{}".into()));
            pen.write();
        }
        assert_eq!(metrics.records_lost.get(), 4);
        let told = String::from_utf8(pen.log).unwrap();
        assert_eq!(told.lines().count(), 1);
        assert!(told.contains("No space left on device"), "{told}");
    }
}
