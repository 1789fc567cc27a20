//! Pending outputs: files that were written and that an edit has yet to list.
//!
//! Made by whoever writes files for an edit: flushes, merges, attach, recovery. On a full disk they are
//! tried again and again, and what an attempt leaves behind must not add up.
//!
//! Invariant: a file is removed only if no manifest can list it, so either before its edit was tried (then
//! dropping the pending outputs removes it), or once a manifest without it is the live one (see
//! [`EditLog`](super::edit_log::EditLog)). Whatever a crash leaves, the next opening removes or sets aside.

use std::sync::Arc;

use crate::db::env::Env;
use crate::types::{FileName, SegmentMeta};

/// Files that nothing lists yet; they are removed when this is dropped.
#[derive(Debug)]
pub(in crate::db) struct PendingOutputs {
    env: Arc<Env>,
    files: Vec<FileName>,
}

impl PendingOutputs {
    /// None yet.
    pub(in crate::db) fn new(env: &Arc<Env>) -> Self {
        Self { env: Arc::clone(env), files: Vec::new() }
    }

    /// These segments, durable and complete.
    pub(in crate::db) fn of_segments(env: &Arc<Env>, segments: &[SegmentMeta]) -> Self {
        let mut outputs = Self::new(env);
        outputs.add_segments(segments);
        outputs
    }

    pub(in crate::db) fn add(&mut self, file: FileName) {
        self.files.push(file);
    }

    pub(in crate::db) fn add_segments(&mut self, segments: &[SegmentMeta]) {
        self.files.extend(segments.iter().map(|meta| FileName::Segment(meta.file_number)));
    }

    /// Hands the files over to whoever calls this: a manifest lists them, or may.
    pub(super) fn take(mut self) -> Vec<FileName> {
        std::mem::take(&mut self.files)
    }
}

impl Drop for PendingOutputs {
    fn drop(&mut self) {
        for name in &self.files {
            // Where that fails, the next opening does it.
            let _ = self.env.vfs().remove(&self.env.path(*name));
        }
    }
}
