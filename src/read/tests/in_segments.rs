//! Segments on a simulated disk: the spread of the model, and damage.

use std::collections::BTreeMap;
use std::path::Path;

use super::*;
use crate::cursor::{Columns, SeriesCursor};
use crate::error::Error;
use crate::read::Damage;
use crate::segment::{BlockCache, Segment, SegmentInfo, SegmentWriter};
use crate::sys::{ReadMode, SimFs, Vfs};

const CHUNK_ROWS: usize = 7;

/// Cuts segments. Every second one is read by the other read mode.
pub(super) struct SegmentMaker {
    disk: SimFs,
    cache: Arc<BlockCache>,
    segments: u64,
}

impl SegmentMaker {
    pub(super) fn new() -> Self {
        Self { disk: SimFs::new(), cache: Arc::new(BlockCache::new(1 << 20)), segments: 0 }
    }

    pub(super) fn segment(&mut self, writes: &[Write], seq: u64) -> Arc<Segment> {
        self.segments += 1;
        let number = self.segments;
        let vfs: Arc<dyn Vfs> = Arc::new(self.disk.clone());
        let info = SegmentInfo { min_seq: seq, max_seq: seq + 50, ..SegmentInfo::default() };
        let mut writer = SegmentWriter::create(&vfs, Path::new("/"), number, info).unwrap();
        let mut series: BTreeMap<&Labels, BTreeMap<i64, f64>> = BTreeMap::new();
        for (labels, time, bits) in writes {
            series.entry(labels).or_default().insert(*time, f64::from_bits(*bits));
        }
        for (labels, samples) in series {
            writer.begin_series(labels).unwrap();
            let (times, values): (Vec<i64>, Vec<f64>) = samples.into_iter().unzip();
            for (times, values) in times.chunks(CHUNK_ROWS).zip(values.chunks(CHUNK_ROWS)) {
                writer.chunk(times, values).unwrap();
            }
        }
        let meta = writer.finish().unwrap();
        self.open(&meta)
    }

    /// Damages every value block of a segment.
    pub(super) fn damage_values(&self, segment: &Segment) {
        let path = self.disk.files()[segment.meta().file_number as usize - 1].clone();
        let all: Vec<u32> = (0..segment.meta().series).collect();
        let chunks = segment.chunks(&all, i64::MIN..=i64::MAX).unwrap();
        let mut blocks: Vec<u64> = chunks.map(|chunk| chunk.unwrap().block_offset()).collect();
        blocks.dedup();
        blocks.iter().for_each(|&offset| self.disk.flip(&path, offset, 0x10).unwrap());
    }

    /// The same segment with nothing cached.
    pub(super) fn reopen(&mut self, segment: &Segment) -> Arc<Segment> {
        self.cache = Arc::new(BlockCache::new(1 << 20));
        self.open(segment.meta())
    }

    fn open(&self, meta: &crate::types::SegmentMeta) -> Arc<Segment> {
        let vfs: Arc<dyn Vfs> = Arc::new(self.disk.clone());
        let mode = if meta.file_number.is_multiple_of(2) { ReadMode::Pread } else { ReadMode::Map };
        let cache = Arc::clone(&self.cache);
        Segment::open(&vfs, Path::new("/"), &[0; 16].into(), meta, mode, cache).unwrap()
    }
}

/// Series of several chunks each, enough for several groups of the chunk index.
fn many_chunks(series: usize) -> Vec<Write> {
    let at = |n: usize| labels(&[("__name__", "m"), ("n", &format!("{n:04}"))]);
    let rows = |n: usize| 1 + n as i64 * 13 % 40;
    (0..series).flat_map(|n| (0..rows(n)).map(move |t| (at(n), t * 10, t as u64))).collect()
}

#[test]
fn chunks_of_the_next_series_are_found_at_once_and_never_mixed_up() {
    let history = many_chunks(700);
    let oracle = oracle(&history);
    let sources = sources(vec![SegmentMaker::new().segment(&history, 1)], &pool(2));
    let every_tenth = [Matcher::regex("n", ".*3").unwrap()];
    for matchers in [&[][..], &every_tenth] {
        for range in [TimeRange::ALL, TimeRange::new(205, 316), TimeRange::new(41, 49)] {
            check(&sources, &oracle, matchers, range);
        }
    }
}

