//! The payload of a BATCH frame: columns of rows and the definitions of series first seen.
//!
//! Encoding has two steps, because refs are file-local and a batch learns its file only when it gets
//! its offset: [`EncodedBatch::new`] lays out the columns (outside every lock), and
//! [`EncodedBatch::complete`] fills in refs and definitions (under the commit lock).

use crate::types::{DecodeError, Labels, SeriesId};

const FIXED_BYTES: usize = 40;
/// Most bytes of uncompressed definitions in one frame.
const DEFINITIONS_BYTES_MAX: usize = 64 << 20;
/// A larger buffer of definitions is not kept.
const DEFINITIONS_BYTES_KEPT: usize = 4 << 20;
/// What a byte of a zstd frame can stand for at most: a run of 128 KiB takes four.
const ZSTD_EXPANSION_MAX: usize = 32 << 10;
/// Definition bytes apart from the labels: check and length.
const DEFINITION_HEAD_BYTES: usize = 12;
const KIND_F64: u8 = 1;

/// The columns of a batch, borrowed. Run `i` is the next `run_rows[i]` rows, all of one series.
#[derive(Debug, Clone, Copy)]
pub struct BatchColumns<'a> {
    /// Rows of each run, each at least 1, `timestamps.len()` in all.
    pub run_rows: &'a [u32],
    /// Timestamp of each row in ticks.
    pub timestamps: &'a [i64],
    /// `f64` bits of each row.
    pub values: &'a [u64],
}

/// Labels of series that a frame defines, ready to be compressed.
#[derive(Debug, Default)]
pub struct Definitions {
    bytes: Vec<u8>,
    count: u32,
}

impl Definitions {
    /// Empties the buffer and keeps its memory, unless it is much.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.bytes.shrink_to(DEFINITIONS_BYTES_KEPT);
        self.count = 0;
    }

    /// Adds the labels that the next ref stands for. Beyond what a frame may hold they are only
    /// counted.
    pub fn push(&mut self, labels: &Labels) {
        self.count += 1;
        if self.too_large() {
            return;
        }
        let encoded = labels.encoded();
        self.bytes.extend_from_slice(&labels.id().check().to_le_bytes());
        self.bytes.extend_from_slice(&(encoded.len() as u32).to_le_bytes());
        self.bytes.extend_from_slice(encoded);
    }

    /// The number of series defined.
    #[must_use]
    pub fn len(&self) -> u32 {
        self.count
    }

    /// Whether nothing is defined.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Whether the definitions are more than one frame may hold.
    #[must_use]
    pub fn too_large(&self) -> bool {
        self.bytes.len() > DEFINITIONS_BYTES_MAX
    }
}

/// A batch as the payload of a frame, first without refs, then complete.
#[derive(Debug)]
pub struct EncodedBatch {
    payload: Vec<u8>,
    refs_at: usize,
    definitions_at: usize,
    runs: usize,
    rows: usize,
}

