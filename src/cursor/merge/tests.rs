//! The merge against a map that the same samples were written to in order of rank.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::heads::rows_below;
use super::*;
use crate::cursor::{Extent, Footprint, HiddenRanges, Summary};
use crate::error::Error;
use crate::types::DecodeError;

mod lost;

/// A cursor over series of prepared batches; the key is the number of the series.
#[derive(Default, Clone)]
struct Prepared {
    series: Vec<Vec<Vec<(i64, u64)>>>,
    key: usize,
    batch: usize,
    /// Fails once before the batch with this number.
    damaged: Option<usize>,
    /// How often `append` was called.
    appends: std::sync::Arc<std::sync::atomic::AtomicUsize>,
}

impl Prepared {
    fn one(batches: Vec<Vec<(i64, u64)>>) -> Self {
        Self { series: vec![batches], ..Self::default() }
    }
}

impl SeriesCursor for Prepared {
    fn open(&mut self, key: u32) -> Result<Option<Extent>> {
        self.key = key as usize;
        self.batch = 0;
        let samples: Vec<i64> = self.series[self.key].iter().flatten().map(|s| s.0).collect();
        let (Some(&first), Some(&last)) = (samples.first(), samples.last()) else {
            return Ok(None);
        };
        Ok(Some(Extent { first, last, rows: samples.len() as u64, has_lost: false }))
    }

    fn skip_hidden(&mut self, _hidden: &HiddenRanges) {}

    fn footprint(&mut self, _hidden: &HiddenRanges) -> Result<Footprint> {
        unreachable!("a merge reads")
    }

    fn append(&mut self, columns: &mut Columns) -> Result<usize, Unread> {
        self.appends.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        if self.damaged == Some(self.batch) {
            self.damaged = None;
            self.batch += 1;
            let source = DecodeError::Invalid("checksum");
            let path = "x".into();
            return Err(Error::Corrupt { path, section: "block", offset: 0, source }.into());
        }
        let Some(batch) = self.series[self.key].get(self.batch) else { return Ok(0) };
        self.batch += 1;
        for &(time, bits) in batch {
            columns.timestamps.push(time);
            columns.values.f64_mut().push(f64::from_bits(bits));
        }
        Ok(batch.len())
    }

    fn summary(&self) -> Option<Summary> {
        None
    }

    fn skip(&mut self) {
        unreachable!("there is no summary")
    }
}

fn open(layers: &[Prepared], range: TimeRange, key: u32) -> Merge {
    let mut merge = Merge::new(range, layers.len());
    reopen(&mut merge, layers, key);
    merge
}

fn reopen(merge: &mut Merge, layers: &[Prepared], key: u32) {
    merge.start();
    for (rank, layer) in layers.iter().enumerate() {
        merge.add(rank, key, || Box::new(layer.clone())).unwrap();
    }
}

/// Reads all and checks what every batch must be.
fn drain(merge: &mut Merge) -> Vec<(i64, u64)> {
    let mut out = Columns::default();
    let rows_max = (!merge.planned).then(|| merge.rows_max());
    loop {
        let before = out.len();
        let rows = merge.append(&mut out).unwrap();
        assert_eq!(out.len() - before, rows);
        assert!(rows <= BATCH_ROWS_MAX);
        if rows == 0 {
            break;
        }
    }
    assert!(out.timestamps.is_sorted_by(|a, b| a < b));
    assert!(rows_max.is_none_or(|max| out.len() as u64 <= max));
    out.iter().map(|(t, v)| (t, v.to_bits())).collect()
}

fn expected(layers: &[Prepared], range: TimeRange, key: usize) -> Vec<(i64, u64)> {
    let mut map = BTreeMap::new();
    for layer in layers {
        map.extend(layer.series[key].iter().flatten().filter(|s| range.contains(s.0)).copied());
    }
    map.into_iter().collect()
}

/// Times that collide often, with the ends of i64 among them.
fn time() -> impl Strategy<Value = i64> {
    prop_oneof![
        8 => -20i64..60,
        1 => Just(i64::MIN),
        1 => Just(i64::MIN + 1),
        1 => Just(i64::MAX - 1),
        1 => Just(i64::MAX),
    ]
}

fn bits() -> impl Strategy<Value = u64> {
    prop_oneof![
        3 => any::<u64>(),
        1 => Just(0x7ff0_0000_0000_0002),
        1 => Just(0x7ff8_0000_0000_0001),
        1 => Just((-0.0f64).to_bits()),
    ]
}

/// The samples of one series in one layer, cut into batches.
fn batches() -> impl Strategy<Value = Vec<Vec<(i64, u64)>>> {
    let samples = prop_oneof![
        prop::collection::btree_map(time(), bits(), 0..40),
        // Runs: consecutive times, as scraped.
        (-30i64..60, 0usize..50, bits()).prop_map(|(start, rows, bits)| {
            (start..).take(rows).map(|t| (t, bits ^ t as u64)).collect()
        }),
    ];
    (samples, prop::collection::vec(1usize..12, 1..6)).prop_map(|(samples, sizes)| {
        let mut left: Vec<(i64, u64)> = samples.into_iter().collect();
        let mut batches = Vec::new();
        for size in sizes.into_iter().cycle() {
            if left.is_empty() {
                break;
            }
            batches.push(left.drain(..size.min(left.len())).collect());
        }
        batches
    })
}

