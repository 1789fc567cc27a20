//! A checkpoint: the whole store once more in a new directory, of which no byte of data is copied.
//!
//! Called by [`Db::checkpoint`](crate::Db::checkpoint). Everything in memory is flushed; then the files
//! that the version lists get a second name in the new directory, and a manifest there lists them.
//! Segments are immutable and a file lives as long as one of its names, so nothing that happens to the
//! store later reaches the checkpoint.
//!
//! Invariants: what is linked is pinned, so that no merge removes it meanwhile; no lock is held while
//! segments are linked; `CURRENT` comes last, so that a checkpoint which a crash cut short is no store;
//! what is on disk when the call returns survives a power cut, as does its name; a checkpoint is a store of its
//! own, whose uuid no other has.
//!
//! # Why links
//!
//! A *checkpoint* flushes, then links every live file into a new directory and writes a manifest
//! there: no byte of data is copied. The directory is created exclusively, so that nothing which
//! exists is touched; `CURRENT` comes last, so that one cut short is no store; on another file
//! system it is an error, since a copy would be neither instant nor free. Where the store has a
//! symbolic link in the place of a segment, the file that it leads to is linked: a link copied as one
//! would dangle, or lead into a store that goes on without the checkpoint.
//!
//! # Why a new uuid
//!
//! From here on both go their own way, with the same file numbers and seqs for different writes. With one uuid
//! for both, a log file of one that got into the directory of the other would be replayed there, and nothing
//! could tell. So log, tombstone files and manifest of the copy have a uuid of its own. Only the segments are
//! shared, and carry that of the store that wrote them: the manifest lists it as an *origin*.

use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;

use crate::db::env::Env;
use crate::db::view::read_view::ReadView;
use crate::db::write::Writer;
use crate::db::write::log_files::NewLogFile;
use crate::deletes;
use crate::error::{Error, Result};
use crate::manifest::{Manifest, StoreOptions, Version, VersionEdit, WalCovered};
use crate::segment::Segment;
use crate::sys::{SyncPoint, Vfs, random_bytes};
use crate::types::{FileName, TEMPORARY_SUFFIX};
use crate::wal::Predecessor;

/// What [`Db::checkpoint`](crate::Db::checkpoint) made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct CheckpointReport {
    /// Segments in it.
    pub segments: u64,
    /// Bytes that it shares with the store: they are freed when both have let go of them.
    pub bytes_linked: u64,
    /// It holds every batch up to this seq, and none above it.
    pub seq: u64,
}

/// One moment of the store, with what keeps its files where they are.
struct Moment {
    version: Arc<Version>,
    /// While they are held, nobody removes the files of the segments.
    _pinned: Vec<Arc<Segment>>,
}

impl Moment {
    /// # Errors
    /// That of a segment which could not be opened: a copy of a part is no checkpoint.
    fn of(view: &ReadView) -> Result<Self> {
        if let Some(broken) = view.broken.first() {
            return Err(broken.error.duplicate());
        }
        Ok(Self { version: Arc::clone(&view.version), _pinned: view.segments.clone() })
    }

    fn segments(&self) -> impl Iterator<Item = FileName> + '_ {
        self.version.segments().iter().map(|meta| FileName::Segment(meta.file_number))
    }
}

/// Makes the checkpoint `dir`.
pub(in crate::db) fn checkpoint(writer: &Writer, dir: &Path) -> Result<CheckpointReport> {
    let env = &writer.env;
    refuse_own_names(env, dir)?;
    let vfs = &**env.vfs();
    // Made first: from here on the name is ours, and nothing that exists is touched.
    vfs.create_dir(dir).map_err(|e| match e.kind() {
        ErrorKind::AlreadyExists => Error::InvalidArgument(format!(
            "{} exists already: a checkpoint needs a new directory",
            dir.display()
        )),
        _ => Error::io("create", dir, e),
    })?;
    fill(writer, dir).inspect_err(|_| remove_all(vfs, dir))
}

