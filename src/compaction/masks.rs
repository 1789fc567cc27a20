//! The segment that takes the place of one that is given up: masks over what is older.
//!
//! Called by `db`, for a segment of which it is not known which series it had. Any of the older samples in its range
//! of time may have been replaced by it, so that none of them may be shown, whichever series they are of.
//!
//! 1. Given the older segments that overlap it in time, their series are taken in label order, as in a merge.
//! 2. The chunk indexes say at which times in the range a series has something there.
//! 3. Where it has, one lost chunk is written that is accepted, of unknown timestamps, from the first of these times
//!    to the last. What nothing older has needs no mask.
//!
//! The segment has the seqs of the one that it replaces, so that it is behind everything older and in front of
//! everything newer, and the same deletes count as carried out. From then on it is one with accepted losses like any
//! other: merges carry the masks on, and leave them out where nothing older is listed.
//!
//! Memory: for each of the older segments a block of labels and a chunk block, and what a writer holds. Nothing here
//! touches the manifest: publishing is up to `db`.

use std::path::Path;
use std::sync::Arc;

use super::series::SeriesHeads;
use crate::error::Result;
use crate::segment::{
    BlockCache, ChunkWalk, LossOrigin, LostTimes, Segment, SegmentInfo, SegmentWriter,
};
use crate::sys::Vfs;
use crate::types::{DecodeError, FileName, SegmentMeta, Timestamp};

/// Index blocks that are kept, in bytes.
const CACHE_BYTES: usize = 8 << 20;
/// Series after which the caller is asked whether to go on.
const STEP_SERIES: u64 = 1 << 10;

/// What masks are made of.
pub struct MaskInputs<'a> {
    /// Where the segment goes.
    pub vfs: &'a Arc<dyn Vfs>,
    /// The directory of the store.
    pub dir: &'a Path,
    /// The identity of the store.
    pub uuid: [u8; 16],
    /// The number of the new file.
    pub file_number: u64,
    /// The segment that is given up, as the manifest lists it.
    pub given_up: &'a SegmentMeta,
    /// Where that could not be read.
    pub origin: LossOrigin,
    /// What the new segment says that it replaces.
    pub replaces: Vec<u64>,
    /// All segments that are older and overlap it in time.
    pub older: &'a [Arc<Segment>],
}

/// Writes the segment: durable, with its name, when this returns. `None`: nothing older is in the range, and none is
/// needed. `go_on` is called now and then; its error ends it.
///
/// # Errors
/// [`Error::Corrupt`](crate::Error::Corrupt) naming the older segment whose index is damaged; I/O errors; those of
/// `go_on`. What was written is removed.
pub fn write_masks(
    inputs: &MaskInputs<'_>,
    go_on: &mut dyn FnMut() -> Result<()>,
) -> Result<Option<SegmentMeta>> {
    inputs.write(go_on).inspect_err(|_| {
        let name = FileName::Segment(inputs.file_number);
        for name in [name.temporary(), name.to_string()] {
            // No manifest lists the file. Where it cannot be removed, the next opening does it.
            let _ = inputs.vfs.remove(&inputs.dir.join(name));
        }
    })
}

impl MaskInputs<'_> {
    fn write(&self, go_on: &mut dyn FnMut() -> Result<()>) -> Result<Option<SegmentMeta>> {
        // A cache of its own, as of a merge: queries keep theirs.
        let cache = BlockCache::new(CACHE_BYTES).with_open_files_max(self.older.len() + 1);
        let cache = Arc::new(cache);
        let own = |segment: &Arc<Segment>| segment.with_cache(Arc::clone(&cache));
        let older: Vec<Arc<Segment>> = self.older.iter().map(own).collect::<Result<_>>()?;
        let mut heads = SeriesHeads::new(&older)?;
        let mut walks: Vec<ChunkWalk> =
            older.iter().map(|segment| ChunkWalk::new(Arc::clone(segment))).collect();
        let (mut parts, mut met) = (Vec::new(), 0);
        let mut writer: Option<SegmentWriter> = None;
        while let Some(labels) = heads.next(&mut parts)? {
            if met % STEP_SERIES == 0 {
                go_on()?;
            }
            met += 1;
            let mut beneath: Option<(Timestamp, Timestamp)> = None;
            for &(input, ordinal) in &parts {
                let found = self.extent(&mut walks[input], &older[input], ordinal)?;
                beneath = hull(beneath, found);
            }
            let Some((first, last)) = beneath else { continue };
            let writer = match &mut writer {
                Some(writer) => writer,
                none => none.insert(self.writer()?),
            };
            writer.begin_series(&labels)?;
            // How many of its samples were of this series is not known.
            let rows = u32::try_from(self.given_up.samples.max(1)).unwrap_or(u32::MAX);
            writer.lost_chunk(LostTimes::Within { first, last, rows }, self.origin)?;
        }
        writer.map(SegmentWriter::finish).transpose()
    }

    /// The first and the last time in the range at which the segment may have samples of the series `ordinal`, which
    /// comes next.
    fn extent(
        &self,
        walk: &mut ChunkWalk,
        segment: &Segment,
        ordinal: u32,
    ) -> Result<Option<(Timestamp, Timestamp)>> {
        let range = (self.given_up.min_timestamp, self.given_up.max_timestamp);
        let (mut found, mut has_chunk) = (None, false);
        while let Some(chunk) = walk.peek()?.filter(|chunk| chunk.ordinal() == ordinal) {
            has_chunk = true;
            let (first, last) = (chunk.first_timestamp(), chunk.last_timestamp());
            if first <= range.1 && range.0 <= last {
                found = hull(found, Some((first.max(range.0), last.min(range.1))));
            }
            walk.advance();
        }
        match has_chunk {
            true => Ok(found),
            false => {
                Err(segment.damaged("chunk index", 0, DecodeError::Invalid("series of a chunk")))
            }
        }
    }

    fn writer(&self) -> Result<SegmentWriter> {
        let SegmentMeta { level, min_seq, max_seq, tombstone_seq, .. } = *self.given_up;
        let info = SegmentInfo {
            uuid: self.uuid,
            level,
            min_seq,
            max_seq,
            tombstone_seq,
            replaces: self.replaces.clone(),
            ..SegmentInfo::default()
        };
        SegmentWriter::create(self.vfs, self.dir, self.file_number, info)
    }
}

/// The smallest range around both.
fn hull(
    a: Option<(Timestamp, Timestamp)>,
    b: Option<(Timestamp, Timestamp)>,
) -> Option<(Timestamp, Timestamp)> {
    a.into_iter().chain(b).reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)))
}
