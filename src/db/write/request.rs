//! What is asked of the writer: a batch or a delete in the queue, and what became of it.

use std::sync::Arc;

use super::batch::Ack;
use crate::db::view::read_view::ReadView;
use crate::error::{Error, Result};
use crate::series::SeriesHandle;
use crate::sys::sync::OnceLock;
use crate::types::{Limit, LimitExceeded, Tombstone};
use crate::wal::{EncodedBatch, PAYLOAD_BYTES_MAX};

/// A batch in the queue.
#[derive(Debug)]
pub(super) struct BatchRequest {
    pub(super) handles: Vec<SeriesHandle>,
    pub(super) run_rows: Vec<u32>,
    pub(super) encoded: EncodedBatch,
    pub(super) outcome: Arc<Outcome>,
    /// Its oldest and its newest timestamp.
    pub(super) times: (i64, i64),
    /// Bytes that it takes of what the queue may hold.
    pub(super) bytes: u64,
}

impl BatchRequest {
    /// (slot, timestamp, value bits) of each row.
    pub(super) fn rows(&self) -> impl Iterator<Item = (u32, i64, u64)> + '_ {
        let slots = self.handles.iter().zip(&self.run_rows);
        let slots = slots.flat_map(|(h, &rows)| std::iter::repeat_n(h.slot(), rows as usize));
        slots.zip(self.encoded.samples()).map(|(slot, (timestamp, bits))| (slot, timestamp, bits))
    }
}

/// A delete in the queue.
#[derive(Debug)]
pub(super) struct DeleteRequest {
    /// Without its seq.
    pub(super) tombstone: Tombstone,
    pub(super) outcome: Arc<Outcome>,
    /// What readers saw right after it.
    pub(super) seen: Arc<OnceLock<Arc<ReadView>>>,
}

impl DeleteRequest {
    pub(super) fn encoded_bytes(&self) -> usize {
        self.tombstone.encoded_bytes()
    }
}

/// What became of a batch or a delete, for its ticket.
#[derive(Debug, Default)]
pub(super) struct Outcome(pub(super) OnceLock<Result<Ack, CommitError>>);

impl Outcome {
    pub(super) fn acknowledge(&self, ack: Ack) {
        let _ = self.0.set(Ok(ack));
    }

    /// The answer, unless there is one.
    pub(super) fn refuse(&self, error: &Arc<Error>) {
        let _ = self.0.set(Err(CommitError::Group(Arc::clone(error))));
    }
}

/// Why a batch was not acknowledged; every batch of a group gets its own copy.
#[derive(Debug, Clone)]
pub(super) enum CommitError {
    Stale(SeriesHandle),
    TooLarge(usize),
    Group(Arc<Error>),
}

impl CommitError {
    fn to_error(&self) -> Error {
        match self {
            Self::Stale(handle) => Error::StaleHandle(*handle),
            Self::TooLarge(bytes) => {
                let max = PAYLOAD_BYTES_MAX as u64;
                LimitExceeded::new(Limit::BatchBytes, *bytes as u64, max).into()
            }
            Self::Group(error) => error.duplicate(),
        }
    }
}

/// A batch that was [submitted](crate::Db::submit).
#[derive(Debug)]
pub struct Ticket {
    pub(super) outcome: Arc<Outcome>,
}

impl Ticket {
    /// The acknowledgement, once a commit step has handled the batch.
    #[must_use]
    pub fn poll(&self) -> Option<Result<Ack>> {
        let outcome = self.outcome.0.get()?;
        Some(outcome.clone().map_err(|e| e.to_error()))
    }
}
