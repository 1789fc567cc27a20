//! Where a series is cut into chunks: at absolute times, so that series of one scrape interval share
//! their cuts and with them their timestamp columns.
//!
//! Called by flush, which has a series in one piece ([`flush_slices`]), and by merges, which see it
//! pass by in batches ([`ChunkCutter`]). Both cut at the same places: a chunk ends where a span of time
//! ends, the window divided by the power of two that leaves at most the wanted rows of a series that
//! goes on like its next rows, and never behind the codec's limit.
//!
//! But a flush leaves neighbouring chunks of few rows together, across windows. Samples that come late
//! one by one lie in many windows: a chunk for each took some sixty bytes a sample and the time of
//! merging them. The first merge cuts them by window.

use std::ops::Range;

use super::ROWS_MAX;
use crate::error::Result;
use crate::types::Timestamp;

/// Rows that a chunk of a flush should have at most.
pub const FAST_ROWS: usize = 1024;
/// Rows that a chunk of a merge should have at most: longer ones gain next to nothing.
pub const DENSE_ROWS: usize = 1536;
/// A flush keeps neighbouring chunks of fewer rows together.
const SPARSE_ROWS: usize = 32;
/// Windows that such a chunk lies in at most: aligned, so that series still share their cuts.
const SPARSE_WINDOWS: i64 = 64;
/// Cuts of a window into halves, at most.
const HALVINGS_MAX: u32 = 40;

/// What the cuts depend on beside the timestamps.
#[derive(Debug, Clone, Copy)]
struct Rule {
    window_ticks: i64,
    rows_target: usize,
}

impl Rule {
    fn new(window_ticks: i64, rows_target: usize) -> Self {
        assert!(window_ticks > 0, "a window is not empty");
        assert!((1..ROWS_MAX).contains(&rows_target), "a chunk has fewer than {ROWS_MAX} rows");
        Self { window_ticks, rows_target }
    }

    /// The rows of the chunk that starts with the first of `timestamps`. `None` if that depends on
    /// the rows that follow them; if `all`, none do.
    fn rows(self, timestamps: &[Timestamp], all: bool) -> Option<usize> {
        if timestamps.is_empty() || !all && timestamps.len() <= self.rows_target {
            return None;
        }
        let span = self.span(timestamps);
        let cut = timestamps[0].div_euclid(span);
        let reach = &timestamps[..timestamps.len().min(ROWS_MAX)];
        let rows = reach.partition_point(|t| t.div_euclid(span) == cut);
        (all || rows < timestamps.len() || rows == ROWS_MAX).then_some(rows)
    }

    /// The span of chunks for a series that goes on like its next rows, in ticks.
    fn span(self, timestamps: &[Timestamp]) -> i64 {
        let rows = self.rows_target.min(timestamps.len() - 1);
        let took = i128::from(timestamps[rows]) - i128::from(timestamps[0]);
        let (rows, wanted) = (rows as i128, self.rows_target as i128);
        let mut span = self.window_ticks;
        for _ in 0..HALVINGS_MAX {
            // Rows expected in a span: span * rows / took.
            if i128::from(span) * rows <= took * wanted || span % 2 != 0 {
                break;
            }
            span /= 2;
        }
        span
    }
}

/// The chunks of a whole series, as ranges of its rows.
///
/// # Panics
/// If the window is not positive, or the target is 0 or not below 8,192 rows.
pub fn slices(
    timestamps: &[Timestamp],
    window_ticks: i64,
    rows_target: usize,
) -> impl Iterator<Item = Range<usize>> {
    let rule = Rule::new(window_ticks, rows_target);
    let mut start = 0;
    std::iter::from_fn(move || {
        let rows = rule.rows(&timestamps[start..], true)?;
        start += rows;
        Some(start - rows..start)
    })
}

