//! The picker under load: how often bytes are rewritten, how many segments there are, and that
//! picking ends.

use std::collections::HashSet;
use std::sync::Arc;

use proptest::prelude::*;

use super::pick_range;
use super::picker::{Pick, PickerOptions, Reason, View, pick, pick_freeing};
use super::plan::plan;
use super::simulator::{DAY, Load, Piece, Store, meta};
use super::tier::depth;
use crate::types::{SegmentMeta, TimeRange};

const MIB: u64 = 1 << 20;

fn steady(days: i64, flushes: i64) -> Load {
    Load { days, flushes, bytes: 20 * MIB, late_percent: 0 }
}

fn late(flushes: i64) -> Load {
    Load { days: 60, flushes, bytes: 20 * MIB, late_percent: 10 }
}

/// The figures of ARCHITECTURE.md, "compaction".
#[test]
fn bytes_are_rewritten_rarely() {
    println!("load: written/at rest, most segments, most at one instant; then when all is quiet");
    for (name, load, amplification, segments, deep) in [
        ("a day, 12 flushes", steady(1, 12), 2.3, 12, 1),
        ("10 days, 12 flushes a day", steady(10, 12), 2.3, 25, 1),
        ("10 days, 100 flushes a day", steady(10, 100), 3.3, 60, 1),
        ("2 days, 1,000 flushes a day", steady(2, 1000), 3.3, 70, 1),
        ("60 days, 2 flushes a day, 10 % late", late(2), 2.6, 180, 15),
        ("60 days, 12 flushes a day, 10 % late", late(12), 2.6, 380, 25),
        ("60 days, 20 flushes a day, 10 % late", late(20), 2.6, 390, 35),
        ("40 days, 60 flushes a day, 10 % late", Load { days: 40, ..late(60) }, 3.6, 600, 50),
    ] {
        let mut store = load.run();
        let (live, most) = (store.amplification(), (store.most_segments, store.most_depth));
        Load::finish(&mut store);
        let (rest, count) = (store.amplification(), store.segments.len());
        let left = depth(&store.segments);
        println!("{name}: {live:.2}, {}, {}; then {rest:.2}, {count}, {left}", most.0, most.1);
        assert!(rest <= amplification, "{name}: written {rest:.2} times");
        assert!(most.0 <= segments, "{name}: {} segments", most.0);
        assert!(most.1 <= deep, "{name}: {} at one instant", most.1);
        assert!(left <= 5, "{name}: {left} at one instant when quiet");
    }
}

#[test]
fn a_trickle_takes_few_files_and_few_rewrites() {
    let load = Load { days: 1000, flushes: 12, bytes: 1024, late_percent: 0 };
    let store = load.run();
    assert!(store.segments.len() < 40, "{} segments", store.segments.len());
    // Flush, split, and a join for each fourfold up to 64 days, which hold 0.6 MiB.
    assert!(store.amplification() < 5.3, "written {:.2} times", store.amplification());
}

#[test]
fn an_open_window_of_many_small_flushes_is_few_segments() {
    // Every five seconds for most of a day, merged in fours.
    let mut store = Store::new(PickerOptions { level0_trigger: 4, ..PickerOptions::new(DAY) });
    for at in (0..DAY * 3 / 4).step_by(5000) {
        store.flush(&[Piece { first: at, last: at + 4999, bytes: 10 << 10 }]);
        store.now = at + 5000;
        store.run_until_idle(20, pick).unwrap();
    }
    assert_eq!(store.options.grid().window_of(0, store.now), store.options.grid().window_of(0, 0));
    // 100 MiB in segments of a MiB and more, and the small ones that wait for others.
    assert!(store.most_segments < 120, "{} segments", store.most_segments);
    // Flush, split, and a merge for each eightfold up to a MiB.
    assert!(store.amplification() < 4.7, "written {:.2} times", store.amplification());
}

#[test]
fn a_million_days_in_one_segment_are_few_segments() {
    let mut store = Store::new(PickerOptions::new(DAY));
    let piece = |day: i64| Piece { first: day * DAY, last: day * DAY + 9, bytes: 41 };
    store.flush(&(-500_000..500_000).map(piece).collect::<Vec<_>>());
    store.now = 1_000_000 * DAY;
    store.quiet = true;
    store.run_until_idle(10, pick).unwrap();
    assert_eq!(store.segments.len(), 16);
    assert_eq!(store.merges, 1);
}

