//! The one place where segment files are opened.
//!
//! Called by opening, by flushes and merges for what they have written, by read-only openers, by `verify`
//! and by attach. A segment that is listed and cannot be opened is kept with its error: what overlaps it
//! in time answers with that, never with less than there is.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use super::finding::Finding;
use crate::error::{Error, Result};
use crate::manifest::Version;
use crate::segment::{BlockCache, Segment};
use crate::sys::{ReadMode, Vfs};
use crate::types::{FileName, SegmentMeta, StoreIds};

/// Where segments of one store lie and how they are read.
pub(in crate::db) struct SegmentFiles<'a> {
    pub(in crate::db) vfs: &'a Arc<dyn Vfs>,
    pub(in crate::db) dir: &'a Path,
    /// The store's, one of which the files must name.
    pub(in crate::db) ids: &'a StoreIds,
    pub(in crate::db) read_mode: ReadMode,
    pub(in crate::db) cache: &'a Arc<BlockCache>,
}

/// A segment that is listed and cannot be opened.
#[derive(Debug)]
pub(in crate::db) struct BrokenSegment {
    pub(in crate::db) meta: SegmentMeta,
    pub(in crate::db) error: Error,
}

/// The segments of a version.
#[derive(Debug, Default)]
pub(in crate::db) struct Listed {
    /// Those that could be opened, in the order of the version.
    pub(in crate::db) segments: Vec<Arc<Segment>>,
    pub(in crate::db) broken: Vec<Arc<BrokenSegment>>,
    /// What the broken ones are in a report.
    pub(in crate::db) findings: Vec<Finding>,
}

impl SegmentFiles<'_> {
    /// Opens one segment. Its size is checked now, its content when it is read.
    ///
    /// # Errors
    /// Those of [`Segment::open`].
    pub(in crate::db) fn open(&self, meta: &SegmentMeta) -> Result<Arc<Segment>> {
        let cache = Arc::clone(self.cache);
        Segment::open(self.vfs, self.dir, self.ids, meta, self.read_mode, cache)
    }

    /// Opens what `version` lists; those of `known` that it still lists are kept as they are. A segment
    /// that is missing or has the wrong size is a finding.
    ///
    /// # Errors
    /// [`Error::UnsupportedVersion`]: a newer program has written to the store.
    pub(in crate::db) fn open_listed(
        &self,
        version: &Version,
        known: &[Arc<Segment>],
    ) -> Result<Listed> {
        let known: HashMap<u64, &Arc<Segment>> =
            known.iter().map(|segment| (segment.meta().file_number, segment)).collect();
        let mut listed = Listed::default();
        for meta in version.segments() {
            if let Some(same) = known.get(&meta.file_number).filter(|s| *s.meta() == **meta) {
                listed.segments.push(Arc::clone(same));
                continue;
            }
            match self.open(meta) {
                Ok(segment) => listed.segments.push(segment),
                Err(error @ Error::UnsupportedVersion { .. }) => return Err(error),
                Err(error) => {
                    let path = self.dir.join(FileName::Segment(meta.file_number).to_string());
                    listed.findings.push(Finding::of(path, &error));
                    listed.broken.push(Arc::new(BrokenSegment { meta: **meta, error }));
                }
            }
        }
        Ok(listed)
    }
}
