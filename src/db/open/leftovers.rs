//! Files that nothing lists when a store is opened: what a crash, a merge or a failed flush has left.
//!
//! Called by opening, which holds the lock of the store.

use std::collections::HashSet;

use super::replay::Recovered;
use super::strays;
use crate::db::env::Env;
use crate::db::versions::quarantine::{is_damaged, set_aside};
use crate::db::write::log_files;
use crate::error::{Error, Result};
use crate::manifest::Version;
use crate::segment::Segment;
use crate::types::{FileName, TEMPORARY_SUFFIX};

/// Deletes temporary files; tombstone files of which the manifest lists nothing: the log still has
/// what is in them, or nothing needs it any more; and segments that no manifest lists and nobody
/// can need: those that an edit removed, as merges and retention do, and outputs of a merge that was
/// not published, whose inputs are all there. Sets aside the other unlisted segments, such as those
/// of an interrupted flush, whose samples the log still has, and those that a merge found damaged.
/// What is no file of the store, whatever its name, is left alone (`strays`).
pub(super) fn remove(env: &Env, version: &Version, obsolete: &HashSet<u64>) -> Result<()> {
    let next = env.next_file_number();
    let listed: HashSet<u64> = version.segments().iter().map(|m| m.file_number).collect();
    let entries = env.vfs().list(&env.dir).map_err(|e| Error::io("list", &env.dir, e))?;
    for entry in entries {
        let Some(name) = entry.name.to_str() else { continue };
        if entry.is_dir || strays::is_beyond(name, next) {
            continue;
        }
        let path = env.dir.join(name);
        let is_left = match FileName::parse(name) {
            Some(FileName::Tombstones(number)) => {
                !version.tombstone_files().iter().any(|&(known, _)| known == number)
            }
            Some(FileName::Segment(number)) => {
                if !listed.contains(&number) {
                    remove_unlisted(env, version, number, obsolete.contains(&number))?;
                }
                false
            }
            _ => name.ends_with(TEMPORARY_SUFFIX),
        };
        if is_left {
            env.vfs().remove(&path).map_err(|e| Error::io("remove", &path, e))?;
        }
    }
    Ok(())
}

fn remove_unlisted(env: &Env, version: &Version, number: u64, is_obsolete: bool) -> Result<()> {
    let path = env.path(FileName::Segment(number));
    let vfs = &**env.vfs();
    let needless = is_obsolete && !is_damaged(vfs, &env.dir, number)
        || !is_obsolete && is_unpublished_merge(env, version, number);
    if needless {
        tracing::info!(path = %path.display(), "a segment that nothing lists any more");
        return vfs.remove(&path).map_err(|e| Error::io("remove", path, e));
    }
    tracing::info!(path = %path.display(), "a segment that nothing lists is set aside");
    set_aside(vfs, &env.dir, &path)
}

/// Whether a segment is the output of a merge of segments that are all listed and there.
fn is_unpublished_merge(env: &Env, version: &Version, file_number: u64) -> bool {
    let Ok(footer) = Segment::discover_replaced(&**env.vfs(), &env.dir, file_number) else {
        return false;
    };
    let is_whole = |&number: &u64| {
        let path = env.path(FileName::Segment(number));
        let segments = version.segments();
        let listed = segments.iter().find(|meta| meta.file_number == number);
        listed.is_some_and(|meta| {
            env.vfs().file_len(&path).is_ok_and(|bytes| bytes == meta.file_bytes)
        })
    };
    let (uuid, replaced) = footer;
    uuid == env.uuid && !replaced.is_empty() && replaced.iter().all(is_whole)
}

/// Removes the log files before `first`, all of them covered; those with damage are set aside.
/// Called when `first` exists: a store that has samples is never without a log, so that one
/// without is known to have lost it.
pub(super) fn remove_logs(env: &Env, recovered: &Recovered, first: u64) -> Result<()> {
    let numbers = log_files::numbers(&**env.vfs(), &env.dir, env.next_file_number())?;
    for number in numbers.into_iter().filter(|&number| number < first) {
        let path = env.path(FileName::Wal(number));
        if recovered.damaged.contains(&number) {
            set_aside(&**env.vfs(), &env.dir, &path)?;
        } else {
            env.vfs().remove(&path).map_err(|e| Error::io("remove", &path, e))?;
        }
    }
    Ok(())
}
