//! The merge of a closed set of segments into one dense segment per window, in small steps.
//!
//! 1. Given a closed set, its segments open, and the deletes of its store ([`inputs`]), each input gets
//!    the tombstones that apply to it; one ledger counts the rows of all.
//! 2. The chunk indexes are walked, input by input: bytes per base window. From these the windows of
//!    the outputs are cut (`windows`).
//! 3. The series of all inputs are taken in label order (`series`). Each is opened in every input that
//!    has it, with what deletes hide of it there.
//! 4. Its rows are decoded and counted; expired and deleted ones are left out, and those that cannot be
//!    read go on as lost (`input`). They are merged as a query would; those that a later write replaced are
//!    counted too.
//! 5. What is left is cut by window and by chunk, and written, lost rows in their place (`outputs`).
//! 6. When no series is left, every row that the inputs should have must be accounted for (`proof`);
//!    otherwise the job fails.
//! 7. The outputs are completed, one at a time, and handed to the caller.
//!
//! `db` calls [`MergeJob::step`] until it is done. Each call does a bounded amount of work, so that a
//! caller can stop between any two; a job that fails or is dropped before it is done removes what it has
//! written. Nothing here touches the manifest: publishing is up to `db`.
//!
//! Memory does not depend on the size of the inputs: per input a block of labels, a chunk block, a
//! chunk and some timestamp columns; per output what a [`SegmentWriter`](crate::segment::SegmentWriter)
//! holds.

mod inputs;

use std::fmt;
use std::sync::Arc;

use self::inputs::info;
pub use self::inputs::{MergeInputs, Purpose};
use super::damage::DamagedRange;
use super::input::{InputCursor, Losses, SharedLedger};
use super::outputs::Outputs;
use super::proof::Account;
use super::series::SeriesHeads;
use super::windows::{Grid, Survey};
use super::writers::Place;
use crate::cursor::{Columns, Merge, SeriesCursor, Unread};
use crate::error::{Error, Result};
use crate::segment::{BlockCache, ChunkWalk, Segment};
use crate::types::{SegmentMeta, TimeRange, Tombstone};

/// Rows after which a step ends, and chunks after which one of the survey does.
const STEP_ROWS: u64 = 1 << 16;
const STEP_CHUNKS: u64 = 1 << 12;
/// Series after which a step ends, however few rows they have.
const STEP_SERIES: u64 = 1 << 10;
/// Index blocks that a job keeps, in bytes.
const CACHE_BYTES: usize = 8 << 20;
/// Timestamps that all inputs together keep in decoded columns: 8 MiB.
const COLUMN_ROWS_KEPT: usize = 1 << 20;

/// How far a merge is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// Samples read so far.
    pub samples_read: u64,
    /// Samples of all inputs.
    pub samples_total: u64,
    /// Bytes of all inputs.
    pub bytes_total: u64,
    /// Bytes written so far.
    pub bytes_written: u64,
}

/// What a step came to.
#[derive(Debug)]
pub enum Step {
    /// There is more to do.
    More(Progress),
    /// The outputs are durable; they belong to the caller.
    Done(Box<Merged>),
}

/// A merge that is done and proven.
#[derive(Debug)]
#[non_exhaustive]
pub struct Merged {
    /// The outputs by time. None if no row was left.
    pub outputs: Vec<SegmentMeta>,
    /// What became of each row.
    pub account: Account,
    /// What became of each lost row whose time is known.
    pub lost: Account,
    /// What could not be read, the first 10,000 ranges: lost from here on.
    pub damage: Vec<DamagedRange>,
    /// Samples that could not be read.
    pub damaged_rows: u64,
    /// Chunks that could not be read.
    pub damaged_chunks: u64,
    /// File numbers of inputs with damage: not to be removed.
    pub damaged_files: Vec<u64>,
}

/// A merge in progress.
pub struct MergeJob {
    segments: Vec<Arc<Segment>>,
    /// Those that apply to each input.
    tombstones: Vec<Vec<Arc<Tombstone>>>,
    ledger: SharedLedger,
    samples_total: u64,
    bytes_total: u64,
    grid: Grid,
    join_bytes: u64,
    outputs_max: usize,
    stage: Stage,
}

enum Stage {
    Survey {
        survey: Survey,
        input: usize,
        walk: ChunkWalk,
        place: Place,
    },
    Rows(Box<Rows>),
    Finish(Outputs),
    /// Done, or failed.
    Over,
}