/// The chunks of a whole series that is flushed: as [`slices`], but neighbours of few rows are one.
///
/// # Panics
/// If the window is not positive.
pub fn flush_slices(
    timestamps: &[Timestamp],
    window_ticks: i64,
) -> impl Iterator<Item = Range<usize>> {
    let span = window_ticks.saturating_mul(SPARSE_WINDOWS);
    let mut cuts = slices(timestamps, window_ticks, FAST_ROWS).peekable();
    std::iter::from_fn(move || {
        let mut chunk = cuts.next()?;
        let is_sparse = chunk.len() < SPARSE_ROWS;
        let place = timestamps[chunk.start].div_euclid(span);
        while let Some(next) = cuts.next_if(|next| {
            is_sparse
                && next.len() < SPARSE_ROWS
                && next.end - chunk.start <= FAST_ROWS
                && timestamps[next.end - 1].div_euclid(span) == place
        }) {
            chunk.end = next.end;
        }
        Some(chunk)
    })
}

/// Cuts series that arrive in batches of any size. Keep one and use it for series after series: at
/// most twice 8,193 rows are held.
#[derive(Debug)]
pub struct ChunkCutter {
    rule: Rule,
    timestamps: Vec<Timestamp>,
    values: Vec<f64>,
    /// Rows at the front that have been handed on.
    done: usize,
}

impl ChunkCutter {
    /// Rows that are looked at in one go. Every cut is known by then.
    const REACH: usize = ROWS_MAX + 1;

    /// A cutter for windows of `window_ticks` ticks and chunks of at most about `rows_target` rows.
    ///
    /// # Panics
    /// If the window is not positive, or the target is 0 or not below 8,192 rows.
    #[must_use]
    pub fn new(window_ticks: i64, rows_target: usize) -> Self {
        let rule = Rule::new(window_ticks, rows_target);
        Self { rule, timestamps: Vec::new(), values: Vec::new(), done: 0 }
    }

    /// Takes the next rows of the series and hands to `emit` the chunks whose end they decide.
    ///
    /// # Errors
    /// Those of `emit`; [`clear`](Self::clear) before the next series.
    ///
    /// # Panics
    /// If the columns differ in length.
    pub fn push(
        &mut self,
        timestamps: &[Timestamp],
        values: &[f64],
        emit: &mut impl FnMut(&[Timestamp], &[f64]) -> Result<()>,
    ) -> Result<()> {
        assert_eq!(timestamps.len(), values.len(), "columns are of one length");
        let mut next = 0;
        while next < timestamps.len() {
            let room = Self::REACH.saturating_sub(self.timestamps.len() - self.done);
            let end = timestamps.len().min(next + room);
            self.timestamps.extend_from_slice(&timestamps[next..end]);
            self.values.extend_from_slice(&values[next..end]);
            next = end;
            self.emit(false, emit)?;
        }
        Ok(())
    }

    /// Hands on the rest of the series; the next rows belong to another one.
    ///
    /// # Errors
    /// As [`push`](Self::push).
    pub fn finish(
        &mut self,
        emit: &mut impl FnMut(&[Timestamp], &[f64]) -> Result<()>,
    ) -> Result<()> {
        self.emit(true, emit)?;
        debug_assert!(self.timestamps.is_empty(), "every row was handed on");
        Ok(())
    }

    /// Forgets the rows that were not handed on.
    pub fn clear(&mut self) {
        self.timestamps.clear();
        self.values.clear();
        self.done = 0;
    }

