//! A disk on which merges can be held, or made to fail, at the moment they begin an output.
//!
//! Told from flushes by the thread: merges in the background run on `siltstone-merge`.

use std::io;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex};

use siltstone::sys::{
    DirEntry, FileId, LockGuard, ReadFile, SimFs, Space, SyncPoint, Vfs, WriteFile,
};

/// What happens to a merge that begins an output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Merges {
    /// It begins.
    Pass,
    /// It waits for another decision.
    Wait,
    /// It meets an I/O error.
    Fail,
}

/// A simulated disk with a gate for merges; open at first.
#[derive(Debug)]
pub struct GatedFs {
    fs: SimFs,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    merges: Merges,
    waiting: bool,
}

impl GatedFs {
    /// An empty disk.
    pub fn new() -> Arc<Self> {
        let state = Mutex::new(State { merges: Merges::Pass, waiting: false });
        Arc::new(Self { fs: SimFs::new(), state, changed: Condvar::new() })
    }

    /// Decides for merges from here on, and for the one that waits.
    pub fn set(&self, merges: Merges) {
        self.state.lock().unwrap().merges = merges;
        self.changed.notify_all();
    }

    /// Returns as soon as a merge waits at the gate.
    pub fn wait_for_merge(&self) {
        let state = self.state.lock().unwrap();
        drop(self.changed.wait_while(state, |state| !state.waiting).unwrap());
    }

    fn pass(&self) -> io::Result<()> {
        let mut state = self.state.lock().unwrap();
        while state.merges == Merges::Wait {
            state.waiting = true;
            self.changed.notify_all();
            state = self.changed.wait(state).unwrap();
        }
        state.waiting = false;
        let fails = state.merges == Merges::Fail;
        if fails { Err(io::Error::other("the gate fails it")) } else { Ok(()) }
    }
}

impl Vfs for GatedFs {
    fn create_new(&self, path: &Path) -> io::Result<Box<dyn WriteFile>> {
        let is_output = path.to_string_lossy().ends_with(".seg.tmp");
        if is_output && std::thread::current().name() == Some("siltstone-merge") {
            self.pass()?;
        }
        self.fs.create_new(path)
    }

    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        self.fs.create_dir_all(dir)
    }

    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        self.fs.create_dir(dir)
    }

    fn remove_dir(&self, dir: &Path) -> io::Result<()> {
        self.fs.remove_dir(dir)
    }

    fn open_read(&self, path: &Path) -> io::Result<Arc<dyn ReadFile>> {
        self.fs.open_read(path)
    }

    fn file_len(&self, path: &Path) -> io::Result<u64> {
        self.fs.file_len(path)
    }

    fn file_id(&self, path: &Path) -> io::Result<FileId> {
        self.fs.file_id(path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>> {
        self.fs.list(dir)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.fs.rename(from, to)
    }

    fn hard_link(&self, file: &Path, name: &Path) -> io::Result<()> {
        self.fs.hard_link(file, name)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.fs.remove(path)
    }

    fn sync_dir(&self, dir: &Path, point: SyncPoint) -> io::Result<()> {
        self.fs.sync_dir(dir, point)
    }

    fn free_space(&self, dir: &Path) -> io::Result<Space> {
        self.fs.free_space(dir)
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn LockGuard>> {
        self.fs.lock(path)
    }

    fn lock_dir(&self, dir: &Path) -> io::Result<Box<dyn LockGuard>> {
        self.fs.lock_dir(dir)
    }
}
