//! Merging in the background: what is picked, the job that runs, and how its outputs become what
//! readers see.
//!
//! One job runs at a time, behind the *runner* lock, which is taken for one step at a time and before
//! every other lock. The job holds no lock of the commit path; publishing takes the flush lock for one
//! manifest edit. With [`Background::Threads`](super::Background) the thread `silt-compact` takes the
//! steps, otherwise [`Db::tick`](super::Db::tick); [`Db::compact`](super::Db::compact) takes them on
//! its caller's thread.
//!
//! Invariants: an input is removed only after the edit that replaces it is durable; an output is
//! removed only if no manifest can list it.

use std::borrow::Cow;
use std::collections::HashSet;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::attach::Attaching;
use super::core::{Core, Live};
use super::graveyard::{Graveyard, weak};
use super::observer::{Event, LeftOut};
use super::options::Options;
use super::pressure::Control;
use super::retention::Retention;
use super::settle::Deletes;
use crate::compaction::{
    MergeInputs, MergeJob, Merged, Pick, PickerOptions, Progress, Purpose, Reason, Step, View,
    pick, pick_range, trimmed_before,
};
use crate::error::{Error, Result};
use crate::manifest::{Manifest, Version, VersionEdit};
use crate::segment::Segment;
use crate::types::{FileName, SegmentMeta, TimeRange};

/// How long the compaction thread waits before it looks again without being asked.
pub(super) const INTERVAL: Duration = Duration::from_secs(1);
/// After a failure nothing is picked for this long, doubled with each further one.
const RETRY_MIN: Duration = Duration::from_secs(1);
const RETRY_MAX: Duration = Duration::from_secs(300);

/// Everything that belongs to merging.
#[derive(Debug)]
pub(super) struct Compactor {
    runner: Mutex<Runner>,
    pub(super) control: Control,
    pub(super) graveyard: Graveyard,
    pub(super) retention: Retention,
    /// Held by the one attach that is under way, before the runner.
    pub(super) attach_turn: Mutex<()>,
    pub(super) options: PickerOptions,
    /// Why merging does not get on, until it does.
    trouble: Mutex<Option<String>>,
}

/// What the holder of the runner lock owns.
#[derive(Debug)]
pub(super) struct Runner {
    running: Option<Running>,
    pub(super) attaching: Option<Attaching>,
    /// File numbers that are not picked any more: their index is damaged, or merging them failed to
    /// add up.
    excluded: HashSet<u64>,
    failures: u32,
    /// Monotonic time before which nothing is picked.
    retry_at: Duration,
    /// Outputs of which a poisoned manifest may or may not know.
    pub(super) in_doubt: Vec<u64>,
    /// The version in which nothing was left to do, and when that was found.
    idle: Option<(Arc<Version>, Duration)>,
}

/// A merge under way.
#[derive(Debug)]
struct Running {
    job: MergeJob,
    reason: Reason,
    inputs: Vec<u64>,
    bytes: u64,
    started: Duration,
}

/// What a merge came to.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    pub(super) inputs: u64,
    pub(super) bytes_in: u64,
    pub(super) merged: Option<Merged>,
}

/// What one advance came to.
#[derive(Debug)]
pub(super) enum Advance {
    /// There is nothing to do.
    Idle,
    Working(Option<(Reason, Progress)>),
    Merged(Outcome),
    /// Segments that cannot be merged are left out from here on; the rest goes on.
    Excluded(Error),
}

impl Runner {
    /// Whether no merge is under way.
    pub(super) fn is_free(&self) -> bool {
        self.running.is_none()
    }
}

impl Compactor {
    pub(super) fn new(options: &Options, manifest: &Manifest) -> Self {
        let window_ticks = options.window_ticks(manifest.ticks_per_second());
        let compactor = Self {
            runner: Mutex::new(Runner {
                running: None,
                attaching: None,
                excluded: HashSet::new(),
                failures: 0,
                retry_at: Duration::ZERO,
                in_doubt: Vec::new(),
                idle: None,
            }),
            control: Control::default(),
            graveyard: Graveyard::default(),
            retention: Retention::new(options, manifest.version(), manifest.ticks_per_second()),
            attach_turn: Mutex::new(()),
            options: PickerOptions {
                level0_trigger: options.level0_merge,
                ..PickerOptions::new(window_ticks)
            },
            trouble: Mutex::new(None),
        };
        compactor.control.note_level0(level0(manifest.version()));
        compactor
    }

    pub(super) fn lock_runner(&self) -> MutexGuard<'_, Runner> {
        self.runner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Why merging does not get on.
    pub(super) fn trouble(&self) -> Option<String> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set_trouble(&self, trouble: Option<String>) {
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = trouble;
    }
}

