//! Running merges, in steps, and what becomes of one that fails.
//!
//! Called by the holder of the runner lock, which is what the functions take. What is picked is up to
//! `choose`, how outputs become what readers see to `publish`.

use std::io::{self, ErrorKind};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::Compactor;
use super::runner::{Advance, CompactionRequest, Outcome, Runner, Running};
use crate::compaction::{
    ClosedSet, MergeInputs, MergeJob, Merged, Pick, Purpose, Reason, Step, trimmed_before,
};
use crate::db::env::observer::{Event, LeftOut};
use crate::db::view::read_view::ReadView;
use crate::error::{Error, Result};
use crate::segment::Segment;
use crate::types::{FileName, SegmentMeta, Timestamp};

/// How long the compaction thread waits before it looks again without being asked.
pub(in crate::db) const INTERVAL: Duration = Duration::from_secs(1);
/// After a failure nothing is picked for this long, doubled with each further one.
const RETRY_MIN: Duration = Duration::from_secs(1);
const RETRY_MAX: Duration = Duration::from_secs(300);
/// `ENFILE` and `EMFILE`: too many files are open.
const TOO_MANY_OPEN: [i32; 2] = [23, 24];

impl Compactor {
    /// Takes a step of the background work, if any is due; whether there may be more.
    ///
    /// # Errors
    /// Why a merge failed; it is tried again later.
    pub(in crate::db) fn step(&self) -> Result<bool> {
        let mut runner = self.lock_runner();
        self.versions.remove_obsolete();
        if !self.env.back_pressure.may_run() {
            return Ok(false);
        }
        if runner.running.is_none() && self.env.clock().monotonic() < runner.retry_at {
            return Ok(false);
        }
        match self.advance(&mut runner, None)? {
            Advance::Idle => Ok(false),
            Advance::Working(_) | Advance::Merged(_) | Advance::Excluded(_) => Ok(true),
        }
    }

    /// Goes on with the merge under way, or starts the next: of what the picker asks for, or of what
    /// a caller `wanted` merged.
    pub(super) fn advance(
        &self,
        runner: &mut Runner,
        wanted: Option<&CompactionRequest>,
    ) -> Result<Advance> {
        self.env.health.check_open()?;
        let advanced = match runner.running.take() {
            Some(running) => self.go_on(runner, running, wanted.is_some()),
            None => self.begin(runner, wanted),
        };
        // Writers do not wait for a merge that is no help to them.
        let working = runner.running.as_ref().is_some_and(|running| running.lowers_debt);
        self.env.back_pressure.set_working(working);
        match &advanced {
            Ok(Advance::Merged(_)) => {
                runner.failures = 0;
                self.set_trouble(None);
            }
            Ok(_) | Err(Error::Closed) => {}
            Err(error) => {
                let wait = RETRY_MIN.saturating_mul(1 << runner.failures.min(16)).min(RETRY_MAX);
                runner.failures += 1;
                runner.retry_at = self.env.clock().monotonic().saturating_add(wait);
                self.set_trouble(Some(error.to_string()));
                self.env.counters.merge_failures.add(1);
                tracing::warn!(%error, ?wait, "a merge failed and will be tried again");
            }
        }
        advanced
    }

    fn go_on(&self, runner: &mut Runner, mut running: Running, explicit: bool) -> Result<Advance> {
        match running.job.step() {
            Ok(Step::More(progress)) => {
                let reason = running.reason;
                runner.running = Some(running);
                Ok(Advance::Working(Some((reason, progress))))
            }
            Ok(Step::Done(merged)) => {
                let Running { reason, inputs, bytes, started, job, .. } = running;
                drop(job);
                let elapsed = self.env.clock().monotonic().saturating_sub(started);
                self.publish_merge(&inputs, &merged, (Purpose::Replace, 0))?;
                self.count_merge(bytes, &merged, elapsed);
                let account = &merged.account;
                self.env.notify(Event::Merged {
                    reason,
                    inputs: &inputs,
                    outputs: &merged.outputs,
                    left_out: LeftOut {
                        superseded: account.superseded.rows,
                        deleted: account.deleted.rows,
                        expired: account.expired.rows,
                    },
                    elapsed,
                });
                let inputs = inputs.len() as u64;
                Ok(Advance::Merged(Outcome { inputs, bytes_in: bytes, merged: *merged }))
            }
            Err(error) => {
                let inputs = running.inputs.clone();
                drop(running);
                self.give_up(runner, &inputs, error, explicit)
            }
        }
    }

