//! A model of a store that is written to and merged, in bytes per base window: what the picker is
//! tuned with and held to. Tests only.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use super::picker::{Pick, PickerOptions, View, pick};
use super::tier::depth;
use super::windows::Survey;
use crate::types::SegmentMeta;

/// Bytes of a dense segment for 100 bytes of level-0 segments.
const DENSE_PERCENT: u64 = 82;

pub(super) const DAY: i64 = 86_400_000;

pub(super) fn meta(
    file_number: u64,
    time: (i64, i64),
    seq: (u64, u64),
    level: u8,
    file_bytes: u64,
) -> Arc<SegmentMeta> {
    Arc::new(SegmentMeta {
        file_number,
        file_bytes,
        footer_crc: 0,
        footer_bytes: 0,
        footer_twin_offset: 0,
        min_timestamp: time.0,
        max_timestamp: time.1,
        min_seq: seq.0,
        max_seq: seq.1,
        samples: 1,
        series: 1,
        features: 0,
        level,
        tombstone_seq: 0,
    })
}

/// What of a segment lies in one base window.
#[derive(Debug, Clone, Copy)]
pub(super) struct Piece {
    pub(super) first: i64,
    pub(super) last: i64,
    pub(super) bytes: u64,
}

/// The live segments, each with its pieces.
#[derive(Debug)]
pub(super) struct Store {
    pub(super) options: PickerOptions,
    pub(super) now: i64,
    pub(super) quiet: bool,
    pub(super) segments: Vec<Arc<SegmentMeta>>,
    pieces: BTreeMap<u64, BTreeMap<i64, Piece>>,
    /// File numbers with deletes due.
    pub(super) due: HashSet<u64>,
    pub(super) excluded: HashSet<u64>,
    /// Bytes that a merge may take.
    pub(super) input_bytes_max: u64,
    next: u64,
    /// Bytes written, flushes included.
    pub(super) written: u64,
    pub(super) merges: u64,
    pub(super) most_segments: usize,
    pub(super) most_depth: usize,
}

impl Store {
    pub(super) fn new(options: PickerOptions) -> Self {
        Self {
            options,
            now: 0,
            quiet: false,
            segments: Vec::new(),
            pieces: BTreeMap::new(),
            due: HashSet::new(),
            excluded: HashSet::new(),
            input_bytes_max: u64::MAX,
            next: 1,
            written: 0,
            merges: 0,
            most_segments: 0,
            most_depth: 0,
        }
    }

    pub(super) fn at_rest(&self) -> u64 {
        self.segments.iter().map(|meta| meta.file_bytes).sum()
    }

    pub(super) fn amplification(&self) -> f64 {
        self.written as f64 / self.at_rest() as f64
    }

    /// Flushes `pieces`, none of which crosses a base window.
    pub(super) fn flush(&mut self, pieces: &[Piece]) {
        let mut cells = BTreeMap::new();
        for piece in pieces {
            add(&mut cells, piece.first.div_euclid(self.options.window_ticks), *piece);
        }
        let seq = self.next;
        self.publish(cells, (seq, seq), 0);
        self.measure();
    }

    fn publish(&mut self, cells: BTreeMap<i64, Piece>, seq: (u64, u64), level: u8) {
        let first = cells.values().map(|piece| piece.first).min().unwrap();
        let last = cells.values().map(|piece| piece.last).max().unwrap();
        let bytes: u64 = cells.values().map(|piece| piece.bytes).sum();
        let number = self.next;
        self.next += 1;
        self.segments.push(meta(number, (first, last), seq, level, bytes.max(1)));
        self.segments.sort_unstable_by_key(|meta| (meta.min_timestamp, meta.file_number));
        self.pieces.insert(number, cells);
        self.written += bytes;
    }

    fn measure(&mut self) {
        self.most_segments = self.most_segments.max(self.segments.len());
        self.most_depth = self.most_depth.max(depth(&self.segments));
    }