#[test]
fn a_backfill_is_not_rewritten_flush_by_flush() {
    let mut store = Store::new(PickerOptions::new(DAY));
    store.now = 1000 * DAY;
    for n in 0..300 {
        let (first, last) = (n * DAY / 5, (n + 1) * DAY / 5 - 1);
        store.flush(&[Piece { first, last, bytes: 20 * MIB }]);
        store.run_until_idle(10, pick).unwrap();
    }
    Load::finish(&mut store);
    assert_eq!(store.segments.len(), 60, "a segment a day");
    assert!(store.amplification() < 3.4, "written {:.2} times", store.amplification());
}

#[test]
fn a_large_segment_is_not_rewritten_for_crumbs() {
    let mut store = Store::new(PickerOptions::new(DAY));
    let part = |bytes| Piece { first: 5, last: DAY - 5, bytes };
    store.flush(&[part(1000 * MIB)]);
    (store.now, store.quiet) = (9 * DAY, true);
    store.run_until_idle(10, pick).unwrap();
    let large = store.segments[0].file_number;
    for crumb in 1..=9 {
        store.flush(&[part(20 * MIB)]);
        store.run_until_idle(10, pick).unwrap();
        assert_eq!(store.segments[0].file_number, large, "crumb {crumb}");
        assert!(store.segments.len() <= 4, "crumbs are merged among themselves");
    }
    while store.segments.iter().any(|meta| meta.file_number == large) {
        store.flush(&[part(20 * MIB)]);
        store.run_until_idle(10, pick).unwrap();
        assert!(store.at_rest() < 1400 * MIB, "a quarter is enough");
    }
}

#[test]
fn rules_come_in_order_and_excluded_segments_stay() {
    let mut store = Store::new(PickerOptions::new(DAY));
    store.flush(&[Piece { first: 0, last: 9, bytes: 2 * MIB }]);
    assert_eq!(store.pick_with(pick), None, "an open window waits");
    (store.now, store.quiet) = (9 * DAY, true);
    let split = store.pick_with(pick).unwrap();
    assert_eq!((split.reason, split.inputs.output_level()), (Reason::Split, 1));
    store.excluded.insert(1);
    assert_eq!(store.pick_with(pick), None);
    store.excluded.clear();
    store.merge(&split);
    store.due.extend(store.segments.iter().map(|meta| meta.file_number));
    let erase = store.pick_with(pick).unwrap();
    assert_eq!(erase.reason, Reason::Erase);
    store.merge(&erase);
    assert_eq!(store.pick_with(pick), None, "nothing is left to gain");
}

#[test]
fn a_clock_at_either_end_of_time_is_survived() {
    for window_ticks in [2, DAY, i64::MAX] {
        let mut options = PickerOptions::new(window_ticks);
        options.grace_ticks = i64::MAX;
        let mut store = Store::new(options);
        for at in [i64::MIN, -1, 0, i64::MAX] {
            store.flush(&[Piece { first: at, last: at, bytes: 100 }]);
        }
        for now in [i64::MIN, 0, i64::MAX] {
            (store.now, store.quiet) = (now, true);
            store.run_until_idle(20, pick).unwrap();
            store.run_until_idle(20, |view| pick_range(view, TimeRange::ALL, u64::MAX)).unwrap();
        }
        assert!(store.segments.iter().all(|meta| meta.level > 0));
    }
}

#[test]
fn the_plan_lists_what_would_be_merged_and_says_why() {
    let mut store = Store::new(PickerOptions::new(DAY));
    for n in 0..8 {
        store.flush(&[Piece { first: n * DAY / 8, last: (n + 2) * DAY / 8 - 1, bytes: 100 }]);
    }
    store.now = 90 * DAY;
    let none = HashSet::new();
    let view = View {
        segments: &store.segments,
        excluded: &none,
        erase_due: &|_| true,
        now: store.now,
        quiet: false,
        input_bytes_max: u64::MAX,
        options: &store.options,
    };
    let all = plan(&view, 10);
    assert_eq!(all.merges.len(), 1);
    let merge = &all.merges[0];
    assert_eq!((merge.inputs.len(), merge.bytes_in, merge.outputs), (8, 800, 1));
    assert_eq!(merge.why, "8 new segments to be cut by window");
    assert_eq!(merge.inputs[0].file_number, Some(1));
    assert!(merge.bytes_out < 800 && !all.truncated);
    let cut_off = plan(&view, 0);
    assert!(cut_off.merges.is_empty() && cut_off.truncated);
}

