//! Decodes series ahead of their reader, in parallel, within bounds.
//!
//! Series are decoded in *runs* of neighbours, several runs at a time, each on one thread, so that a
//! run reads each block once. A run ends early when it has decoded enough; the series that it did not
//! get to wait for a later run. Order is that of the list throughout. When memory is short, series that
//! were decoded ahead are given up and decoded again when it is their turn: how much is decoded ahead
//! never decides whether a query fails.

use std::sync::Arc;

use super::lists::{FoundSeries, MergedList};
use super::meter::Meter;
use super::options::QueryOptions;
use super::reader::SeriesReader;
use super::series_ahead::{Outcome, SeriesAhead, Turn, runs_max};
use super::sources::Sources;
use crate::cursor::{BATCH_ROWS_MAX, Columns};
use crate::error::{Error, Result};
use crate::types::{Matcher, TimeRange};

/// Series in a run at most: about what one block of a segment holds.
const RUN_SERIES_MAX: usize = 64;
/// Samples after which a run decodes no further series.
const RUN_ROWS: usize = 256 * 1024;
/// Room made for a series before its first batch, at most: extents only claim a number of rows.
const RESERVE_ROWS_MAX: u64 = 64 * 1024;
/// Bytes of a sample in columns.
const SAMPLE_BYTES: usize = 16;

/// How much of a series is decoded ahead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ahead {
    /// All of it.
    Whole,
    /// At most so many rows, at least a batch; the rest is left to be read.
    Rows(usize),
}

/// A series with its first samples.
pub(super) struct Decoded {
    pub(super) series: FoundSeries,
    /// Not empty.
    pub(super) columns: Columns,
    /// Where to go on reading, if the series may have more samples.
    pub(super) rest: Option<SeriesReader>,
}

/// How far the start of a series was decoded.
enum Start {
    Whole,
    Partial,
    /// The samples so far do not fit.
    TooLarge(Error),
}

/// The decoded series of a query, in label order.
pub(super) struct DecodeAhead {
    sources: Arc<Sources>,
    series: SeriesAhead<Decoded>,
    range: TimeRange,
    meter: Arc<Meter>,
    ahead: Ahead,
    /// Readers that are not in use.
    readers: Vec<SeriesReader>,
    run_series: usize,
}

impl Sources {
    /// The series that satisfy every matcher and have samples in `range`, to be decoded ahead.
    pub(super) fn decode_ahead(
        self: &Arc<Self>,
        matchers: &[Matcher],
        range: TimeRange,
        options: &QueryOptions,
    ) -> Result<DecodeAhead> {
        let meter = self.meter(options);
        let list = self.list(matchers, range, &meter)?;
        Ok(DecodeAhead::new(Arc::clone(self), list, range, meter))
    }
}

impl DecodeAhead {
    pub(super) fn new(
        sources: Arc<Sources>,
        list: MergedList,
        range: TimeRange,
        meter: Arc<Meter>,
    ) -> Self {
        Self {
            sources,
            series: SeriesAhead::new(list),
            range,
            meter,
            ahead: Ahead::Whole,
            readers: Vec::new(),
            run_series: RUN_SERIES_MAX,
        }
    }

    /// Decodes so much of each series ahead.
    pub(super) fn set_ahead(&mut self, ahead: Ahead) {
        self.ahead = ahead;
    }

    pub(super) fn meter(&self) -> &Meter {
        &self.meter
    }

    /// The next series that has samples; its bytes are no longer held by the query. After an error
    /// of one series the next call goes on with the next one.
    pub(super) fn next(&mut self) -> Result<Option<Decoded>> {
        loop {
            let (meter, readers) = (&self.meter, &mut self.readers);
            let turn = self.series.turn(|decoded| {
                meter.release(held_bytes(&decoded.columns));
                readers.extend(decoded.rest);
                decoded.series
            })?;
            match turn {
                Turn::Done(decoded) => {
                    self.meter.release(held_bytes(&decoded.columns));
                    return Ok(Some(decoded));
                }
                Turn::Work { alone } => {
                    self.meter.check()?;
                    if !self.decode_more(alone)? {
                        return Ok(None);
                    }
                }
            }
        }
    }

    /// Takes back a reader that was handed out as the rest of a series.
    pub(super) fn reuse(&mut self, reader: SeriesReader) {
        self.readers.push(reader);
    }