impl EncodedBatch {
    /// Lays out `columns` in `buffer`, whose memory is reused.
    ///
    /// # Panics
    /// When the columns disagree about the number of rows (a programmer's error).
    #[must_use]
    pub fn new(columns: &BatchColumns<'_>, mut buffer: Vec<u8>) -> Self {
        let (runs, rows) = (columns.run_rows.len(), columns.timestamps.len());
        assert_eq!(columns.values.len(), rows, "one value for each timestamp");
        let base = columns.timestamps.iter().copied().min().unwrap_or(0);
        let mode = TimestampMode::of(columns.timestamps, base);
        let one_row = runs == rows;
        buffer.clear();
        buffer.reserve(FIXED_BYTES + rows * 16 + runs * 8);
        buffer.extend_from_slice(&(runs as u32).to_le_bytes());
        buffer.extend_from_slice(&(rows as u32).to_le_bytes());
        buffer.extend_from_slice(&[0; 16]);
        buffer.extend_from_slice(&[u8::from(!one_row), mode as u8, KIND_F64, 0, 0, 0, 0, 0]);
        let stored_base = if mode == TimestampMode::Full { 0 } else { base };
        buffer.extend_from_slice(&stored_base.to_le_bytes());
        columns.values.iter().for_each(|v| buffer.extend_from_slice(&v.to_le_bytes()));
        match mode {
            TimestampMode::Equal => {}
            TimestampMode::Offsets => columns.timestamps.iter().for_each(|t| {
                buffer.extend_from_slice(&(t.wrapping_sub(base) as u32).to_le_bytes())
            }),
            TimestampMode::Full => {
                columns.timestamps.iter().for_each(|t| buffer.extend_from_slice(&t.to_le_bytes()));
            }
        }
        let refs_at = buffer.len();
        buffer.resize(refs_at + 4 * runs, 0);
        if !one_row {
            assert_eq!(columns.run_rows.iter().map(|&n| n as usize).sum::<usize>(), rows);
            columns.run_rows.iter().for_each(|n| buffer.extend_from_slice(&n.to_le_bytes()));
        }
        Self { definitions_at: buffer.len(), payload: buffer, refs_at, runs, rows }
    }

    /// Fills in one ref a run and the definitions; may be called again with other refs.
    ///
    /// # Panics
    /// When `refs` is shorter than the runs (a programmer's error).
    ///
    /// # Errors
    /// When zstd fails, which it does only for want of memory.
    pub fn complete(
        &mut self,
        mut refs: impl Iterator<Item = u32>,
        first_ref: u32,
        definitions: &Definitions,
    ) -> std::io::Result<()> {
        self.payload.truncate(self.definitions_at);
        for place in self.payload[self.refs_at..self.refs_at + 4 * self.runs].chunks_exact_mut(4) {
            place.copy_from_slice(&refs.next().expect("one ref for each run").to_le_bytes());
        }
        let mut compressed_bytes = 0;
        if !definitions.is_empty() {
            let compressed = zstd::bulk::compress(&definitions.bytes, 1)?;
            compressed_bytes = compressed.len();
            self.payload.extend_from_slice(&compressed);
        }
        let counts =
            [definitions.count, first_ref, compressed_bytes as u32, definitions.bytes.len() as u32];
        for (place, count) in self.payload[8..24].chunks_exact_mut(4).zip(counts) {
            place.copy_from_slice(&count.to_le_bytes());
        }
        Ok(())
    }

    /// The payload; complete after [`Self::complete`].
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// Rows of the batch.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// (timestamp, value bits) of each row, decoded from what the log holds.
    ///
    /// # Panics
    /// When the encoding is not readable: a batch that recovery could not read must not be applied.
    pub fn samples(&self) -> impl Iterator<Item = (i64, u64)> + '_ {
        BatchView::decode(&self.payload).expect("what was encoded can be decoded").samples()
    }

    /// Gives the buffer back for the next batch.
    #[must_use]
    pub fn into_buffer(self) -> Vec<u8> {
        self.payload
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum TimestampMode {
    Equal = 0,
    Offsets = 1,
    Full = 2,
}

impl TimestampMode {
    fn of(timestamps: &[i64], base: i64) -> Self {
        let span = timestamps.iter().map(|&t| t.abs_diff(base)).max().unwrap_or(0);
        match span {
            0 => Self::Equal,
            span if u32::try_from(span).is_ok() => Self::Offsets,
            _ => Self::Full,
        }
    }

    fn bytes(self) -> usize {
        [0, 4, 8][self as usize]
    }
}

/// A BATCH payload, checked: every accessor is in bounds.
#[derive(Debug, Clone, Copy)]
pub struct BatchView<'a> {
    rows: usize,
    mode: TimestampMode,
    base: i64,
    values: &'a [u8],
    timestamps: &'a [u8],
    refs: &'a [u8],
    /// Empty: one row a run.
    counts: &'a [u8],
    first_ref: u32,
    definition_count: u32,
    definitions: &'a [u8],
    definitions_bytes: usize,
}

