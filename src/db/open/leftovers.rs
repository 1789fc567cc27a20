//! Files that nothing lists when a store is opened: what a crash, a merge or a failed flush has left.
//!
//! Called by opening, which holds the lock of the store.

use std::collections::HashSet;

use super::orphans::{self, Mark};
use super::replay::Recovered;
use super::strays;
use super::unlisted::{Explanations, Unlisted};
use crate::db::env::Env;
use crate::db::versions::quarantine::{is_damaged, set_aside};
use crate::db::write::log_files;
use crate::error::{Error, Result};
use crate::manifest::Version;
use crate::types::{FileName, TEMPORARY_SUFFIX};

/// Deletes temporary files; tombstone files of which the manifest lists nothing: the log still has
/// what is in them, or nothing needs it any more; and segments that no manifest lists and nobody
/// can need: those that an edit removed, as merges and retention do, and outputs of a merge that was
/// not published, whose inputs are all there (`unlisted`). Sets aside the other unlisted segments, such as
/// those of an interrupted flush, whose samples the log still has, and those that a merge found damaged.
/// What is no file of the store, whatever its name, is left alone (`strays`).
pub(super) fn remove(env: &Env, version: &Version, obsolete: &HashSet<u64>) -> Result<()> {
    let next = env.next_file_number();
    let listed: HashSet<u64> = version.segments().iter().map(|m| m.file_number).collect();
    let entries = env.vfs().list(&env.dir).map_err(|e| Error::io("list", &env.dir, e))?;
    let mut unlisted = Vec::new();
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
                    unlisted.push(number);
                }
                false
            }
            _ => name.ends_with(TEMPORARY_SUFFIX),
        };
        if is_left {
            env.vfs().remove(&path).map_err(|e| Error::io("remove", &path, e))?;
        }
    }
    remove_segments(env, version, obsolete, unlisted)
}

/// Removes or sets aside the segments `unlisted`.
fn remove_segments(
    env: &Env,
    version: &Version,
    obsolete: &HashSet<u64>,
    unlisted: Vec<u64>,
) -> Result<()> {
    let is_obsolete = |number: &u64| obsolete.contains(number);
    let (known, unknown): (Vec<u64>, Vec<u64>) = unlisted.into_iter().partition(is_obsolete);
    let vfs = &**env.vfs();
    let explanations = Explanations { env, version, removed: obsolete };
    let mut found = explanations.of(&unknown)?;
    found.extend(known.into_iter().map(|number| (number, Unlisted::Needless)));
    found.sort_unstable_by_key(|&(number, _)| number);
    for (number, what) in found {
        let path = env.path(FileName::Segment(number));
        // That a merge found damaged stays, whatever else is known of it.
        if what == Unlisted::Needless && !is_damaged(vfs, &env.dir, number) {
            tracing::info!(path = %path.display(), "a segment that nothing lists any more");
            vfs.remove(&path).map_err(|e| Error::io("remove", path, e))?;
            continue;
        }
        tracing::info!(path = %path.display(), ?what, "a segment that nothing lists is set aside");
        match what {
            Unlisted::Elsewhere => orphans::mark(vfs, &env.dir, number, Mark::Elsewhere)?,
            Unlisted::Unacknowledged => orphans::mark(vfs, &env.dir, number, Mark::Unacknowledged)?,
            Unlisted::Needless | Unlisted::Unexplained => {}
        }
        set_aside(vfs, &env.dir, &path)?;
    }
    Ok(())
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