/// The state while rows pass through.
struct Rows {
    heads: SeriesHeads,
    merge: Merge<SharedLedger>,
    outputs: Outputs,
    parts: Vec<(usize, u32)>,
    /// Whether a series is open in `merge`.
    open: bool,
    batch: Columns,
}

impl fmt::Debug for MergeJob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MergeJob").field("progress", &self.progress()).finish_non_exhaustive()
    }
}

impl MergeJob {
    /// A job that has done nothing yet.
    ///
    /// # Errors
    /// Those of reading the inputs' footers.
    ///
    /// # Panics
    /// If the open segments are not those of the set.
    pub fn new(inputs: MergeInputs) -> Result<Self> {
        let wanted = inputs.set.segments().iter().map(|meta| meta.file_number);
        let given = inputs.segments.iter().map(|segment| segment.meta().file_number);
        assert!(wanted.eq(given), "a merge opens exactly its closed set, in its order");
        // A cache of its own: a merge reads each block about once and must not push out what
        // queries keep.
        let open_max = inputs.segments.len() + 1;
        let cache = Arc::new(BlockCache::new(CACHE_BYTES).with_open_files_max(open_max));
        let own = |segment: &Arc<Segment>| segment.with_cache(Arc::clone(&cache));
        let segments: Vec<Arc<Segment>> = inputs.segments.iter().map(own).collect::<Result<_>>()?;
        // The manifest's word: it may say more than the segments' footers.
        let metas = inputs.set.segments();
        let tombstones = metas
            .iter()
            .map(|meta| inputs.tombstones.iter().filter(|t| t.applies_to(meta)).cloned().collect());
        let tombstones = tombstones.collect();
        let info = info(&inputs);
        let place = Place {
            vfs: inputs.vfs,
            dir: inputs.dir,
            info,
            new_file_number: inputs.new_file_number,
            older: inputs.older,
        };
        let losses = match inputs.purpose {
            Purpose::Replace => Losses::Carry,
            Purpose::Accept => Losses::Accept,
            Purpose::Adopt { .. } => Losses::Refuse,
        };
        Ok(Self {
            ledger: SharedLedger::new(segments.len(), inputs.expired_before, losses),
            samples_total: segments.iter().map(|segment| segment.meta().samples).sum(),
            bytes_total: segments.iter().map(|segment| segment.meta().file_bytes).sum(),
            stage: Stage::Survey {
                survey: Survey::new(inputs.grid),
                input: 0,
                walk: ChunkWalk::new(Arc::clone(&segments[0])),
                place,
            },
            tombstones,
            grid: inputs.grid,
            join_bytes: inputs.join_bytes,
            outputs_max: inputs.outputs_max,
            segments,
        })
    }

    /// Goes on for some thousand rows.
    ///
    /// # Errors
    /// [`Error::Corrupt`] naming the segment whose index is damaged; [`Error::SelfCheck`] if the rows do
    /// not add up; I/O errors. The job is over then and its outputs are removed.
    ///
    /// # Panics
    /// If the job is over.
    pub fn step(&mut self) -> Result<Step> {
        let stage = std::mem::replace(&mut self.stage, Stage::Over);
        match stage {
            Stage::Survey { survey, input, walk, place } => {
                self.stage = self.survey(survey, input, walk, place)?;
            }
            Stage::Rows(mut rows) => {
                self.stage = match self.pass(&mut rows)? {
                    true => Stage::Rows(rows),
                    false => self.conclude(rows)?,
                }
            }
            Stage::Finish(mut outputs) => {
                if !outputs.finish_next()? {
                    return Ok(Step::Done(Box::new(self.done(outputs))));
                }
                self.stage = Stage::Finish(outputs);
            }
            Stage::Over => panic!("a job that is over is not stepped"),
        }
        Ok(Step::More(self.progress()))
    }

    /// How far the job is.
    #[must_use]
    pub fn progress(&self) -> Progress {
        let bytes_written = match &self.stage {
            Stage::Rows(rows) => rows.outputs.bytes_written(),
            Stage::Finish(outputs) => outputs.bytes_written(),
            Stage::Survey { .. } | Stage::Over => 0,
        };
        Progress {
            samples_read: self.ledger.lock().account.read.rows,
            samples_total: self.samples_total,
            bytes_total: self.bytes_total,
            bytes_written,
        }
    }

