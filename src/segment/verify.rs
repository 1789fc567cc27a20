//! Verifies a segment: every byte of the file, every block decoded, every number compared.
//!
//! Reads past all caches but one of its own, goes on behind damage, and says for each damaged part
//! which series lose samples of what times. Called by `siltstone verify` and by tests.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::ops::ControlFlow;
use std::sync::Arc;

use super::aggregate::Aggregates;
use super::cache::BlockCache;
use super::chunk_index::{ChunkBlock, Groups};
use super::chunk_reader::{ChunkReader, ChunkSamples};
use super::findings::{Finding, LostRange, VerifyReport};
use super::footer::SectionTag;
use super::group::ChunkEntry;
use super::header::{HEADER_BYTES, Header};
use super::labels::{LabelBlocks, LabelFault};
use super::loaded::Loaded;
use super::open::Segment;
use crate::error::{Error, Result};
use crate::index::{BlockRef, BlockSource};
use crate::sys::checksum::crc32c;
use crate::types::{DecodeError, Labels, Matcher};

/// Blocks that verifying keeps at a time, in bytes.
const CACHE_BYTES: usize = 8 << 20;
/// Padding is read in pieces of at most this many bytes.
const GAP_BYTES_MAX: u64 = 8;

impl Segment {
    /// Verifies the whole file and reports each damaged part to `report`.
    ///
    /// # Errors
    /// [`Error::Io`] if the file cannot be opened at all; damage is reported, not returned.
    pub fn verify(&self, report: &mut dyn FnMut(Finding)) -> Result<VerifyReport> {
        let fresh = self.with_cache(Arc::new(BlockCache::new(CACHE_BYTES)))?;
        let mut run = Run {
            segment: Arc::clone(&fresh),
            report,
            totals: VerifyReport::default(),
            is_damaged: false,
            covered: BTreeMap::new(),
        };
        match fresh.loaded() {
            Ok(loaded) => run.everything(&loaded),
            Err(error) => run.found(error, false, Vec::new()),
        }
        Ok(run.totals)
    }
}

struct Run<'a> {
    segment: Arc<Segment>,
    report: &'a mut dyn FnMut(Finding),
    totals: VerifyReport,
    /// Whether a part of the file is damaged: what was lost before it was written is not.
    is_damaged: bool,
    /// Where checked parts start and end.
    covered: BTreeMap<u64, u64>,
}

