//! Merges of damaged segments: what is lost stays lost, and nothing older comes back in its place.

use super::*;
use crate::segment::ChunkEntry;

/// What the outputs of a merge say of each series and tick.
#[derive(Debug, Default, PartialEq, Eq)]
struct Said {
    rows: Rows,
    lost: BTreeSet<(u8, i64)>,
    masks: BTreeSet<(u8, i64)>,
    /// (series, first, last): somewhere there, and whether that is accepted.
    extents: BTreeSet<(u8, i64, i64, bool)>,
}

impl Said {
    fn is_within_extent(&self, (series, time): (u8, i64)) -> bool {
        self.extents
            .iter()
            .any(|&(s, first, last, _)| s == series && (first..=last).contains(&time))
    }
}

/// A chunk of an input.
#[derive(Debug)]
struct Chunk {
    series: u8,
    times: Vec<i64>,
    entry: ChunkEntry,
}

impl Store {
    fn open_all(&mut self, metas: &[SegmentMeta]) {
        self.segments = metas.iter().map(|meta| self.open(meta).unwrap()).collect();
    }

    fn chunks(segment: &Arc<Segment>) -> Vec<Chunk> {
        let ordinals: Vec<u32> = (0..segment.meta().series).collect();
        let mut series = Vec::new();
        let listed = segment.labels(&ordinals, |_, labels| {
            series.push(labels.get("series").unwrap().parse::<u8>().unwrap());
            ControlFlow::Continue(())
        });
        listed.unwrap();
        let mut reader = ChunkReader::new(Arc::clone(segment));
        let chunks = segment.chunks(&ordinals, i64::MIN..=i64::MAX).unwrap();
        let chunk = |entry: Result<ChunkEntry>| {
            let entry = entry.unwrap();
            let mut times = Vec::new();
            if entry.times_are_known() {
                reader.timestamps(&entry, &mut times).unwrap();
            }
            Chunk { series: series[entry.ordinal() as usize], times, entry }
        };
        chunks.map(chunk).collect()
    }

    /// What verified segments say.
    fn said(&self, outputs: &[SegmentMeta]) -> Said {
        let mut said = Said::default();
        for meta in outputs {
            let segment = self.open(meta).unwrap();
            let verified = segment.verify(&mut |finding| {
                assert!(matches!(finding.error, Error::Lost(_)), "{:?}", finding.error);
            });
            assert_eq!(verified.unwrap().samples, meta.samples);
            let mut reader = ChunkReader::new(Arc::clone(&segment));
            let mut ends: BTreeMap<u8, i64> = BTreeMap::new();
            let mut has_lost = false;
            for Chunk { series, times, entry } in Self::chunks(&segment) {
                let (first, last) = (entry.first_timestamp(), entry.last_timestamp());
                assert!(ends.insert(series, last).is_none_or(|end| end < first), "chunks overlap");
                let Some(origin) = entry.loss() else {
                    let mut columns = crate::segment::ChunkSamples::default();
                    reader.read(&entry, &mut columns).unwrap();
                    for (time, value) in times.into_iter().zip(columns.values) {
                        said.rows.insert((series, time), value.to_bits());
                    }
                    continue;
                };
                has_lost = true;
                if times.is_empty() {
                    said.extents.insert((series, first, last, origin.is_accepted));
                }
                let set = if origin.is_accepted { &mut said.masks } else { &mut said.lost };
                set.extend(times.into_iter().map(|time| (series, time)));
            }
            assert_eq!(meta.has_lost(), has_lost);
        }
        said
    }
}

/// Where an input is damaged.
#[derive(Debug, Clone, Copy)]
enum Damage {
    /// The value block of a chunk: one of those there are.
    Values(prop::sample::Index),
    /// Every timestamp block, in both copies.
    Times,
}

/// Damages an input; returns the chunks that it costs.
fn damage(store: &Store, input: usize, damage: Damage) -> Vec<Chunk> {
    let segment = &store.segments[input];
    let path = segment.path().to_path_buf();
    let chunks = Store::chunks(segment);
    let (offsets, lost): (Vec<u64>, Vec<Chunk>) = match damage {
        Damage::Values(index) => {
            let offset = chunks[index.index(chunks.len())].entry.block_offset();
            let lost = chunks.into_iter().filter(|chunk| chunk.entry.block_offset() == offset);
            (vec![offset], lost.collect())
        }
        Damage::Times => {
            let unknown = |chunk: Chunk| Chunk { times: Vec::new(), ..chunk };
            let lost = chunks.into_iter().map(unknown).collect();
            (segment.time_block_offsets(), lost)
        }
    };
    offsets.into_iter().for_each(|offset| store.sim.flip(&path, offset, 1).unwrap());
    lost
}

