//! Certificates of ten thousand names: looked up in directories when a client first asks for one, kept while they are
//! asked for.
//!
//! A name becomes part of a path only as checked labels of letters, digits, `-` and `_`, so no client names a file of
//! its choice; names without a certificate are kept apart, so a flood of them pushes out only each other.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use quick_cache::sync::Cache;
use tokio::sync::Semaphore;

use super::watched::{Files, LOOK, Stamps, Watched};
use crate::record::Writer;

/// Names kept that have no certificate.
const MAX_UNKNOWN: usize = 4096;
/// Certificates read at once: a slow disk shall not make a thread a client.
const READING: usize = 8;
/// RFC 1035, 2.3.4.
const LONGEST_LABEL: usize = 63;
const LONGEST_NAME: usize = 253;

/// Where a certificate lies in a directory, and its key and staple: plain files, as lego writes them, and as certbot
/// and dehydrated do. `*` is the name.
const LAYOUTS: [[&str; 3]; 3] =
    [["*.pem", "*.key", "*.ocsp"], ["*.crt", "*.key", "*.ocsp"], ["*/fullchain.pem", "*/privkey.pem", "*/ocsp.der"]];

/// The directories, and what was read from them.
#[derive(Debug)]
pub(super) struct Directories {
    paths: Arc<[PathBuf]>,
    known: Cache<String, Arc<Watched>>,
    unknown: Cache<String, Unknown>,
    reading: Arc<Semaphore>,
}

/// A name without a certificate that could be shown.
#[derive(Clone, Debug)]
struct Unknown {
    until: Instant,
    /// Of files that were there and no good; they are told of once.
    faulty: Option<Stamps>,
}

impl Directories {
    /// Reads nothing yet.
    pub(super) fn new(paths: &[PathBuf], most: usize) -> Self {
        Self {
            paths: paths.into(),
            known: Cache::new(most),
            unknown: Cache::new(MAX_UNKNOWN),
            reading: Arc::new(Semaphore::new(READING)),
        }
    }

    /// Whether there are none.
    pub(super) fn are_none(&self) -> bool {
        self.paths.is_empty()
    }

    /// The certificate of a host name in lower case: its own, or the one for all names of its parent.
    pub(super) async fn find(&self, name: &str, records: &Writer) -> Option<Arc<Watched>> {
        if self.paths.is_empty() || !is_host(name) {
            return None;
        }
        if let Some(own) = self.stem(name, records).await {
            return Some(own);
        }
        let (_, parent) = name.split_once('.')?;
        self.stem(&format!("_.{parent}"), records).await
    }

    async fn stem(&self, stem: &str, records: &Writer) -> Option<Arc<Watched>> {
        match self.known.get(stem) {
            Some(known) if known.is_gone() => drop(self.known.remove(stem)),
            Some(known) => return Some(known),
            None => {}
        }
        // All who ask for a name that is being read wait for the one reading.
        self.known.get_or_insert_async(stem, self.read(stem, records)).await.ok()
    }

    async fn read(&self, stem: &str, records: &Writer) -> Result<Arc<Watched>, Absent> {
        let before = self.unknown.get(stem);
        if before.as_ref().is_some_and(|unknown| Instant::now() < unknown.until) {
            return Err(Absent);
        }
        let place = Arc::clone(&self.reading).acquire_owned().await.map_err(|_| Absent)?;
        let (paths, name) = (Arc::clone(&self.paths), stem.to_owned());
        let reading = tokio::task::spawn_blocking(move || {
            // Held by the thread: a client may leave, or be late, before the disk has answered.
            let _place = place;
            let (files, stamps) = present(&paths, &name)?;
            Some(Watched::read(files, SystemTime::now()).map_err(|(_, problem)| (stamps, problem)))
        });
        let faulty = match reading.await {
            Ok(Some(Ok(watched))) => return Ok(Arc::new(watched)),
            Ok(Some(Err((stamps, problem)))) => {
                if before.and_then(|unknown| unknown.faulty).as_ref() != Some(&stamps) {
                    records.log("warning", &format!("a certificate of certificate_directories: {problem}"));
                }
                Some(stamps)
            }
            Ok(None) | Err(_) => None,
        };
        self.unknown.insert(stem.into(), Unknown { until: Instant::now() + LOOK, faulty });
        Err(Absent)
    }
}

/// There is none, or none that can be used.
struct Absent;

fn present(paths: &[PathBuf], stem: &str) -> Option<(Files, Stamps)> {
    let in_layout = |path: &Path, layout: &[&str; 3]| {
        let [certificate, key, staple] = layout.map(|file| path.join(file.replace('*', stem)));
        Files { certificate, key, staple: Some(staple) }
    };
    let all = paths.iter().flat_map(|path| LAYOUTS.iter().map(move |layout| in_layout(path, layout)));
    all.map(|files| (Stamps::of(&files), files)).find(|(stamps, _)| !stamps.are_of_nothing()).map(|(s, f)| (f, s))
}

/// Whether it is a host name, in labels that no file system takes for anything but a name, and we for no wildcard.
fn is_host(name: &str) -> bool {
    let is_label = |label: &str| {
        (1..=LONGEST_LABEL).contains(&label.len())
            && label != "_"
            && label.bytes().all(|octet| octet.is_ascii_lowercase() || octet.is_ascii_digit() || b"-_".contains(&octet))
    };
    name.len() <= LONGEST_NAME && name.split('.').all(is_label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_could_leave_the_directory_is_no_host() {
        for name in ["mail.tgg.net.id", "x", "a_b.c-d.example", &"a".repeat(63)] {
            assert!(is_host(name), "{name}");
        }
        let long = vec!["a".repeat(63); 4].join(".");
        for name in ["", ".", "..", "../x", "a/b", "a..b", ".a", "a.", "A", "a\0", "a b", "é", "a%2fb", "_.a", &long] {
            assert!(!is_host(name), "{name}");
        }
        assert!(!is_host(&"a".repeat(64)));
    }
}
