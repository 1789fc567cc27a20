//! Everything a simulated disk is: files, directories, faults and counters, behind one lock.
//!
//! Called by `mod.rs` (the hooks) and `vfs.rs` (the seam). Every operation that may change the disk
//! goes through [`State::mutate`], every other through [`State::look`]: there faults strike, the
//! counters advance and the trace is kept. Invariant: directory 0 is the root and always there.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fmt;
use std::io::{self, ErrorKind};
use std::path::{Component, Path, PathBuf};

use super::crash::{CrashPlan, surviving_bytes, surviving_names};
use super::directory::{Directory, Entry};
use super::faults::Faults;
use super::inode::Inode;
use super::trace::{BadPageWrite, Op, OpKind};

const ROOT: u64 = 0;
/// The size of a disk unless it is set: far above what a simulation holds.
const CAPACITY_BYTES: u64 = 1 << 40;

#[derive(Debug, Clone)]
pub(super) struct State {
    pub(super) inodes: BTreeMap<u64, Inode>,
    pub(super) dirs: BTreeMap<u64, Directory>,
    next_id: u64,
    /// Files that are locked.
    pub(super) locks: BTreeSet<u64>,
    /// Directories that are.
    pub(super) dir_locks: BTreeSet<u64>,
    pub(super) faults: Faults,
    pub(super) capacity: u64,
    /// Operations so far, which is the number of the next one.
    pub(super) ops: u64,
    /// Reads so far.
    pub(super) reads: u64,
    /// Page writes of syncs so far.
    pub(super) page_writes: u64,
    /// Those that a fault has struck.
    pub(super) bad_page_writes: Vec<BadPageWrite>,
    /// What a power cut right behind the last of them leaves.
    pub(super) at_bad_page_write: Option<Box<State>>,
    pub(super) trace: Vec<Op>,
    pub(super) crash_at: Option<u64>,
    /// Whether the power went: nothing works any more.
    pub(super) crashed: bool,
}

/// The error of everything after a simulated crash.
#[derive(Debug)]
struct Crashed;

impl fmt::Display for Crashed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the simulated machine crashed")
    }
}

impl std::error::Error for Crashed {}

/// Whether an error means that a simulated disk has crashed, rather than failed.
#[must_use]
pub fn is_crash(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.is::<Crashed>())
}

impl State {
    pub(super) fn new() -> Self {
        Self {
            inodes: BTreeMap::new(),
            dirs: BTreeMap::from([(ROOT, Directory::default())]),
            next_id: ROOT + 1,
            locks: BTreeSet::new(),
            dir_locks: BTreeSet::new(),
            faults: Faults::default(),
            capacity: CAPACITY_BYTES,
            ops: 0,
            reads: 0,
            page_writes: 0,
            bad_page_writes: Vec::new(),
            at_bad_page_write: None,
            trace: Vec::new(),
            crash_at: None,
            crashed: false,
        }
    }

    /// Performs an operation that may change the disk, unless it crashes or a fault is due.
    pub(super) fn mutate<T>(
        &mut self,
        kind: OpKind,
        path: &Path,
        effect: impl FnOnce(&mut Self, u64) -> io::Result<T>,
    ) -> io::Result<T> {
        let number = self.ops;
        self.crashed |= self.crash_at.is_some_and(|at| number >= at);
        self.alive()?;
        self.ops += 1;
        self.faults.delay(number, kind.sync_point());
        let result = match self.faults.of_op(number, kind.sync_point()) {
            Some(fault) => Err(fault.into()),
            None => effect(self, number),
        };
        let error = result.as_ref().err().map(io::Error::kind);
        self.trace.push(Op { number, kind, path: path.to_owned(), error });
        result
    }

    /// Performs an operation that reads, unless the disk has crashed or a fault is due.
    pub(super) fn look<T>(&mut self, effect: impl FnOnce(&Self) -> io::Result<T>) -> io::Result<T> {
        self.alive()?;
        let number = self.reads;
        self.reads += 1;
        match self.faults.reads.get(&number) {
            Some(fault) => Err((*fault).into()),
            None => effect(self),
        }
    }

    fn alive(&self) -> io::Result<()> {
        if self.crashed { Err(io::Error::other(Crashed)) } else { Ok(()) }
    }

    /// The directory at `path`.
    pub(super) fn dir(&self, path: &Path) -> io::Result<u64> {
        let mut id = ROOT;
        for name in names(path) {
            id = match self.dirs[&id].current.get(&name) {
                Some(Entry::Dir(id)) => *id,
                Some(Entry::File(_)) => return Err(ErrorKind::NotADirectory.into()),
                None => return Err(ErrorKind::NotFound.into()),
            };
        }
        Ok(id)
    }

    /// The directory that holds, or would hold, the last component of `path`, and that component.
    pub(super) fn parent(&self, path: &Path) -> io::Result<(u64, OsString)> {
        let mut components = names(path);
        let name = components.pop().ok_or(ErrorKind::IsADirectory)?;
        Ok((self.dir(&components.iter().collect::<PathBuf>())?, name))
    }

