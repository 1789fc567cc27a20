//! A selection in steps of time.
//!
//! The engine folds whole series. One with more buckets than may be held is folded in parts here.

use std::ops::ControlFlow;

use siltstone::{Error, Matcher, QueryOptions, Result, SeriesBuckets, Snapshot, TimeRange};

use super::SelectedSeries;

/// Buckets of a part of a series; it takes some 8 MB.
const PART_BUCKETS: i64 = 64 << 10;

impl SelectedSeries {
    /// Calls `visit` with the selected series in buckets of `step` ticks, counted from the start of
    /// the range, until it breaks. A series comes once, under the first selector that selects it; one
    /// whose buckets take more than `bytes_max` comes in several pieces.
    ///
    /// # Errors
    /// As [`Snapshot::aggregate`], and the first error of any series; what was visited before stands.
    pub fn aggregate(
        &self,
        snapshot: &Snapshot,
        step: i64,
        options: &QueryOptions,
        mut visit: impl FnMut(&SeriesBuckets) -> ControlFlow<()>,
    ) -> Result<()> {
        for (index, matchers) in self.selectors.iter().enumerate() {
            let query = Query { snapshot, matchers, range: self.range, step, options };
            let flow = query.run(&mut |series| {
                if self.selected_before(index, &series.labels) {
                    return ControlFlow::Continue(());
                }
                visit(series)
            })?;
            if flow.is_break() {
                break;
            }
        }
        Ok(())
    }
}

type Visit<'a> = &'a mut dyn FnMut(&SeriesBuckets) -> ControlFlow<()>;

/// What is asked of one selector.
struct Query<'a> {
    snapshot: &'a Snapshot,
    matchers: &'a [Matcher],
    range: TimeRange,
    step: i64,
    options: &'a QueryOptions,
}

impl Query<'_> {
    /// Visits series by series while each can be held, and the rest in parts.
    fn run(&self, visit: Visit<'_>) -> Result<ControlFlow<()>> {
        let aggregate =
            |step| self.snapshot.aggregate(self.matchers, self.range, step, self.options);
        let mut visited = 0;
        for series in aggregate(self.step)? {
            match (series, self.step.checked_mul(PART_BUCKETS)) {
                (Ok(series), _) => {
                    if visit(&series).is_break() {
                        return Ok(ControlFlow::Break(()));
                    }
                    visited += 1;
                }
                // Which samples there are in each part is known from a fold in longer steps.
                (Err(Error::LimitExceeded(_)), Some(part)) => {
                    for series in aggregate(part)?.skip(visited) {
                        if self.in_parts(&series?, part, visit)?.is_break() {
                            return Ok(ControlFlow::Break(()));
                        }
                    }
                    break;
                }
                (Err(error), _) => return Err(error),
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Visits the buckets of a series that is folded into parts of `ticks`.
    fn in_parts(
        &self,
        series: &SeriesBuckets,
        ticks: i64,
        visit: Visit<'_>,
    ) -> Result<ControlFlow<()>> {
        let labels = series.labels.iter();
        let matchers: Vec<Matcher> = labels.map(|(n, v)| Matcher::equal(n, v)).collect();
        for part in &series.buckets {
            let end = part.start.saturating_add(ticks).min(self.range.end);
            let range = TimeRange::new(part.start, end);
            // Series with more labels satisfy the matchers, too.
            for found in self.snapshot.aggregate(&matchers, range, self.step, self.options)? {
                let found = found?;
                if found.labels == series.labels {
                    if visit(&found).is_break() {
                        return Ok(ControlFlow::Break(()));
                    }
                    break;
                }
            }
        }
        Ok(ControlFlow::Continue(()))
    }
}

#[cfg(test)]
mod tests {
    use siltstone::{Bucket, Db, Labels, Options, WriteBatch};

    use super::*;

    const ROWS: i64 = 150_000;

    fn filled(dir: &std::path::Path) -> Db {
        let db = Db::open(dir.join("store"), Options::default()).unwrap();
        let names: [&[(&str, &str)]; 3] =
            [&[("a", "x"), ("z", "1")], &[("z", "1")], &[("a", "س"), ("z", "1")]];
        for (i, pairs) in names.iter().enumerate() {
            let series = db.series(&Labels::from_pairs(pairs.iter().copied()).unwrap()).unwrap();
            let rows: Vec<i64> = (0..if i == 0 { 10 } else { ROWS }).collect();
            for rows in rows.chunks(50_000) {
                let mut batch = WriteBatch::new();
                for &row in rows {
                    // With a gap longer than a part.
                    let time = if row > ROWS / 2 { row + 3 * PART_BUCKETS } else { row };
                    batch.push(series, time - 9, (row + i as i64) as f64).unwrap();
                }
                db.write(&batch).unwrap();
            }
        }
        db.flush().unwrap();
        db
    }

    #[test]
    fn too_many_buckets_come_in_parts() {
        let dir = tempfile::tempdir().unwrap();
        let db = filled(dir.path());
        let snapshot = db.snapshot().unwrap();
        let text = |bucket: &Bucket| format!("{bucket:?}");
        for range in [TimeRange::new(-9, i64::MAX), TimeRange::new(3, 344_000)] {
            let selection = SelectedSeries::parse(["{z!=\"\"}", "{z=\"1\"}"], range).unwrap();
            let run = |bytes_max, limit: usize| {
                let options =
                    QueryOptions { bytes_max: Some(bytes_max), ..QueryOptions::default() };
                let (mut buckets, mut pieces) = (Vec::new(), 0);
                let visit = |series: &SeriesBuckets| {
                    pieces += 1;
                    let of_series = |b: &Bucket| (series.labels.to_string(), text(b));
                    buckets.extend(series.buckets.iter().map(of_series));
                    let enough = pieces >= limit;
                    if enough { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
                };
                selection.aggregate(&snapshot, 2, &options, visit).map(|()| (pieces, buckets))
            };
            let (series, whole) = run(1 << 30, usize::MAX).unwrap();
            // Less than the 75,000 buckets of a series, and more than those of a part.
            let bytes_max = 70_000 * size_of::<Bucket>() as u64;
            let (pieces, parts) = run(bytes_max, usize::MAX).unwrap();
            assert_eq!(pieces, series + 2, "two series come in two pieces");
            assert_eq!(parts.len(), whole.len());
            assert!(parts == whole, "the same buckets in the same order");
            assert_eq!(run(bytes_max, 2).unwrap().0, 2);
            assert!(matches!(run(1000, usize::MAX), Err(Error::LimitExceeded(_))));
        }
        db.close().unwrap();
    }
}
