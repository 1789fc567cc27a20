//! What is known to be lost of a store: for `/api/v1/status/integrity`, `verify` and `repair`.
//!
//! Called on the facade and on read-only openers. Reads the indexes of segments that have lost chunks, and
//! of no others: damage that nobody has met yet is found by [`Verify`](crate::Verify) alone.

use std::path::PathBuf;
use std::sync::Arc;

use super::env::finding::Finding;
use super::env::segment_files::BrokenSegment;
use crate::error::{Error, Result};
use crate::manifest::Version;
use crate::segment::{LostTotals, Segment};
use crate::types::{LossCounts, LostSamples};

/// Losses that are listed at most; those beyond are counted.
const LISTED_MAX: usize = 10_000;

/// What is known to be lost. A query that needs it fails, until somebody accepts it.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Losses {
    /// Samples that are lost, the first 10,000 entries: by segment, series and time.
    pub lost: Vec<LostSamples>,
    /// How many in all; at most, where their times are not known.
    pub lost_samples: u64,
    /// Samples whose loss was accepted, and that still hide older ones; at most.
    pub accepted_samples: u64,
    /// What the store has lost since it was made, also what was written again, deleted or accepted since.
    pub lifetime: LossCounts,
    /// Segments of which it is not known what is lost: files that cannot be opened, damaged indexes.
    pub unreadable: Vec<Finding>,
}

impl Losses {
    /// Whether nothing is lost but what was accepted.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.lost_samples == 0 && self.unreadable.is_empty()
    }

    /// Those of open and of broken segments.
    ///
    /// # Errors
    /// I/O errors; damage is listed.
    pub(super) fn of(
        version: &Version,
        segments: &[Arc<Segment>],
        broken: &[Arc<BrokenSegment>],
    ) -> Result<Self> {
        let mut losses = Self { lifetime: version.losses(), ..Self::default() };
        let mut totals = LostTotals::default();
        for broken in broken {
            let place = broken.error.damaged_place();
            let path = place.map_or_else(PathBuf::new, |(path, ..)| path.to_path_buf());
            losses.unreadable.push(Finding::of(path, &broken.error));
        }
        for segment in segments {
            let listed = segment.losses(&mut |lost| {
                if losses.lost.len() < LISTED_MAX {
                    losses.lost.push(lost);
                }
            });
            match listed {
                Ok(found) => totals.add(found),
                Err(error @ Error::Corrupt { .. }) => {
                    losses.unreadable.push(Finding::of(segment.path(), &error));
                }
                Err(error) => return Err(error),
            }
        }
        losses.lost_samples = totals.lost_samples;
        losses.accepted_samples = totals.accepted_samples;
        Ok(losses)
    }
}