/// Which deletes are reason enough: what a caller asks for is done at once.
pub(super) fn deletes_for(range: Option<TimeRange>) -> Deletes {
    if range.is_some() { Deletes::All } else { Deletes::Old }
}

/// The number of level-0 segments.
pub(super) fn level0(version: &Version) -> usize {
    version.segments().iter().filter(|meta| meta.level == 0).count()
}

impl Core {
    /// Takes a step of the background work, if any is due; whether there may be more.
    ///
    /// # Errors
    /// Why a merge failed; it is tried again later.
    pub(super) fn compaction_step(&self) -> Result<bool> {
        let mut runner = self.compactor.lock_runner();
        self.sweep();
        if !self.compactor.control.may_run() {
            return Ok(false);
        }
        if runner.running.is_none() && self.clock().monotonic() < runner.retry_at {
            return Ok(false);
        }
        match self.advance(&mut runner, None)? {
            Advance::Idle => Ok(false),
            Advance::Working(_) | Advance::Merged(_) | Advance::Excluded(_) => Ok(true),
        }
    }

    /// Goes on with the merge under way, or starts the next: of what the picker asks for, or of what
    /// compacting `range` takes.
    pub(super) fn advance(&self, runner: &mut Runner, range: Option<TimeRange>) -> Result<Advance> {
        self.check_open()?;
        let advanced = match runner.running.take() {
            Some(running) => self.go_on(runner, running),
            None => self.begin(runner, range),
        };
        let working = runner.running.is_some();
        self.compactor.control.set_working(working);
        match &advanced {
            Ok(Advance::Merged(_)) => {
                runner.failures = 0;
                self.compactor.set_trouble(None);
            }
            Ok(_) | Err(Error::Closed) => {}
            Err(error) => {
                let wait = RETRY_MIN.saturating_mul(1 << runner.failures.min(16)).min(RETRY_MAX);
                runner.failures += 1;
                runner.retry_at = self.clock().monotonic().saturating_add(wait);
                self.compactor.set_trouble(Some(error.to_string()));
                self.counters.merge_failures.add(1);
                tracing::warn!(%error, ?wait, "a merge failed and will be tried again");
            }
        }
        advanced
    }

