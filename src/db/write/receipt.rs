//! What a delete hides: counted on what readers saw right after it, from indexes and without decoding.

use super::batch::Ack;
use crate::db::env::Env;
use crate::db::view::read_view::ReadView;
use crate::db::view::sources::sources_of;
use crate::error::Result;
use crate::read::{Damage, Footprints, QueryOptions};
use crate::types::{Matcher, TimeRange};

/// What a delete hides, as [`Db::delete`](crate::Db::delete) and [`Db::preview_delete`](crate::Db::preview_delete) count it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeleteReceipt {
    /// Its place in the order of writes; 0 for a preview.
    pub seq: u64,
    /// Whether the delete survives a power cut already.
    pub durable: bool,
    /// Series of which it hides at least one sample.
    pub series: u64,
    /// Stored samples that it hides. One that was overwritten counts wherever it is still stored.
    pub samples: u64,
    /// Of these, samples in memory.
    pub memtable_samples: u64,
    /// About how many bytes their values take up in segments, freed when they are rewritten.
    pub bytes: u64,
    /// The segments that hold some of them, by file number.
    pub segments: Vec<DeletedShare>,
    /// Whether all of it could be counted; false if damage was in the way.
    pub is_complete: bool,
}

/// What a delete hides in one segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeletedShare {
    /// The file number of the segment.
    pub file_number: u64,
    /// Samples hidden in it, of [`SegmentMeta::samples`](crate::SegmentMeta::samples).
    pub samples: u64,
    /// About how many bytes their values take up in it.
    pub bytes: u64,
}

/// Counts what the delete with the seq `ack.seq` hides of what readers see.
pub(super) fn receipt(
    view: &ReadView,
    env: &Env,
    matchers: &[Matcher],
    range: TimeRange,
    ack: Ack,
) -> Result<DeleteReceipt> {
    let sources = sources_of(view, env);
    let damage = Damage::default();
    view.broken.iter().for_each(|broken| damage.push(broken.error.duplicate()));
    let options = QueryOptions {
        bytes_max: Some(u64::MAX),
        skip_damaged: Some(damage.clone()),
        ..QueryOptions::default()
    };
    let found = sources.footprints(matchers, range, ack.seq, &options)?;
    let Footprints { series, sources } = found;
    // Segments come first, then memtables.
    let (in_segments, in_memory) = sources.split_at(view.segments.len());
    let shares = view.segments.iter().zip(in_segments);
    let shares = shares.filter(|(_, found)| found.rows > 0).map(|(segment, found)| {
        let file_number = segment.meta().file_number;
        DeletedShare { file_number, samples: found.rows, bytes: found.bytes }
    });
    let mut segments: Vec<DeletedShare> = shares.collect();
    segments.sort_unstable_by_key(|share| share.file_number);
    Ok(DeleteReceipt {
        seq: ack.seq,
        durable: ack.durable,
        series,
        samples: sources.iter().map(|found| found.rows).sum(),
        memtable_samples: in_memory.iter().map(|found| found.rows).sum(),
        bytes: in_segments.iter().map(|found| found.bytes).sum(),
        segments,
        is_complete: damage.take().is_empty(),
    })
}
