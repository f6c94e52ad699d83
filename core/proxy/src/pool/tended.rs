//! Tasks that follow the pool: one for each thing to look after, begun when it appears, ended when it goes.

use std::collections::HashMap;
use std::hash::Hash;

use tokio::task::AbortHandle;

/// A task a thing.
pub(super) struct Tended<K>(HashMap<K, Task>);

struct Task(AbortHandle);

impl<K> Default for Tended<K> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<K: Eq + Hash> Tended<K> {
    /// Begins tasks for new things and ends those of things that are gone; all others go on.
    pub(super) fn tend<T, F>(&mut self, things: impl Iterator<Item = (K, T)>, begin: impl Fn(T) -> F)
    where
        F: Future<Output = ()> + 'static,
    {
        let mut before = std::mem::take(&mut self.0);
        for (key, thing) in things {
            let begun = || Task(tokio::task::spawn_local(begin(thing)).abort_handle());
            let task = before.remove(&key).unwrap_or_else(begun);
            self.0.insert(key, task);
        }
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}
