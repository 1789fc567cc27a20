//! Recovery: what the log holds goes to segments before anything else is written.
//!
//! 1. Given the log files that the manifest does not cover, they are replayed in parts (`replay`): a part
//!    ends where it is as large as a memtable, and before a delete that follows rows.
//! 2. Each part is flushed as soon as it ends: segment, tombstone file, one edit.
//! 3. A part that cannot be flushed for now, since the disk is full or fails, stays in memory as a sealed
//!    generation, as do those behind it; the flusher tries again.
//! 4. Log files without samples are covered by an edit of their own, so that their removal, which a
//!    crash may cut short, never looks like a loss.
//!
//! # Why at once
//!
//! *Recovery flushes at once* rather than keeping the old log: a failed sync of the crashed process
//! cannot then hide in the page cache.

use std::sync::Arc;

use super::replay::{Ended, Part, Recovered, Replay, has_log};
use super::report::OpenReport;
use crate::db::env::Env;
use crate::db::versions::edit_log::EditLog;
use crate::db::versions::pending_outputs::PendingOutputs;
use crate::db::write::flush::FlushInput;
use crate::db::write::log_files;
use crate::deletes;
use crate::error::{Error, Result};
use crate::manifest::{VersionEdit, WalCovered};
use crate::series::Registry;

/// A store in the course of being recovered.
pub(super) struct Recovery {
    env: Arc<Env>,
    edits: EditLog,
    report: OpenReport,
    /// Whether nothing depends on the log files found any more.
    logs_covered: bool,
}

impl Recovery {
    pub(super) fn new(env: &Arc<Env>, edits: EditLog) -> Self {
        let (env, report) = (Arc::clone(env), OpenReport::default());
        Self { env, edits, report, logs_covered: false }
    }

    /// The manifest, what was found, and whether nothing depends on the log files found any more.
    pub(super) fn into_parts(self) -> (EditLog, OpenReport, bool) {
        (self.edits, self.report, self.logs_covered)
    }

    /// Replays the log and writes what it held to segments, so that nothing depends any more on
    /// pages which an earlier process may have failed to sync.
    pub(super) fn run(&mut self) -> Result<Recovered> {
        let env = Arc::clone(&self.env);
        let version = Arc::clone(self.edits.version());
        let mut report = std::mem::take(&mut self.report);
        let replay = Replay {
            vfs: &**env.vfs(),
            dir: &env.dir,
            uuid: env.ids.own,
            next_file_number: env.next_file_number(),
            covered: version.wal_covered(),
            has_log: has_log(&version),
            memtable_bytes_max: env.options.memtable_bytes_max(),
            registry_bytes_max: env.options.registry_bytes_max() / 2,
        };
        // Once a part could not be flushed, those behind it stay in memory too.
        let mut fault = None;
        let mut kept_bytes = 0;
        let recovered = replay.run(&mut report, &mut |part, registry| {
            if fault.is_none() {
                fault = self.flush_unless_full(part, registry)?;
            }
            let Some(error) = &fault else { return Ok(Ended::Flushed) };
            kept_bytes += part.memtable.bytes() as u64;
            match kept_bytes > 2 * env.options.memtable_bytes_max() {
                true => Err(error.duplicate()),
                false => Ok(Ended::Kept),
            }
        });
        self.report = report;
        let mut recovered = recovered?;
        let last = recovered.parts.last_mut().expect("there is always a part");
        last.file_number = self.env.next_file_number();
        let done = match &recovered.parts[..] {
            [part] if part.is_empty() => self.cover_empty_logs(recovered.last_seq)?,
            [part] => self.flush_unless_full(part, &recovered.registry)?.is_none(),
            _ => false,
        };
        if done {
            recovered.parts.clear();
            // All of it is behind a durable edit by now, also what no sync of the log had covered: a manifest
            // that is found without that edit has lost it, and a log without these bytes is no torn write.
            recovered.predecessor.durable_bytes = recovered.predecessor.valid_bytes;
        }
        self.logs_covered = done;
        Ok(recovered)
    }

    /// Flushes a part. The fault that kept it from that, if it is one that may pass: the part is in
    /// memory and in the log, and the flusher will try again.
    fn flush_unless_full(
        &mut self,
        part: &Part,
        registry: &Arc<Registry>,
    ) -> Result<Option<Error>> {
        match self.flush(part, registry) {
            Ok(()) => Ok(None),
            Err(error @ (Error::DiskFull { .. } | Error::Io { .. })) => {
                tracing::warn!(%error, "what was recovered could not be flushed yet");
                Ok(Some(error))
            }
            Err(error) => Err(error),
        }
    }

    /// Covers log files without samples in the manifest, so that their removal, which a crash may
    /// cut short or undo in part, never looks like a loss. Whether they may be removed.
    fn cover_empty_logs(&mut self, last_seq: u64) -> Result<bool> {
        let next = self.env.next_file_number();
        if log_files::numbers(&**self.env.vfs(), &self.env.dir, next)?.is_empty() {
            return Ok(false);
        }
        let seq = last_seq.max(self.edits.version().last_seq());
        let edit = VersionEdit {
            wal_covered: Some(WalCovered { file_number: self.env.next_file_number(), seq }),
            last_seq: Some(seq),
            ..VersionEdit::default()
        };
        match self.edits.append(edit, PendingOutputs::new(&self.env)) {
            Ok(_) => Ok(true),
            Err(error @ (Error::DiskFull { .. } | Error::Io { .. })) => {
                tracing::warn!(%error, "empty log files stay");
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    /// Writes a recovered part to a segment and a tombstone file, and covers it in the manifest.
    fn flush(&mut self, part: &Part, registry: &Arc<Registry>) -> Result<()> {
        self.edits.heal()?;
        let input = FlushInput {
            memtable: &part.memtable,
            registry,
            tombstones: &part.tombstones,
            // All log files are older than these files' numbers when the whole log was read.
            wal_end: part.file_number,
        };
        let mut outputs = PendingOutputs::new(&self.env);
        let flushed = input.write_segment(&self.env, &mut outputs)?;
        let version = Arc::clone(self.edits.version());
        let needed = deletes::needed(&version, &part.tombstones);
        let edit = input.edit(&self.env, &version, flushed.as_ref(), needed, &mut outputs)?;
        self.edits.append(edit, outputs).map(|_| ())
    }
}
