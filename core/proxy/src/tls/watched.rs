//! A certificate in force, read again when its files change: a client that renews it needs to tell nobody.
//!
//! Whoever shows it looks at the files now and then; what cannot be used is told once, and what was in force stays.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
use rustls::sign::CertifiedKey;
use tokio::sync::Semaphore;

use super::certificates::{Problem, read_pair};
use super::ocsp;
use crate::record::Writer;

/// Between two looks at the files of a certificate in use: a few `stat` calls off the sessions' threads.
pub(super) const LOOK: Duration = Duration::from_secs(10);

/// Looks at once: a disk that hangs keeps no more threads than this.
pub(super) const LOOKS: usize = 4;

/// Where a certificate is read from.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Files {
    pub(super) certificate: PathBuf,
    pub(super) key: PathBuf,
    /// An OCSP response in DER; it may be absent.
    pub(super) staple: Option<PathBuf>,
}

/// Tells one content of files from another: a renewal writes a new file, or a link to one.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Stamps([Option<(SystemTime, u64)>; 3]);

/// A certificate as clients are shown it.
#[derive(Debug)]
pub(super) struct Watched {
    files: Files,
    loaded: ArcSwap<Loaded>,
    /// When the files were last looked at, in seconds since the epoch.
    looked: AtomicU64,
    gone: AtomicBool,
    untold: Mutex<Option<String>>,
}

#[derive(Debug)]
struct Loaded {
    stamps: Stamps,
    plain: Arc<CertifiedKey>,
    /// With its staple, and until when that is good.
    stapled: Option<(Arc<CertifiedKey>, SystemTime)>,
}

impl Watched {
    /// Reads the files; a staple that cannot be used is only told of.
    ///
    /// # Errors
    /// The certificate or its key cannot be used.
    pub(super) fn read(files: Files, now: SystemTime) -> Result<Self, Problem> {
        let (loaded, untold) = read(&files, now)?;
        Ok(Self {
            files,
            loaded: ArcSwap::from_pointee(loaded),
            looked: AtomicU64::new(seconds(now)),
            gone: AtomicBool::new(false),
            untold: Mutex::new(untold),
        })
    }

    /// The certificate alone.
    pub(super) fn plain(&self) -> Arc<CertifiedKey> {
        Arc::clone(&self.loaded.load().plain)
    }

    /// What to show now. A look at the files that is due is begun if there is room for it among all `looks`, and changes
    /// what is shown later.
    pub(super) fn show(self: &Arc<Self>, records: &Writer, looks: &Arc<Semaphore>) -> Arc<CertifiedKey> {
        let now = SystemTime::now();
        self.tell(records);
        let looked = self.looked.load(Ordering::Relaxed);
        let due = seconds(now).saturating_sub(looked) >= LOOK.as_secs();
        // Of all threads that see it due one looks.
        let order = Ordering::Relaxed;
        if due
            && let Ok(place) = Arc::clone(looks).try_acquire_owned()
            && self.looked.compare_exchange(looked, seconds(now), order, order).is_ok()
        {
            let (watched, records) = (Arc::clone(self), records.clone());
            tokio::task::spawn_blocking(move || {
                let _place = place;
                watched.look(now);
                watched.tell(&records);
            });
        }
        self.shown(now)
    }

    fn shown(&self, now: SystemTime) -> Arc<CertifiedKey> {
        let loaded = self.loaded.load();
        match &loaded.stapled {
            Some((key, until)) if now < *until => Arc::clone(key),
            _ => Arc::clone(&loaded.plain),
        }
    }

    /// Whether its certificate file was gone at the last look.
    pub(super) fn is_gone(&self) -> bool {
        self.gone.load(Ordering::Relaxed)
    }

