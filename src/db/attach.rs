//! Opening another store to attach it: everything that can be told before its samples are read.
//!
//! Called by [`Db::attach`](crate::Db::attach); what becomes of the segments is up to `compact::attach`.

use std::path::Path;
use std::sync::Arc;

use super::compact::{AttachReport, Compactor, Foreign, groups};
use super::env::Env;
use super::env::options::Options;
use super::env::segment_files::SegmentFiles;
use super::open::read_only::ReadOnlyDb;
use crate::error::{Error, Result};
use crate::manifest::Manifest;
use crate::segment::{Discovered, Segment};
use crate::types::{FileName, StoreIds};

/// Most segments that are merged at a time: as the other store's merges have not brought them down,
/// this many is what fits the memory of one.
pub(super) const INPUTS_MAX: usize = 256;

/// How [`Db::attach_with`](crate::Db::attach_with) attaches.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AttachOptions {
    /// Whether what is attached may be a copy of this very store, such as a checkpoint or a backup of it, or the
    /// store that this one is a copy of, or another copy of that. As one late write, its samples replace those that
    /// were written or deleted here since the copy was made, and all others are written a second time. Default:
    /// false.
    pub allow_copy: bool,
}

/// Attaches what is at `path`: see [`Db::attach`](crate::Db::attach).
pub(super) fn attach(
    compactor: &Compactor,
    path: &Path,
    options: AttachOptions,
) -> Result<AttachReport> {
    let env = &compactor.env;
    env.health.check_writable()?;
    let start = env.clock().monotonic();
    let foreign = open_foreign(compactor, path, options)?;
    let report = compactor.attach(foreign)?;
    // No log has what was attached: its edit is proven before anybody is told.
    compactor.writer.prove_edits();
    let elapsed = env.clock().monotonic().saturating_sub(start);
    Ok(AttachReport { elapsed, ..report })
}

/// Opens what is at `path` and checks all that can be told before it is read.
pub(super) fn open_foreign(
    compactor: &Compactor,
    path: &Path,
    options: AttachOptions,
) -> Result<Foreign> {
    let env = &compactor.env;
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let (dir, only) = match FileName::parse(name) {
        Some(FileName::Segment(number)) => (path.parent().unwrap_or(path), Some(number)),
        _ => (path, None),
    };
    if env.is_own_dir(dir) {
        let own = path.display();
        return Err(Error::InvalidArgument(format!("{own} belongs to this store already")));
    }
    let foreign = match only {
        Some(number) if !Manifest::exists(&**env.vfs(), dir)? => {
            lone_segment(env, dir, number, options)?
        }
        _ => foreign_store(env, dir, only, options)?,
    };
    for segment in &foreign.segments {
        // Its footer says now if it is damaged or newer than this build.
        segment.pin()?;
        let meta = segment.meta();
        compactor.writer.check_times(&[meta.min_timestamp, meta.max_timestamp])?;
    }
    Ok(foreign)
}

/// Refuses what may have samples of this store, or of one that both were copied from, unless that is meant.
fn check_identity(env: &Env, path: &Path, ids: &StoreIds, options: AttachOptions) -> Result<()> {
    if !env.ids.is_related(ids) || options.allow_copy {
        return Ok(());
    }
    Err(Error::InvalidArgument(format!(
        "{} is a copy of this store or of a part of it, or this is one of it, or both are of a third: what is \
         still here would be written a second time, and what was replaced or deleted since would come back; if that is meant, attach it with \
         allow_copy (--allow-copy)",
        path.display()
    )))
}

/// A segment file that no manifest speaks for.
fn lone_segment(
    env: &Env,
    dir: &Path,
    file_number: u64,
    options: AttachOptions,
) -> Result<Foreign> {
    let Discovered { uuid, meta, .. } = Segment::discover(&**env.vfs(), dir, file_number)?;
    // What the store that wrote it was copied from, only its manifest says.
    let ids = &StoreIds::from(uuid);
    let path = dir.join(FileName::Segment(file_number).to_string());
    check_identity(env, &path, ids, options)?;
    let cache = Arc::new(env.options.new_cache());
    let read_mode = env.options.read_mode;
    let segment =
        SegmentFiles { vfs: env.vfs(), dir, ids, read_mode, cache: &cache }.open(&meta)?;
    Ok(Foreign { segments: vec![segment], tombstones: Vec::new() })
}

/// The segments that the store in `dir` lists, or `only` one of them.
fn foreign_store(env: &Env, dir: &Path, only: Option<u64>, how: AttachOptions) -> Result<Foreign> {
    let refuse = |why: String| Error::InvalidArgument(format!("{} {why}", dir.display()));
    let options = Options { query_threads: 0, ..env.options.clone() };
    let store = ReadOnlyDb::open(dir, options)?;
    check_identity(env, dir, &store.ids(), how)?;
    let (theirs, ours) = (store.ticks_per_second(), env.ticks_per_second);
    if theirs != ours {
        return Err(refuse(format!("has {theirs} ticks per second, this store {ours}")));
    }
    let mut segments = store.opened_segments()?.to_vec();
    if let Some(finding) = store.open_report().findings.first() {
        return Err(Error::InvalidArgument(finding.to_string()));
    }
    let unflushed = store.unflushed();
    if unflushed > 0 {
        return Err(refuse(format!("has {unflushed} samples in its log alone: flush it first")));
    }
    if let Some(number) = only {
        segments.retain(|segment| segment.meta().file_number == number);
        if segments.is_empty() {
            return Err(refuse(format!("does not list its segment {number} any more")));
        }
    }
    let most = groups(segments.clone()).iter().map(Vec::len).max().unwrap_or(0);
    if most > INPUTS_MAX {
        return Err(refuse(format!(
            "has {most} segments that overlap in time, more than {INPUTS_MAX}: compact it first"
        )));
    }
    let tombstones = store.tombstones().cloned().collect();
    Ok(Foreign { segments, tombstones })
}