    /// The file at `path`.
    pub(super) fn file(&self, path: &Path) -> io::Result<u64> {
        let (dir, name) = self.parent(path)?;
        match self.dirs[&dir].current.get(&name) {
            Some(Entry::File(id)) => Ok(*id),
            Some(Entry::Dir(_)) => Err(ErrorKind::IsADirectory.into()),
            None => Err(ErrorKind::NotFound.into()),
        }
    }

    /// An open file, which exists as long as it is open.
    pub(super) fn inode(&mut self, id: u64) -> &mut Inode {
        self.inodes.get_mut(&id).expect("an open or linked file is kept")
    }

    /// A directory, which is never removed.
    pub(super) fn directory(&mut self, id: u64) -> &mut Directory {
        self.dirs.get_mut(&id).expect("a directory is never removed")
    }

    pub(super) fn add_inode(&mut self, inode: Inode) -> u64 {
        let id = self.new_id();
        self.inodes.insert(id, inode);
        id
    }

    fn new_id(&mut self) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        id
    }

    /// Creates the missing directories of `path`, each a change of its parent by operation `op`.
    pub(super) fn create_dirs(&mut self, path: &Path, op: u64) -> io::Result<u64> {
        let mut id = ROOT;
        for name in names(path) {
            id = match self.dirs[&id].current.get(&name) {
                Some(Entry::Dir(id)) => *id,
                Some(Entry::File(_)) => return Err(ErrorKind::AlreadyExists.into()),
                None => {
                    let child = self.new_id();
                    self.dirs.insert(child, Directory::default());
                    self.directory(id).change(op, vec![(name, Some(Entry::Dir(child)))]);
                    child
                }
            };
        }
        Ok(id)
    }

    /// Sets or removes names in directory `dir` at once, and keeps the files' link counts.
    pub(super) fn relink(&mut self, dir: u64, op: u64, names: Vec<(OsString, Option<Entry>)>) {
        for (name, entry) in &names {
            if let Some(Entry::File(id)) = self.dirs[&dir].current.get(name).copied() {
                self.inode(id).links -= 1;
            }
            if let Some(Entry::File(id)) = entry {
                self.inode(*id).links += 1;
            }
        }
        self.directory(dir).change(op, names);
    }

    /// Space that nothing takes, in bytes.
    pub(super) fn available(&self) -> u64 {
        let used: u64 = self.inodes.values().map(Inode::space).sum();
        self.capacity.saturating_sub(used)
    }

    /// Forgets files that nobody can reach, now or after a crash.
    pub(super) fn collect(&mut self) {
        let entries = self.dirs.values().flat_map(Directory::entries);
        let reachable: BTreeSet<u64> = entries
            .filter_map(|entry| match entry {
                Entry::File(id) => Some(id),
                Entry::Dir(_) => None,
            })
            .collect();
        self.inodes.retain(|id, inode| inode.handles > 0 || reachable.contains(id));
    }

    /// The disk as another process finds it after this one was killed: unsynced changes are there
    /// and still unsynced. Locks and handles are gone, and so are faults.
    pub(super) fn fork(&self) -> Self {
        let mut fork = Self {
            locks: BTreeSet::new(),
            dir_locks: BTreeSet::new(),
            faults: Faults::default(),
            bad_page_writes: Vec::new(),
            at_bad_page_write: None,
            trace: Vec::new(),
            crash_at: None,
            crashed: false,
            reads: 0,
            ..self.clone()
        };
        for inode in fork.inodes.values_mut() {
            inode.handles = 0;
        }
        fork.collect();
        fork
    }

    /// The disk after a power cut.
    pub(super) fn survivor(&self, plan: CrashPlan) -> Self {
        let mut survivor = Self { next_id: self.next_id, capacity: self.capacity, ..Self::new() };
        let mut dirs = vec![ROOT];
        while let Some(id) = dirs.pop() {
            let names = surviving_names(&self.dirs[&id], id, plan.directories);
            for entry in names.values() {
                match *entry {
                    Entry::Dir(child) => dirs.push(child),
                    Entry::File(id) => {
                        let bytes = || surviving_bytes(&self.inodes[&id], id, plan.data);
                        let inode = survivor.inodes.entry(id);
                        inode.or_insert_with(|| Inode::of_durable(bytes())).links += 1;
                    }
                }
            }
            let dir = Directory { durable: names.clone(), current: names, ..Directory::default() };
            survivor.dirs.insert(id, dir);
        }
        survivor
    }
}

/// The names on the way from the root to `path`; relative paths start there too.
fn names(path: &Path) -> Vec<OsString> {
    let mut names = Vec::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => names.push(name.to_owned()),
            Component::ParentDir => drop(names.pop()),
            Component::CurDir | Component::RootDir | Component::Prefix(_) => {}
        }
    }
    names
}

/// `path` in the one spelling that the disk knows it by.
pub(super) fn absolute(path: &Path) -> PathBuf {
    Path::new("/").join(names(path).iter().collect::<PathBuf>())
}
