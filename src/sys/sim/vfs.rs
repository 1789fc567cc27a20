//! The simulated disk behind the seam: [`Vfs`] and the three kinds of handles.

use std::io::{self, ErrorKind};
use std::path::Path;
use std::sync::Arc;

use super::SimFs;
use super::directory::Entry;
use super::handle::{Handle, OF_DIRECTORIES, OF_FILES};
use super::inode::Inode;
use super::locks::{SimDirLock, SimLock};
use super::state::{State, absolute};
use super::trace::OpKind;
use crate::sys::file_bounds::{checked_end, length_changed, truncate_beyond_end};
use crate::sys::{
    Bytes, DirEntry, FileId, LockGuard, ReadFile, ReadMode, Space, SyncPoint, Vfs, WriteFile,
};

impl Vfs for SimFs {
    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        let create = |state: &mut State, op| state.create_dirs(dir, op).map(drop);
        self.state().mutate(OpKind::CreateDir, &absolute(dir), create)
    }

    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        self.state().mutate(OpKind::MakeDir, &absolute(dir), |state, op| {
            let (parent, name) = state.parent(dir).map_err(|e| match e.kind() {
                ErrorKind::IsADirectory => ErrorKind::AlreadyExists.into(), // the root
                _ => e,
            })?;
            if state.dirs[&parent].current.contains_key(&name) {
                return Err(ErrorKind::AlreadyExists.into());
            }
            state.create_dirs(dir, op).map(drop)
        })
    }

    fn remove_dir(&self, dir: &Path) -> io::Result<()> {
        self.state().mutate(OpKind::RemoveDir, &absolute(dir), |state, op| {
            let id = state.dir(dir)?;
            if !state.dirs[&id].current.is_empty() {
                return Err(ErrorKind::DirectoryNotEmpty.into());
            }
            let (parent, name) = state.parent(dir)?;
            state.relink(parent, op, vec![(name, None)]);
            Ok(())
        })
    }

    fn create_new(&self, path: &Path) -> io::Result<Box<dyn WriteFile>> {
        let path = absolute(path);
        let id = self.state().mutate(OpKind::Create, &path, |state, op| {
            let id = create_file(state, &path, op)?;
            state.inode(id).handles += 1;
            Ok(id)
        })?;
        Ok(Box::new(SimWriteFile { handle: Handle { fs: self.clone(), id, path }, len: 0 }))
    }

    fn open_read(&self, path: &Path) -> io::Result<Arc<dyn ReadFile>> {
        let path = absolute(path);
        let mut state = self.state();
        let id = state.look(|state| state.file(&path))?;
        let inode = state.inode(id);
        inode.handles += 1;
        let len_opened = inode.len();
        drop(state);
        Ok(Arc::new(SimReadFile { handle: Handle { fs: self.clone(), id, path }, len_opened }))
    }

    fn file_len(&self, path: &Path) -> io::Result<u64> {
        self.state().look(|state| state.file(path).map(|id| state.inodes[&id].len()))
    }

    fn file_id(&self, path: &Path) -> io::Result<FileId> {
        self.state().look(|state| match state.file(path) {
            Ok(inode) => Ok(FileId { device: OF_FILES, inode }),
            Err(e) if e.kind() == ErrorKind::IsADirectory => {
                Ok(FileId { device: OF_DIRECTORIES, inode: state.dir(path)? })
            }
            Err(e) => Err(e),
        })
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>> {
        self.state().look(|state| {
            let names = &state.dirs[&state.dir(dir)?].current;
            let entries = names.iter().map(|(name, entry)| match entry {
                Entry::File(id) => {
                    DirEntry { name: name.clone(), len: state.inodes[id].len(), is_dir: false }
                }
                Entry::Dir(_) => DirEntry { name: name.clone(), len: 0, is_dir: true },
            });
            Ok(entries.collect())
        })
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let kind = OpKind::Rename { to: absolute(to) };
        self.state().mutate(kind, &absolute(from), |state, op| rename(state, from, to, op))
    }

    fn hard_link(&self, file: &Path, name: &Path) -> io::Result<()> {
        let kind = OpKind::HardLink { name: absolute(name) };
        self.state().mutate(kind, &absolute(file), |state, op| {
            let id = state.file(file)?;
            let (dir, name) = state.parent(name).map_err(|e| match e.kind() {
                ErrorKind::IsADirectory => ErrorKind::AlreadyExists.into(), // the root
                _ => e,
            })?;
            if state.dirs[&dir].current.contains_key(&name) {
                return Err(ErrorKind::AlreadyExists.into());
            }
            state.relink(dir, op, vec![(name, Some(Entry::File(id)))]);
            Ok(())
        })
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.state().mutate(OpKind::Remove, &absolute(path), |state, op| {
            state.file(path)?;
            let (dir, name) = state.parent(path)?;
            state.relink(dir, op, vec![(name, None)]);
            Ok(())
        })
    }

    fn sync_dir(&self, dir: &Path, point: SyncPoint) -> io::Result<()> {
        let mut state = self.state();
        let result = state.mutate(OpKind::SyncDir(point), &absolute(dir), |state, _| {
            let id = state.dir(dir)?;
            if !state.faults.ignores(point) {
                state.directory(id).sync();
                state.collect();
            }
            Ok(())
        });
        if result.is_err()
            && !state.crashed
            && let Ok(id) = state.dir(dir)
        {
            state.directory(id).drop_dirty();
        }
        result
    }

    fn free_space(&self, dir: &Path) -> io::Result<Space> {
        self.state().look(|state| {
            state.dir(dir)?;
            Ok(Space { total: state.capacity, available: state.available() })
        })
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn LockGuard>> {
        let path = absolute(path);
        let id = self.state().mutate(OpKind::Lock, &path, |state, op| {
            let id = match state.file(&path) {
                Err(e) if e.kind() == ErrorKind::NotFound => create_file(state, &path, op)?,
                found => found?,
            };
            if !state.locks.insert(id) {
                return Err(io::Error::new(ErrorKind::WouldBlock, "the file is locked"));
            }
            state.inode(id).handles += 1;
            Ok(id)
        })?;
        Ok(Box::new(SimLock { handle: Handle { fs: self.clone(), id, path } }))
    }

    fn lock_dir(&self, dir: &Path) -> io::Result<Box<dyn LockGuard>> {
        let mut state = self.state();
        let id = state.look(|state| state.dir(dir))?;
        if !state.dir_locks.insert(id) {
            return Err(io::Error::new(ErrorKind::WouldBlock, "the directory is locked"));
        }
        Ok(Box::new(SimDirLock { fs: self.clone(), id }))
    }
}

fn create_file(state: &mut State, path: &Path, op: u64) -> io::Result<u64> {
    let (dir, name) = state.parent(path)?;
    if state.dirs[&dir].current.contains_key(&name) {
        return Err(ErrorKind::AlreadyExists.into());
    }
    let id = state.add_inode(Inode::default());
    state.relink(dir, op, vec![(name, Some(Entry::File(id)))]);
    Ok(id)
}

/// Atomic within a directory. Between two directories it is a change of each, which survive a crash
/// apart from each other: until both were synced, the file may have both names or none.
fn rename(state: &mut State, from: &Path, to: &Path, op: u64) -> io::Result<()> {
    let id = state.file(from)?;
    let (from_dir, from_name) = state.parent(from)?;
    let (to_dir, to_name) = state.parent(to)?;
    if let Some(Entry::Dir(_)) = state.dirs[&to_dir].current.get(&to_name) {
        return Err(ErrorKind::IsADirectory.into());
    }
    if (from_dir, &from_name) == (to_dir, &to_name) {
        return Ok(());
    }
    let (unlink, link) = ((from_name, None), (to_name, Some(Entry::File(id))));
    if from_dir == to_dir {
        state.relink(from_dir, op, vec![unlink, link]);
    } else {
        state.relink(to_dir, op, vec![link]);
        state.relink(from_dir, op, vec![unlink]);
    }
    Ok(())
}

#[derive(Debug)]
struct SimWriteFile {
    handle: Handle,
    len: u64, // a copy, so that `len` works after a crash
}

impl SimWriteFile {
    fn mutate<T>(
        &mut self,
        kind: OpKind,
        effect: impl FnOnce(&mut State, u64) -> io::Result<T>,
    ) -> io::Result<T> {
        let Handle { fs, id, path } = &self.handle;
        let mut state = fs.state();
        let result = state.mutate(kind, path, effect);
        self.len = state.inode(*id).len();
        result
    }

    /// One write, which takes as much as there is room for.
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let id = self.handle.id;
        let kind = OpKind::Append { offset: self.len, len: bytes.len() as u64 };
        self.mutate(kind, |state, op| {
            let available = state.available();
            let inode = state.inode(id);
            let room = available + (inode.space() - inode.len());
            let taken = bytes.len().min(usize::try_from(room).unwrap_or(usize::MAX));
            if taken > 0 {
                inode.append(op, &bytes[..taken]);
            }
            if taken < bytes.len() { Err(ErrorKind::StorageFull.into()) } else { Ok(()) }
        })
    }
}

