//! Whether queries answer alike on all their ways: `verify --deep`.
//!
//! Called by `verify` of a store in which nothing is damaged. That each segment is right in itself does not say
//! that what is read through indexes, summaries and the merge of layers is: here every series is decoded, and
//! held against what the summaries of chunks answer for it, in buckets that chunks lie in and in buckets that
//! cut them; and the digest of one reader is held against that of the readers that decode ahead. Memory is
//! bounded by one series' buckets.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::Path;

use super::read_only::ReadOnlyDb;
use crate::cursor::Columns;
use crate::db::env::finding::Finding;
use crate::db::env::options::Options;
use crate::db::snapshot::Snapshot;
use crate::error::Result;
use crate::read::{Aggregation, Bucket, ContentDigest, QueryOptions};
use crate::types::{Labels, STALE_MARKER_BITS, Sample, TimeRange, Timestamp};

/// Into how many buckets the time of the store is cut, so that most cut a chunk.
const BUCKETS: u64 = 47;
/// Series with differences that are named.
const NAMED_MAX: usize = 20;

/// Reads everything several times and reports where answers differ. How many differences there are.
///
/// # Errors
/// Those of opening and reading the store.
pub(super) fn compare(
    dir: &Path,
    options: &Options,
    found: &mut dyn FnMut(&Finding),
) -> Result<u64> {
    let mut db = ReadOnlyDb::open(dir, options.clone())?;
    let differences = db.read(differences)?;
    for difference in differences.iter().take(NAMED_MAX) {
        found(&Finding::new(dir, difference.clone()));
    }
    if differences.len() > NAMED_MAX {
        let more = differences.len() - NAMED_MAX;
        found(&Finding::new(dir, format!("and {more} more series whose answers differ")));
    }
    Ok(differences.len() as u64)
}

fn differences(snapshot: &Snapshot) -> Result<Vec<String>> {
    let mut differences = Vec::new();
    let Some((first, last)) = snapshot.extent() else { return Ok(differences) };
    let options = QueryOptions::default();
    let cut = i64::try_from(last.abs_diff(first) / BUCKETS + 1).unwrap_or(i64::MAX);
    let range = TimeRange::new(first, last.saturating_add(1));
    let mut ahead = ContentDigest::default();
    for step in [i64::MAX, cut] {
        let answers = snapshot.aggregate(&[], range, step, &options)?;
        let mut run = Run { answers, first, step, series: None, differences: &mut differences };
        ahead = ContentDigest::default();
        let mut failed = None;
        snapshot.scan(&[], range, &options, &mut |labels, columns| {
            ahead.add(labels, columns);
            match run.take(labels, columns) {
                Ok(()) => ControlFlow::Continue(()),
                Err(error) => {
                    failed = Some(error);
                    ControlFlow::Break(())
                }
            }
        })?;
        failed.map_or(Ok(()), Err)?;
        run.end()?;
    }
    let listed = digest_listed(snapshot, range, &options)?;
    let parts = |digest: &ContentDigest| (digest.sum(), digest.series(), digest.samples());
    if parts(&ahead) != parts(&listed) {
        let what = "the digests of series read ahead and one by one differ";
        differences.push(format!("{what}: {ahead} and {listed}"));
    }
    Ok(differences)
}

/// The digest of everything, one series after the other.
fn digest_listed(
    snapshot: &Snapshot,
    range: TimeRange,
    options: &QueryOptions,
) -> Result<ContentDigest> {
    let set = snapshot.list(&[], range, options)?;
    let mut digest = ContentDigest::default();
    let numbers: Vec<u32> = (0..set.series_count() as u32).collect();
    set.scan(&numbers, &mut |number, columns| {
        digest.add(&set.labels()[number as usize], columns);
        ControlFlow::Continue(())
    })?;
    Ok(digest)
}

/// Series that are decoded, and what summaries answer for them, in label order both.
struct Run<'a> {
    answers: Aggregation,
    first: Timestamp,
    step: i64,
    /// The series that is being decoded, and its buckets by number.
    series: Option<(Labels, BTreeMap<u64, Folded>)>,
    differences: &'a mut Vec<String>,
}