impl Run<'_> {
    fn everything(&mut self, loaded: &Loaded) {
        self.head_and_footers(loaded);
        self.sections(loaded);
        self.time_blocks(loaded);
        let labels = self.labels(loaded);
        for block in &loaded.chunk_top {
            self.chunk_block(loaded, block, &labels);
        }
        self.padding(loaded);
        let footer = &loaded.footer;
        let stated = (u64::from(footer.series), footer.chunks, footer.samples);
        let counted = (self.totals.series, self.totals.chunks, self.totals.samples);
        if !self.is_damaged && stated != counted {
            let source = DecodeError::Invalid("number of series, chunks or samples");
            let at = self.segment.meta().footer_twin_offset;
            self.found(self.segment.damaged("footer", at, source), false, Vec::new());
        }
    }

    fn found(&mut self, error: Error, has_twin: bool, lost: Vec<LostRange>) {
        self.totals.findings += 1;
        self.is_damaged |= !matches!(error, Error::Lost(_));
        (self.report)(Finding { error, has_twin, lost });
    }

    /// Notes that a part was checked; reports what is wrong with it.
    fn part(&mut self, offset: u64, len: u64, has_twin: bool, outcome: Result<()>) {
        self.cover(offset, len);
        if let Err(error) = outcome {
            self.found(error, has_twin, Vec::new());
        }
    }

    fn cover(&mut self, offset: u64, len: u64) {
        if len > 0 {
            // A part that a damaged table leads to may lie anywhere.
            self.covered.insert(offset, offset.saturating_add(len));
            self.totals.bytes += len;
        }
    }

    fn head_and_footers(&mut self, loaded: &Loaded) {
        let segment = Arc::clone(&self.segment);
        let meta = *segment.meta();
        let header_bytes = HEADER_BYTES as u64;
        let header = || {
            let bytes = segment.read(&loaded.file, 0, header_bytes, "header")?;
            let expected =
                Header { uuid: loaded.footer.uuid, file_number: loaded.footer.file_number };
            match Header::decode(&bytes) {
                Ok(found) if found == expected => Ok(()),
                Ok(_) => Err(DecodeError::Invalid("identity in the header")),
                Err(e) => Err(e),
            }
            .map_err(|e| segment.damaged("header", 0, e))
        };
        self.part(0, header_bytes, true, header());
        let footer_bytes = u64::from(meta.footer_bytes);
        for offset in [meta.footer_twin_offset, meta.file_bytes - footer_bytes] {
            let outcome = segment.footer_at(&loaded.file, offset).map(drop);
            self.part(offset, footer_bytes, true, outcome);
        }
    }

    /// The sections that have one checksum, those of tags that this build does not know included.
    fn sections(&mut self, loaded: &Loaded) {
        let segment = Arc::clone(&self.segment);
        for section in loaded.footer.sections.iter().filter(|section| !section.has_blocks()) {
            let tag = SectionTag::from_number(section.tag);
            let name = tag.map_or("unknown section", SectionTag::name);
            let has_twin = matches!(tag, Some(SectionTag::TimeTable | SectionTag::TimeTableTwin));
            let outcome = segment.section_at(&loaded.file, section, name).map(drop);
            self.part(section.offset, section.len, has_twin, outcome);
        }
    }

    fn time_blocks(&mut self, loaded: &Loaded) {
        let segment = Arc::clone(&self.segment);
        for block in &loaded.time_table {
            for offset in [block.offset, block.twin_offset] {
                let check = || {
                    let bytes = segment.time_block_at(loaded, block, offset)?;
                    let numbers = block.first_column..block.first_column + block.columns;
                    numbers.into_iter().try_for_each(|number| {
                        let column = block.column(&bytes, number).map(drop);
                        column.map_err(|e| segment.damaged("timestamp block", offset, e))
                    })
                };
                self.part(offset, u64::from(block.len), true, check());
            }
        }
    }

    /// Reads all labels, checks their order, and that the postings of every label say the same.
    /// Returns the labels by ordinal, as far as they can be read.
    fn labels(&mut self, loaded: &Loaded) -> Vec<Labels> {
        let segment = Arc::clone(&self.segment);
        let source = Recording {
            blocks: LabelBlocks { segment: &segment, loaded },
            seen: RefCell::default(),
        };
        let mut all: Vec<Labels> = Vec::new();
        let check = |all: &mut Vec<Labels>| -> Result<(), LabelFault> {
            let ordinals: Vec<u32> = (0..loaded.index.series_count()).collect();
            loaded.index.labels(&source, &ordinals, |_, labels| {
                all.push(labels);
                ControlFlow::Continue(())
            })?;
            if !all.is_sorted_by(|a, b| a.encoded() < b.encoded()) {
                return Err(DecodeError::Invalid("order of series").into());
            }
            let mut pairs: HashMap<(&str, &str), Vec<u32>> = HashMap::new();
            for (ordinal, labels) in all.iter().enumerate() {
                for pair in labels {
                    pairs.entry(pair).or_default().push(ordinal as u32);
                }
            }
            for ((name, value), expected) in pairs {
                let matchers = [Matcher::equal(name, value)];
                if loaded.index.select(&source, &matchers)? != expected {
                    return Err(DecodeError::Invalid("postings of a label").into());
                }
            }
            Ok(())
        };
        let outcome = check(&mut all).map_err(|fault| segment.label_error(loaded, fault));
        self.totals.series = all.len() as u64;
        for (offset, len) in source.seen.into_inner() {
            self.cover(offset, len);
        }
        if let Err(error) = outcome {
            // Where the rest of the section is not looked at, it is not reported again.
            let section = loaded.footer.section(SectionTag::LabelBlocks);
            self.covered.retain(|&start, _| !(section.offset..section.end()).contains(&start));
            self.cover(section.offset, section.len);
            self.found(error, false, Vec::new());
        }
        all
    }

    fn chunk_block(&mut self, loaded: &Loaded, block: &ChunkBlock, labels: &[Labels]) {
        let segment = Arc::clone(&self.segment);
        self.cover(block.offset, u64::from(block.stored_bytes));
        let mut entries: Vec<ChunkEntry> = Vec::new();
        let decode = |entries: &mut Vec<ChunkEntry>| {
            let raw = segment.chunk_block(loaded, block)?;
            let mut decode = || {
                let groups = Groups::open(&raw, loaded.footer.is_dense())?;
                (0..groups.len()).try_for_each(|i| groups.decode(i, entries))?;
                let is_as_stated = entries.len() == block.chunks as usize
                    && entries.first().map(|entry| entry.ordinal) == Some(block.first_ordinal)
                    && entries.last().map(|entry| entry.ordinal) == Some(block.last_ordinal);
                if is_as_stated { Ok(()) } else { Err(DecodeError::Invalid("entry of chunk top")) }
            };
            decode().map_err(|e| segment.damaged("chunk block", block.offset, e))
        };
        if let Err(error) = decode(&mut entries) {
            let lost = (block.first_ordinal..=block.last_ordinal).map(|ordinal| LostRange {
                ordinal,
                labels: labels.get(ordinal as usize).cloned(),
                first: block.min_timestamp,
                last: block.max_timestamp,
                samples: segment.meta().samples,
            });
            return self.found(error, false, lost.collect());
        }
        for group in entries.chunk_by(|a, b| a.block == b.block) {
            self.group(loaded, group, labels);
        }
    }

    /// Checks a value block and decodes its chunks.
    fn group(&mut self, loaded: &Loaded, group: &[ChunkEntry], labels: &[Labels]) {
        let segment = Arc::clone(&self.segment);
        let place = group[0].block;
        self.cover(place.offset, u64::from(place.len));
        let lost = |entry: &ChunkEntry| LostRange {
            ordinal: entry.ordinal,
            labels: labels.get(entry.ordinal as usize).cloned(),
            first: entry.span.first,
            last: entry.span.last,
            samples: u64::from(entry.rows()),
        };
        let whole = segment
            .read(&loaded.file, place.offset, u64::from(place.len), "value block")
            .and_then(|bytes| match crc32c(0, &bytes) == place.crc {
                true => Ok(()),
                false => {
                    let source = DecodeError::Checksum("value block");
                    Err(segment.damaged("value block", place.offset, source))
                }
            });
        if let Err(error) = whole {
            return self.found(error, false, group.iter().map(lost).collect());
        }
        let mut reader = ChunkReader::new(Arc::clone(&segment));
        let mut columns = ChunkSamples::default();
        for entry in group {
            if entry.loss.is_some() {
                self.lost_chunk(&mut reader, entry, labels);
                continue;
            }
            let outcome = reader.read(entry, &mut columns).and_then(|()| {
                match Aggregates::of(&columns.values) == entry.aggregates {
                    true => Ok(()),
                    false => {
                        let source = DecodeError::Invalid("aggregates of a chunk");
                        Err(segment.damaged("chunk block", place.offset, source))
                    }
                }
            });
            match outcome {
                Ok(()) => {
                    self.totals.chunks += 1;
                    self.totals.samples += columns.values.len() as u64;
                }
                Err(error) => self.found(error, false, vec![lost(entry)]),
            }
        }
    }

    /// Checks the timestamps of a lost chunk, and counts what is lost.
    fn lost_chunk(&mut self, reader: &mut ChunkReader, entry: &ChunkEntry, labels: &[Labels]) {
        self.totals.chunks += 1;
        let (mut timestamps, mut values) = (Vec::new(), Vec::new());
        match reader.append_or_lose(entry, &mut timestamps, &mut values) {
            Ok(Some(lost)) if lost.is_accepted => {
                self.totals.accepted_samples += u64::from(lost.rows);
            }
            Ok(Some(lost)) => {
                self.totals.lost_samples += u64::from(lost.rows);
                let labels = labels.get(entry.ordinal as usize).cloned();
                self.found(Error::Lost(Box::new(lost.samples(labels))), false, Vec::new());
            }
            Ok(None) => {}
            Err(error) => self.found(error, false, Vec::new()),
        }
    }

    /// What no part covers must be zero, and shorter than the alignment, unless parts in between
    /// could not be found because of damage.
    fn padding(&mut self, loaded: &Loaded) {
        let segment = Arc::clone(&self.segment);
        let file_bytes = segment.meta().file_bytes;
        let mut gaps = Vec::new();
        let mut end = 0;
        for (&start, &part_end) in self.covered.iter().chain([(&file_bytes, &file_bytes)]) {
            if start < end {
                let source = DecodeError::Invalid("parts, which overlap");
                gaps.push((start, Err(segment.damaged("file", start, source))));
            } else if start > end {
                gaps.push((end, Ok(start - end)));
            }
            end = end.max(part_end);
        }
        for (offset, gap) in gaps {
            let outcome = gap.and_then(|len| {
                let bytes =
                    segment.read(&loaded.file, offset, len.min(GAP_BYTES_MAX), "padding")?;
                let is_zero = bytes.iter().all(|&byte| byte == 0);
                if len < GAP_BYTES_MAX && is_zero {
                    return Ok(len);
                }
                let source = DecodeError::Invalid("padding");
                Err(segment.damaged("padding", offset, source))
            });
            match outcome {
                Ok(len) => self.totals.bytes += len,
                // Parts that damaged indexes lead to are not strays.
                Err(_) if self.is_damaged => {}
                Err(error) => self.found(error, true, Vec::new()),
            }
        }
    }
}

/// Label blocks, and which of them were asked for.
struct Recording<'a> {
    blocks: LabelBlocks<'a>,
    seen: RefCell<BTreeMap<u64, u64>>,
}

impl BlockSource for Recording<'_> {
    type Error = LabelFault;

    fn block(&self, place: BlockRef) -> Result<Arc<[u8]>, LabelFault> {
        let block = self.blocks.block(place)?;
        self.seen.borrow_mut().insert(self.blocks.offset(place), u64::from(place.len));
        Ok(block)
    }
}
