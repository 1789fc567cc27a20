//! One moment of a store that may be open elsewhere, and how it is read.
//!
//! The order is manifest, log files, sizes of the segments, manifest again: if the second reading
//! differs, the owner flushed or merged in between and a file may be gone whose samples are in a new
//! segment, so it starts over.

use std::path::Path;
use std::sync::Arc;

use crate::db::env::options::Options;
use crate::db::env::segment_files::{BrokenSegment, SegmentFiles};
use crate::db::open::lost_edits;
use crate::db::open::orphans;
use crate::db::open::replay::{Ended, Replay, has_log};
use crate::db::open::report::OpenReport;
use crate::db::open::strays::{self, Next};
use crate::db::write::log_files;
use crate::deletes::Tombstones;
use crate::error::{Error, Result};
use crate::manifest::{self, Loaded, Manifest};
use crate::memtable::Memtable;
use crate::segment::{BlockCache, Segment};
use crate::series::Registry;
use crate::types::FileName;

/// Readings that the owner's flushes and merges may spoil before giving up.
pub(super) const TRIES_MAX: usize = 10;

/// One moment of the store.
pub(super) struct View {
    pub(super) loaded: Loaded,
    /// Numbers and lengths of the log files, from before they were read.
    pub(super) logs: Vec<(u64, u64)>,
    pub(super) segments: Vec<Arc<Segment>>,
    pub(super) broken: Vec<Arc<BrokenSegment>>,
    pub(super) registry: Arc<Registry>,
    /// Of the log: one for each stretch between deletes.
    pub(super) memtables: Vec<Arc<Memtable>>,
    pub(super) tombstones: Tombstones,
    pub(super) last_seq: u64,
}

impl View {
    /// Reads the store in `dir` until nothing changes in between. `known` segments are kept.
    pub(super) fn read(
        dir: &Path,
        options: &Options,
        cache: &Arc<BlockCache>,
        known: &[Arc<Segment>],
    ) -> Result<(Self, OpenReport)> {
        let start = options.clock.monotonic();
        let mut missing = None;
        for _ in 0..TRIES_MAX {
            let mut report = OpenReport::default();
            match Self::try_read(dir, options, cache, known, &mut report) {
                Ok(Some(view)) => {
                    report.elapsed = options.clock.monotonic().saturating_sub(start);
                    return Ok((view, report));
                }
                Ok(None) => missing = None,
                Err(Error::Io { path, .. })
                    if path.ends_with(FileName::Current.to_string())
                        && !Manifest::exists(&*options.vfs, dir)? =>
                {
                    return Err(Error::NotAStore { path: dir.into(), found: "no CURRENT".into() });
                }
                Err(error) if error.is_missing() => missing = Some(error),
                Err(error) => return Err(error),
            }
        }
        // What is still missing after ten tries was not replaced.
        Err(missing.unwrap_or_else(|| Error::SnapshotGone { path: dir.to_path_buf() }))
    }

    /// One attempt; `None` when the owner changed something meanwhile.
    fn try_read(
        dir: &Path,
        options: &Options,
        cache: &Arc<BlockCache>,
        known: &[Arc<Segment>],
        report: &mut OpenReport,
    ) -> Result<Option<Self>> {
        let vfs = &options.vfs;
        let loaded = lost_edits::load(&**vfs, dir)?;
        let next_file_number = loaded.version.next_file_number();
        let logs = log_files::list(&**vfs, dir, next_file_number)?;
        report.warnings = strays::find(&**vfs, dir, Next::of(&loaded));
        let replay = Replay {
            vfs: &**vfs,
            dir,
            uuid: loaded.uuid,
            next_file_number,
            covered: loaded.version.wal_covered(),
            has_log: has_log(&loaded.version),
            memtable_bytes_max: u64::MAX,
            registry_bytes_max: u64::MAX,
        };
        let recovered = replay.run(report, &mut |_, _| Ok(Ended::Kept))?;
        let of_log = recovered.parts.iter().flat_map(|part| &part.tombstones);
        let last_seq = recovered.last_seq.max(loaded.version.last_seq());
        let tombstones = Tombstones::new(loaded.version.tombstones().chain(of_log).cloned());
        let memtables = recovered.parts.into_iter().map(|part| part.memtable).collect();
        let ids = &loaded.ids();
        let files = SegmentFiles { vfs, dir, ids, read_mode: options.read_mode, cache };
        let mut listed = files.open_listed(&loaded.version, known)?;
        report.findings.append(&mut listed.findings);
        orphans::note(&**vfs, dir, next_file_number, report);
        // Last: had the owner removed a log file or a segment since, it would say so.
        if manifest::load(&**vfs, dir)?.version != loaded.version {
            return Ok(None);
        }
        Ok(Some(Self {
            loaded,
            logs,
            segments: listed.segments,
            broken: listed.broken,
            registry: recovered.registry,
            memtables,
            tombstones,
            last_seq,
        }))
    }
}
