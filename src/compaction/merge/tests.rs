//! Merges against a map that the same samples were written to in order of seq; damage, full disks,
//! faults and interruption.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::io::ErrorKind;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use proptest::prelude::*;

use super::*;
use crate::compaction::closed_set::ClosedSet;
use crate::segment::{ChunkReader, SegmentInfo, SegmentWriter};
use crate::sys::{ReadMode, SimFs, SyncPoint, Vfs};
use crate::types::{FileName, Labels, Matcher};

mod lost;

const UUID: [u8; 16] = [9; 16];
const DIR: &str = "/store";

/// The bits of each sample by series number and timestamp.
type Rows = BTreeMap<(u8, i64), u64>;

/// A disk with segments, the newest last.
struct Store {
    sim: SimFs,
    vfs: Arc<dyn Vfs>,
    segments: Vec<Arc<Segment>>,
    mode: ReadMode,
}

/// How a test merges.
#[derive(Debug, Clone)]
struct How {
    purpose: Purpose,
    window_ticks: i64,
    join_bytes: u64,
    outputs_max: usize,
    expired_before: i64,
    /// Deletes: (series, the last input that it is newer than, range).
    hidden: Vec<(u8, u64, TimeRange)>,
    /// The times of segments that are older.
    older: Vec<(i64, i64)>,
}

impl Default for How {
    fn default() -> Self {
        let (hidden, older, outputs_max) = (Vec::new(), Vec::new(), 16);
        let purpose = Purpose::Replace;
        let (window_ticks, join_bytes, expired_before) = (1000, 0, i64::MIN);
        Self { purpose, window_ticks, join_bytes, outputs_max, expired_before, hidden, older }
    }
}

impl How {
    /// What hides the series in the input and all before it.
    fn tombstones(&self) -> Vec<Arc<Tombstone>> {
        let tombstone = |(series, file, range): &(u8, u64, TimeRange)| Tombstone {
            // Behind every seq of the input, and before those of the next one.
            seq: file * 10 + 10,
            range: *range,
            matchers: vec![Matcher::equal("series", series.to_string())],
            created_ms: 0,
        };
        self.hidden.iter().map(tombstone).map(Arc::new).collect()
    }

    fn tombstone_seq(&self) -> u64 {
        self.hidden.iter().map(|(_, file, _)| file * 10 + 10).max().unwrap_or(0)
    }
}

fn labels(series: u8) -> Labels {
    let number = series.to_string();
    Labels::from_pairs([("__name__", "подъём"), ("series", number.as_str())]).unwrap()
}

impl Store {
    fn new() -> Self {
        let sim = SimFs::new();
        let vfs: Arc<dyn Vfs> = Arc::new(sim.clone());
        vfs.create_dir_all(Path::new(DIR)).unwrap();
        vfs.sync_dir(Path::new("/"), SyncPoint::StoreDirectory).unwrap();
        Self { sim, vfs, segments: Vec::new(), mode: ReadMode::Map }
    }

    fn of(inputs: &[Rows]) -> Self {
        let mut store = Self::new();
        inputs.iter().for_each(|rows| store.add(rows, 7));
        store
    }

    /// Adds a segment with chunks of at most `chunk_rows` rows.
    fn add(&mut self, rows: &Rows, chunk_rows: usize) {
        let number = self.segments.len() as u64 + 1;
        // The seq that ends the ten is a delete's.
        let (min_seq, max_seq) = (number * 10 + 1, number * 10 + 9);
        let info = SegmentInfo { uuid: UUID, min_seq, max_seq, ..SegmentInfo::default() };
        let dir = Path::new(DIR);
        let mut writer = SegmentWriter::create(&self.vfs, dir, number, info).unwrap();
        let mut series: Vec<u8> = rows.keys().map(|key| key.0).collect();
        series.dedup();
        series.sort_by_key(|&series| labels(series));
        for series in series {
            writer.begin_series(&labels(series)).unwrap();
            let own = rows.range((series, i64::MIN)..=(series, i64::MAX));
            let (times, values): (Vec<i64>, Vec<f64>) =
                own.map(|(key, &bits)| (key.1, f64::from_bits(bits))).unzip();
            for (times, values) in times.chunks(chunk_rows).zip(values.chunks(chunk_rows)) {
                writer.chunk(times, values).unwrap();
            }
        }
        let meta = writer.finish().unwrap();
        self.segments.push(self.open(&meta).unwrap());
    }

