//! What the picker is shown of the store, and what it answers: the next merge.
//!
//! Called by the holder of the runner lock.

use std::borrow::Cow;
use std::sync::Arc;

use super::Compactor;
use super::runner::{CompactionRequest, Runner};
use super::tombstones::Deletes;
use crate::compaction::{Pick, Reason, View, pick, pick_range};
use crate::db::env::observer::Event;
use crate::db::versions::level0;
use crate::db::view::read_view::ReadView;
use crate::error::{Error, Result};
use crate::types::{SegmentMeta, TimeRange};

impl Compactor {
    /// What is merged next. The reserve is given back for what frees space, if that is enough for it.
    ///
    /// # Errors
    /// [`Error::DiskFull`] if the disk has no room for anything that should be merged; I/O errors.
    pub(super) fn choose(
        &self,
        runner: &Runner,
        view: &ReadView,
        wanted: Option<&CompactionRequest>,
    ) -> Result<Option<Pick>> {
        let input_bytes_max = self.headroom(0)?;
        self.with_view(runner, view, wanted, |view| {
            let picked = |view: &View<'_>| match wanted {
                Some(wanted) => pick_range(view, wanted.range, wanted.through),
                None => pick(view),
            };
            let picked_now = picked(&View { input_bytes_max, ..*view });
            if picked_now.is_some() || input_bytes_max >= bytes_of(view.segments) {
                return Ok(picked_now);
            }
            let Some(refused) = picked(view) else { return Ok(None) };
            let within = wanted.map_or(TimeRange::ALL, |wanted| wanted.range);
            if let Some(pick) = self.choose_freeing(view, within)? {
                return Ok(Some(pick));
            }
            let error = Error::DiskFull { path: self.env.dir.clone() };
            let inputs = refused.inputs.segments().iter().map(|meta| meta.file_number);
            let inputs: Vec<u64> = inputs.collect();
            self.env.notify(Event::MergeFailed { inputs: &inputs, error: &error });
            Err(error)
        })
    }

    /// What is merged between two merges that somebody asked for, so that writers need not wait for all
    /// of those: level-0 segments, if they are many.
    pub(super) fn choose_relief(
        &self,
        runner: &mut Runner,
        view: &ReadView,
        wanted: &CompactionRequest,
    ) -> Option<Pick> {
        let is_next = !std::mem::take(&mut runner.relieved);
        let is_due = level0(&view.version) >= self.env.options.level0_slowdown;
        if !is_next || !is_due || self.env.back_pressure.is_paused() {
            return None;
        }
        // Where the disk is in doubt, what was asked for finds out.
        let input_bytes_max = self.headroom(0).ok()?;
        let look = |view: &View<'_>| pick(&View { input_bytes_max, ..*view });
        let found = self.with_view(runner, view, Some(wanted), look);
        let split = found.filter(|pick| pick.reason == Reason::Split)?;
        runner.relieved = true;
        Some(split)
    }

    /// Shows `look` what the picker sees.
    fn with_view<T>(
        &self,
        runner: &Runner,
        view: &ReadView,
        wanted: Option<&CompactionRequest>,
        look: impl FnOnce(&View<'_>) -> T,
    ) -> T {
        let mut excluded = runner.excluded.clone();
        excluded.extend(view.broken.iter().map(|broken| broken.meta.file_number));
        excluded.extend(wanted.into_iter().flat_map(|wanted| &wanted.skipped));
        let mut segments = Cow::Borrowed(view.version.segments());
        if let Some(attaching) = &runner.attaching {
            excluded.insert(attaching.placeholder().file_number);
            let listed = segments.to_mut();
            listed.push(Arc::clone(attaching.placeholder()));
            listed.sort_unstable_by_key(|meta| (meta.min_timestamp, meta.file_number));
        }
        // What a caller asks for is done at once.
        let deletes = wanted.map_or(Deletes::Old, |wanted| Deletes::Through(wanted.through));
        let trims = |meta: &SegmentMeta| wanted.is_some() && self.is_trimming_due(view, meta);
        let erase_due =
            |meta: &SegmentMeta| self.is_erasure_due(view, meta, deletes) || trims(meta);
        let wall = i128::from(self.env.clock().wall_ms()) * i128::from(self.env.ticks_per_second);
        let now = wall.div_euclid(1000).clamp(i64::MIN.into(), i64::MAX.into()) as i64;
        look(&View {
            segments: &segments,
            excluded: &excluded,
            erase_due: &erase_due,
            now,
            quiet: self.is_quiet(),
            input_bytes_max: u64::MAX,
            options: &self.picker,
        })
    }

    /// As [`with_view`](Self::with_view), of what is merged in the background now.
    pub(super) fn view_now<T>(&self, look: impl FnOnce(&View<'_>) -> T) -> T {
        let runner = self.lock_runner();
        self.with_view(&runner, &self.view.current(), None, look)
    }

    /// Whether nothing was flushed for so long that nothing more is to be expected soon.
    fn is_quiet(&self) -> bool {
        self.writer.since_last_flush() >= self.env.options.flush_interval
    }
}

fn bytes_of(segments: &[Arc<SegmentMeta>]) -> u64 {
    segments.iter().fold(0, |sum: u64, meta| sum.saturating_add(meta.file_bytes))
}