fn range() -> impl Strategy<Value = TimeRange> {
    prop_oneof![
        1 => Just(TimeRange::ALL),
        3 => (time(), time()).prop_map(|(start, end)| TimeRange::new(start, end)),
        1 => (time(), time()).prop_map(|(first, last)| TimeRange::closed(first, last)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn equals_a_map_with_the_last_write(
        layers in prop::collection::vec(prop::collection::vec(batches(), 2), 0..5),
        range in range(),
    ) {
        let layers: Vec<Prepared> =
            layers.into_iter().map(|series| Prepared { series, ..Prepared::default() }).collect();
        let mut merge = Merge::new(range, layers.len());
        // One merge serves one series after the other, also after one that was not read to its end.
        for (key, whole) in [(0, true), (1, false), (0, true), (1, true)] {
            reopen(&mut merge, &layers, key as u32);
            if !whole {
                merge.append(&mut Columns::default()).unwrap();
                continue;
            }
            let expected = expected(&layers, range, key);
            prop_assert!(!merge.surely_has_samples() || !expected.is_empty());
            prop_assert_eq!(drain(&mut merge), expected);
        }
    }

    #[test]
    fn rows_below_a_bound(times in prop::collection::btree_set(-50i64..50, 1..60), bound in -49i64..60) {
        let times: Vec<i64> = times.into_iter().collect();
        prop_assume!(times[0] < bound);
        prop_assert_eq!(rows_below(&times, bound), times.iter().filter(|&&t| t < bound).count());
    }
}

fn full_batches(start: i64, step: i64, count: usize, bits: u64) -> Vec<Vec<(i64, u64)>> {
    let rows = BATCH_ROWS_MAX as i64;
    let batch = |b: i64| (0..rows).map(move |i| (start + (b * rows + i) * step, bits)).collect();
    (0..count as i64).map(batch).collect()
}

#[test]
fn full_batches_interleaved_row_by_row() {
    let layers = [
        Prepared::one(full_batches(0, 2, 3, 1)),
        Prepared::one(full_batches(1, 2, 2, 2)),
        Prepared::one(full_batches(0, 3, 1, 3)),
    ];
    let merged = drain(&mut open(&layers, TimeRange::ALL, 0));
    assert_eq!(merged, expected(&layers, TimeRange::ALL, 0));
}

#[test]
fn inputs_that_do_not_overlap_are_not_read_ahead() {
    // In time the higher rank comes first: spans go by time, not by rank.
    let layers =
        [Prepared::one(full_batches(1_000_000, 1, 2, 1)), Prepared::one(full_batches(0, 1, 2, 2))];
    let mut merge = open(&layers, TimeRange::ALL, 0);
    let mut out = Columns::default();
    assert_eq!(merge.append(&mut out).unwrap(), BATCH_ROWS_MAX);
    let calls = |i: usize| layers[i].appends.load(std::sync::atomic::Ordering::Relaxed);
    assert_eq!((calls(0), calls(1)), (0, 1), "straight into the output");
    assert_eq!(out.timestamps[0], 0);
    assert_eq!(drain(&mut merge).len(), 3 * BATCH_ROWS_MAX);
}

#[test]
fn nothing_behind_the_range_is_read() {
    let layers = [Prepared::one(full_batches(0, 1, 5, 1))];
    let range = TimeRange::new(10, BATCH_ROWS_MAX as i64 + 10);
    assert_eq!(drain(&mut open(&layers, range, 0)).len(), BATCH_ROWS_MAX);
    assert_eq!(layers[0].appends.load(std::sync::atomic::Ordering::Relaxed), 3);
}

#[test]
fn goes_on_behind_damage() {
    let whole = full_batches(0, 2, 3, 1);
    for other in [vec![], full_batches(1, 2, 3, 2)] {
        let layers =
            [Prepared { damaged: Some(1), ..Prepared::one(whole.clone()) }, Prepared::one(other)];
        let mut merge = open(&layers, TimeRange::ALL, 0);
        let mut out = Columns::default();
        let mut errors = 0;
        loop {
            match merge.append(&mut out) {
                Ok(0) => break,
                Ok(_) => {}
                Err(Unread::Failed(Error::Corrupt { .. })) => errors += 1,
                Err(e) => panic!("{e:?}"),
            }
        }
        assert_eq!(errors, 1);
        let mut kept = layers.clone();
        kept[0].series[0].remove(1);
        let got: Vec<(i64, u64)> = out.iter().map(|(t, v)| (t, v.to_bits())).collect();
        assert_eq!(got, expected(&kept, TimeRange::ALL, 0));
    }
}

#[test]
fn buffers_are_reused() {
    let layers = [Prepared::one(full_batches(0, 2, 2, 1)), Prepared::one(full_batches(1, 2, 2, 2))];
    let mut merge = open(&layers, TimeRange::ALL, 0);
    drain(&mut merge);
    let buffers = |merge: &Merge| -> Vec<*const i64> {
        let inputs = merge.inputs.iter().flatten();
        inputs.map(|input| input.pending().as_ptr()).collect()
    };
    let before = buffers(&merge);
    reopen(&mut merge, &layers, 0);
    drain(&mut merge);
    assert_eq!(buffers(&merge), before);
}