    fn open(&self, meta: &SegmentMeta) -> Result<Arc<Segment>> {
        let cache = Arc::new(BlockCache::new(1 << 20));
        Segment::open(&self.vfs, Path::new(DIR), &UUID.into(), meta, self.mode, cache)
    }

    fn path(number: u64) -> PathBuf {
        Path::new(DIR).join(FileName::Segment(number).to_string())
    }

    fn job(&self, how: &How) -> Result<MergeJob> {
        MergeJob::new(self.inputs(how))
    }

    fn inputs(&self, how: &How) -> MergeInputs {
        let live: Vec<_> = self.segments.iter().map(|s| Arc::new(*s.meta())).collect();
        let numbers: Vec<u64> = live.iter().map(|meta| meta.file_number).collect();
        let mut next = 100;
        MergeInputs {
            purpose: how.purpose,
            vfs: Arc::clone(&self.vfs),
            dir: DIR.into(),
            uuid: UUID,
            set: ClosedSet::new(&live, &HashSet::new(), &numbers).unwrap(),
            segments: self.segments.clone(),
            grid: Grid::new(how.window_ticks),
            join_bytes: how.join_bytes,
            outputs_max: how.outputs_max,
            new_file_number: Box::new(move || {
                next += 1;
                next
            }),
            tombstones: how.tombstones(),
            expired_before: how.expired_before,
            older: how.older.clone(),
        }
    }

    fn merge(&self, how: &How) -> Result<Merged> {
        run(self.job(how)?)
    }

    /// Every row of the outputs, after every byte of them was verified.
    fn rows(&self, outputs: &[SegmentMeta]) -> Rows {
        let mut found = Rows::new();
        for meta in outputs {
            let segment = self.open(meta).unwrap();
            segment.verify(&mut |finding| panic!("{:?}", finding.error)).unwrap();
            let ordinals: Vec<u32> = (0..meta.series).collect();
            let mut series = Vec::new();
            segment
                .labels(&ordinals, |_, labels| {
                    series.push(labels.get("series").unwrap().parse::<u8>().unwrap());
                    ControlFlow::Continue(())
                })
                .unwrap();
            let mut reader = ChunkReader::new(Arc::clone(&segment));
            for chunk in segment.chunks(&ordinals, i64::MIN..=i64::MAX).unwrap() {
                let chunk = chunk.unwrap();
                let mut columns = crate::segment::ChunkSamples::default();
                reader.read(&chunk, &mut columns).unwrap();
                for (&t, value) in columns.timestamps.iter().zip(&columns.values) {
                    let key = (series[chunk.ordinal() as usize], t);
                    assert_eq!(found.insert(key, value.to_bits()), None, "{key:?} twice");
                }
            }
        }
        found
    }

    fn files(&self) -> BTreeSet<PathBuf> {
        self.sim.files().into_iter().collect()
    }
}

fn run(mut job: MergeJob) -> Result<Merged> {
    let mut before = Progress::default();
    loop {
        match job.step()? {
            Step::Done(merged) => return Ok(*merged),
            Step::More(progress) => {
                assert!(progress.samples_read >= before.samples_read);
                assert!(progress.samples_read <= progress.samples_total);
                before = progress;
            }
        }
    }
}