    /// Walks on over the chunk indexes; then the windows are known.
    fn survey(
        &self,
        mut survey: Survey,
        mut input: usize,
        mut walk: ChunkWalk,
        place: Place,
    ) -> Result<Stage> {
        for _ in 0..STEP_CHUNKS {
            match walk.peek()? {
                Some(chunk) => {
                    // A lost chunk has none, and has to come somewhere.
                    let bytes = u64::from(chunk.value_bytes()).max(1);
                    survey.add(chunk.first_timestamp(), chunk.last_timestamp(), bytes);
                    walk.advance();
                }
                None if input + 1 < self.segments.len() => {
                    input += 1;
                    walk = ChunkWalk::new(Arc::clone(&self.segments[input]));
                }
                None => {
                    let cuts = survey.cuts(self.join_bytes, self.outputs_max);
                    let outputs = Outputs::new(place, self.grid, cuts);
                    let inputs = self.segments.len();
                    return Ok(Stage::Rows(Box::new(Rows {
                        heads: SeriesHeads::new(&self.segments)?,
                        merge: Merge::telling(TimeRange::ALL, inputs, self.ledger.clone()),
                        outputs,
                        parts: Vec::new(),
                        open: false,
                        batch: Columns::default(),
                    })));
                }
            }
        }
        Ok(Stage::Survey { survey, input, walk, place })
    }

    /// Passes some rows through; false when there are no more.
    fn pass(&mut self, rows: &mut Rows) -> Result<bool> {
        let start = self.ledger.lock().account.read.rows;
        for _ in 0..STEP_SERIES {
            if !rows.open && !self.open_series(rows)? {
                return Ok(false);
            }
            while rows.open {
                rows.batch.clear();
                let read = rows.merge.append(&mut rows.batch);
                rows.outputs.push(&rows.batch.timestamps, rows.batch.values.f64())?;
                match read {
                    Ok(0) => {
                        rows.outputs.end_series()?;
                        rows.open = false;
                        break;
                    }
                    Ok(_) => {}
                    Err(Unread::Lost(lost)) => rows.outputs.lose(&lost)?,
                    Err(Unread::Failed(error)) => return Err(error),
                }
                if self.ledger.lock().account.read.rows - start >= STEP_ROWS {
                    return Ok(true);
                }
            }
        }
        Ok(true)
    }

    /// Opens the next series in every input that has it; false when there is none.
    fn open_series(&mut self, rows: &mut Rows) -> Result<bool> {
        let Some(labels) = rows.heads.next(&mut rows.parts)? else { return Ok(false) };
        let Self { segments, tombstones, ledger, .. } = self;
        let series = {
            let mut ledger = ledger.lock();
            ledger.start(&labels, |input, ranges| {
                let hiding = tombstones[input].iter().filter(|t| t.matches(&labels));
                ranges.extend(hiding.map(|tombstone| tombstone.range));
            });
            ledger.series
        };
        rows.merge.start();
        let kept = COLUMN_ROWS_KEPT / segments.len();
        for &(input, ordinal) in &rows.parts {
            let cursor = || {
                let cursor = InputCursor::new(input, &segments[input], kept, ledger.clone());
                Box::new(cursor) as Box<dyn SeriesCursor>
            };
            rows.merge.add(input, ordinal, cursor)?;
        }
        rows.outputs.start(labels, series);
        rows.open = true;
        Ok(true)
    }

    /// Checks that every row of the inputs is accounted for; then the outputs may be completed.
    fn conclude(&self, rows: Box<Rows>) -> Result<Stage> {
        let ledger = &mut *self.ledger.lock();
        ledger.account.written = rows.outputs.written();
        ledger.account.check()?;
        ledger.lost.written = rows.outputs.lost();
        ledger.lost.check()?;
        let met = ledger.account.read.rows + ledger.damage.rows;
        if met != self.samples_total {
            return Err(Error::SelfCheck(format!(
                "a merge met {met} samples in segments that should have {}: its outputs are not used",
                self.samples_total
            )));
        }
        Ok(Stage::Finish(rows.outputs))
    }

    fn done(&self, outputs: Outputs) -> Merged {
        let ledger = &mut *self.ledger.lock();
        let damage = std::mem::take(&mut ledger.damage);
        let mut outputs = outputs.into_metas();
        outputs.sort_unstable_by_key(|meta| meta.min_timestamp);
        let written: u64 = outputs.iter().map(|meta| meta.samples).sum();
        assert_eq!(written, ledger.account.written.rows, "the outputs hold what they were handed");
        Merged {
            outputs,
            account: ledger.account,
            lost: ledger.lost,
            damage: damage.ranges,
            damaged_rows: damage.rows,
            damaged_chunks: damage.chunks,
            damaged_files: damage.files,
        }
    }
}

#[cfg(test)]
mod tests;