impl Run<'_> {
    fn take(&mut self, labels: &Labels, columns: &Columns) -> Result<()> {
        if self.series.as_ref().is_none_or(|(last, _)| last != labels) {
            self.finish_series()?;
            self.series = Some((labels.clone(), BTreeMap::new()));
        }
        let Some((_, buckets)) = &mut self.series else { return Ok(()) };
        for (&timestamp, &value) in columns.timestamps.iter().zip(columns.values.f64()) {
            let bucket = timestamp.abs_diff(self.first) / self.step.unsigned_abs();
            buckets.entry(bucket).or_default().add(timestamp, value);
        }
        Ok(())
    }

    /// Compares the series that was decoded with what is answered next.
    fn finish_series(&mut self) -> Result<()> {
        let Some((labels, decoded)) = self.series.take() else { return Ok(()) };
        let Some(answered) = self.answers.next().transpose()? else {
            self.differences.push(format!("{labels} has samples, and no aggregates"));
            return Ok(());
        };
        let is_alike = answered.labels == labels
            && answered.buckets.len() == decoded.len()
            && answered.buckets.iter().zip(decoded.values()).all(|(a, d)| d.is_alike(a));
        if !is_alike {
            self.differences.push(format!(
                "{labels}: what the index says of its chunks is not what is in them ({} is answered in its place)",
                answered.labels
            ));
        }
        Ok(())
    }

    fn end(mut self) -> Result<()> {
        self.finish_series()?;
        if let Some(more) = self.answers.next().transpose()? {
            self.differences.push(format!("{} has aggregates, and no samples", more.labels));
        }
        Ok(())
    }
}

/// The samples of a bucket, added up one by one.
#[derive(Default)]
struct Folded {
    stale_markers: u64,
    count: u64,
    sum: f64,
    /// What adding up has lost (Neumaier's sum), and the sum of the magnitudes.
    lost: f64,
    magnitude: f64,
    min: Option<f64>,
    max: Option<f64>,
    first: Option<(Timestamp, u64)>,
    last: Option<(Timestamp, u64)>,
}

impl Folded {
    fn add(&mut self, timestamp: Timestamp, value: f64) {
        if value.to_bits() == STALE_MARKER_BITS {
            self.stale_markers += 1;
            return;
        }
        self.count += 1;
        let sum = self.sum + value;
        let (large, small) =
            if self.sum.abs() >= value.abs() { (self.sum, value) } else { (value, self.sum) };
        self.lost += (large - sum) + small;
        self.sum = sum;
        self.magnitude += value.abs();
        self.first.get_or_insert((timestamp, value.to_bits()));
        self.last = Some((timestamp, value.to_bits()));
        if !value.is_nan() {
            let better = |old: Option<f64>, wanted: Ordering| match old {
                Some(old) if value.total_cmp(&old) != wanted => Some(old),
                _ => Some(value),
            };
            self.min = better(self.min, Ordering::Less);
            self.max = better(self.max, Ordering::Greater);
        }
    }

