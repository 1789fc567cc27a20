//! When a tombstone has nothing left to do.
//!
//! A segment that a tombstone applies to is either rewritten without what that hides, or nothing in
//! it matches; then its tombstone seq is raised in the manifest. A tombstone that applies to no
//! segment any more is needless, and is retired: it leaves the manifest. (No memtable can become such a segment:
//! memtables are flushed in order, and a tombstone enters the manifest with its own generation.)

use std::sync::Arc;
use std::time::Duration;

use crate::error::Result;
use crate::manifest::Version;
use crate::segment::Segment;
use crate::types::{SegmentMeta, Tombstone};

/// The first of `tombstones`, given by seq, that hides something in the segment: its place. `None` if
/// all that apply match nothing there. Asks the label index and, where series match, the chunk index;
/// decodes nothing.
///
/// # Errors
/// Those of reading the segment's indexes: then it is not known.
pub fn first_match(
    segment: &Segment,
    meta: &SegmentMeta,
    tombstones: &[Arc<Tombstone>],
) -> Result<Option<usize>> {
    for (at, tombstone) in tombstones.iter().enumerate() {
        if tombstone.applies_to(meta) && matches_in(segment, tombstone)? {
            return Ok(Some(at));
        }
    }
    Ok(None)
}

/// Whether a series of the segment matches and has a chunk in the range. The chunk may have no sample
/// there.
fn matches_in(segment: &Segment, tombstone: &Tombstone) -> Result<bool> {
    let ordinals = segment.select(&tombstone.matchers)?;
    if ordinals.is_empty() {
        return Ok(false);
    }
    let range = tombstone.range.start..=tombstone.range.last();
    let found = segment.chunks(&ordinals, range)?.next().transpose()?;
    Ok(found.is_some())
}

/// Those of `tombstones` that apply to a segment of `version`: the others are retired before they
/// enter it. All older generations must be in it already.
#[must_use]
pub fn needed(version: &Version, tombstones: &[Arc<Tombstone>]) -> Vec<Arc<Tombstone>> {
    let applies = |tombstone: &&Arc<Tombstone>| {
        version.segments().iter().any(|meta| tombstone.applies_to(meta))
    };
    tombstones.iter().filter(applies).cloned().collect()
}

/// The seqs of the tombstones that apply to no segment any more.
#[must_use]
pub fn needless(version: &Version) -> Vec<u64> {
    let applies = |tombstone: &Arc<Tombstone>| {
        version.segments().iter().any(|meta| tombstone.applies_to(meta))
    };
    version.tombstones().filter(|t| !applies(t)).map(|tombstone| tombstone.seq).collect()
}

/// Whether a delete is old enough for segments to be rewritten for its sake alone. A clock that was
/// set back makes it wait, one that was set forward makes it early: neither loses anything.
#[must_use]
pub fn is_due(tombstone: &Tombstone, now_ms: i64, erase_after: Duration) -> bool {
    let wait = i64::try_from(erase_after.as_millis()).unwrap_or(i64::MAX);
    now_ms.saturating_sub(tombstone.created_ms) >= wait
}
