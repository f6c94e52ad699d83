//! The key of false salts: it must outlive a restart, for a real user's salt does too.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;

use zeroize::Zeroizing;

use crate::config::Config;

/// In the state directory.
const FILE: &str = "salt.key";
/// As many as its hash has.
const OCTETS: usize = 32;

/// That of the config, or else one that is drawn once and kept in the state directory. Second: why it could not be kept.
pub(crate) fn key(config: &Config) -> (Zeroizing<Vec<u8>>, Option<io::Error>) {
    if let Some(key) = &config.sasl.salt_key {
        return (Zeroizing::new(key.expose().to_vec()), None);
    }
    let file = config.state_directory.join(FILE);
    match fs::read(&file).map(Zeroizing::new) {
        Ok(key) if key.len() >= OCTETS => return (key, None),
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return (draw(), Some(error)),
    }
    let key = draw();
    let written = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(file);
    let written = written.and_then(|mut file| file.write_all(&key));
    (key, written.err())
}

fn draw() -> Zeroizing<Vec<u8>> {
    let mut key = Zeroizing::new(vec![0; OCTETS]);
    super::fill(&mut key);
    key
}