/// What is left of `inputs`, and how many rows were expired, deleted and superseded.
fn expected(inputs: &[Rows], how: &How) -> (Rows, [u64; 3]) {
    let mut left = Rows::new();
    let mut counts = [0; 3];
    for (i, rows) in inputs.iter().enumerate() {
        for (&(series, time), &bits) in rows {
            let hides = |(number, file, range): &(u8, u64, TimeRange)| {
                *number == series && *file > i as u64 && range.contains(time)
            };
            if time < how.expired_before {
                counts[0] += 1;
            } else if how.hidden.iter().any(hides) {
                counts[1] += 1;
            } else if left.insert((series, time), bits).is_some() {
                counts[2] += 1;
            }
        }
    }
    (left, counts)
}

fn check(inputs: &[Rows], how: &How, mode: ReadMode) {
    let mut store = Store::of(inputs);
    store.mode = mode;
    store.segments = store.segments.iter().map(|s| store.open(s.meta()).unwrap()).collect();
    let merged = store.merge(how).unwrap();
    let (left, counts) = expected(inputs, how);
    assert_eq!(store.rows(&merged.outputs), left);
    let account = &merged.account;
    let found = [account.expired, account.deleted, account.superseded].map(|digest| digest.rows);
    assert_eq!(found, counts, "expired, deleted, superseded");
    assert!(merged.outputs.len() <= how.outputs_max);
    assert!(merged.damage.is_empty() && merged.damaged_rows == 0);
    for (a, b) in merged.outputs.iter().zip(merged.outputs.iter().skip(1)) {
        assert!(a.max_timestamp < b.min_timestamp, "outputs are apart in time");
    }
    for meta in &merged.outputs {
        let seqs = (11, inputs.len() as u64 * 10 + 9);
        assert_eq!(((meta.min_seq, meta.max_seq), meta.level), (seqs, 1));
        let description = store.open(meta).unwrap().describe().unwrap();
        assert_eq!(description.replaces, (1..=inputs.len() as u64).collect::<Vec<_>>());
        assert_eq!(description.tombstone_seq, how.tombstone_seq());
        if let Some((start, ticks)) = description.window {
            let window = i128::from(start)..i128::from(start) + i128::from(ticks);
            for time in [meta.min_timestamp, meta.max_timestamp] {
                assert!(window.contains(&i128::from(time)));
            }
        }
    }
}

fn time() -> impl Strategy<Value = i64> {
    prop_oneof![
        6 => -40i64..120,
        2 => (-4i64..9).prop_map(|t| t * 500),
        1 => any::<i64>(),
        1 => prop_oneof![Just(i64::MIN), Just(i64::MAX), Just(i64::MIN + 1), Just(i64::MAX - 1)],
    ]
}

fn bits() -> impl Strategy<Value = u64> {
    prop_oneof![
        3 => (0u64..50).prop_map(|n| (n as f64).to_bits()),
        1 => any::<u64>(),
        1 => prop_oneof![Just(0x7ff0_0000_0000_0002), Just(0xfff8_0000_0000_0001), Just(1 << 63)],
    ]
}

fn inputs() -> impl Strategy<Value = Vec<Rows>> {
    let run = (0u8..12, time(), 0usize..40, 1i64..3).prop_map(|(series, start, rows, step)| {
        (0..rows as i64).map(|i| (series, start.saturating_add(i * step))).collect::<Vec<_>>()
    });
    let input = (prop::collection::vec(run, 0..4), prop::collection::vec((0u8..12, time()), 1..20))
        .prop_flat_map(|(runs, single)| {
            let keys: Vec<_> = runs.into_iter().flatten().chain(single).collect();
            let values = prop::collection::vec(bits(), keys.len());
            (Just(keys), values).prop_map(|(keys, values)| keys.into_iter().zip(values).collect())
        });
    prop::collection::vec(input, 1..6)
}