/// What a merge of damaged inputs has to say.
fn model(inputs: &[Rows], lost: &[Vec<Chunk>], how: &How) -> Said {
    let mut said = Said::default();
    for (i, (rows, lost)) in inputs.iter().zip(lost).enumerate() {
        let hides = |series: u8, time: i64| {
            time < how.expired_before
                || how.hidden.iter().any(|(number, file, range)| {
                    *number == series && *file > i as u64 && range.contains(time)
                })
        };
        let mut unreadable: BTreeSet<(u8, i64)> = BTreeSet::new();
        for Chunk { series, times, entry } in lost {
            unreadable.extend(times.iter().map(|&time| (*series, time)));
            if !times.is_empty() {
                continue;
            }
            let (first, last) = (entry.first_timestamp(), entry.last_timestamp());
            let within = |key: &(u8, i64)| key.0 == *series && (first..=last).contains(&key.1);
            unreadable.extend(rows.keys().copied().filter(within));
            // What deletes hide of such a chunk is not said by a model of rows.
            let first = first.max(how.expired_before);
            if first <= last {
                said.extents.insert((*series, first, last, false));
                said.rows.retain(|key, _| !within(key));
                said.lost.retain(|key| !within(key));
            }
        }
        let unknown: BTreeSet<(u8, i64)> = lost
            .iter()
            .filter(|chunk| chunk.times.is_empty())
            .flat_map(|chunk| {
                let (first, last) = (chunk.entry.first_timestamp(), chunk.entry.last_timestamp());
                let series = chunk.series;
                rows.keys()
                    .copied()
                    .filter(move |key| key.0 == series && (first..=last).contains(&key.1))
                    .collect::<Vec<_>>()
            })
            .collect();
        for (&key, &bits) in rows.iter().filter(|(key, _)| !hides(key.0, key.1)) {
            if unknown.contains(&key) {
                continue;
            }
            said.lost.remove(&key);
            said.rows.remove(&key);
            if unreadable.contains(&key) {
                said.lost.insert(key);
            } else {
                said.rows.insert(key, bits);
            }
        }
    }
    said
}

/// Merges what a merge has written, in place of the inputs.
fn again(store: &mut Store, merged: &Merged, how: &How) -> Said {
    // Outputs of one merge do not overlap: each is a set of its own.
    let mut said = Said::default();
    for (at, meta) in merged.outputs.iter().enumerate() {
        store.open_all(&[*meta]);
        let mut next = 1000 * (at as u64 + 1);
        let job = MergeJob::new(MergeInputs {
            new_file_number: Box::new(move || {
                next += 1;
                next
            }),
            ..store.inputs(how)
        });
        let merged = run(job.unwrap()).unwrap();
        assert!(merged.damage.is_empty() && merged.damaged_rows == 0, "nothing new is damaged");
        let part = store.said(&merged.outputs);
        said.rows.extend(part.rows);
        said.lost.extend(part.lost);
        said.masks.extend(part.masks);
        said.extents.extend(part.extents);
        for meta in &merged.outputs {
            store.vfs.remove(&Store::path(meta.file_number)).unwrap();
        }
    }
    said
}