/// Asks `picker` for the next merge of handmade segments; base windows of 100 ticks, all closed.
fn pick_of(
    segments: &[Arc<SegmentMeta>],
    excluded: &[u64],
    picker: impl Fn(&View<'_>) -> Option<Pick>,
) -> Option<(Reason, Vec<u64>)> {
    let mut store = Store::new(PickerOptions { fan_in_max: 12, ..PickerOptions::new(100) });
    store.segments = segments.to_vec();
    store.excluded = excluded.iter().copied().collect();
    store.due = segments.iter().map(|meta| meta.file_number).collect();
    store.now = 100_000;
    let pick = store.pick_with(picker)?;
    let numbers = pick.inputs.segments().iter().map(|meta| meta.file_number).collect();
    Some((pick.reason, numbers))
}

#[test]
fn what_is_excluded_holds_up_nothing_else() {
    let day = |n: u64| meta(n, (n as i64 * 100, n as i64 * 100 + 9), (n, n), 1, 9 * MIB);
    let days = [day(1), day(2)];
    assert_eq!(pick_of(&days, &[], pick), Some((Reason::Erase, vec![1])));
    assert_eq!(pick_of(&days, &[1], pick), Some((Reason::Erase, vec![2])));
    let part = |n: u64| meta(n, (0, 99), (n, n), 1, MIB);
    let parts: Vec<_> = (1..=20).map(part).collect();
    assert_eq!(pick_of(&parts, &[10], pick), Some((Reason::Tier, (11..=20).collect())));
}

#[test]
fn what_there_is_no_room_for_is_picked_in_parts_or_left_for_another_rule() {
    let fresh = |n: u64, bytes| meta(n, (n as i64 * 100, n as i64 * 100 + 9), (n, n), 0, bytes);
    let mut store = Store::new(PickerOptions::new(100));
    store.segments = (1..=6).map(|n| fresh(n, 10 * MIB)).collect();
    store.segments.push(meta(7, (900, 909), (7, 7), 1, MIB));
    store.segments.push(meta(8, (1000, 1009), (8, 8), 1, 2 * MIB));
    (store.now, store.due) = (100_000, HashSet::from([7, 8]));
    let picked = |store: &Store, picker: fn(&View<'_>) -> Option<Pick>| {
        let pick = store.pick_with(picker)?;
        let numbers = pick.inputs.segments().iter().map(|meta| meta.file_number).collect();
        Some((pick.reason, numbers))
    };
    let all = |view: &View<'_>| pick_range(view, TimeRange::ALL, u64::MAX);
    for (bytes_max, expected, of_range) in [
        (u64::MAX, Some((Reason::Split, vec![1, 2, 3, 4, 5, 6])), Some(vec![1, 2, 3, 4, 5, 6])),
        (59 * MIB, Some((Reason::Split, vec![1, 2, 3])), Some(vec![1, 2, 3])),
        (29 * MIB, Some((Reason::Split, vec![1])), Some(vec![1])),
        (9 * MIB, Some((Reason::Erase, vec![7])), Some(vec![7])),
        (MIB - 1, None, None),
    ] {
        store.input_bytes_max = bytes_max;
        assert_eq!(picked(&store, pick), expected, "{bytes_max}");
        let of_range = of_range.map(|numbers| (Reason::Range, numbers));
        assert_eq!(picked(&store, all), of_range, "{bytes_max}");
    }
    (store.input_bytes_max, store.due) = (MIB, HashSet::from([8, 7]));
    store.segments.retain(|meta| meta.file_number > 6);
    store.segments[0] = meta(7, (900, 909), (7, 7), 1, 3 * MIB);
    store.segments[1] = meta(8, (1000, 1009), (8, 8), 1, MIB);
    assert_eq!(picked(&store, pick), Some((Reason::Erase, vec![8])), "the next that fits");
}

#[test]
fn a_wide_segment_brings_each_window_its_share() {
    let day = |n: u64| meta(n, (n as i64 * 100 - 100, n as i64 * 100 - 1), (n, n), 1, 8 * MIB);
    let picked = |bytes: u64| {
        let mut segments: Vec<_> = (1..=8).map(day).collect();
        segments.extend((9..=10).map(|n| meta(n, (0, 799), (n, n), 1, bytes)));
        segments.sort_by_key(|meta| (meta.min_timestamp, meta.file_number));
        pick_of(&segments, &[], pick)
    };
    assert_eq!(picked(9 * MIB), Some((Reason::Tier, (1..=10).collect())), "a quarter of each day");
    assert_eq!(picked(7 * MIB), Some((Reason::Erase, vec![1])), "less, though half of one day");
}

#[test]
fn what_shares_a_window_is_no_neighbour() {
    let join = |view: &View<'_>| view.join_where(|_, _| true, Reason::Join);
    let whole = meta(1, (5, 395), (1, 1), 1, 100);
    let crumb = meta(2, (10, 20), (2, 2), 1, 100);
    assert_eq!(pick_of(&[whole, Arc::clone(&crumb)], &[], join), None);
    let next = meta(3, (110, 120), (3, 3), 1, 100);
    let both = [crumb, Arc::clone(&next)];
    assert_eq!(pick_of(&both, &[], join), Some((Reason::Join, vec![2, 3])));
    assert_eq!(pick_of(&both, &[3], join), None);
    assert_eq!(pick_of(&[meta(2, (10, 20), (2, 2), 1, 401), next], &[], join), None, "crumbs");
}

#[test]
fn a_range_of_more_than_the_fan_in_is_merged_in_parts() {
    // Twenty days, and one segment that covers them all.
    let day = |n: u64| meta(n, (n as i64 * 100, n as i64 * 100 + 9), (n, n), 1, 9 * MIB);
    let mut segments: Vec<_> = (1..=20).map(day).collect();
    segments.insert(0, meta(21, (100, 2099), (21, 21), 1, MIB));
    let all = |view: &View<'_>| pick_range(view, TimeRange::ALL, u64::MAX);
    assert_eq!(pick_of(&segments, &[], all), Some((Reason::Range, vec![20, 21])));
    let some = |view: &View<'_>| pick_range(view, TimeRange::new(300, 301), u64::MAX);
    let expected = Some((Reason::Range, vec![20, 21]));
    assert_eq!(pick_of(&segments, &[], some), expected, "4..=20 lie between 3 and 21");
}

#[test]
fn where_there_is_little_room_the_smallest_is_erased_first() {
    // 2 cannot be rewritten without 3: they overlap in time and seq.
    let segments = [
        meta(1, (0, 9), (1, 1), 0, 5 * MIB),
        meta(2, (100, 109), (2, 5), 1, MIB),
        meta(3, (105, 119), (3, 4), 1, 7 * MIB),
        meta(4, (200, 209), (6, 6), 0, 3 * MIB),
    ];
    let within = |range: TimeRange, bytes_max: u64, excluded: &[u64]| {
        let freed = pick_of(&segments, excluded, |view| {
            pick_freeing(&View { input_bytes_max: bytes_max, ..*view }, range)
        });
        freed.map(|(reason, numbers)| {
            assert_eq!(reason, Reason::Erase);
            numbers
        })
    };
    assert_eq!(within(TimeRange::ALL, u64::MAX, &[]), Some(vec![2, 3]));
    assert_eq!(within(TimeRange::ALL, 8 * MIB, &[]), Some(vec![2, 3]));
    assert_eq!(within(TimeRange::ALL, 8 * MIB - 1, &[]), Some(vec![4]));
    assert_eq!(within(TimeRange::new(0, 50), 8 * MIB, &[]), Some(vec![1]));
    assert_eq!(within(TimeRange::ALL, u64::MAX, &[2]), Some(vec![4]), "3 cannot go without 2");
    assert_eq!(within(TimeRange::ALL, 3 * MIB - 1, &[]), None);
}

#[test]
fn what_came_after_a_compaction_began_is_not_its_concern() {
    let through = |seq: u64| move |view: &View<'_>| pick_range(view, TimeRange::ALL, seq);
    let old = [meta(1, (0, 9), (1, 2), 1, 100), meta(2, (100, 109), (3, 3), 1, 100)];
    let newer = [meta(3, (0, 9), (4, 4), 0, 100), meta(4, (200, 209), (5, 6), 1, 100)];
    let mut segments: Vec<_> = old.iter().chain(&newer).cloned().collect();
    segments.sort_by_key(|meta| (meta.min_timestamp, meta.file_number));
    let numbers = |seq| pick_of(&segments, &[3, 4], through(seq)).map(|(_, numbers)| numbers);
    assert_eq!(numbers(3), Some(vec![1]), "deletes are due");
    let pick = |seq| {
        let mut store = Store::new(PickerOptions::new(100));
        store.segments = segments.clone();
        store.now = 100_000;
        let pick = store.pick_with(through(seq))?;
        Some(pick.inputs.segments().iter().map(|meta| meta.file_number).collect::<Vec<_>>())
    };
    assert_eq!(pick(3), None, "neither newer level 0 nor newer neighbours");
    assert_eq!(pick(4), Some(vec![3]));
    assert_eq!(pick(6), Some(vec![3]));
}

/// Flushes of a random store: (first window, windows, bytes in each), by seq.
fn flushes() -> impl Strategy<Value = Vec<(i64, i64, u64)>> {
    let bytes = prop_oneof![1u64..200, 200u64..3000, 3000u64..40_000];
    prop::collection::vec((-20i64..40, 1i64..30, bytes), 1..40)
}

/// A store with base windows of 100 ticks, in which neighbours below 1,000 bytes are joined.
fn small_options() -> PickerOptions {
    PickerOptions { join_bytes: 1000, windows_max: 4, fan_in_max: 16, ..PickerOptions::new(100) }
}

fn flush_all(store: &mut Store, raw: &[(i64, i64, u64)], merge_between: bool) {
    for (n, &(start, windows, bytes)) in raw.iter().enumerate() {
        // Every third flush has holes.
        let step = if n % 3 == 0 { 5 } else { 1 };
        let pieces = (start..start + windows).step_by(step);
        let part = n as i64 % 40;
        store.flush(
            &pieces
                .map(|w| Piece { first: w * 100 + part, last: w * 100 + 99 - part, bytes })
                .collect::<Vec<_>>(),
        );
        store.now = start * 100;
        if merge_between && n % 4 == 3 {
            store.run_until_idle(2000, pick).unwrap();
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn picking_ends(raw in flushes(), between: bool, due: bool, trigger in 2usize..9) {
        let options = PickerOptions { tier_trigger: trigger, ..small_options() };
        let mut store = Store::new(options);
        flush_all(&mut store, &raw, between);
        if due {
            store.due = store.segments.iter().map(|meta| meta.file_number).collect();
        }
        (store.now, store.quiet) = (100_000, true);
        prop_assert!(store.run_until_idle(300, pick).is_ok());
        prop_assert!(store.segments.iter().all(|meta| meta.level > 0));
        prop_assert!(store.due.is_empty());
    }

    #[test]
    fn a_compaction_of_a_range_ends_with_one_segment_per_window(
        raw in flushes(), between: bool, from in -2500i64..5000, ticks in 0i64..8000,
    ) {
        let mut store = Store::new(small_options());
        flush_all(&mut store, &raw, between);
        store.due = store.segments.iter().map(|meta| meta.file_number).collect();
        let range = TimeRange::new(from, from + ticks);
        prop_assert!(store.run_until_idle(500, |view| pick_range(view, range, u64::MAX)).is_ok());
        let inside: Vec<_> = store.segments.iter()
            .filter(|meta| range.overlaps(meta.min_timestamp, meta.max_timestamp))
            .cloned()
            .collect();
        prop_assert!(inside.iter().all(|meta| meta.level > 0));
        prop_assert!(inside.iter().all(|meta| !store.due.contains(&meta.file_number)));
        prop_assert!(depth(&inside) <= 1, "{:?}", inside);
    }

    #[test]
    fn what_is_excluded_is_never_picked(raw in flushes(), excluded in 0usize..40) {
        let mut store = Store::new(small_options());
        flush_all(&mut store, &raw, true);
        let number = store.segments[excluded % store.segments.len()].file_number;
        store.excluded.insert(number);
        (store.now, store.quiet) = (100_000, true);
        prop_assert!(store.run_until_idle(300, pick).is_ok());
        prop_assert!(store.run_until_idle(500, |view| pick_range(view, TimeRange::ALL, u64::MAX)).is_ok());
        prop_assert!(store.segments.iter().any(|meta| meta.file_number == number));
    }
}