impl WriteFile for SimWriteFile {
    fn append_vectored(&mut self, parts: &[&[u8]]) -> io::Result<()> {
        let bytes = parts.concat();
        let write_bytes_max = self.handle.fs.state().faults.write_bytes_max;
        for piece in bytes.chunks(write_bytes_max.unwrap_or(usize::MAX)) {
            self.write(piece)?;
        }
        Ok(())
    }

    fn sync_data(&mut self, point: SyncPoint) -> io::Result<()> {
        let id = self.handle.id;
        let path = self.handle.path.clone();
        let result = self.mutate(OpKind::SyncData(point), |state, op| {
            if !state.faults.ignores(point) {
                state.write_back(id, &path, op);
            }
            Ok(())
        });
        let mut state = self.handle.fs.state();
        if result.is_err() && !state.crashed {
            state.inode(id).drop_dirty();
        }
        result
    }

    fn truncate(&mut self, len: u64) -> io::Result<()> {
        let (id, now) = (self.handle.id, self.len);
        self.mutate(OpKind::Truncate { len }, |state, op| {
            if len > now {
                return Err(truncate_beyond_end(len, now));
            }
            state.inode(id).truncate(op, len);
            Ok(())
        })
    }

    fn preallocate(&mut self, bytes_ahead: u64) -> io::Result<()> {
        let id = self.handle.id;
        self.mutate(OpKind::Preallocate { bytes: bytes_ahead }, |state, _| {
            let available = state.available();
            let inode = state.inode(id);
            let target = inode.len().saturating_add(bytes_ahead);
            if target.saturating_sub(inode.space()) > available {
                return Err(ErrorKind::StorageFull.into());
            }
            inode.allocated = inode.allocated.max(target);
            Ok(())
        })
    }