/// A series defined by a frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Definition {
    /// The file-local ref.
    pub series_ref: u32,
    /// The labels, checked against their id.
    pub labels: Labels,
}

impl<'a> BatchView<'a> {
    /// Checks the layout of `payload`.
    ///
    /// # Errors
    /// What is wrong with it; the payload's CRC has been checked, so this is a writer's fault or a
    /// newer format.
    pub fn decode(payload: &'a [u8]) -> Result<Self, DecodeError> {
        let fixed = payload.get(..FIXED_BYTES).ok_or(DecodeError::Truncated("batch header"))?;
        let word = |at: usize| {
            u32::from_le_bytes([fixed[at], fixed[at + 1], fixed[at + 2], fixed[at + 3]])
        };
        let (runs, rows) = (word(0) as usize, word(4) as usize);
        if fixed[26] != KIND_F64 {
            return Err(DecodeError::Newer { found: u32::from(fixed[26]), supported: 1 });
        }
        let mode = match fixed[25] {
            0 => TimestampMode::Equal,
            1 => TimestampMode::Offsets,
            2 => TimestampMode::Full,
            _ => return Err(DecodeError::Invalid("timestamp mode of the batch")),
        };
        if fixed[24] > 1 || fixed[27..32].iter().any(|&b| b != 0) {
            return Err(DecodeError::Invalid("reserved bytes of the batch"));
        }
        let counted = fixed[24] == 1;
        if runs > rows || (!counted && runs != rows) {
            return Err(DecodeError::Invalid("row counts of the batch"));
        }
        let mut rest = &payload[FIXED_BYTES..];
        let mut take = |bytes: usize, what| {
            let (head, tail) = rest.split_at_checked(bytes).ok_or(DecodeError::Truncated(what))?;
            rest = tail;
            Ok(head)
        };
        let values = take(rows * 8, "values of the batch")?;
        let timestamps = take(rows * mode.bytes(), "timestamps of the batch")?;
        let refs = take(runs * 4, "refs of the batch")?;
        let counts = take(if counted { runs * 4 } else { 0 }, "row counts of the batch")?;
        let definitions = take(word(16) as usize, "definitions of the batch")?;
        if !rest.is_empty() || word(20) as usize > DEFINITIONS_BYTES_MAX {
            return Err(DecodeError::Invalid("length of the batch"));
        }
        let base = i64::from(word(32)) | i64::from(word(36)) << 32;
        let view = Self {
            rows,
            mode,
            base,
            values,
            timestamps,
            refs,
            counts,
            first_ref: word(12),
            definition_count: word(8),
            definitions,
            definitions_bytes: word(20) as usize,
        };
        let counted_rows: u64 = view.runs().map(|(_, rows)| u64::from(rows)).sum();
        if counted_rows != rows as u64 || view.runs().any(|(_, rows)| rows == 0) {
            return Err(DecodeError::Invalid("row counts of the batch"));
        }
        Ok(view)
    }

