//! Outlines against all samples: each window must say the same of both.

use proptest::prelude::*;

use super::in_segments::SegmentMaker;
use super::model::{range, split, spread};
use super::*;
use crate::read::{Outline, Wanted};
use crate::types::STALE_MARKER_BITS;

const WANTED: [Wanted; 5] = [Wanted::Last, Wanted::Min, Wanted::Max, Wanted::Count, Wanted::Sum];

/// A sample: (time, value, how many it stands for).
type Counted = (i64, f64, u32);

/// `end - length < t <= end`, for ends from `first` on.
#[derive(Debug, Clone, Copy)]
struct Windows {
    first: i64,
    step: i64,
    count: usize,
    length: i64,
}

impl Windows {
    fn each(self) -> impl Iterator<Item = (i64, i64)> {
        (0..self.count as i64).map(move |step| {
            let end = self.first.saturating_add(step * self.step);
            (end.saturating_sub(self.length), end)
        })
    }

    fn outline(self, wanted: Wanted) -> Outline {
        Outline::new(wanted, self.first, (self.step, self.count), self.length)
    }
}

/// What is wanted of the samples of one window, as bits.
fn answer(wanted: Wanted, samples: &[Counted]) -> Vec<u64> {
    let is_live = |sample: &&Counted| sample.1.to_bits() != STALE_MARKER_BITS;
    let live: Vec<Counted> = samples.iter().filter(is_live).copied().collect();
    let extreme = |better: fn(f64, f64) -> bool| {
        let best =
            |best: f64, new: f64| if better(new, best) || best.is_nan() { new } else { best };
        live.iter().map(|sample| sample.1).reduce(best).map(f64::to_bits)
    };
    let count: u64 = live.iter().map(|sample| u64::from(sample.2)).sum();
    match wanted {
        Wanted::Last => samples.last().map(|s| vec![s.0 as u64, s.1.to_bits()]).unwrap_or_default(),
        Wanted::Min => extreme(|new, best| new < best).into_iter().collect(),
        Wanted::Max => extreme(|new, best| new > best).into_iter().collect(),
        Wanted::Count => vec![count],
        Wanted::Sum => vec![count, live.iter().map(|sample| sample.1).sum::<f64>().to_bits()],
    }
}

/// Whether sums of these values are never rounded.
fn are_summed_exactly(samples: &[Counted]) -> bool {
    let live = samples.iter().map(|s| s.1).filter(|v| v.to_bits() != STALE_MARKER_BITS);
    let mut magnitude = 0u64;
    live.into_iter().all(|value| {
        magnitude = magnitude.saturating_add((value as i64).unsigned_abs());
        (value as i64 as f64).to_bits() == value.to_bits()
    }) && magnitude <= 1 << 53
}

/// Compares the outlines of all series with their samples; returns how many samples were not handed
/// over because a point stands for them.
fn check(sources: &Arc<Sources>, range: TimeRange, windows: Windows) -> u64 {
    let set = sources.list_all(&[], range, &QueryOptions::default()).unwrap();
    let numbers: Vec<u32> = (0..set.labels().len() as u32).collect();
    let mut all: Vec<Vec<Counted>> = Vec::new();
    set.fold(&numbers, &mut |_, columns| {
        all.push(columns.iter().map(|(t, v)| (t, v, 1)).collect());
        ControlFlow::Continue(())
    })
    .unwrap();
    let mut saved = 0;
    for wanted in WANTED {
        let mut series = all.iter();
        set.outline(&numbers, &windows.outline(wanted), &mut |_, columns, counts| {
            let all = series.next().unwrap();
            assert!(columns.timestamps.is_sorted_by(|a, b| a < b), "{:?}", columns.timestamps);
            assert!(counts.is_empty() || counts.len() == columns.len());
            let points: Vec<Counted> = columns
                .iter()
                .enumerate()
                .map(|(at, (t, v))| (t, v, counts.get(at).copied().unwrap_or(1)))
                .collect();
            saved += (all.len() - points.len()) as u64;
            if wanted == Wanted::Sum {
                assert_eq!(are_summed_exactly(&points), are_summed_exactly(all), "{points:?}");
                if !are_summed_exactly(all) {
                    return ControlFlow::Continue(());
                }
            }
            for (start, end) in windows.each() {
                let inside = |sample: &&Counted| start < sample.0 && sample.0 <= end;
                let window = |samples: &[Counted]| -> Vec<Counted> {
                    samples.iter().filter(inside).copied().collect()
                };
                let (expected, found) = (window(all), window(&points));
                let message = format!("{wanted:?} in {start}..={end}: {points:?} for {all:?}");
                assert_eq!(answer(wanted, &found), answer(wanted, &expected), "{message}");
            }
            ControlFlow::Continue(())
        })
        .unwrap();
        assert!(series.next().is_none(), "each series is visited");
        let cost = set.cost(Some(&windows.outline(wanted))).unwrap();
        assert!(cost.samples <= set.cost(None).unwrap().samples);
    }
    saved
}

