//! Segments as their callers see them: written, opened, selected and read, against a model; crashes while
//! writing. What happens to damaged files, and how many are open, have modules of their own.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::error::{Error, Result};
use crate::sys::{CrashPlan, DiskFs, ReadMode, SimFs, SyncPoint, Vfs};
use crate::types::{
    DecodeError, FileName, Labels, Matcher, STALE_MARKER_BITS, SegmentMeta, StoreIds,
};

const UUID: [u8; 16] = [7; 16];
const MODES: [ReadMode; 2] = [ReadMode::Map, ReadMode::Pread];

mod damage;
mod open_files;

/// Series by their labels: samples as (timestamp, bits).
type Model = BTreeMap<Labels, Vec<Vec<(i64, u64)>>>;

fn labels(pairs: &[(&str, &str)]) -> Labels {
    Labels::from_pairs(pairs.iter().copied()).unwrap()
}

fn info() -> SegmentInfo {
    SegmentInfo { uuid: UUID, min_seq: 1, max_seq: 9, ..SegmentInfo::default() }
}

fn write(vfs: &Arc<dyn Vfs>, dir: &Path, number: u64, model: &Model) -> Result<SegmentMeta> {
    let mut writer = SegmentWriter::create(vfs, dir, number, info())?;
    let mut ordered: Vec<_> = model.iter().collect();
    ordered.sort_by(|a, b| a.0.encoded().cmp(b.0.encoded()));
    for (labels, chunks) in ordered {
        writer.begin_series(labels)?;
        for chunk in chunks {
            let timestamps: Vec<i64> = chunk.iter().map(|sample| sample.0).collect();
            let values: Vec<f64> = chunk.iter().map(|sample| f64::from_bits(sample.1)).collect();
            writer.chunk(&timestamps, &values)?;
        }
    }
    writer.finish()
}

fn open(
    vfs: &Arc<dyn Vfs>,
    dir: &Path,
    meta: &SegmentMeta,
    mode: ReadMode,
) -> Result<Arc<Segment>> {
    Segment::open(vfs, dir, &UUID.into(), meta, mode, Arc::new(BlockCache::new(1 << 20)))
}

/// Everything in the segment, through the public path.
fn read_all(segment: &Arc<Segment>) -> Result<Model> {
    let ordinals = segment.select(&[])?;
    let mut names = Vec::new();
    segment.labels(&ordinals, |ordinal, labels| {
        assert_eq!(ordinal as usize, names.len());
        names.push(labels);
        ControlFlow::Continue(())
    })?;
    let mut model = Model::new();
    let mut reader = ChunkReader::new(Arc::clone(segment));
    let mut columns = ChunkSamples::default();
    for entry in segment.chunks(&ordinals, i64::MIN..=i64::MAX)? {
        let entry = entry?;
        reader.read(&entry, &mut columns)?;
        assert_eq!(entry.aggregates(), &Aggregates::of(&columns.values));
        assert_eq!(columns.timestamps.first(), Some(&entry.first_timestamp()));
        assert_eq!(columns.timestamps.last(), Some(&entry.last_timestamp()));
        let bits = columns.values.iter().map(|value| value.to_bits());
        let chunk = columns.timestamps.iter().copied().zip(bits).collect();
        model.entry(names[entry.ordinal() as usize].clone()).or_default().push(chunk);
    }
    Ok(model)
}

fn sim() -> (SimFs, Arc<dyn Vfs>, PathBuf) {
    let sim = SimFs::new();
    let vfs: Arc<dyn Vfs> = Arc::new(sim.clone());
    let dir = PathBuf::from("/store");
    vfs.create_dir_all(&dir).unwrap();
    vfs.sync_dir(Path::new("/"), SyncPoint::StoreDirectory).unwrap();
    (sim, vfs, dir)
}

fn file(dir: &Path, number: u64) -> PathBuf {
    dir.join(FileName::Segment(number).to_string())
}