    /// Decodes at least one series, and puts the results before what is in the queue. False if there
    /// is none left.
    fn decode_more(&mut self, alone: bool) -> Result<bool> {
        let runs_max = runs_max(self.sources.executor());
        let series_max = if alone { 1 } else { runs_max * self.run_series };
        let runs = self.series.take_runs(series_max, runs_max)?;
        let Some(run_series) = runs.first().map(Vec::len) else { return Ok(false) };
        let with_reader = |run| {
            let reader = self.readers.pop();
            (reader.unwrap_or_else(|| self.sources.reader(self.range, &self.meter)), run)
        };
        let runs: Vec<_> = runs.into_iter().map(with_reader).collect();
        let work = Work { meter: &self.meter, ahead: self.ahead };
        let results = self.sources.executor().map(runs, |(reader, run)| work.decode(reader, run));
        self.adapt(&results, run_series);
        let mut outcomes = Vec::with_capacity(runs_max * run_series);
        for (reader, run) in results {
            self.readers.extend(reader);
            outcomes.extend(run);
        }
        self.series.put_back(outcomes.into_iter());
        Ok(true)
    }

    /// Makes the next runs as long as the longest of these got, so that few series wait.
    fn adapt(
        &mut self,
        results: &[(Option<SeriesReader>, Vec<Outcome<Decoded>>)],
        run_series: usize,
    ) {
        let waits = |outcome: &&Outcome<Decoded>| {
            matches!(outcome, Outcome::Waiting(_) | Outcome::TooLarge(..))
        };
        let waiting = results.iter().map(|(_, items)| items.iter().filter(waits).count()).max();
        match waiting {
            Some(waiting) if waiting > 0 => {
                self.run_series = run_series.saturating_sub(waiting).max(1);
            }
            _ => self.run_series = (self.run_series * 2).min(RUN_SERIES_MAX),
        }
    }
}

impl Drop for DecodeAhead {
    fn drop(&mut self) {
        let meter = &self.meter;
        self.series.give_up(|decoded| {
            meter.release(held_bytes(&decoded.columns));
            decoded.series
        });
    }
}

fn held_bytes(columns: &Columns) -> u64 {
    (columns.len() * SAMPLE_BYTES) as u64
}

/// What the threads that decode share.
struct Work<'a> {
    meter: &'a Meter,
    ahead: Ahead,
}

impl Work<'_> {
    /// Decodes the series of a run until it is enough. The reader is gone if it is the rest of a
    /// series.
    fn decode(
        &self,
        reader: SeriesReader,
        run: Vec<FoundSeries>,
    ) -> (Option<SeriesReader>, Vec<Outcome<Decoded>>) {
        let mut reader = Some(reader);
        let mut rows = 0;
        let mut items = Vec::with_capacity(run.len());
        for series in run {
            let Some(open) = reader.as_mut().filter(|_| rows < RUN_ROWS) else {
                items.push(Outcome::Waiting(series));
                continue;
            };
            let mut columns = Columns::default();
            match self.decode_series(open, &series, &mut columns) {
                Ok(Start::Whole) if columns.is_empty() => {}
                Ok(Start::TooLarge(error)) => {
                    self.meter.release(held_bytes(&columns));
                    rows = RUN_ROWS;
                    items.push(Outcome::TooLarge(series, error));
                }
                Ok(start) => {
                    rows += columns.len();
                    let rest = if let Start::Partial = start { reader.take() } else { None };
                    items.push(Outcome::Done(Decoded { series, columns, rest }));
                }
                Err(e) => {
                    self.meter.release(held_bytes(&columns));
                    let stop = ends_query(&e);
                    items.push(Outcome::Failed(e));
                    if stop {
                        break;
                    }
                }
            }
        }
        (reader, items)
    }

    /// Decodes the start of a series. The bytes of `columns` are held, whatever the outcome.
    fn decode_series(
        &self,
        reader: &mut SeriesReader,
        series: &FoundSeries,
        columns: &mut Columns,
    ) -> Result<Start> {
        let rows_ahead = match self.ahead {
            Ahead::Whole => usize::MAX,
            Ahead::Rows(rows) => rows,
        };
        reader.open(series)?;
        let expected = reader.rows_max().min(RESERVE_ROWS_MAX).min(rows_ahead as u64);
        columns.reserve(expected as usize);
        while columns.is_empty() || columns.len() <= rows_ahead - BATCH_ROWS_MAX {
            let base = columns.len();
            let read = reader.append(columns);
            let held = self.meter.hold(((columns.len() - base) * SAMPLE_BYTES) as u64);
            if read? == 0 {
                return Ok(Start::Whole);
            }
            if let Err(error) = held {
                return Ok(Start::TooLarge(error));
            }
            if self.ahead == Ahead::Whole {
                self.meter.check_samples_ahead(columns.len())?;
            }
        }
        Ok(Start::Partial)
    }
}

/// Whether an error is one of the query, not of one series.
pub(super) fn ends_query(error: &Error) -> bool {
    matches!(error, Error::Cancelled | Error::LimitExceeded(_))
}
