//! What of a segment is in memory while it is open.
//!
//! `open` loads it, `handles` decides how long it is kept, everything that reads a segment shares it.

use std::sync::Arc;

use super::chunk_index::ChunkBlock;
use super::footer::Footer;
use super::time_table::TimeBlock;
use crate::index::Index;
use crate::sys::ReadFile;
use crate::sys::sync::atomic::{AtomicBool, Ordering};

/// What is in memory while a segment is open.
#[derive(Debug)]
pub(super) struct Loaded {
    pub(super) file: Arc<dyn ReadFile>,
    pub(super) footer: Footer,
    pub(super) index: Index,
    pub(super) chunk_top: Vec<ChunkBlock>,
    pub(super) time_table: Vec<TimeBlock>,
    /// Whether it was used since it was looked at last for eviction.
    pub(super) used: AtomicBool,
}

impl Loaded {
    /// Whether it was used since the last call.
    pub(super) fn take_used(&self) -> bool {
        self.used.swap(false, Ordering::Relaxed)
    }
}
