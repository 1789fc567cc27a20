//! What an embedder is notified of while it happens.

use std::fmt;
use std::time::Duration;

use crate::compaction::{DamagedRange, Reason};
use crate::types::{SegmentMeta, Timestamp};

/// Is notified of flushes, merges and drops, on the thread that does them: be quick, and do not call the
/// store from it. A closure is an observer.
///
/// ```
/// # use siltstone::{Db, Event, Observer, Options};
/// # use std::sync::Arc;
/// # let dir = tempfile::tempdir()?;
/// let observer: Arc<dyn Observer> = Arc::new(|event: &Event<'_>| println!("{event:?}"));
/// let db = Db::open(dir.path(), Options { observer: Some(observer), ..Options::default() })?;
/// # db.close()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait Observer: Send + Sync {
    /// Something has happened; it is durable, and readers see it.
    fn event(&self, event: &Event<'_>);
}

impl<F: Fn(&Event<'_>) + Send + Sync> Observer for F {
    fn event(&self, event: &Event<'_>) {
        self(event);
    }
}

impl fmt::Debug for dyn Observer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Observer")
    }
}

/// What happens in the background. More kinds may come.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A memtable became a segment.
    #[non_exhaustive]
    Flushed {
        /// The segment.
        segment: &'a SegmentMeta,
        /// Samples that a later write replaced.
        superseded: u64,
        /// How long it took.
        elapsed: Duration,
    },
    /// A merge begins.
    #[non_exhaustive]
    MergeStarted {
        /// Which rule asks for it.
        reason: Reason,
        /// File numbers of the segments, oldest seq first.
        inputs: &'a [u64],
        /// Their size.
        bytes: u64,
        /// Their samples.
        samples: u64,
    },
    /// A merge is done, and its inputs are replaced.
    #[non_exhaustive]
    Merged {
        /// Which rule asked for it.
        reason: Reason,
        /// File numbers of the segments that were replaced.
        inputs: &'a [u64],
        /// The segments in their place, by time.
        outputs: &'a [SegmentMeta],
        /// Samples left out because a later write replaced them, because a delete hides them, and
        /// because they are expired.
        left_out: LeftOut,
        /// How long it took, from start to publishing.
        elapsed: Duration,
    },
    /// A merge failed; the segments are as they were.
    #[non_exhaustive]
    MergeFailed {
        /// File numbers of the segments.
        inputs: &'a [u64],
        /// Why.
        error: &'a crate::Error,
    },
    /// Segments were dropped because retention no longer keeps them.
    #[non_exhaustive]
    Dropped {
        /// The segments.
        segments: &'a [SegmentMeta],
        /// Earlier samples have expired; `None` if only bytes are limited.
        horizon: Option<Timestamp>,
    },
    /// A merge met damaged blocks; what they held is lost, and the files go to `quarantine/`.
    #[non_exhaustive]
    Damaged {
        /// What is lost, the first 10,000 ranges.
        ranges: &'a [DamagedRange],
        /// Samples lost in all.
        rows: u64,
    },
}

/// Samples that a merge left out, by why.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LeftOut {
    /// A later write has the same series and timestamp.
    pub superseded: u64,
    /// A delete hides them.
    pub deleted: u64,
    /// They are older than the retention.
    pub expired: u64,
}