/// Refuses names that mean something else in the store's own directory.
fn refuse_own_names(env: &Env, dir: &Path) -> Result<()> {
    let name = dir.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let is_taken = FileName::parse(name).is_some() || name.ends_with(TEMPORARY_SUFFIX);
    if is_taken && dir.parent().is_some_and(|parent| env.is_own_dir(parent)) {
        return Err(Error::InvalidArgument(format!(
            "{} is a name that the store uses itself",
            dir.display()
        )));
    }
    Ok(())
}

fn fill(writer: &Writer, dir: &Path) -> Result<CheckpointReport> {
    let env = &writer.env;
    let vfs = &**env.vfs();
    writer.flush_all()?;
    let moment = Moment::of(&writer.view.current())?;
    moment.segments().try_for_each(|file| link(env, file, dir))?;
    let version = &moment.version;
    let uuid = random_bytes::<16>().map_err(|e| Error::io("draw random bytes for", dir, e))?;
    // Written anew: they are small, nothing pins the store's own, and those carry its uuid.
    for (number, tombstones) in version.tombstones_by_file() {
        deletes::write(vfs, dir, (uuid, number), &tombstones)?;
    }
    let copy = start_log(env, version, (uuid, dir))?;
    let options = StoreOptions { ticks_per_second: env.ticks_per_second };
    Manifest::create_copy(env.vfs(), dir, uuid, options, copy)?;
    let parent = dir.parent().unwrap_or(dir);
    env.vfs()
        .sync_dir(parent, SyncPoint::StoreDirectory)
        .map_err(|e| Error::io("sync directory", parent, e))?;
    Ok(CheckpointReport {
        segments: version.segments().len() as u64,
        bytes_linked: version.segments().iter().map(|meta| meta.file_bytes).sum(),
        seq: version.wal_covered().seq,
    })
}

fn link(env: &Env, file: FileName, dir: &Path) -> Result<()> {
    let from = env.dir.join(file.to_string());
    env.vfs().hard_link(&from, &dir.join(file.to_string())).map_err(|e| match e.kind() {
        ErrorKind::CrossesDevices => Error::InvalidArgument(format!(
            "{} is on another file system than {}, and a checkpoint shares the store's files: make it \
             beside the store, then copy it; a segment that is a link to elsewhere is moved back first",
            dir.display(),
            from.display()
        )),
        _ => Error::io("link", from, e),
    })
}

/// Gives the copy an empty log, since a store that has samples and no log has lost it; answers
/// with the version that knows of it, and of whom it is a copy.
fn start_log(env: &Env, version: &Version, (uuid, dir): ([u8; 16], &Path)) -> Result<Version> {
    let covered = version.wal_covered();
    let file_number = version.next_file_number().max(covered.file_number);
    let new = NewLogFile {
        dir,
        vfs: &**env.vfs(),
        uuid,
        file_number,
        last_seq: version.last_seq(),
        predecessor: Predecessor::default(),
    };
    let mut log = new.create()?;
    log.end()?;
    let edit = VersionEdit {
        wal_covered: Some(WalCovered { file_number, ..covered }),
        next_file_number: Some(file_number + 1),
        origins_added: vec![env.ids.own],
        ..VersionEdit::default()
    };
    // Counters that rise keep every invariant: it is a copy of a copy, and so on, too often.
    version.apply(&edit).map_err(|e| {
        let store = env.dir.display();
        Error::InvalidArgument(format!(
            "{store} cannot be copied once more: {e}; attach it to a new store"
        ))
    })
}

/// Removes a directory that this process made, as far as it can be: on a full disk, attempts must not
/// add up.
fn remove_all(vfs: &dyn Vfs, dir: &Path) {
    for entry in vfs.list(dir).unwrap_or_default() {
        let _ = vfs.remove(&dir.join(entry.name));
    }
    if let Err(error) = vfs.remove_dir(dir) {
        tracing::warn!(dir = %dir.display(), %error, "an unfinished checkpoint stays");
    }
}