fn how() -> impl Strategy<Value = How> {
    let range = (time(), time()).prop_map(|(a, b)| TimeRange::new(a.min(b), a.max(b)));
    let hidden = prop::collection::vec((0u8..12, 1u64..6, range), 0..6);
    let expired = prop_oneof![2 => Just(i64::MIN), 1 => time()];
    let join = prop_oneof![Just(0), Just(200), Just(1 << 20)];
    (prop_oneof![Just(100i64), Just(7), Just(86_400_000)], join, 1usize..17, expired, hidden)
        .prop_map(|(window_ticks, join_bytes, outputs_max, expired_before, hidden)| How {
            window_ticks,
            join_bytes,
            outputs_max,
            expired_before,
            hidden,
            ..How::default()
        })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]
    #[test]
    fn a_merge_is_what_a_map_would_be(inputs in inputs(), how in how(), pread: bool) {
        check(&inputs, &how, if pread { ReadMode::Pread } else { ReadMode::Map });
    }
}

/// Overlapping inputs: every third row of each is written again by the next.
fn overlapping() -> Vec<Rows> {
    let input = |i: i64| {
        let rows = (0..900i64).filter(move |t| t % 3 <= i).map(move |t| ((t % 5) as u8, t));
        rows.map(|(series, t)| ((series, t * 10), (t * 10 + i) as u64)).collect()
    };
    (0..3).map(input).collect()
}

#[test]
fn long_series_pass_through_in_many_steps() {
    let rows = |step: i64| (0..150_000i64).map(|t| ((1, t * step), t as u64)).collect::<Rows>();
    let inputs = [rows(2), rows(3)];
    let mut store = Store::new();
    inputs.iter().for_each(|rows| store.add(rows, 1000));
    let how = How { window_ticks: 1 << 17, ..How::default() };
    let mut job = store.job(&how).unwrap();
    let mut steps = 0;
    let merged = loop {
        steps += 1;
        if let Step::Done(merged) = job.step().unwrap() {
            break *merged;
        }
    };
    assert!(steps > 6, "{steps}");
    assert!(merged.outputs.len() > 1);
    assert_eq!(store.rows(&merged.outputs), expected(&inputs, &how).0);
}

#[test]
fn a_merge_of_nothing_but_expired_rows_has_no_output() {
    let inputs = overlapping();
    let store = Store::of(&inputs);
    let files = store.files();
    let merged = store.merge(&How { expired_before: i64::MAX, ..How::default() }).unwrap();
    assert!(merged.outputs.is_empty());
    assert_eq!(
        merged.account.expired.rows,
        inputs.iter().map(|rows| rows.len() as u64).sum::<u64>()
    );
    assert_eq!(store.files(), files);
}

#[test]
fn a_job_that_is_dropped_leaves_nothing_behind() {
    let store = Store::of(&overlapping());
    let files = store.files();
    let mut steps = 0;
    let mut job = store.job(&How::default()).unwrap();
    while matches!(job.step().unwrap(), Step::More(_)) {
        steps += 1;
    }
    assert!(steps > 10, "an output is a step: {steps}");
    for outputs in 101..110 {
        let _ = store.sim.files();
        let _ = store.vfs.remove(&Store::path(outputs));
    }
    assert_eq!(store.files(), files, "what is done belongs to the caller");
    for stop in 0..=steps {
        let mut job = store.job(&How::default()).unwrap();
        (0..stop).for_each(|_| drop(job.step().unwrap()));
        drop(job);
        assert_eq!(store.files(), files, "after {stop} steps");
    }
}

#[test]
fn every_failed_operation_fails_the_merge_and_leaves_the_inputs() {
    let inputs = overlapping();
    let how = How { window_ticks: 4000, ..How::default() };
    let whole = Store::of(&inputs);
    let start = whole.sim.ops();
    whole.merge(&how).unwrap();
    let (mut failed, end) = (0, whole.sim.ops());
    for op in start..end {
        let store = Store::of(&inputs);
        let files = store.files();
        store.sim.fail_op(op, ErrorKind::Other);
        let error = store.merge(&how).expect_err("no operation of a merge may fail");
        assert!(matches!(error, Error::Io { .. }), "{error}");
        assert_eq!(store.files(), files, "operation {op}");
        store.sim.heal();
        let merged = store.merge(&how).unwrap();
        assert_eq!(store.rows(&merged.outputs), expected(&inputs, &how).0);
        failed += 1;
    }
    assert!(failed > 30, "{failed}");
}

