//! What compactions and deletes answer: as the text that the admin API sends, and as values for who
//! reads that text or has the report at hand. The command does both, over HTTP and on a directory.
//!
//! The texts are written by hand, because they must stay byte by byte what they are, and no derived
//! writer makes all of them: a damaged range is the very line that the engine keeps in `quarantine/`,
//! and seconds have neither an exponent nor a fraction of zero. The test holds texts and values
//! together: each text, read, is the value, and the value as JSON has the members of the text.

mod answers;

use siltstone::{CompactProgress, CompactReport, DeleteReceipt, Losses};

pub use self::answers::{CompactAnswer, DamageAnswer, DeleteAnswer, ProgressAnswer, ShareAnswer};

use crate::json::{Object, array};
use crate::protocol::json_lines::string;
use crate::time::TimeScale;

/// What a compaction did; times are in seconds, damaged ranges in ticks.
#[must_use]
pub fn compact_report(report: &CompactReport) -> String {
    let findings = report.findings.iter().map(|finding| string(&finding.to_string()));
    Object::new()
        .number("merges", report.merges)
        .number("segments_in", report.segments_in)
        .number("segments_out", report.segments_out)
        .number("bytes_in", report.bytes_in)
        .number("bytes_out", report.bytes_out)
        .number("samples", report.samples)
        .number("superseded", report.superseded)
        .number("deleted", report.deleted)
        .number("expired", report.expired)
        .number("damaged_samples", report.damaged_rows)
        .raw("damage", &array(report.damage.iter().map(siltstone::DamagedRange::to_json)))
        .raw("findings", &array(findings))
        .flag("cancelled", report.cancelled)
        .raw("seconds", &report.elapsed.as_secs_f64().to_string())
        .end()
}

/// How far a compaction is; the figures are those of the present merge.
#[must_use]
pub fn compact_progress(progress: &CompactProgress) -> String {
    Object::new()
        .number("merges", progress.merges)
        .text("reason", progress.reason.as_str())
        .number("samples_read", progress.samples_read)
        .number("samples_total", progress.samples_total)
        .number("bytes_written", progress.bytes_written)
        .number("bytes_total", progress.bytes_total)
        .raw("seconds", &progress.elapsed.as_secs_f64().to_string())
        .end()
}

/// What is lost of a store; times are in milliseconds.
#[must_use]
pub fn losses(losses: &Losses, scale: TimeScale) -> String {
    let lost = losses.lost.iter().map(|lost| {
        let series = match &lost.labels {
            Some(labels) => {
                let pairs = labels.iter().map(|(n, v)| format!("{}:{}", string(n), string(v)));
                format!("{{{}}}", pairs.collect::<Vec<_>>().join(","))
            }
            None => "null".to_owned(),
        };
        Object::new()
            .raw("series", &series)
            .raw("start", &scale.to_ms(lost.first).to_string())
            .raw("end", &scale.to_ms(lost.last).to_string())
            .number("samples", lost.samples)
            .flag("timesAreKnown", lost.times_are_known)
            .text("file", &lost.path.to_string_lossy())
            .number("offset", lost.offset)
            .end()
    });
    let unreadable = losses.unreadable.iter().map(|finding| {
        let path = finding.path.to_string_lossy();
        Object::new().text("file", &path).text("message", &finding.message).end()
    });
    Object::new()
        .flag("whole", losses.is_whole())
        .number("lostSamples", losses.lost_samples)
        .number("acceptedSamples", losses.accepted_samples)
        .number("lifetimeLostSamples", losses.lifetime.lost)
        .number("lifetimeAcceptedSamples", losses.lifetime.accepted)
        .raw("lost", &array(lost))
        .raw("unreadable", &array(unreadable))
        .end()
}

/// What a delete hides, or would hide: its `seq` is 0 then.
#[must_use]
pub fn delete_receipt(selector: &str, receipt: &DeleteReceipt) -> String {
    let segments = receipt.segments.iter().map(|share| {
        Object::new()
            .number("file_number", share.file_number)
            .number("samples", share.samples)
            .number("bytes", share.bytes)
            .end()
    });
    Object::new()
        .text("selector", selector)
        .number("seq", receipt.seq)
        .flag("durable", receipt.durable)
        .number("series", receipt.series)
        .number("samples", receipt.samples)
        .number("memtable_samples", receipt.memtable_samples)
        .number("bytes", receipt.bytes)
        .raw("segments", &array(segments))
        .flag("complete", receipt.is_complete)
        .end()
}

#[cfg(test)]
mod tests;