    fn go_on(&self, runner: &mut Runner, mut running: Running) -> Result<Advance> {
        match running.job.step() {
            Ok(Step::More(progress)) => {
                let reason = running.reason;
                runner.running = Some(running);
                Ok(Advance::Working(Some((reason, progress))))
            }
            Ok(Step::Done(merged)) => {
                let Running { reason, inputs, bytes, started, job } = running;
                drop(job);
                let elapsed = self.clock().monotonic().saturating_sub(started);
                self.publish_merge(runner, &inputs, &merged)?;
                self.count_merge(bytes, &merged, elapsed);
                let account = &merged.account;
                self.tell(Event::Merged {
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
                let (inputs, merged) = (inputs.len() as u64, Some(merged));
                Ok(Advance::Merged(Outcome { inputs, bytes_in: bytes, merged }))
            }
            Err(error) => {
                let inputs = running.inputs.clone();
                drop(running);
                self.give_up(runner, &inputs, error)
            }
        }
    }

    /// After a merge of `inputs` failed: those that would fail again are not picked any more.
    fn give_up(&self, runner: &mut Runner, inputs: &[u64], error: Error) -> Result<Advance> {
        self.tell(Event::MergeFailed { inputs, error: &error });
        let culprits: Vec<u64> = match &error {
            Error::Corrupt { path, .. } | Error::UnsupportedVersion { path, .. } => {
                inputs.iter().copied().filter(|&n| is_segment(path, n)).collect()
            }
            Error::Failed(_) => inputs.to_vec(),
            _ => Vec::new(),
        };
        if culprits.is_empty() {
            return Err(error);
        }
        tracing::error!(%error, ?culprits, "segments are not merged until the store is reopened");
        self.counters.merge_failures.add(1);
        self.counters.corruption.add(1);
        self.counters.segments_excluded.add(culprits.len() as u64);
        self.compactor.set_trouble(Some(error.to_string()));
        runner.excluded.extend(culprits);
        Ok(Advance::Excluded(error))
    }

    fn begin(&self, runner: &mut Runner, range: Option<TimeRange>) -> Result<Advance> {
        self.settle_doubts(runner)?;
        if self.drop_expired(runner)? {
            return Ok(Advance::Working(None));
        }
        while self.settle_deletes()? {}
        let live = self.live();
        let now = self.clock().monotonic();
        if range.is_none()
            && let Some((version, since)) = &runner.idle
            && Arc::ptr_eq(version, &live.version)
            && now.saturating_sub(*since) < INTERVAL
        {
            return Ok(Advance::Idle);
        }
        let Some(pick) = self.choose(runner, &live, range) else {
            runner.idle = Some((Arc::clone(&live.version), now));
            return Ok(Advance::Idle);
        };
        let numbers = |pick: &Pick| -> Vec<u64> {
            pick.inputs.segments().iter().map(|meta| meta.file_number).collect()
        };
        let mut inputs = numbers(&pick);
        let started = self.fit(runner, &live, range, pick).and_then(|pick| {
            inputs = numbers(&pick);
            self.start_merge(&live, pick, &inputs)
        });
        match started {
            Ok(running) => {
                runner.running = Some(running);
                Ok(Advance::Working(None))
            }
            Err(error) => self.give_up(runner, &inputs, error),
        }
    }

    /// What is merged next.
    fn choose(&self, runner: &Runner, live: &Live, range: Option<TimeRange>) -> Option<Pick> {
        self.with_view(runner, live, deletes_for(range), |view| match range {
            Some(range) => pick_range(view, range),
            None => pick(view),
        })
    }

    /// Shows `look` what the picker sees.
    pub(super) fn with_view<T>(
        &self,
        runner: &Runner,
        live: &Live,
        deletes: Deletes,
        look: impl FnOnce(&View<'_>) -> T,
    ) -> T {
        let mut excluded = runner.excluded.clone();
        excluded.extend(live.broken.iter().map(|broken| broken.meta.file_number));
        let mut segments = Cow::Borrowed(live.version.segments());
        if let Some(attaching) = &runner.attaching {
            excluded.insert(attaching.placeholder().file_number);
            let listed = segments.to_mut();
            listed.push(Arc::clone(attaching.placeholder()));
            listed.sort_unstable_by_key(|meta| (meta.min_timestamp, meta.file_number));
        }
        let trims =
            |meta: &SegmentMeta| deletes == Deletes::All && self.is_trimming_due(live, meta);
        let erase_due =
            |meta: &SegmentMeta| self.is_erasure_due(live, meta, deletes) || trims(meta);
        let wall = i128::from(self.clock().wall_ms()) * i128::from(self.ticks_per_second);
        let now = wall.div_euclid(1000).clamp(i64::MIN.into(), i64::MAX.into()) as i64;
        look(&View {
            segments: &segments,
            excluded: &excluded,
            erase_due: &erase_due,
            now,
            quiet: self.is_quiet(),
            options: &self.compactor.options,
        })
    }

    /// As [`with_view`](Self::with_view), of what is merged in the background now.
    pub(super) fn view_now<T>(&self, look: impl FnOnce(&View<'_>) -> T) -> T {
        let runner = self.compactor.lock_runner();
        self.with_view(&runner, &self.live(), Deletes::Old, look)
    }

    /// Whether nothing was flushed for so long that nothing more is to be expected soon.
    fn is_quiet(&self) -> bool {
        let last = Duration::from_nanos(self.last_flush_ns.load(Ordering::Relaxed));
        self.clock().monotonic().saturating_sub(last) >= self.options.flush_interval
    }

    fn start_merge(&self, live: &Live, pick: Pick, inputs: &[u64]) -> Result<Running> {
        let bytes = pick.inputs.bytes();
        let find = |meta: &Arc<SegmentMeta>| {
            let number = meta.file_number;
            let open = live.segments.iter().find(|segment| segment.meta().file_number == number);
            Arc::clone(open.expect("a segment that is not broken is open"))
        };
        let segments: Vec<Arc<Segment>> = pick.inputs.segments().iter().map(find).collect();
        let samples = pick.inputs.segments().iter().map(|meta| meta.samples).sum();
        let numbers = Arc::clone(&self.next_file_number);
        let options = &self.compactor.options;
        let expired_before = self.compactor.retention.horizon().map_or(i64::MIN, |horizon| {
            trimmed_before(live.version.segments(), pick.inputs.segments(), horizon)
        });
        let job = MergeJob::new(MergeInputs {
            purpose: Purpose::Replace,
            vfs: Arc::clone(self.vfs()),
            dir: self.dir.clone(),
            uuid: self.uuid,
            set: pick.inputs,
            segments,
            grid: options.grid(),
            join_bytes: options.join_bytes,
            outputs_max: options.windows_max,
            new_file_number: Box::new(move || numbers.fetch_add(1, Ordering::Relaxed)),
            tombstones: live.version.tombstones().cloned().collect(),
            expired_before,
        })?;
        self.tell(Event::MergeStarted { reason: pick.reason, inputs, bytes, samples });
        let started = self.clock().monotonic();
        Ok(Running { job, reason: pick.reason, inputs: inputs.to_vec(), bytes, started })
    }

    /// Puts the outputs of a merge in the place of its inputs.
    ///
    /// # Errors
    /// The inputs stay; the outputs are removed, as soon as no manifest can list them.
    fn publish_merge(&self, runner: &mut Runner, inputs: &[u64], merged: &Merged) -> Result<()> {
        let outputs: Vec<u64> = merged.outputs.iter().map(|meta| meta.file_number).collect();
        let prepare = || {
            for &number in &merged.damaged_files {
                self.report_damage(number, &merged.damage)?;
            }
            merged.outputs.iter().map(|meta| self.open_segment(meta)).collect::<Result<Vec<_>>>()
        };
        let opened = prepare().inspect_err(|_| self.remove_outputs(&outputs))?;
        if let Err(error) = self.replace_segments(opened, inputs, &merged.damaged_files) {
            runner.in_doubt.extend(outputs);
            // At once if that is possible; on a full disk, attempts must not add up.
            let _ = self.settle_doubts(runner);
            return Err(error);
        }
        if merged.damaged_chunks > 0 {
            self.counters.blocks_quarantined.add(merged.damaged_chunks);
            self.counters.corruption.add(merged.damaged_chunks);
            self.tell(Event::Damaged { ranges: &merged.damage, rows: merged.damaged_rows });
        }
        self.sweep();
        Ok(())
    }

    /// One manifest edit and one pointer swap: `added` in the place of `removed`, whose files go when
    /// nobody reads them.
    pub(super) fn replace_segments(
        &self,
        added: Vec<Arc<Segment>>,
        removed: &[u64],
        damaged: &[u64],
    ) -> Result<()> {
        let mut state = self.lock_flush();
        self.check_owned()?;
        if state.manifest.is_poisoned() {
            state.manifest.roll()?;
        }
        // What is attached brings a seq that no flush has covered.
        let newest = added.iter().map(|segment| segment.meta().max_seq).max();
        let last_seq = state.manifest.version().last_seq();
        let edit = VersionEdit {
            last_seq: newest.filter(|&seq| seq > last_seq),
            added: added.iter().map(|segment| *segment.meta()).collect(),
            removed: removed.to_vec(),
            next_file_number: Some(self.next_file_number()),
            // By which what has expired was left out: the next opening hides at least that.
            clock: self.compactor.retention.clock_for_edit(self.clock()),
            ..VersionEdit::default()
        };
        let before = Arc::clone(state.manifest.version());
        let version = state.manifest.append(&edit)?;
        let live = self.live();
        let is_removed = |number: u64| removed.contains(&number);
        for meta in before.segments().iter().filter(|meta| is_removed(meta.file_number)) {
            let number = meta.file_number;
            let pin = weak(&live.segments, number);
            self.compactor.graveyard.bury(pin, meta, damaged.contains(&number));
        }
        drop(live);
        self.publish(|live| {
            live.segments.retain(|segment| !is_removed(segment.meta().file_number));
            live.segments.extend(added);
            live.segments.sort_by_key(|s| (s.meta().max_seq, s.meta().file_number));
            live.broken.retain(|broken| !is_removed(broken.meta.file_number));
            live.version = version;
        });
        Ok(())
    }

    /// Removes the outputs of edits that failed, once a manifest without them is the live one.
    pub(super) fn settle_doubts(&self, runner: &mut Runner) -> Result<()> {
        if runner.in_doubt.is_empty() {
            return Ok(());
        }
        let mut state = self.lock_flush();
        self.check_owned()?;
        if state.manifest.is_poisoned() {
            state.manifest.roll()?;
        }
        drop(state);
        self.remove_outputs(&std::mem::take(&mut runner.in_doubt));
        Ok(())
    }

    pub(super) fn remove_outputs(&self, file_numbers: &[u64]) {
        for &number in file_numbers {
            // The next opening does it where this fails.
            let _ = self.vfs().remove(&self.dir.join(FileName::Segment(number).to_string()));
        }
    }

    fn count_merge(&self, bytes: u64, merged: &Merged, elapsed: Duration) {
        let (counters, account) = (&self.counters, &merged.account);
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
        self.compactor.control.set_working(false);
    }
}

fn is_segment(path: &Path, file_number: u64) -> bool {
    let name = path.file_name().and_then(|name| name.to_str());
    name.and_then(FileName::parse) == Some(FileName::Segment(file_number))
}
