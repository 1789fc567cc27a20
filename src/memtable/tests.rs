//! The memtable against a map, at every length that a snapshot could have, and under a reader that
//! runs beside the writer.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use proptest::prelude::*;

use super::*;

const ALL: (i64, i64) = (i64::MIN, i64::MAX);

fn collect(table: &Memtable, slot: u32, visible: u32, range: (i64, i64)) -> (Vec<(i64, u64)>, u64) {
    let (mut timestamps, mut values) = (vec![-77], vec![0.5]);
    let superseded = table.collect(slot, visible, range, &mut timestamps, &mut values);
    assert_eq!((timestamps[0], values[0]), (-77, 0.5), "what was there before stays");
    let bits = values.iter().map(|v| v.to_bits());
    (timestamps.into_iter().zip(bits).skip(1).collect(), superseded)
}

type Batch = Vec<(u32, i64, u64)>;

fn batches() -> impl Strategy<Value = Vec<Batch>> {
    let slot = prop_oneof![0u32..4, Just(4095), Just(4096), Just(u32::MAX)];
    let timestamp = prop_oneof![4 => 0i64..12, 1 => Just(i64::MIN), 1 => Just(i64::MAX)];
    let batch = prop::collection::vec((slot, timestamp, any::<u64>()), 0..8);
    prop::collection::vec(batch, 0..8)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn every_length_answers_like_a_map(batches in batches(), cut in (0i64..12, 0i64..13)) {
        let table = Memtable::new(7);
        let mut seqs = Vec::new();
        for (i, batch) in batches.iter().enumerate() {
            table.append(batch.iter().copied(), 10 * (i as u64 + 1));
            seqs.extend(std::iter::repeat_n(10 * (i as u64 + 1), batch.len()));
        }
        prop_assert_eq!(table.published(), 0, "nothing is visible before it is published");
        table.publish();
        let rows: Batch = batches.concat();
        prop_assert_eq!(table.published() as usize, rows.len());
        prop_assert_eq!(table.first_seq(), seqs.first().copied());
        prop_assert_eq!(table.last_seq(), seqs.last().copied());
        let times = || rows.iter().map(|row| row.1);
        prop_assert_eq!(table.time_range(), times().min().zip(times().max()));

        for visible in 0..=rows.len() {
            let mut model: BTreeMap<u32, BTreeMap<i64, u64>> = BTreeMap::new();
            for &(slot, t, bits) in &rows[..visible] {
                model.entry(slot).or_default().insert(t, bits);
            }
            let length = visible as u32;
            prop_assert_eq!(seq_at(&table, length), visible.checked_sub(1).map(|last| seqs[last]));
            prop_assert_eq!(table.slots(length), model.keys().copied().collect::<Vec<_>>());
            for slot in [0, 1, 2, 3, 4, 4095, 4096, 4097, u32::MAX] {
                let expected = model.get(&slot).cloned().unwrap_or_default();
                for range in [ALL, cut, (i64::MIN, cut.1), (cut.0, i64::MAX)] {
                    let inside = |t: i64| range.0 <= t && (t < range.1 || range.1 == i64::MAX);
                    let kept: Vec<(i64, u64)> =
                        expected.iter().map(|(&t, &bits)| (t, bits)).filter(|s| inside(s.0)).collect();
                    let total = rows[..visible].iter().filter(|r| r.0 == slot && inside(r.1)).count();
                    let (found, superseded) = collect(&table, slot, length, range);
                    prop_assert_eq!(superseded, (total - kept.len()) as u64);
                    prop_assert_eq!(found, kept);
                }
            }
        }
        let distinct: std::collections::BTreeSet<u32> = rows.iter().map(|row| row.0).collect();
        prop_assert_eq!(table.slot_count(), distinct.len() as u64);
        for slot in [0, 3, 4096, 4097] {
            prop_assert_eq!(table.has(slot), distinct.contains(&slot));
        }
    }
}

#[test]
fn rows_cross_pages() {
    let table = Memtable::new(1);
    let rows = 2 * PAGE_ROWS as u32 + 5;
    let empty = table.bytes();
    // Batches of a prime length, so that they straddle the pages.
    for (seq, first) in (1u64..).zip((0..rows).step_by(4999)) {
        let batch = first..(first + 4999).min(rows);
        table.append(batch.map(|i| (i % 3, i64::from(i), u64::from(i) << 20)), seq);
    }
    table.publish();
    for slot in 0..3 {
        let (found, superseded) = collect(&table, slot, rows, ALL);
        let expected: Vec<(i64, u64)> =
            (slot..rows).step_by(3).map(|i| (i64::from(i), u64::from(i) << 20)).collect();
        assert!(found == expected && superseded == 0, "slot {slot}");
    }
    assert_eq!(size_of::<Row>(), 24);
    let pages = 3 * PAGE_ROWS * 24;
    assert!((empty + pages..empty + pages + 100_000).contains(&table.bytes()));
}

#[test]
#[should_panic(expected = "one writer")]
fn a_batch_that_panics_ends_the_writing() {
    let table = Memtable::new(1);
    let torn = std::panic::AssertUnwindSafe(|| {
        let rows = (0..3).map(|i| if i < 2 { (0, i, 0) } else { panic!("torn") });
        table.append(rows, 1);
    });
    assert!(std::panic::catch_unwind(torn).is_err());
    assert_eq!(table.published(), 0);
    table.append([(0, 9, 9)], 2);
}

#[test]
#[should_panic(expected = "order of seq")]
fn seqs_must_ascend() {
    let table = Memtable::new(1);
    table.append([(0, 1, 1)], 2);
    table.append([(0, 2, 2)], 2);
}

/// The seq of the batch that the last of the first `rows` rows belongs to; `None` for no rows.
fn seq_at(table: &Memtable, rows: u32) -> Option<u64> {
    table.seqs.read().unwrap().of_row(rows.checked_sub(1)?)
}

/// Batch `n` writes the sample (t = n, value = n) to each of eight slots, so that a snapshot is
/// right exactly if every slot holds 1..=last, and all slots the same.
#[test]
fn a_reader_beside_the_writer_sees_whole_batches() {
    const SLOTS: u32 = 8;
    const BATCHES: u64 = 1500;
    let table = Memtable::new(1);
    let done = AtomicBool::new(false);
    let snapshots = std::thread::scope(|scope| {
        let readers: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    let mut snapshots = 0u64;
                    while !done.load(Ordering::Acquire) || snapshots == 0 {
                        let visible = table.published();
                        assert_eq!(visible % SLOTS, 0);
                        let last = i64::from(visible / SLOTS);
                        assert_eq!(seq_at(&table, visible).unwrap_or(0), last as u64);
                        for slot in 0..SLOTS {
                            let (found, _) = collect(&table, slot, visible, ALL);
                            assert!(found.iter().copied().eq((1..=last).map(|n| (n, n as u64))));
                        }
                        assert!(last == 0 || table.time_range().is_some_and(|r| r.1 >= last));
                        snapshots += 1;
                    }
                    snapshots
                })
            })
            .collect();
        for seq in 1..=BATCHES {
            table.append((0..SLOTS).map(|slot| (slot, seq as i64, seq)), seq);
            table.publish();
        }
        done.store(true, Ordering::Release);
        readers.into_iter().map(|r| r.join().unwrap()).sum::<u64>()
    });
    assert!(snapshots >= 2);
}