    pub(super) fn pick_with(&self, pick: impl Fn(&View<'_>) -> Option<Pick>) -> Option<Pick> {
        let due = |meta: &SegmentMeta| self.due.contains(&meta.file_number);
        pick(&View {
            segments: &self.segments,
            excluded: &self.excluded,
            erase_due: &due,
            now: self.now,
            quiet: self.quiet,
            input_bytes_max: self.input_bytes_max,
            options: &self.options,
        })
    }

    /// Carries a merge out.
    pub(super) fn merge(&mut self, pick: &Pick) {
        let mut cells = BTreeMap::new();
        for meta in pick.inputs.segments() {
            let percent = if meta.level == 0 { DENSE_PERCENT } else { 100 };
            for (index, piece) in self.pieces.remove(&meta.file_number).unwrap() {
                let bytes = piece.bytes * percent / 100;
                add(&mut cells, index, Piece { bytes, ..piece });
            }
            self.due.remove(&meta.file_number);
        }
        let merged: HashSet<u64> =
            pick.inputs.segments().iter().map(|meta| meta.file_number).collect();
        self.segments.retain(|meta| !merged.contains(&meta.file_number));
        let mut survey = Survey::new(self.options.grid());
        for piece in cells.values() {
            survey.add(piece.first, piece.last, piece.bytes);
        }
        let cuts = survey.cuts(self.options.join_bytes, self.options.windows_max);
        let mut outputs: BTreeMap<usize, BTreeMap<i64, Piece>> = BTreeMap::new();
        for (index, piece) in cells {
            outputs.entry(cuts.output_of(piece.first)).or_default().insert(index, piece);
        }
        for cells in outputs.into_values() {
            self.publish(cells, pick.inputs.seq_hull(), pick.inputs.output_level());
        }
        self.merges += 1;
        self.check();
    }

    /// Merges until nothing is picked; says if that takes more than `most` merges.
    pub(super) fn run_until_idle(
        &mut self,
        most: usize,
        picker: impl Fn(&View<'_>) -> Option<Pick>,
    ) -> Result<(), String> {
        for _ in 0..most {
            let Some(pick) = self.pick_with(&picker) else {
                self.measure();
                return Ok(());
            };
            self.merge(&pick);
        }
        Err(format!("{most} merges and no end: {:?}", self.pick_with(&picker)))
    }

    /// No two segments overlap in time and in seq.
    fn check(&self) {
        if self.segments.len() > 200 {
            return;
        }
        for (at, a) in self.segments.iter().enumerate() {
            for b in &self.segments[..at] {
                let in_seq = a.min_seq <= b.max_seq && b.min_seq <= a.max_seq;
                assert!(!(in_seq && a.overlaps_in_time(b)), "{a:?} {b:?}");
            }
        }
    }
}

fn add(cells: &mut BTreeMap<i64, Piece>, index: i64, piece: Piece) {
    let cell = cells.entry(index).or_insert(Piece { bytes: 0, ..piece });
    cell.first = cell.first.min(piece.first);
    cell.last = cell.last.max(piece.last);
    cell.bytes += piece.bytes;
}

/// A workload: `days` days of `flushes` flushes a day, each of `bytes`, with `late_percent` of the
/// bytes spread over the 30 days before.
pub(super) struct Load {
    pub(super) days: i64,
    pub(super) flushes: i64,
    pub(super) bytes: u64,
    pub(super) late_percent: u64,
}

impl Load {
    pub(super) fn run(&self) -> Store {
        let mut store = Store::new(PickerOptions::new(DAY));
        let step = DAY / self.flushes;
        for at in (0..self.days * self.flushes).map(|n| n * step) {
            let late = self.bytes * self.late_percent / 100;
            let mut pieces =
                vec![Piece { first: at, last: at + step - 1, bytes: self.bytes - late }];
            for day in 0..if late > 0 { 30 } else { 0 } {
                let first = (at - (day + 1) * DAY).div_euclid(DAY) * DAY;
                // Somewhere within the day, wide: the series are many.
                pieces.push(Piece {
                    first: first + at % 977,
                    last: first + DAY - 1 - at % 991,
                    bytes: late / 30,
                });
            }
            store.now = at + step;
            store.flush(&pieces);
            store.run_until_idle(1000, pick).unwrap();
        }
        store
    }

    /// The clock goes on while nothing comes.
    pub(super) fn finish(store: &mut Store) {
        store.now += 2 * DAY;
        store.quiet = true;
        store.run_until_idle(1000, pick).unwrap();
    }
}