    /// After a merge of `inputs` failed: those that would fail again are not picked any more. One that
    /// cannot be read is tried some times in the background, and left out of an `explicit` compaction
    /// at once.
    fn give_up(
        &self,
        runner: &mut Runner,
        inputs: &[u64],
        error: Error,
        explicit: bool,
    ) -> Result<Advance> {
        self.env.notify(Event::MergeFailed { inputs, error: &error });
        let culprits = culprits(inputs, &error);
        let is_io = matches!(error, Error::Io { .. });
        let lasts = !is_io || (!explicit && runner.is_tried_enough(&culprits));
        if culprits.is_empty() || !(lasts || explicit) {
            return Err(error);
        }
        self.env.counters.merge_failures.add(1);
        self.set_trouble(Some(error.to_string()));
        if lasts {
            tracing::error!(%error, ?culprits, "segments are not merged until the store is reopened");
            self.env.counters.corruption.add(u64::from(!is_io));
            self.env.counters.segments_excluded.add(culprits.len() as u64);
            runner.excluded.extend(culprits);
        }
        Ok(Advance::Excluded(error))
    }

    fn begin(&self, runner: &mut Runner, wanted: Option<&CompactionRequest>) -> Result<Advance> {
        self.versions.heal()?;
        if self.drop_expired(runner)? {
            return Ok(Advance::Working(None));
        }
        while self.retire_tombstones()? {}
        let view = self.view.current();
        let now = self.env.clock().monotonic();
        if wanted.is_none()
            && let Some((version, since)) = &runner.idle
            && Arc::ptr_eq(version, &view.version)
            && now.saturating_sub(*since) < INTERVAL
        {
            return Ok(Advance::Idle);
        }
        let relief = wanted.and_then(|wanted| self.choose_relief(runner, &view, wanted));
        let chosen = match relief {
            Some(relief) => Some(relief),
            None => self.choose(runner, &view, wanted)?,
        };
        let Some(pick) = chosen else {
            runner.idle = Some((Arc::clone(&view.version), now));
            return Ok(Advance::Idle);
        };
        let inputs: Vec<u64> = pick.inputs.segments().iter().map(|meta| meta.file_number).collect();
        match self.start_merge(runner, &view, pick, &inputs) {
            Ok(running) => {
                runner.running = Some(running);
                Ok(Advance::Working(None))
            }
            Err(error) => self.give_up(runner, &inputs, error, wanted.is_some()),
        }
    }

    fn start_merge(
        &self,
        runner: &Runner,
        view: &ReadView,
        pick: Pick,
        inputs: &[u64],
    ) -> Result<Running> {
        let Pick { inputs: set, reason, .. } = pick;
        let bytes = set.bytes();
        let samples = set.segments().iter().map(|meta| meta.samples).sum();
        let lowers_debt =
            reason != Reason::Range || set.segments().iter().any(|meta| meta.level == 0);
        let job = self.merge_job(runner, view, set, Purpose::Replace)?;
        self.env.notify(Event::MergeStarted { reason, inputs, bytes, samples });
        let started = self.env.clock().monotonic();
        Ok(Running { job, reason, inputs: inputs.to_vec(), bytes, lowers_debt, started })
    }