/// A few series of every sort: shared columns, gaps, a column of their own, stale markers.
fn small() -> Model {
    let mut model = Model::new();
    let grid: Vec<i64> = (0..120).map(|i| 1_000_000 + i * 15_000).collect();
    for (i, host) in ["a", "b", "c"].iter().enumerate() {
        let counter = grid.iter().map(|&t| (t, ((t / 1000 + i as i64) as f64).to_bits())).collect();
        let series = labels(&[("__name__", "requests_total"), ("host", host)]);
        model.insert(series, vec![counter]);
        let noisy = |t: i64| (1.0 + (t as f64 * 0.37).sin() / (i + 3) as f64).to_bits();
        let mut noise: Vec<_> = grid.iter().map(|&t| (t, noisy(t))).collect();
        noise.remove(40 + i);
        noise[50].1 = STALE_MARKER_BITS;
        let later = (0..30).map(|k| (2_900_000 + k * 977 + i as i64, noisy(k))).collect();
        let series = labels(&[("__name__", "temperature"), ("host", host), ("شهر", "تبریز")]);
        model.insert(series, vec![noise, later]);
    }
    let ends = vec![(i64::MIN, 1f64.to_bits()), (i64::MAX, (-0.0f64).to_bits())];
    model.insert(labels(&[("ends", "of time")]), vec![ends]);
    model
}

#[test]
fn what_is_written_is_read_on_both_disks_and_in_both_modes() {
    let model = small();
    let (_, simulated, sim_dir) = sim();
    let temporary = tempfile::tempdir().unwrap();
    let disk: Arc<dyn Vfs> = Arc::new(DiskFs);
    for (vfs, dir) in [(simulated, sim_dir.as_path()), (disk, temporary.path())] {
        let meta = write(&vfs, dir, 3, &model).unwrap();
        assert_eq!(meta.series as usize, model.len());
        assert_eq!(meta.samples as usize, model.values().flatten().map(Vec::len).sum::<usize>());
        assert_eq!((meta.min_timestamp, meta.max_timestamp), (i64::MIN, i64::MAX));
        assert_eq!(meta.file_bytes, vfs.file_len(&file(dir, 3)).unwrap());
        let found = Segment::discover(vfs.as_ref(), dir, 3).unwrap();
        assert_eq!((found.uuid, found.meta), (UUID, meta));
        assert_eq!(vfs.list(dir).unwrap().len(), 1, "no temporary file stays");
        for mode in MODES {
            let segment = open(&vfs, dir, &meta, mode).unwrap();
            assert_eq!(read_all(&segment).unwrap(), model);
            assert_eq!(segment.twin_reads(), 0);
        }
    }
}

#[test]
fn series_and_times_are_selected() {
    let (_, vfs, dir) = sim();
    let meta = write(&vfs, &dir, 3, &small()).unwrap();
    let segment = open(&vfs, &dir, &meta, ReadMode::Map).unwrap();
    let ordinals = segment.select(&[Matcher::equal("host", "b")]).unwrap();
    assert_eq!(ordinals.len(), 2);
    let count = |ordinals: &[u32], range| segment.chunks(ordinals, range).unwrap().count();
    assert_eq!(count(&ordinals, i64::MIN..=i64::MAX), 3);
    assert_eq!(count(&ordinals, 1_000_000..=1_000_000), 2);
    assert_eq!(count(&ordinals, 0..=999_999), 0);
    assert_eq!(count(&ordinals, 2_900_000..=2_900_001), 1);
    assert_eq!(count(&[], i64::MIN..=i64::MAX), 0);
    let values = segment.label_values("host", None, 10).unwrap();
    assert_eq!(values, ["a", "b", "c"]);
    let names = segment.label_names(Some(&ordinals)).unwrap();
    assert_eq!(names.into_iter().collect::<Vec<_>>(), ["__name__", "host", "شهر"]);
}

