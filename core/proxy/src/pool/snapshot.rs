//! Pools as they come from control, and the last good one on disk: with it an edge starts and serves without control.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;

use prost::Message as _;

use super::balance::fnv1a;
use super::{BadPool, Pools, key};
use crate::wire;

/// Why a pool was not taken; told to control by a NACK.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Refused {
    /// It is not what it should be.
    #[error(transparent)]
    Bad(#[from] BadPool),
    /// A change of another pool than the one held.
    #[error("change is of version {base}, but this edge holds {held}")]
    Base {
        /// What the change begins with.
        base: u64,
        /// What this edge has.
        held: u64,
    },
    /// A pool without backends in the place of one that has some.
    #[error("snapshot empties the pool; set `force` if that is meant")]
    Empties,
}

/// A pool with a change made to it.
pub(super) fn changed(pool: &wire::Pool, change: wire::Change) -> Result<wire::Pool, Refused> {
    if change.base != pool.version {
        return Err(Refused::Base { base: change.base, held: pool.version });
    }
    let mut pool = pool.clone();
    pool.version = change.version;
    replace(&mut pool.backends, change.backends, &change.removed_backends, |backend| &backend.name);
    replace(&mut pool.groups, change.groups, &change.removed_groups, |group| &group.name);
    pool.defaults = change.defaults.or(pool.defaults);
    Ok(pool)
}

fn replace<T>(all: &mut Vec<T>, new: Vec<T>, removed: &[String], name: impl Fn(&T) -> &str) {
    all.retain(|it| !removed.iter().any(|removed| key(removed) == key(name(it))));
    for it in new {
        match all.iter_mut().find(|old| key(name(old)) == key(name(&it))) {
            Some(old) => *old = it,
            None => all.push(it),
        }
    }
}

/// The file in the state directory.
const FILE: &str = "pool.pb";
/// Begins the file; the number is its format's.
const MAGIC: &[u8; 8] = b"zpool\0\0\x01";
/// Magic, length and FNV-1a of what follows, both 64 bits, big endian.
const HEADER: usize = 24;

impl Pools {
    /// Takes the pool that [`save`] left behind; false: there is none.
    ///
    /// # Errors
    /// The file cannot be read or is not whole or holds no pool; the pool in force stays.
    pub fn restore(&self, state_directory: &Path) -> io::Result<bool> {
        let file = match fs::read(state_directory.join(FILE)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error),
        };
        let message = unpack(&file).ok_or_else(|| io::Error::other("pool.pb is damaged"))?;
        self.apply_snapshot(message, false).map_err(io::Error::other)?;
        Ok(true)
    }
}

/// Writes a pool so that after a crash at any moment the file holds it or the one before it.
pub(crate) fn save(state_directory: &Path, pool: &wire::Pool) -> io::Result<()> {
    let temporary = state_directory.join(format!("{FILE}.new"));
    let mut file = File::create(&temporary)?;
    file.write_all(&pack(pool))?;
    file.sync_all()?;
    fs::rename(&temporary, state_directory.join(FILE))?;
    // The rename itself is on disk only when the directory is.
    File::open(state_directory)?.sync_all()
}

fn pack(pool: &wire::Pool) -> Vec<u8> {
    let body = pool.encode_to_vec();
    let mut file = MAGIC.to_vec();
    file.extend((body.len() as u64).to_be_bytes());
    file.extend(fnv1a(body.iter().copied()).to_be_bytes());
    file.extend(body);
    file
}

fn unpack(file: &[u8]) -> Option<wire::Pool> {
    let (header, body) = file.split_at_checked(HEADER)?;
    let pool = wire::Pool::decode(body).ok()?;
    let mut expected = MAGIC.to_vec();
    expected.extend((body.len() as u64).to_be_bytes());
    expected.extend(fnv1a(body.iter().copied()).to_be_bytes());
    (header == expected).then_some(pool)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_with_any_octet_changed_is_no_pool() {
        let backend = wire::Backend { name: "mbox-1".into(), host: "127.0.0.1".into(), ..wire::Backend::default() };
        let pool = wire::Pool { version: 7, backends: vec![backend], ..wire::Pool::default() };
        let good = pack(&pool);
        assert_eq!(unpack(&good), Some(pool));
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1;
            assert_eq!(unpack(&bad), None, "octet {at}");
            assert_eq!(unpack(&good[..at]), None, "cut at {at}");
        }
    }
}