    /// Hands on what is decided, and makes room.
    fn emit(
        &mut self,
        all: bool,
        emit: &mut impl FnMut(&[Timestamp], &[f64]) -> Result<()>,
    ) -> Result<()> {
        while let Some(rows) = self.rule.rows(&self.timestamps[self.done..], all) {
            let chunk = self.done..self.done + rows;
            emit(&self.timestamps[chunk.clone()], &self.values[chunk])?;
            self.done += rows;
        }
        let open = self.timestamps.len() - self.done;
        if open == 0 {
            self.clear();
        } else if self.done >= open {
            // No more rows are moved than were handed on.
            self.timestamps.drain(..self.done);
            self.values.drain(..self.done);
            self.done = 0;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const DAY: i64 = 86_400_000;

    fn cut(timestamps: &[i64]) -> Vec<usize> {
        let cut: Vec<_> = slices(timestamps, DAY, FAST_ROWS).collect();
        assert_eq!(cut.first().map_or(0, |c| c.start), 0);
        assert!(cut.windows(2).all(|pair| pair[0].end == pair[1].start), "nothing is left out");
        assert_eq!(cut.last().map_or(0, |c| c.end), timestamps.len());
        cut.iter().map(|range| range.len()).collect()
    }

    #[test]
    fn regular_series_share_their_cuts() {
        let series = |offset: i64| (0..5760).map(|i| i * 15_000 + offset).collect::<Vec<_>>();
        assert_eq!(cut(&series(0)), vec![720; 8]);
        assert_eq!(cut(&series(7)), vec![720; 8]);
    }

    #[test]
    fn chunks_do_not_cross_windows() {
        assert_eq!(cut(&[DAY - 1, DAY, DAY + 1]), [1, 2]);
        assert_eq!(cut(&[-DAY - 1, -1, 0]), [1, 1, 1]);
        assert_eq!(cut(&[i64::MIN, 0, i64::MAX]), [1, 1, 1]);
        assert_eq!(cut(&[]), [0; 0]);
    }

    #[test]
    fn a_flush_keeps_together_what_is_sparse_and_nothing_else() {
        let flushed = |timestamps: &[i64]| -> Vec<usize> {
            flush_slices(timestamps, DAY).map(|range| range.len()).collect()
        };
        // A sample a day, late, and then an hour of today.
        let mut series: Vec<i64> = (0..12).map(|day| day * DAY + 977 * day).collect();
        series.extend((0..240).map(|i| 12 * DAY + i * 15_000));
        assert_eq!(flushed(&series), [12, 240]);
        series.extend([13 * DAY, 14 * DAY, 64 * DAY - 1, 64 * DAY]);
        assert_eq!(flushed(&series), [12, 240, 3, 1], "within 64 aligned windows");
        let days: Vec<i64> = (-100..1000).map(|day| day * DAY).collect();
        assert!(flushed(&days).iter().all(|&rows| rows <= 64));
        assert_eq!(flushed(&days).iter().sum::<usize>(), 1100);
        let edges = [i64::MIN, i64::MIN + 1, -1, 0, i64::MAX];
        assert_eq!(flushed(&edges), [2, 1, 1, 1]);
        let wide: Vec<usize> = flush_slices(&edges, i64::MAX).map(|range| range.len()).collect();
        assert_eq!(wide.iter().sum::<usize>(), 5);
        assert_eq!(flushed(&[]), [0; 0]);
    }

    #[test]
    fn dense_series_stay_below_the_limit() {
        let dense: Vec<i64> = (0..100_000).collect();
        assert!(cut(&dense).iter().all(|&rows| rows <= ROWS_MAX));
        // A pause, then a burst: the burst is cut by its own density.
        let mut burst: Vec<i64> = (0..10).map(|i| i * 3_600_000).collect();
        burst.extend((0..20_000).map(|i| 40_000_000 + i));
        assert!(cut(&burst).iter().all(|&rows| rows <= ROWS_MAX));
    }

    #[test]
    fn a_million_days_are_a_million_chunks() {
        let days: Vec<i64> = (0..1000).map(|i| i * DAY).collect();
        assert_eq!(cut(&days), vec![1; 1000]);
    }

    /// What a cutter makes of the rows in batches of the given sizes, in turn; values are row numbers.
    fn stream(
        cutter: &mut ChunkCutter,
        timestamps: &[i64],
        batches: &[usize],
    ) -> Vec<(Vec<i64>, Vec<f64>)> {
        let values: Vec<f64> = (0..timestamps.len()).map(|row| row as f64).collect();
        let mut chunks = Vec::new();
        let mut emit = |timestamps: &[i64], values: &[f64]| {
            chunks.push((timestamps.to_vec(), values.to_vec()));
            Ok(())
        };
        let (mut next, mut sizes) = (0, batches.iter().cycle());
        while next < timestamps.len() {
            let end = timestamps.len().min(next + sizes.next().unwrap());
            cutter.push(&timestamps[next..end], &values[next..end], &mut emit).unwrap();
            assert!(cutter.timestamps.len() <= 2 * ChunkCutter::REACH, "memory is bounded");
            next = end;
        }
        cutter.finish(&mut emit).unwrap();
        chunks
    }

    fn assert_same_cuts(series: &[Vec<i64>], window: i64, target: usize, batches: &[usize]) {
        let mut cutter = ChunkCutter::new(window, target);
        for timestamps in series {
            let whole: Vec<_> = slices(timestamps, window, target)
                .map(|rows| {
                    let values = rows.clone().map(|row| row as f64).collect::<Vec<_>>();
                    (timestamps[rows].to_vec(), values)
                })
                .collect();
            assert!(stream(&mut cutter, timestamps, batches) == whole, "{batches:?}");
        }
    }

    #[test]
    fn batches_of_any_size_give_the_cuts_of_the_whole() {
        let mut burst: Vec<i64> = (0..10).map(|i| i * 3_600_000).collect();
        burst.extend((0..20_000).map(|i| 40_000_000 + i));
        burst.extend((1..3000).map(|i| 50_000_000 + i * DAY / 3));
        let series = [
            (0..5760).map(|i| i * 15_000 - 7).collect(),
            (0..30_000).collect(),
            burst,
            vec![i64::MIN, 0, i64::MAX],
            Vec::new(),
        ];
        let tables: [&[usize]; 6] =
            [&[1], &[1000], &[8192], &[8193, 1], &[100_000], &[3, 1024, 1, 1025, 9000]];
        for batches in tables {
            for (window, target) in [(DAY, FAST_ROWS), (DAY, 1536), (1 << 20, 1), (7, 8191)] {
                assert_same_cuts(&series, window, target, batches);
            }
        }
    }

    #[test]
    fn an_error_stops_the_cutter_and_clear_starts_it_again() {
        let mut cutter = ChunkCutter::new(10, 4);
        let rows: Vec<i64> = (0..30).collect();
        let error =
            cutter.push(&rows, &[0.0; 30], &mut |_, _| Err(crate::Error::SelfCheck("full".into())));
        assert!(error.is_err());
        cutter.clear();
        let chunks = stream(&mut cutter, &[100, 101], &[1]);
        assert_eq!(chunks, [(vec![100, 101], vec![0.0, 1.0])]);
    }

    proptest! {
        #[test]
        fn random_series_are_cut_alike(
            runs in prop::collection::vec((1i64..2_000_000, 1usize..4000), 1..6),
            batches in prop::collection::vec(1usize..10_000, 1..5),
            target in 1usize..3000,
        ) {
            let mut t = -5_000_000;
            let mut timestamps = Vec::new();
            for (step, rows) in runs {
                for _ in 0..rows {
                    timestamps.push(t);
                    t += step;
                }
            }
            assert_same_cuts(&[timestamps], DAY, target, &batches);
        }

        #[test]
        fn irregular_series_are_cut_alike(
            steps in prop::collection::vec(prop_oneof![1i64..3, 5i64..2000], 1..600),
            batches in prop::collection::vec(1usize..30, 1..5),
            target in 1usize..20,
        ) {
            let sum = |t: &mut i64, step: &i64| { *t += step; Some(*t) };
            let timestamps = steps.iter().scan(-10_000, sum).collect();
            assert_same_cuts(&[timestamps], 1 << 16, target, &batches);
        }
    }
}