/// Many series, so that there are many groups and chunk blocks.
#[test]
fn chosen_series_are_found_among_many_groups() {
    let (_, vfs, dir) = sim();
    let mut model = Model::new();
    for i in 0..3000u64 {
        let series = labels(&[("id", &format!("{i:05}"))]);
        let value = |k: u64| (i * 31 + k).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 2;
        let chunks =
            (0..1 + i % 3).map(|c| (0..2).map(|k| ((c * 10 + k) as i64, value(k))).collect());
        model.insert(series, chunks.collect());
    }
    let meta = write(&vfs, &dir, 1, &model).unwrap();
    let segment = open(&vfs, &dir, &meta, ReadMode::Map).unwrap();
    assert!(segment.loaded().unwrap().chunk_top.len() > 2);
    assert_eq!(read_all(&segment).unwrap(), model);
    for step in [1, 7, 64, 997] {
        let ordinals: Vec<u32> = (0..3000).step_by(step).collect();
        let found: Vec<u32> = segment
            .chunks(&ordinals, 5..=1000)
            .unwrap()
            .map(|entry| entry.unwrap().ordinal())
            .collect();
        let expected = ordinals.iter().flat_map(|&o| std::iter::repeat_n(o, o as usize % 3));
        assert_eq!(found, expected.collect::<Vec<_>>());
    }
}

fn any_bits() -> impl Strategy<Value = u64> {
    prop_oneof![
        any::<u64>(),
        Just(STALE_MARKER_BITS),
        Just(f64::NAN.to_bits()),
        Just((-0.0f64).to_bits()),
        (-1000i64..1000).prop_map(|i| (i as f64 / 10.0).to_bits()),
        Just(3f64.to_bits()),
    ]
}