    fn look(&self, now: SystemTime) {
        let stamps = Stamps::of(&self.files);
        let loaded = self.loaded.load_full();
        let runs_out = loaded.stapled.as_ref().is_some_and(|(_, until)| *until <= now);
        self.gone.store(stamps.are_of_nothing(), Ordering::Relaxed);
        if stamps == loaded.stamps && !runs_out {
            return;
        }
        let untold = match read(&self.files, now) {
            Ok((loaded, untold)) => {
                self.loaded.store(Arc::new(loaded));
                untold
            }
            Err((_, problem)) => {
                let (plain, stapled) = (Arc::clone(&loaded.plain), loaded.stapled.clone());
                self.loaded.store(Arc::new(Loaded { stamps, plain, stapled }));
                Some(format!("the certificate of before is shown on: {problem}"))
            }
        };
        *self.untold.lock().unwrap_or_else(PoisonError::into_inner) = untold;
    }

    fn tell(&self, records: &Writer) {
        if let Some(problem) = self.untold.lock().unwrap_or_else(PoisonError::into_inner).take() {
            records.log("warning", &problem);
        }
    }
}

impl Stamps {
    pub(super) fn of(files: &Files) -> Self {
        let staple = files.staple.as_deref();
        Self([Some(files.certificate.as_path()), Some(files.key.as_path()), staple].map(|file| stamp(file?)))
    }

    /// Whether there is no certificate.
    pub(super) fn are_of_nothing(&self) -> bool {
        self.0[0].is_none()
    }
}