#[test]
fn a_full_disk_fails_the_merge_and_gives_the_room_back() {
    let inputs = overlapping();
    let store = Store::of(&inputs);
    let used: u64 = store.files().iter().map(|f| store.vfs.file_len(f).unwrap()).sum();
    let files = store.files();
    for room in [0, 100, 4096, 9000] {
        store.sim.set_capacity(used + room);
        let error = store.merge(&How::default()).unwrap_err();
        assert!(matches!(error, Error::DiskFull { .. }), "{error}");
        assert_eq!(store.files(), files);
    }
    store.sim.set_capacity(u64::MAX);
    store.merge(&How::default()).unwrap();
}

/// Where the value block of input `number`'s chunk `chunk` is.
fn value_block(store: &Store, input: usize, chunk: usize) -> u64 {
    let mut walk = ChunkWalk::new(Arc::clone(&store.segments[input]));
    for _ in 0..chunk {
        walk.peek().unwrap();
        walk.advance();
    }
    walk.peek().unwrap().unwrap().block_offset()
}

#[test]
fn a_damaged_block_is_named_and_the_rest_goes_on() {
    let store = Store::of(&overlapping());
    let offset = value_block(&store, 1, 0);
    store.sim.flip(Store::path(2), offset, 1).unwrap();
    let merged = store.merge(&How::default()).unwrap();
    assert_eq!(merged.damaged_files, [2]);
    assert!(merged.damaged_rows > 0);
    assert!(merged.damage.iter().all(|lost| (lost.file_number, lost.offset) == (2, offset)));
    let rows: u64 = merged.damage.iter().map(|range| u64::from(range.rows)).sum();
    assert_eq!((rows, merged.damage.len() as u64), (merged.damaged_rows, merged.damaged_chunks));
}

#[test]
fn a_damaged_index_fails_the_merge_and_names_the_file() {
    let inputs = overlapping();
    let whole = Store::of(&inputs);
    let description = whole.segments[1].describe().unwrap();
    let sections = ["label blocks", "label top", "chunk top"];
    for name in sections {
        let section = description.sections.iter().find(|section| section.name == name).unwrap();
        let store = Store::of(&inputs);
        let files = store.files();
        store.sim.flip(Store::path(2), section.offset + section.bytes / 2, 1).unwrap();
        match store.merge(&How::default()).unwrap_err() {
            Error::Corrupt { path, .. } => assert_eq!(path, Store::path(2), "{name}"),
            other => panic!("{name}: {other}"),
        }
        assert_eq!(store.files(), files);
    }
}

#[test]
fn rows_that_do_not_add_up_fail_the_merge() {
    let store = Store::of(&overlapping());
    let files = store.files();
    let mut job = store.job(&How::default()).unwrap();
    while !matches!(job.stage, Stage::Rows(_)) {
        job.step().unwrap();
    }
    // One row that was read by nobody, and one bit of another.
    job.ledger.lock().account.superseded.rows += 1;
    let error = run(job).unwrap_err();
    assert!(matches!(error, Error::SelfCheck(_)), "{error}");
    assert_eq!(store.files(), files);
    let mut job = store.job(&How::default()).unwrap();
    job.step().unwrap();
    job.ledger.lock().account.read.sum ^= 1;
    assert!(matches!(run(job), Err(Error::SelfCheck(_))));
    // A segment that should have more rows than it has.
    let mut job = store.job(&How::default()).unwrap();
    job.samples_total += 1;
    assert!(matches!(run(job), Err(Error::SelfCheck(_))));
    assert_eq!(store.files(), files);
}