fn check_damaged(inputs: &[Rows], how: &How, damages: &[(prop::sample::Index, Damage)]) {
    let mut store = Store::of(inputs);
    let mut lost: Vec<Vec<Chunk>> = inputs.iter().map(|_| Vec::new()).collect();
    for (input, kind) in damages {
        let input = input.index(inputs.len());
        // One damage each: two would heal, or hide, each other.
        if lost[input].is_empty() {
            lost[input] = damage(&store, input, *kind);
        }
    }
    let mode = store.mode;
    let metas: Vec<_> = store.segments.iter().map(|segment| *segment.meta()).collect();
    store.mode = mode;
    store.open_all(&metas);
    let merged = store.merge(how).unwrap();
    let rows: u64 = lost.iter().flatten().map(|chunk| u64::from(chunk.entry.rows())).sum();
    assert_eq!(merged.damaged_rows, rows);
    let said = store.said(&merged.outputs);
    let expected = model(inputs, &lost, how);
    assert_eq!(said.rows, expected.rows);
    assert_eq!(said.lost, expected.lost);
    assert!(said.masks.is_empty());
    let keys = inputs.iter().flat_map(|rows| rows.keys());
    for key in keys.flat_map(|&(s, t)| [(s, t.saturating_sub(1)), (s, t), (s, t.saturating_add(1))])
    {
        let is_known = said.rows.contains_key(&key) || said.lost.contains(&key);
        let expected = expected.is_within_extent(key) && !is_known;
        assert_eq!(said.is_within_extent(key), expected, "{key:?}");
    }
    let plain = How { window_ticks: how.window_ticks, ..How::default() };
    let carried = again(&mut store, &merged, &plain);
    assert_eq!((&carried.rows, &carried.lost), (&said.rows, &said.lost), "carried on");
    assert_eq!(carried.extents.is_empty(), said.extents.is_empty());
    let accept = How { purpose: Purpose::Accept, older: vec![(i64::MIN, i64::MAX)], ..plain };
    let masked = again(&mut store, &merged, &accept);
    assert_eq!((&masked.rows, &masked.masks), (&said.rows, &said.lost), "accepted");
    assert!(masked.lost.is_empty() && masked.extents.iter().all(|extent| extent.3));
    let gone = again(&mut store, &merged, &How { older: vec![], ..accept });
    let rows = said.rows;
    assert_eq!(gone, Said { rows, ..Said::default() }, "nothing older is left to be hidden");
}

fn any_damage() -> impl Strategy<Value = (prop::sample::Index, Damage)> {
    let values = any::<prop::sample::Index>().prop_map(Damage::Values);
    (any::<prop::sample::Index>(), prop_oneof![3 => values, 1 => Just(Damage::Times)])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]
    #[test]
    fn a_merge_carries_on_what_is_lost(
        inputs in inputs(),
        how in how(),
        damages in prop::collection::vec(any_damage(), 1..4),
    ) {
        // Without deletes where times are lost: which of the rows they hide nobody knows.
        let unknown = damages.iter().any(|(_, damage)| matches!(damage, Damage::Times));
        let hidden = if unknown { Vec::new() } else { how.hidden.clone() };
        check_damaged(&inputs, &How { hidden, ..how }, &damages);
    }
}

/// The fault that this is for: an older value came back when a merge read a damaged newer one.
#[test]
fn a_superseded_value_does_not_come_back() {
    let older: Rows = (0..20).map(|t| ((1, t), 7)).collect();
    let newer: Rows = (5..15).map(|t| ((1, t), 8)).collect();
    let newest: Rows = [((1, 6), 9)].into();
    let store = Store::of(&[older, newer, newest]);
    let offset = value_block(&store, 1, 0);
    store.sim.flip(Store::path(2), offset, 1).unwrap();
    let merged = store.merge(&How { window_ticks: 1 << 40, ..How::default() }).unwrap();
    let said = store.said(&merged.outputs);
    let values: BTreeMap<i64, u64> = said.rows.iter().map(|(key, &bits)| (key.1, bits)).collect();
    let expected = (0..5).chain(15..20).map(|t| (t, 7)).chain([(6, 9)]);
    assert_eq!(values, expected.collect());
    assert_eq!(said.lost, (5..15).filter(|&t| t != 6).map(|t| (1, t)).collect());
    assert_eq!((merged.lost.read.rows, merged.lost.superseded.rows), (10, 1));
}

#[test]
fn a_loss_is_not_adopted_by_another_store() {
    let store = Store::of(&overlapping());
    let merged = {
        store.sim.flip(Store::path(3), value_block(&store, 2, 0), 1).unwrap();
        store.merge(&How { window_ticks: 1 << 40, ..How::default() }).unwrap()
    };
    let mut store = store;
    store.open_all(&merged.outputs);
    let how = How { purpose: Purpose::Adopt { seq: 1 }, ..How::default() };
    match store.merge(&how) {
        Err(Error::Lost(lost)) => assert_eq!((lost.file_number, lost.source), (3, None)),
        other => panic!("{other:?}"),
    }
}