fn windows() -> impl Strategy<Value = Windows> {
    let length = prop_oneof![1i64..12, 20i64..90, Just(i64::MAX)];
    let step = prop_oneof![1i64..12, 20i64..90];
    (-20i64..140, step, 1usize..12, length).prop_map(|(first, step, count, length)| Windows {
        first: first / 5 * 5,
        step,
        count,
        length,
    })
}

/// Values of one kind mostly: chunks are summed up in different ways.
fn values() -> impl Strategy<Value = Vec<u64>> {
    let whole = (0i64..4).prop_map(|v| v as f64);
    let signed = (-2i64..3).prop_map(|v| v as f64);
    let tenths = (0i64..5).prop_map(|v| v as f64 / 10.0);
    let half = (1i64 << 52) as f64;
    let large = prop::sample::select(vec![half, -half, 1e15, 2.0 * half - 1.0]);
    let odd = prop::sample::select(vec![0.0, -0.0, f64::NAN, f64::INFINITY, 0.1 + 0.2, 1e300]);
    let stale = Just(f64::from_bits(STALE_MARKER_BITS));
    let run = prop_oneof![
        4 => prop::collection::vec(whole.clone(), 1..60),
        2 => prop::collection::vec(signed, 1..60),
        2 => prop::collection::vec(tenths, 1..60),
        1 => prop::collection::vec(large, 1..60),
        2 => prop::collection::vec(odd, 1..60),
        1 => prop::collection::vec(prop_oneof![6 => whole, 1 => stale], 1..60),
        1 => prop::collection::vec(stale, 1..60),
    ];
    run.prop_map(|values| values.into_iter().map(f64::to_bits).collect())
}

/// Runs of samples at equal distances, of which later ones may overwrite others.
fn history() -> impl Strategy<Value = Vec<Write>> {
    let run = (0usize..3, -10i64..100, prop::sample::select(vec![1i64, 5, 7]), values());
    prop::collection::vec(run, 1..6).prop_map(|runs| {
        let run = |(n, start, distance, values): (usize, i64, i64, Vec<u64>)| {
            let times = (0..).map(move |at| start / 5 * 5 + at * distance);
            times.zip(values).map(move |(time, bits)| (numbered(n), time, bits))
        };
        runs.into_iter().flat_map(run).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn windows_say_the_same_of_points_as_of_samples(
        history in history(),
        split in split(),
        range in range(),
        windows in prop::collection::vec(windows(), 1..5),
    ) {
        let sources = sources(spread(&history, &split), &Executor::Inline);
        for windows in windows {
            check(&sources, TimeRange::ALL, windows);
            check(&sources, range, windows);
        }
    }
}

#[test]
fn long_windows_decode_little() {
    // Chunks of seven samples, and windows of three chunks, cut where chunks are.
    let values = |t: i64| (t * 7 % 10) as f64;
    let history: Vec<Write> =
        (0..700).map(|t| (numbered(0), t * 10, values(t).to_bits())).collect();
    let maker = SegmentMaker::new().segment(&history, 1);
    let sources = sources(vec![maker], &Executor::Inline);
    for first in [0, 30, 210] {
        let windows = Windows { first, step: 210, count: 40, length: 210 };
        // Of five readings of a hundred chunks of seven.
        let saved = check(&sources, TimeRange::ALL, windows);
        assert!(saved > 1_500, "{saved} samples of 3,500 were not handed over");
    }
    let set = sources.list_all(&[], TimeRange::ALL, &QueryOptions::default()).unwrap();
    let outline = Outline::new(Wanted::Count, 0, (210, 40), 210);
    let mut points = 0;
    set.outline(&[0], &outline, &mut |_, columns, _| {
        points += columns.len();
        ControlFlow::Continue(())
    })
    .unwrap();
    // Every third chunk is cut behind its first sample.
    assert_eq!(points, 100 + 34);
    let (whole, cost) = (set.cost(None).unwrap(), set.cost(Some(&outline)).unwrap());
    assert_eq!((whole.samples, whole.chunks), (700, 100));
    assert_eq!((cost.samples, cost.chunks, cost.bytes), (0, 0, 0));
}

#[test]
fn sums_whose_terms_cancel_are_read() {
    let half = (1i64 << 52) as f64;
    let value = |t: i64| if t % 2 == 0 { half } else { -half };
    let history: Vec<Write> = (0..70).map(|t| (numbered(0), t, value(t).to_bits())).collect();
    let sources = sources(vec![SegmentMaker::new().segment(&history, 1)], &Executor::Inline);
    let set = sources.list_all(&[], TimeRange::ALL, &QueryOptions::default()).unwrap();
    set.outline(&[0], &Outline::new(Wanted::Sum, 69, (1, 1), 70), &mut |_, columns, counts| {
        assert_eq!((columns.len(), counts.len()), (70, 0), "their magnitudes would be lost");
        ControlFlow::Continue(())
    })
    .unwrap();
}
