//! ACME's HTTP-01 (RFC 8555, section 8.3): a file a token, as the ACME client wrote it.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use rustix::fs::{Mode, OFlags};
use tokio::sync::Semaphore;

use super::Told;
use crate::config::Acme;

/// Octets of a file: a token, a dot and a hash have some 90.
const MAX_FILE: u64 = 16 << 10;
/// Files that are read at once. Whoever asks for many keeps no more threads busy, whatever the disk does.
static READING: Semaphore = Semaphore::const_new(4);

/// What the file says; none: there is none, or it is not one that an ACME client writes.
pub(super) async fn answer(directory: &Path, token: &str) -> Option<Told> {
    if !Acme::is_token(token) {
        return None;
    }
    let file = directory.join(token);
    let place = READING.acquire().await.ok()?;
    let reading = tokio::task::spawn_blocking(move || {
        // Held by the thread: a client may leave before the disk has answered.
        let _place = place;
        read(&file)
    });
    let body = reading.await.ok()??;
    Some(Told { media_type: "application/octet-stream", body: body.into(), file: None })
}

/// Neither a link to something else, nor something that would keep us waiting.
fn read(path: &Path) -> Option<Vec<u8>> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::open(path, flags, Mode::empty()).ok()?);
    let about = file.metadata().ok()?;
    if !about.is_file() || about.len() > MAX_FILE {
        return None;
    }
    let mut body = Vec::new();
    file.take(MAX_FILE).read_to_end(&mut body).ok()?;
    Some(body)
}