fn stamp(file: &Path) -> Option<(SystemTime, u64)> {
    let metadata = std::fs::metadata(file).ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// Reads everything; the text is why the staple is not sent.
fn read(files: &Files, now: SystemTime) -> Result<(Loaded, Option<String>), Problem> {
    // Before the files: what changes meanwhile is read again.
    let stamps = Stamps::of(files);
    let plain = Arc::new(read_pair(&files.certificate, &files.key)?);
    let mut loaded = Loaded { stamps, plain, stapled: None };
    let Some(file) = files.staple.as_ref().filter(|_| loaded.stamps.0[2].is_some()) else { return Ok((loaded, None)) };
    let staple = std::fs::read(file)
        .map_err(|error| format!("cannot be read: {error}"))
        .and_then(|der| ocsp::staple(der, &loaded.plain.cert[0], now));
    match staple {
        Ok(staple) => {
            let stapled = CertifiedKey { ocsp: Some(staple.der), ..CertifiedKey::clone(&loaded.plain) };
            loaded.stapled = Some((Arc::new(stapled), staple.until));
            Ok((loaded, None))
        }
        Err(problem) => Ok((loaded, Some(format!("the OCSP staple {} is not sent: it {problem}", file.display())))),
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, SerialNumber};

    use super::*;
    use crate::config::Records;

    /// When the fixtures of `ocsp` are good; they run out within a week.
    const IN_FORCE: Duration = Duration::from_secs(1_893_456_000 + 3600);
    const WEEK: Duration = Duration::from_secs(7 * 24 * 3600);

    /// The files of a certificate, gone with the test.
    struct Written(Files);

    impl Written {
        fn new(name: &str) -> Self {
            let directory = std::env::temp_dir().join(format!("zproxy-watched-{name}-{}", std::process::id()));
            std::fs::create_dir(&directory).unwrap();
            let file = |name| directory.join(name);
            let written = Self(Files { certificate: file("pem"), key: file("key"), staple: Some(file("ocsp")) });
            written.renew("a.example");
            written
        }

        fn renew(&self, host: &str) {
            let key = KeyPair::generate().unwrap();
            self.renew_certificate(host, &key);
            std::fs::write(&self.0.key, key.serialize_pem()).unwrap();
        }

        fn renew_certificate(&self, host: &str, key: &KeyPair) {
            let mut params = CertificateParams::new([host.to_owned()]).unwrap();
            params.serial_number = Some(SerialNumber::from(7));
            std::fs::write(&self.0.certificate, params.self_signed(key).unwrap().pem()).unwrap();
        }

        fn staple(&self, der: &[u8]) {
            std::fs::write(self.0.staple.as_ref().unwrap(), der).unwrap();
        }

        fn watched(&self) -> Watched {
            Watched::read(self.0.clone(), UNIX_EPOCH + IN_FORCE).unwrap()
        }
    }

    impl Drop for Written {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(self.0.certificate.parent().unwrap());
        }
    }

    #[tokio::test]
    async fn a_disk_that_hangs_keeps_few_threads_and_what_was_read_is_shown() {
        use rustix::fs::{CWD, FileType, Mode};

        let records = Writer::start(&Records::Stderr, std::io::sink(), Arc::default()).unwrap();
        let looks = Arc::new(Semaphore::new(LOOKS));
        let all: Vec<_> = (0..2 * LOOKS).map(|number| Written::new(&format!("hangs-{number}"))).collect();
        let begun = |(written, watched): &(&Written, Arc<Watched>)| {
            std::fs::remove_file(&written.0.certificate).unwrap();
            // To open it takes until somebody writes to it.
            let mode = Mode::RUSR | Mode::WUSR;
            rustix::fs::mknodat(CWD, &written.0.certificate, FileType::Fifo, mode, 0).unwrap();
            let before = watched.looked.swap(0, Ordering::Relaxed);
            assert_eq!(watched.show(&records, &looks).cert, watched.plain().cert);
            before > 0 && watched.looked.load(Ordering::Relaxed) > 0
        };
        let all = all.iter().map(|written| (written, Arc::new(written.watched())));
        let hanging: Vec<_> = all.filter(begun).collect();
        for (written, _) in &hanging {
            drop(std::fs::OpenOptions::new().write(true).open(&written.0.certificate).unwrap());
        }
        assert_eq!(hanging.len(), LOOKS);
    }

    fn told(watched: &Watched) -> String {
        watched.untold.lock().unwrap().take().unwrap_or_default()
    }

    #[test]
    fn a_renewed_certificate_is_shown_once_its_key_is_there_too() {
        let written = Written::new("renewed");
        let watched = written.watched();
        let before = watched.plain();
        let key = KeyPair::generate().unwrap();
        written.renew_certificate("longer.example", &key);
        watched.look(UNIX_EPOCH + IN_FORCE);
        assert!(told(&watched).contains("does not fit the certificate"));
        watched.look(UNIX_EPOCH + IN_FORCE);
        assert_eq!((told(&watched).as_str(), &watched.plain().cert), ("", &before.cert));
        std::fs::write(&written.0.key, key.serialize_pem() + "\n").unwrap();
        watched.look(UNIX_EPOCH + IN_FORCE);
        assert_ne!(watched.plain().cert, before.cert);
        assert!(!watched.is_gone());
    }

    #[test]
    fn a_certificate_that_is_taken_away_is_shown_on_and_known_to_be_gone() {
        let written = Written::new("gone");
        let watched = written.watched();
        std::fs::remove_file(&written.0.certificate).unwrap();
        watched.look(UNIX_EPOCH + IN_FORCE);
        assert!(watched.is_gone());
        assert_eq!(watched.shown(UNIX_EPOCH + IN_FORCE).cert, watched.plain().cert);
    }

    #[test]
    fn a_staple_is_sent_from_when_it_is_there_until_it_runs_out_and_that_is_told_once() {
        let written = Written::new("stapled");
        let watched = written.watched();
        let stapled = |watched: &Watched, at| watched.shown(UNIX_EPOCH + at).ocsp.is_some();
        assert!(!stapled(&watched, IN_FORCE));
        written.staple(include_bytes!("../../tests/data/ocsp/good.der"));
        watched.look(UNIX_EPOCH + IN_FORCE);
        assert!(stapled(&watched, IN_FORCE));
        assert!(!stapled(&watched, IN_FORCE + WEEK));
        assert_eq!(told(&watched), "");
        watched.look(UNIX_EPOCH + IN_FORCE + WEEK);
        assert!(told(&watched).ends_with("it has run out: renew it"));
        watched.look(UNIX_EPOCH + IN_FORCE + WEEK);
        assert_eq!(told(&watched), "");
        written.staple(b"<html>503</html>");
        watched.look(UNIX_EPOCH + IN_FORCE + WEEK);
        assert!(told(&watched).contains("is no OCSP response"));
    }
}