    fn len(&self) -> u64 {
        self.len
    }
}

#[derive(Debug)]
struct SimReadFile {
    handle: Handle,
    len_opened: u64,
}

impl ReadFile for SimReadFile {
    fn len(&self) -> io::Result<u64> {
        let Handle { fs, id, .. } = &self.handle;
        fs.state().look(|state| Ok(state.inodes[id].len()))
    }

    fn read(&self, offset: u64, len: usize, mode: ReadMode) -> io::Result<Bytes> {
        let Handle { fs, id, path } = &self.handle;
        fs.state().look(|state| {
            let inode = &state.inodes[id];
            let file_len = if mode == ReadMode::Map { self.len_opened } else { inode.len() };
            let end = checked_end(offset, len, file_len)?;
            if len == 0 {
                return Ok(Bytes::from(Vec::new()));
            }
            if mode == ReadMode::Map && inode.len() != self.len_opened {
                return Err(length_changed(self.len_opened, inode.len()));
            }
            if let Some(fault) = state.faults.of_range(path, &(offset..end)) {
                return Err(fault.into());
            }
            let range = offset as usize..end as usize; // within the bytes, which are in memory
            let wrong = inode.wrong_in_memory.iter().filter(|(at, _)| range.contains(at));
            if wrong.clone().next().is_some() {
                let mut bytes = inode.current[range.clone()].to_vec();
                wrong.for_each(|(at, mask)| bytes[at - range.start] ^= mask);
                return Ok(Bytes::from(bytes));
            }
            Ok(match mode {
                ReadMode::Map => Bytes::shared(Arc::clone(&inode.current), range),
                ReadMode::Pread => Bytes::from(inode.current[range].to_vec()),
            })
        })
    }

    fn reread(&self, offset: u64, len: usize) -> io::Result<Bytes> {
        let Handle { fs, id, .. } = &self.handle;
        let range = offset as usize..offset as usize + len;
        fs.state().inode(*id).wrong_in_memory.retain(|(at, _)| !range.contains(at));
        self.read(offset, len, ReadMode::Pread)
    }
}