    /// Rows in all.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// (ref, rows) of each run.
    pub fn runs(&self) -> impl Iterator<Item = (u32, u32)> + use<'a> {
        let counts = self.counts;
        words(self.refs).enumerate().map(move |(i, r)| {
            let rows = counts.get(4 * i..4 * i + 4).map_or(1, |c| words(c).next().unwrap_or(1));
            (r, rows)
        })
    }

    /// (timestamp, value bits) of each row.
    pub fn samples(&self) -> impl Iterator<Item = (i64, u64)> + use<'a> {
        let (mode, base, timestamps) = (self.mode, self.base, self.timestamps);
        self.values.chunks_exact(8).enumerate().map(move |(i, value)| {
            let timestamp = match mode {
                TimestampMode::Equal => base,
                TimestampMode::Offsets => {
                    base.wrapping_add(i64::from(u32::from_le_bytes(array(&timestamps[4 * i..]))))
                }
                TimestampMode::Full => i64::from_le_bytes(array(&timestamps[8 * i..])),
            };
            (timestamp, u64::from_le_bytes(array(value)))
        })
    }

    /// The ref of the first definition; the refs below it were defined by earlier frames.
    #[must_use]
    pub fn first_ref(&self) -> u32 {
        self.first_ref
    }

    /// The series that this frame defines, in the order of their refs.
    ///
    /// # Errors
    /// When the definitions do not decompress to what the header says, or labels do not match the
    /// check of their id.
    pub fn definitions(&self) -> Result<Vec<Definition>, DecodeError> {
        const INVALID: DecodeError = DecodeError::Invalid("definitions of the batch");
        if self.definition_count == 0 {
            let empty = self.definitions.is_empty() && self.definitions_bytes == 0;
            return if empty { Ok(Vec::new()) } else { Err(INVALID) };
        }
        if !is_earned(self.definitions, self.definitions_bytes) {
            return Err(INVALID);
        }
        let raw = zstd::bulk::decompress(self.definitions, self.definitions_bytes)
            .map_err(|_| INVALID)?;
        let count = self.definition_count as usize;
        let shortest = DEFINITION_HEAD_BYTES + 4;
        if raw.len() != self.definitions_bytes || count > raw.len() / shortest {
            return Err(INVALID);
        }
        let mut found = Vec::with_capacity(count);
        let mut rest = &raw[..];
        for i in 0..self.definition_count {
            let (head, tail) = rest.split_at_checked(DEFINITION_HEAD_BYTES).ok_or(INVALID)?;
            let check = u64::from_le_bytes(array(head));
            let length = u32::from_le_bytes(array(&head[8..])) as usize;
            let (encoded, tail) = tail.split_at_checked(length).ok_or(INVALID)?;
            rest = tail;
            if SeriesId::of_encoded(encoded).check() != check {
                return Err(DecodeError::Checksum("series definition"));
            }
            let series_ref = self.first_ref.checked_add(i).ok_or(INVALID)?;
            found.push(Definition { series_ref, labels: Labels::from_encoded(encoded)? });
        }
        if rest.is_empty() { Ok(found) } else { Err(INVALID) }
    }
}

/// Whether a buffer of `stated` bytes may be allocated for a zstd frame: the frame says the same, and
/// can hold as much.
fn is_earned(frame: &[u8], stated: usize) -> bool {
    let said = zstd::zstd_safe::get_frame_content_size(frame).ok().flatten();
    said == Some(stated as u64) && stated <= frame.len().saturating_mul(ZSTD_EXPANSION_MAX)
}

/// Little-endian u32s.
fn words(bytes: &[u8]) -> impl Iterator<Item = u32> + '_ {
    bytes.chunks_exact(4).map(|word| u32::from_le_bytes(array(word)))
}