    /// Whether the answer says the same; sums as far as floats that are added one by one can tell.
    fn is_alike(&self, answered: &Bucket) -> bool {
        let Some(values) = &answered.values else {
            return self.count == 0 && answered.stale_markers == self.stale_markers;
        };
        let bits = |sample: Sample| Some((sample.timestamp, sample.value.to_bits()));
        let same = |found: f64, expected: Option<f64>| match expected {
            Some(expected) => found.to_bits() == expected.to_bits(),
            None => found.is_nan(),
        };
        let sum = self.sum + self.lost;
        let is_near = !sum.is_finite()
            || !self.magnitude.is_finite()
            || (values.sum - sum).abs() <= self.magnitude * 1e-9;
        answered.stale_markers == self.stale_markers
            && values.count == self.count
            && same(values.min, self.min)
            && same(values.max, self.max)
            && bits(values.first) == self.first
            && bits(values.last) == self.last
            && is_near
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::db::{Background, Db};
    use crate::read::BucketValues;
    use crate::sys::{SimFs, Vfs};
    use crate::types::Matcher;
    use crate::{Verify, WriteBatch};

    #[test]
    fn every_part_of_an_answer_is_compared() {
        let mut folded = Folded::default();
        for (timestamp, value) in [(1, 2.5), (4, -0.0), (6, f64::NAN), (9, 7.0)] {
            folded.add(timestamp, value);
        }
        folded.add(10, f64::from_bits(STALE_MARKER_BITS));
        let (first, last) = (Sample::from((1, 2.5)), Sample::from((9, 7.0)));
        let right = BucketValues { count: 4, sum: f64::NAN, min: -0.0, max: 7.0, first, last };
        let bucket = |values| Bucket { start: 0, stale_markers: 1, values: Some(values) };
        assert!(folded.is_alike(&bucket(right)));
        for wrong in [
            BucketValues { count: 3, ..right },
            BucketValues { min: 0.0, ..right },
            BucketValues { max: 6.0, ..right },
            BucketValues { first: Sample::from((2, 2.5)), ..right },
            BucketValues { last: Sample::from((9, 7.5)), ..right },
        ] {
            assert!(!folded.is_alike(&bucket(wrong)), "{wrong:?}");
        }
        assert!(!folded.is_alike(&Bucket { stale_markers: 2, ..bucket(right) }));
        assert!(!folded.is_alike(&Bucket { values: None, ..bucket(right) }));
        let mut sums = Folded::default();
        [1e16, 1.0, -1e16].into_iter().for_each(|value| sums.add(1, value));
        let values = |sum| BucketValues { count: 3, sum, min: -1e16, max: 1e16, first, last };
        sums.first = Some((1, 2.5f64.to_bits()));
        sums.last = Some((9, 7f64.to_bits()));
        let bucket = |sum| Bucket { start: 0, stale_markers: 0, values: Some(values(sum)) };
        assert!(sums.is_alike(&bucket(1.0)) && !sums.is_alike(&bucket(1e8)));
    }

    /// Layers that overlap, deletes, stale markers, a series in memory alone.
    #[test]
    fn a_store_answers_alike_on_all_ways() {
        let fs = SimFs::new();
        let options = Options {
            vfs: Arc::new(fs) as Arc<dyn Vfs>,
            background: Background::Manual,
            query_threads: 0,
            ..Options::default()
        };
        let db = Db::open("/store", options.clone()).unwrap();
        for layer in 0..4i64 {
            let mut batch = WriteBatch::new();
            for series in 0..20 {
                let name = format!("s{series}");
                let labels = Labels::from_pairs([("__name__", name.as_str())]).unwrap();
                let handle = db.series(&labels).unwrap();
                for row in 0..300 {
                    let bits = match (row + layer) % 50 {
                        7 => STALE_MARKER_BITS,
                        n => (n as f64 / 8.0 + f64::from(series)).to_bits(),
                    };
                    batch.push(handle, (row * 3 + layer) * 1000, f64::from_bits(bits)).unwrap();
                }
            }
            db.write(&batch).unwrap();
            db.delete(&[Matcher::equal("__name__", "s3")], TimeRange::new(layer, 90_000)).unwrap();
            if layer < 3 {
                db.flush().unwrap();
            }
        }
        let mut found = Vec::new();
        let verify = Verify::new(Path::new("/store")).options(options.clone()).deep(true);
        let report = verify.on_finding(|finding| found.push(finding.to_string())).run().unwrap();
        assert_eq!((report.findings, found), (0, Vec::new()));
        // It looks at what queries answer: other ticks of the same store are other answers.
        let snapshot = db.snapshot().unwrap();
        assert!(differences(&snapshot).unwrap().is_empty());
        let answers = snapshot
            .aggregate(&[], TimeRange::new(5_000, i64::MAX), i64::MAX, &QueryOptions::default())
            .unwrap();
        let mut differences = Vec::new();
        let mut run =
            Run { answers, first: 0, step: i64::MAX, series: None, differences: &mut differences };
        let visit = &mut |labels: &Labels, columns: &Columns| {
            run.take(labels, columns).unwrap();
            ControlFlow::Continue(())
        };
        snapshot.scan(&[], TimeRange::ALL, &QueryOptions::default(), visit).unwrap();
        run.end().unwrap();
        assert!(differences.len() >= 19, "{differences:?}");
    }
}