    /// A merge of listed segments that are open.
    pub(super) fn merge_job(
        &self,
        runner: &Runner,
        view: &ReadView,
        set: ClosedSet,
        purpose: Purpose,
    ) -> Result<MergeJob> {
        let find = |meta: &Arc<SegmentMeta>| {
            let number = meta.file_number;
            let open = view.segments.iter().find(|segment| segment.meta().file_number == number);
            Arc::clone(open.expect("a segment that is not broken is open"))
        };
        let segments: Vec<Arc<Segment>> = set.segments().iter().map(find).collect();
        let options = &self.picker;
        // Masks hide what is being attached beneath them, too.
        let attaching = runner.attaching.as_ref().map(|attaching| attaching.placeholder());
        let older = older_than(view.version.segments().iter().chain(attaching), &set);
        let expired_before = self.versions.retention.horizon().map_or(i64::MIN, |horizon| {
            trimmed_before(view.version.segments(), set.segments(), horizon)
        });
        MergeJob::new(MergeInputs {
            purpose,
            vfs: Arc::clone(self.env.vfs()),
            dir: self.env.dir.clone(),
            uuid: self.env.ids.own,
            set,
            segments,
            grid: options.grid(),
            join_bytes: options.join_bytes,
            outputs_max: options.windows_max,
            new_file_number: self.env.file_numbers(),
            tombstones: view.version.tombstones().cloned().collect(),
            expired_before,
            older,
        })
    }

    fn count_merge(&self, bytes: u64, merged: &Merged, elapsed: Duration) {
        let (counters, account) = (&self.env.counters, &merged.account);
        counters.merges.add(1);
        counters.merge_bytes_read.add(bytes);
        counters.merge_bytes_written.add(merged.outputs.iter().map(|meta| meta.file_bytes).sum());
        counters.samples_merged.add(account.read.rows);
        counters.samples_superseded.add(account.superseded.rows);
        counters.samples_deleted.add(account.deleted.rows);
        counters.samples_expired.add(account.expired.rows);
        counters.merge.record(elapsed);
    }

    /// Gives up the merge under way; its outputs are removed.
    pub(super) fn abandon_merge(&self, runner: &mut Runner) {
        if let Some(running) = runner.running.take() {
            tracing::info!(inputs = ?running.inputs, "a merge is given up");
        }
        self.env.back_pressure.set_working(false);
    }
}

/// The times of the segments that are older than a set and not in it.
fn older_than<'a>(
    listed: impl Iterator<Item = &'a Arc<SegmentMeta>>,
    set: &ClosedSet,
) -> Vec<(Timestamp, Timestamp)> {
    let (_, max_seq) = set.seq_hull();
    let is_input = |number| set.segments().iter().any(|input| input.file_number == number);
    let older = listed.filter(|meta| meta.min_seq < max_seq && !is_input(meta.file_number));
    older.map(|meta| (meta.min_timestamp, meta.max_timestamp)).collect()
}

/// Those of `inputs` because of which their merge failed with `error`.
fn culprits(inputs: &[u64], error: &Error) -> Vec<u64> {
    match error {
        Error::Corrupt { path, .. } | Error::UnsupportedVersion { path, .. } => named(inputs, path),
        Error::Io { path, source, .. } if is_of_file(source) => named(inputs, path),
        Error::SelfCheck(_) => inputs.to_vec(),
        _ => Vec::new(),
    }
}

/// Whether an I/O error says something of its file, not of a process that lacks memory or files.
fn is_of_file(source: &io::Error) -> bool {
    source.kind() != ErrorKind::OutOfMemory
        && source.raw_os_error().is_none_or(|code| !TOO_MANY_OPEN.contains(&code))
}

/// The one of `inputs` that has this path.
fn named(inputs: &[u64], path: &Path) -> Vec<u64> {
    inputs.iter().copied().filter(|&number| is_segment(path, number)).collect()
}

fn is_segment(path: &Path, file_number: u64) -> bool {
    let name = path.file_name().and_then(|name| name.to_str());
    name.and_then(FileName::parse) == Some(FileName::Segment(file_number))
}
