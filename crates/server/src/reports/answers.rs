//! The reports of compactions and deletes as values, made from the engine's reports or read from JSON.
//!
//! The command prints them. Members that a text lacks are empty or zero, so that answers of older
//! servers can be read.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize, Serializer};
use siltstone::{CompactProgress, CompactReport, DamagedRange, DeleteReceipt, DeletedShare};

/// What a compaction did.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct CompactAnswer {
    /// Merges.
    pub merges: u64,
    /// Segments that were replaced.
    pub segments_in: u64,
    /// Segments that were written.
    pub segments_out: u64,
    /// Bytes of the segments replaced.
    pub bytes_in: u64,
    /// Bytes of the segments written.
    pub bytes_out: u64,
    /// Samples read.
    pub samples: u64,
    /// Samples left out because a later write replaced them.
    pub superseded: u64,
    /// Samples left out because a delete hides them.
    pub deleted: u64,
    /// Samples left out because they are older than the retention.
    pub expired: u64,
    /// Samples left out because they could not be read.
    pub damaged_samples: u64,
    /// Where these were.
    pub damage: Vec<DamageAnswer>,
    /// Segments that could not be merged, each with the reason.
    pub findings: Vec<String>,
    /// Whether the caller stopped it.
    pub cancelled: bool,
    /// How long it took.
    #[serde(serialize_with = "seconds")]
    pub seconds: f64,
}

impl From<&CompactReport> for CompactAnswer {
    fn from(report: &CompactReport) -> Self {
        Self {
            merges: report.merges,
            segments_in: report.segments_in,
            segments_out: report.segments_out,
            bytes_in: report.bytes_in,
            bytes_out: report.bytes_out,
            samples: report.samples,
            superseded: report.superseded,
            deleted: report.deleted,
            expired: report.expired,
            damaged_samples: report.damaged_rows,
            damage: report.damage.iter().map(DamageAnswer::from).collect(),
            findings: report.findings.iter().map(ToString::to_string).collect(),
            cancelled: report.cancelled,
            seconds: report.elapsed.as_secs_f64(),
        }
    }
}

/// Samples of one series that a merge left out as damaged.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DamageAnswer {
    /// The segment, as it was called.
    pub file: String,
    /// Where the damaged block is in it, in bytes.
    pub offset: u64,
    /// What is wrong with it.
    pub error: String,
    /// The labels of the series; none: all that the segment had.
    pub series: BTreeMap<String, String>,
    /// The tick of the first sample left out.
    pub first: i64,
    /// The tick of the last one, inclusive.
    pub last: i64,
    /// How many samples.
    pub samples: u32,
}

impl From<&DamagedRange> for DamageAnswer {
    fn from(range: &DamagedRange) -> Self {
        let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        Self {
            file: range.path.to_string_lossy().into_owned(),
            offset: range.offset,
            error: range.message.clone(),
            series: range.labels.iter().flatten().map(owned).collect(),
            first: range.first,
            last: range.last,
            samples: range.rows,
        }
    }
}

/// How far a compaction is; the figures are those of the present merge.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ProgressAnswer {
    /// Merges done so far.
    pub merges: u64,
    /// Why the present one is made.
    pub reason: Cow<'static, str>,
    /// Samples that it has read.
    pub samples_read: u64,
    /// Samples of its inputs.
    pub samples_total: u64,
    /// Bytes that it has written.
    pub bytes_written: u64,
    /// Bytes of its inputs.
    pub bytes_total: u64,
    /// Time since the start.
    #[serde(serialize_with = "seconds")]
    pub seconds: f64,
}

impl From<&CompactProgress> for ProgressAnswer {
    fn from(progress: &CompactProgress) -> Self {
        Self {
            merges: progress.merges,
            reason: Cow::Borrowed(progress.reason.as_str()),
            samples_read: progress.samples_read,
            samples_total: progress.samples_total,
            bytes_written: progress.bytes_written,
            bytes_total: progress.bytes_total,
            seconds: progress.elapsed.as_secs_f64(),
        }
    }
}

/// What a delete hides, or would hide.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DeleteAnswer {
    /// The selector, as it was given.
    pub selector: String,
    /// Its place in the order of writes; 0 if nothing was deleted.
    pub seq: u64,
    /// Whether the delete survives a power cut already.
    pub durable: bool,
    /// Series of which it hides at least one sample.
    pub series: u64,
    /// Stored samples that it hides.
    pub samples: u64,
    /// Of these, samples in memory.
    pub memtable_samples: u64,
    /// About how many bytes their values take up in segments.
    pub bytes: u64,
    /// The segments that hold some of them.
    pub segments: Vec<ShareAnswer>,
    /// Whether all of it could be counted.
    pub complete: bool,
}

impl DeleteAnswer {
    /// The answer to a delete by `selector`.
    #[must_use]
    pub fn new(selector: &str, receipt: &DeleteReceipt) -> Self {
        Self {
            selector: selector.to_owned(),
            seq: receipt.seq,
            durable: receipt.durable,
            series: receipt.series,
            samples: receipt.samples,
            memtable_samples: receipt.memtable_samples,
            bytes: receipt.bytes,
            segments: receipt.segments.iter().map(ShareAnswer::from).collect(),
            complete: receipt.is_complete,
        }
    }
}

/// What a delete hides in one segment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ShareAnswer {
    /// The file number of the segment.
    pub file_number: u64,
    /// Samples hidden in it.
    pub samples: u64,
    /// About how many bytes their values take up in it.
    pub bytes: u64,
}

impl From<&DeletedShare> for ShareAnswer {
    fn from(share: &DeletedShare) -> Self {
        Self { file_number: share.file_number, samples: share.samples, bytes: share.bytes }
    }
}

/// Whole seconds as an integer, as the texts have them.
fn seconds<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    let is_whole = value.fract() == 0.0 && (0.0..1e15).contains(value);
    if is_whole {
        serializer.serialize_u64(*value as u64)
    } else {
        serializer.serialize_f64(*value)
    }
}
