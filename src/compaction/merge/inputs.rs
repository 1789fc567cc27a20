//! What a merge is given, and what its outputs say of themselves because of it.
//!
//! `db` fills [`MergeInputs`] in; [`MergeJob::new`](super::MergeJob::new) takes it apart.

use std::path::PathBuf;
use std::sync::Arc;

use crate::compaction::closed_set::ClosedSet;
use crate::compaction::windows::Grid;
use crate::segment::{Encoding, Segment, SegmentInfo};
use crate::sys::Vfs;
use crate::types::{Timestamp, Tombstone};

/// What becomes of the outputs of a merge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// They take the place of the inputs. What is damaged is noted, and lost in the outputs.
    Replace,
    /// The same, and everything that is lost is accepted.
    Accept,
    /// The inputs belong to another store and stay there; the outputs join this one as a single write
    /// with this seq. Damage ends the merge: nobody would ask the source again.
    Adopt {
        /// What every output says is its seq range.
        seq: u64,
    },
}

/// What a merge works on.
pub struct MergeInputs {
    /// What becomes of the outputs.
    pub purpose: Purpose,
    /// Where the outputs go.
    pub vfs: Arc<dyn Vfs>,
    /// The directory of the store.
    pub dir: PathBuf,
    /// The identity of the store that the outputs belong to.
    pub uuid: [u8; 16],
    /// The segments to merge.
    pub set: ClosedSet,
    /// The same, open, in the same order.
    pub segments: Vec<Arc<Segment>>,
    /// The base windows.
    pub grid: Grid,
    /// Neighbouring windows that hold less than this together are joined, in bytes.
    pub join_bytes: u64,
    /// Outputs at most, at least 1.
    pub outputs_max: usize,
    /// Numbers for new files.
    pub new_file_number: Box<dyn FnMut() -> u64 + Send>,
    /// The deletes of the version that lists the set, by seq: what they hide is left out. Of the
    /// store that the set belongs to, as are its seqs.
    pub tombstones: Vec<Arc<Tombstone>>,
    /// Earlier samples are left out.
    pub expired_before: Timestamp,
    /// The times of listed segments that are older than the set and not in it: what masks may hide.
    pub older: Vec<(Timestamp, Timestamp)>,
}

/// What the outputs say of themselves.
pub(super) fn info(inputs: &MergeInputs) -> SegmentInfo {
    let common = SegmentInfo {
        uuid: inputs.uuid,
        level: inputs.set.output_level(),
        encoding: Encoding::Dense,
        ..SegmentInfo::default()
    };
    match inputs.purpose {
        Purpose::Replace | Purpose::Accept => {
            let metas = inputs.set.segments();
            let (min_seq, max_seq) = inputs.set.seq_hull();
            let erased = metas.iter().map(|meta| meta.tombstone_seq);
            let tombstone_seq = inputs.tombstones.iter().map(|t| t.seq).chain(erased).max();
            SegmentInfo {
                min_seq,
                max_seq,
                replaces: metas.iter().map(|meta| meta.file_number).collect(),
                tombstone_seq: tombstone_seq.unwrap_or(0),
                ..common
            }
        }
        // Numbers and deletes of the other store mean nothing here.
        Purpose::Adopt { seq } => SegmentInfo { min_seq: seq, max_seq: seq, ..common },
    }
}
