//! A directory of the simulated disk: durable names, current names, and the changes between.

use std::collections::BTreeMap;
use std::ffi::OsString;

/// What a name leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Entry {
    File(u64),
    Dir(u64),
}

pub(super) type Names = BTreeMap<OsString, Entry>;

#[derive(Debug, Clone, Default)]
pub(super) struct Directory {
    /// What a power cut leaves at the least.
    pub(super) durable: Names,
    /// What is seen now.
    pub(super) current: Names,
    /// Changes since the last sync, in order.
    pub(super) unsynced: Vec<NameChange>,
}

/// One change of a directory, by the operation `op`: all of `names` or none, so that a rename
/// within a directory is atomic.
#[derive(Debug, Clone)]
pub(super) struct NameChange {
    pub(super) op: u64,
    names: Vec<(OsString, Option<Entry>)>,
}

impl Directory {
    /// Sets or removes names, all at once.
    pub(super) fn change(&mut self, op: u64, names: Vec<(OsString, Option<Entry>)>) {
        let change = NameChange { op, names };
        change.apply(&mut self.current);
        self.unsynced.push(change);
    }

    pub(super) fn sync(&mut self) {
        for change in self.unsynced.drain(..) {
            change.apply(&mut self.durable);
        }
    }

    /// Gives a name an entry that no power cut takes, whatever was to become of the name before.
    pub(super) fn set_durable(&mut self, name: OsString, entry: Entry) {
        for change in &mut self.unsynced {
            change.names.retain(|(changed, _)| *changed != name);
        }
        self.durable.insert(name.clone(), entry);
        self.current.insert(name, entry);
    }

    /// A sync failed: see [`Inode::drop_dirty`](super::inode::Inode::drop_dirty).
    pub(super) fn drop_dirty(&mut self) {
        self.unsynced.clear();
    }

    /// Every entry that is or may become visible.
    pub(super) fn entries(&self) -> impl Iterator<Item = Entry> + '_ {
        let changed = self.unsynced.iter().flat_map(|change| &change.names);
        let changed = changed.filter_map(|(_, entry)| *entry);
        self.durable.values().chain(self.current.values()).copied().chain(changed)
    }
}

impl NameChange {
    pub(super) fn apply(&self, names: &mut Names) {
        for (name, entry) in &self.names {
            match entry {
                Some(entry) => names.insert(name.clone(), *entry),
                None => names.remove(name),
            };
        }
    }
}