#[test]
fn a_damaged_block_costs_its_own_samples_and_is_reported_with_its_place() {
    let history = many_chunks(300);
    let mut maker = SegmentMaker::new();
    let meta = *maker.segment(&history, 1).meta();
    let path = maker.disk.files()[0].clone();
    let clean = oracle(&history).select(&[], TimeRange::ALL);
    for offset in (64..meta.file_bytes - u64::from(meta.footer_bytes)).step_by(997) {
        maker.disk.flip(&path, offset, 0x10).unwrap();
        maker.cache = Arc::new(BlockCache::new(1 << 20));
        let sources = sources(vec![maker.open(&meta)], &Executor::Inline);
        let damage = Damage::default();
        let options =
            QueryOptions { skip_damaged: Some(damage.clone()), ..QueryOptions::default() };
        let salvaged = select(&sources, &[], TimeRange::ALL, &options).unwrap();
        let errors = damage.take();
        let strict = select(&sources, &[], TimeRange::ALL, &QueryOptions::default());
        match strict {
            // In a copy that was not needed, or padding.
            Ok(all) => {
                assert!(all == clean, "byte {offset}: a wrong answer");
                assert!(errors.is_empty(), "byte {offset}: {errors:?}");
            }
            Err(Error::Corrupt { .. } | Error::Lost(_)) => {
                assert!(!errors.is_empty(), "byte {offset}");
                let kept: Vec<(&Labels, &(i64, u64))> =
                    salvaged.iter().flat_map(|(l, s)| s.iter().map(move |s| (l, s))).collect();
                let all: Vec<(&Labels, &(i64, u64))> =
                    clean.iter().flat_map(|(l, s)| s.iter().map(move |s| (l, s))).collect();
                assert!(kept.len() < all.len(), "byte {offset}: nothing is missing");
                let mut rest = all.iter();
                assert!(kept.iter().all(|k| rest.any(|a| a == k)), "byte {offset}: wrong samples");
            }
            Err(e) => panic!("byte {offset}: {e}"),
        }
        maker.disk.flip(&path, offset, 0x10).unwrap();
    }
}

/// What a cursor says about a series: its samples, or so many errors on the way.
fn read_series(cursor: &mut dyn SeriesCursor, key: u32) -> (Vec<i64>, usize) {
    let (mut columns, mut errors) = (Columns::default(), 0);
    match cursor.open(key) {
        Ok(Some(_)) => loop {
            match cursor.append(&mut columns) {
                Ok(0) => break,
                Ok(_) => {}
                Err(_) => errors += 1,
            }
        },
        Ok(None) => {}
        Err(_) => errors += 1,
    }
    (columns.timestamps, errors)
}

#[test]
fn what_a_cursor_read_before_changes_nothing() {
    let mut maker = SegmentMaker::new();
    let meta = *maker.segment(&many_chunks(400), 1).meta();
    let path = maker.disk.files()[0].clone();
    let mut damaged_ahead = 0;
    for offset in (64..meta.file_bytes - u64::from(meta.footer_bytes)).step_by(1499) {
        maker.disk.flip(&path, offset, 0x10).unwrap();
        maker.cache = Arc::new(BlockCache::new(1 << 20));
        let segment = maker.open(&meta);
        let cursor = || Arc::clone(&segment).cursor(0, TimeRange::new(0, 350));
        let mut in_order = cursor();
        for key in 0..meta.series {
            let alone = read_series(cursor().as_mut(), key);
            for again in 0..2 {
                let shared = read_series(in_order.as_mut(), key);
                assert!(shared == alone, "byte {offset}, series {key}, reading {again}");
            }
            damaged_ahead += usize::from(alone.1 > 0 && alone.0.is_empty());
        }
        maker.disk.flip(&path, offset, 0x10).unwrap();
    }
    assert!(damaged_ahead > 0, "some series cannot be found");
}

#[test]
fn a_block_of_a_list_has_bounded_labels() {
    const VALUE_BYTES: usize = 7000;
    const BLOCK_BYTES: usize = 256 << 10;
    let writes: Vec<Write> =
        (0..150).map(|n| (labels(&[("n", &format!("{n:0>VALUE_BYTES$}"))]), 5, 1)).collect();
    let segment = SegmentMaker::new().segment(&writes, 1);
    // Of all series, and of some.
    let some = Matcher::new(crate::types::MatchOp::Regex, "n", ".*[13579]").unwrap();
    for (matchers, step) in [(Vec::new(), 1), (vec![some], 2)] {
        let source: Arc<dyn SeriesSource> = Arc::clone(&segment) as Arc<_>;
        let mut list = source.series(&matchers, TimeRange::ALL).unwrap();
        let (mut all, mut block) = (Vec::new(), Vec::new());
        while list.next_block(&mut block).unwrap() {
            let bytes: usize = block.iter().map(|one| one.labels.encoded().len()).sum();
            assert!(bytes <= BLOCK_BYTES + 2 * VALUE_BYTES, "{bytes}");
            all.extend(block.drain(..).map(|one| one.labels));
        }
        let expected = writes.iter().map(|(labels, ..)| labels.clone());
        assert_eq!(all, expected.skip(step - 1).step_by(step).collect::<Vec<_>>());
    }
}