prop_compose! {
    /// Chunks of one series: some on a common grid, some at any time.
    fn any_series()(
        grid in any::<bool>(),
        raw in prop::collection::vec((any::<i64>(), any_bits()), 1..40),
        cuts in prop::collection::btree_set(1usize..40, 0..4),
    ) -> Vec<Vec<(i64, u64)>> {
        let samples: BTreeMap<i64, u64> = raw.into_iter().enumerate()
            .map(|(i, (t, bits))| (if grid { i as i64 * 10 } else { t }, bits))
            .collect();
        let mut samples: Vec<_> = samples.into_iter().collect();
        let mut chunks = Vec::new();
        for cut in cuts.into_iter().rev().filter(|&cut| cut < 40) {
            if cut < samples.len() {
                chunks.push(samples.split_off(cut));
            }
        }
        chunks.push(samples);
        chunks.reverse();
        chunks
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn any_samples_come_back_bit_for_bit(
        series in prop::collection::btree_map("[a-z]{1,3}", any_series(), 1..12)
    ) {
        let (_, vfs, dir) = sim();
        let model: Model =
            series.into_iter().map(|(name, chunks)| (labels(&[("n", &name)]), chunks)).collect();
        let meta = write(&vfs, &dir, 1, &model).unwrap();
        for mode in MODES {
            let segment = open(&vfs, &dir, &meta, mode).unwrap();
            prop_assert_eq!(&read_all(&segment).unwrap(), &model);
        }
    }
}

#[test]
fn an_aborted_segment_leaves_nothing_and_a_full_disk_is_said() {
    let (sim, vfs, dir) = sim();
    let mut writer = SegmentWriter::create(&vfs, &dir, 1, info()).unwrap();
    writer.begin_series(&labels(&[("a", "b")])).unwrap();
    writer.chunk(&[1], &[1.0]).unwrap();
    writer.abort().unwrap();
    assert!(sim.files().is_empty());
    sim.set_capacity(600);
    assert!(matches!(write(&vfs, &dir, 2, &small()), Err(Error::DiskFull { .. })));
}

/// After every crash while a segment is written: if the writer said that it is published, it is
/// there whole, whatever the disk dropped.
#[test]
fn a_published_segment_survives_every_crash() {
    let model = small();
    let run = |ignored: Option<SyncPoint>| {
        let (sim, vfs, dir) = sim();
        if let Some(point) = ignored {
            sim.ignore_sync(point);
        }
        let meta = write(&vfs, &dir, 1, &model).unwrap();
        CrashPlan::spread(1, 8).into_iter().all(|plan| {
            let vfs: Arc<dyn Vfs> = Arc::new(sim.crash(plan));
            let read = open(&vfs, &dir, &meta, ReadMode::Pread).and_then(|s| read_all(&s));
            read.is_ok_and(|read| read == model)
        })
    };
    assert!(run(None));
    for point in [SyncPoint::SegmentData, SyncPoint::SegmentDirectory] {
        assert!(!run(Some(point)), "{point:?} is needed");
    }
}

#[test]
fn a_description_adds_up_to_the_file() {
    let (_, vfs, dir) = sim();
    let meta = write(&vfs, &dir, 3, &small()).unwrap();
    let segment = open(&vfs, &dir, &meta, ReadMode::Map).unwrap();
    let described = segment.describe().unwrap();
    let bytes = described.bytes;
    let sum = bytes.values + bytes.timestamps + bytes.chunk_index + bytes.labels + bytes.other;
    assert_eq!(sum, meta.file_bytes);
    let shares = described.encodings.values();
    assert_eq!(shares.clone().map(|share| share.samples).sum::<u64>(), meta.samples);
    let padding = bytes.values - shares.map(|share| share.bytes).sum::<u64>();
    assert!(padding < 64 * described.sections.len() as u64, "{padding} bytes are not values");
    assert_eq!(described.sections.len(), 7);
    // Three grids with a gap each, three columns of their own, the ends of time; the rest shared.
    assert_eq!(described.timestamp_columns, 5);
}

/// The hexadecimal example of FORMAT.md.
fn example() -> Vec<u8> {
    let text = include_str!("FORMAT.md");
    let hex = text.split("```hex\n").nth(1).unwrap().split("```").next().unwrap();
    hex.split_ascii_whitespace().map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect()
}

#[test]
fn the_example_of_the_format_is_what_is_written_and_read() {
    let (sim, vfs, dir) = sim();
    let mut model = Model::new();
    let chunk = vec![(1000, 2f64.to_bits()), (2000, 2.5f64.to_bits()), (3000, STALE_MARKER_BITS)];
    model.insert(labels(&[("a", "b")]), vec![chunk]);
    let meta = write(&vfs, &dir, 5, &model).unwrap();
    let bytes = sim.read_file(file(&dir, 5)).unwrap();
    let shown: Vec<String> = bytes
        .chunks(16)
        .map(|row| row.iter().map(|b| format!("{b:02x}")).collect::<Vec<_>>().join(" "))
        .collect();
    assert_eq!(example(), bytes, "FORMAT.md should show:\n{}", shown.join("\n"));
    sim.write_file(file(&dir, 5), &example()).unwrap();
    let segment = open(&vfs, &dir, &meta, ReadMode::Map).unwrap();
    assert_eq!(read_all(&segment).unwrap(), model);
}

/// Rule D4: whatever the moment of the crash and whatever the disk keeps, a file that has the name
/// of a segment is a whole segment.
#[test]
fn the_name_of_a_segment_is_never_given_to_a_part_of_one() {
    let model = small();
    let whole_after_every_crash = |ignored: Option<SyncPoint>| {
        let prepare = || {
            let (sim, vfs, dir) = sim();
            ignored.into_iter().for_each(|point| sim.ignore_sync(point));
            (sim, vfs, dir)
        };
        let (sim, vfs, dir) = prepare();
        let first = sim.ops();
        write(&vfs, &dir, 1, &model).unwrap();
        let mut named = 0;
        for op in first..=sim.ops() {
            let (sim, vfs, dir) = prepare();
            sim.crash_at(op);
            drop(write(&vfs, &dir, 1, &model));
            for plan in CrashPlan::spread(op, 2) {
                let after: Arc<dyn Vfs> = Arc::new(sim.crash(plan));
                if after.file_len(&file(&dir, 1)).is_err() {
                    continue;
                }
                named += 1;
                let read = Segment::discover(after.as_ref(), &dir, 1)
                    .and_then(|found| open(&after, &dir, &found.meta, ReadMode::Pread))
                    .and_then(|segment| read_all(&segment));
                if !read.is_ok_and(|read| read == model) {
                    return false;
                }
            }
        }
        assert!(named > 0);
        true
    };
    assert!(whole_after_every_crash(None));
    assert!(!whole_after_every_crash(Some(SyncPoint::SegmentData)));
}
