//! Dropping what has expired: whole segments go, the rest is hidden from readers until a merge trims it.
//!
//! Segments go by manifest edit first, files later, never by scanning the directory.
//!
//! Called by the holder of the runner lock.

use std::sync::Arc;

use super::Compactor;
use super::runner::Runner;
use crate::compaction::{RetentionLimits, expired, trimmed_before};
use crate::db::env::observer::Event;
use crate::db::versions::Transition;
use crate::db::versions::pending_outputs::PendingOutputs;
use crate::db::view::read_view::ReadView;
use crate::db::write::log_files;
use crate::error::Result;
use crate::manifest::VersionEdit;
use crate::types::SegmentMeta;

impl Compactor {
    /// Drops the segments that retention no longer keeps; whether there were any.
    ///
    /// # Errors
    /// Those of the manifest; the segments stay, and the next call tries again.
    pub(super) fn drop_expired(&self, _runner: &Runner) -> Result<bool> {
        let limits = self.env.options.retention_limits(self.env.ticks_per_second);
        if limits == RetentionLimits::default() {
            return Ok(false);
        }
        let retention = &self.versions.retention;
        let horizon = retention.advance(&self.env, limits.age_ticks);
        let view = self.view.current();
        let segments = view.version.segments();
        // How much is kept needs no clock.
        let gone = expired(segments, self.log_bytes(), limits.bytes, horizon);
        if gone.is_empty() {
            return Ok(false);
        }
        let dropped = segments.iter().filter(|meta| gone.contains(&meta.file_number));
        let dropped: Vec<SegmentMeta> = dropped.map(|meta| **meta).collect();
        let content = view.extent_of(&gone);
        drop(view);
        self.env.with_reserve(|| {
            let edit = VersionEdit { removed: gone.clone(), ..VersionEdit::default() };
            let none = PendingOutputs::new(&self.env);
            self.versions.apply(none, |_, _| Ok(Some(Transition::new(edit, content))))
        })?;
        self.env.counters.segments_dropped.add(dropped.len() as u64);
        let samples = dropped.iter().map(|meta| meta.samples).sum();
        self.env.counters.samples_expired.add(samples);
        self.env.notify(Event::Dropped { segments: &dropped, horizon: retention.horizon() });
        self.versions.remove_obsolete();
        Ok(true)
    }

    /// As [`drop_expired`](Self::drop_expired), for a store in which nothing merges by itself.
    ///
    /// # Errors
    /// As [`drop_expired`](Self::drop_expired).
    pub(in crate::db) fn keep_retention(&self) -> Result<()> {
        let runner = self.lock_runner();
        // What a merge reads is not taken from under it.
        while runner.is_free() && self.drop_expired(&runner)? {}
        Ok(())
    }

    /// Whether a merge of the segment alone would leave out what had expired when somebody last asked
    /// for that.
    pub(super) fn is_trimming_due(&self, view: &ReadView, meta: &SegmentMeta) -> bool {
        let wanted = self.versions.retention.trim_wanted();
        let segments = view.version.segments();
        meta.min_timestamp < wanted
            && meta.min_timestamp < trimmed_before(segments, &[Arc::new(*meta)], wanted)
    }

    /// Bytes of log files.
    fn log_bytes(&self) -> u64 {
        let next = self.env.next_file_number();
        let logs = log_files::list(&**self.env.vfs(), &self.env.dir, next).unwrap_or_default();
        logs.into_iter().map(|(_, bytes)| bytes).sum()
    }
}