/// The first `N` bytes of a slice that is known to hold them.
fn array<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let mut array = [0; N];
    array.copy_from_slice(&bytes[..N]);
    array
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn labels(i: usize) -> Labels {
        Labels::from_pairs([("__name__", "m"), ("i", i.to_string().as_str())]).unwrap()
    }

    fn encode(run_rows: &[u32], timestamps: &[i64], values: &[u64], defined: usize) -> Vec<u8> {
        let columns = BatchColumns { run_rows, timestamps, values };
        let mut definitions = Definitions::default();
        (0..defined).for_each(|i| definitions.push(&labels(i)));
        let mut batch = EncodedBatch::new(&columns, Vec::new());
        batch.complete(10..10 + run_rows.len() as u32, 100, &definitions).unwrap();
        batch.payload().to_vec()
    }

    #[test]
    fn a_frame_earns_what_it_can_hold() {
        for raw in [vec![7u8; 64 << 20], (0..200).collect(), vec![1]] {
            let frame = zstd::bulk::compress(&raw, 1).unwrap();
            assert!(is_earned(&frame, raw.len()), "{} of {}", raw.len(), frame.len());
            assert!(!is_earned(&frame, raw.len() + 1) && !is_earned(&frame, raw.len() - 1));
        }
        // Magic, a descriptor with four bytes of size, and 64 MiB that the rest cannot hold.
        let mut forged = vec![0x28, 0xB5, 0x2F, 0xFD, 0xA0];
        forged.extend_from_slice(&(64u32 << 20).to_le_bytes());
        assert!(!is_earned(&forged, 64 << 20));
        assert!(!is_earned(b"no frame", 8) && !is_earned(b"", 0));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]
        #[test]
        fn reads_back_what_was_written(
            run_rows in prop::collection::vec(1u32..4, 0..20),
            spread in prop::sample::select(vec![1u64, 1000, u64::MAX]),
            seed in any::<u64>(),
            defined in 0usize..5,
        ) {
            let rows: u32 = run_rows.iter().sum();
            let value = |i: u32| seed.wrapping_mul(u64::from(i) | 1);
            let timestamps: Vec<i64> = (0..rows).map(|i| (value(i) % spread) as i64).collect();
            let values: Vec<u64> = (0..rows).map(value).collect();
            let payload = encode(&run_rows, &timestamps, &values, defined);
            let view = BatchView::decode(&payload).unwrap();
            let samples: Vec<(i64, u64)> = view.samples().collect();
            let expected: Vec<(i64, u64)> = timestamps.into_iter().zip(values).collect();
            prop_assert_eq!(samples, expected);
            let runs: Vec<(u32, u32)> = view.runs().collect();
            let expected: Vec<(u32, u32)> = (10..).zip(run_rows).collect();
            prop_assert_eq!(runs, expected);
            let found = view.definitions().unwrap();
            prop_assert_eq!(found.len(), defined);
            for (i, definition) in found.into_iter().enumerate() {
                prop_assert_eq!(definition.series_ref, 100 + i as u32);
                prop_assert_eq!(definition.labels, labels(i));
            }
        }
    }

    #[test]
    fn extreme_timestamps_read_back() {
        let timestamps = [i64::MAX, i64::MIN, 0, -1];
        let payload = encode(&[4], &timestamps, &[1, 2, 3, 4], 0);
        let view = BatchView::decode(&payload).unwrap();
        assert_eq!(view.samples().map(|(t, _)| t).collect::<Vec<_>>(), timestamps);
    }

    #[test]
    fn damaged_payloads_never_panic() {
        let payload = encode(&[2, 1, 3], &[5, 6, 5, 1, 2, 3], &[1, 2, 3, 4, 5, 6], 3);
        for end in 0..payload.len() {
            assert!(BatchView::decode(&payload[..end]).is_err(), "cut at {end}");
        }
        for at in 0..payload.len() {
            for bit in 0..8 {
                let mut damaged = payload.clone();
                damaged[at] ^= 1 << bit;
                if let Ok(view) = BatchView::decode(&damaged) {
                    assert_eq!(view.samples().count(), view.rows());
                    let _ = view.definitions();
                }
            }
        }
    }

    #[test]
    fn a_wrong_definition_is_noticed() {
        let mut definitions = Definitions::default();
        definitions.push(&labels(1));
        definitions.bytes[DEFINITION_HEAD_BYTES] ^= 1;
        let columns = BatchColumns { run_rows: &[1], timestamps: &[1], values: &[1] };
        let mut batch = EncodedBatch::new(&columns, Vec::new());
        batch.complete([0].into_iter(), 0, &definitions).unwrap();
        let view = BatchView::decode(batch.payload()).unwrap();
        assert_eq!(view.definitions(), Err(DecodeError::Checksum("series definition")));
    }
}
