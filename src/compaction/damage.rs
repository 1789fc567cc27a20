//! What a merge could not read: its outputs say that it is lost.

use std::fmt::Write as _;
use std::path::PathBuf;

use crate::error::Error;
use crate::segment::Segment;
use crate::types::{Labels, LostChunk, Timestamp};

/// Ranges listed at most; those beyond are counted.
const RANGES_MAX: usize = 10_000;

/// Samples of one series that a merge could not read because their block did not verify. They are lost:
/// the outputs say so in their place, and what is older at their times stays hidden.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct DamagedRange {
    /// The segment, as it was called; it is kept in `quarantine/`.
    pub path: PathBuf,
    /// The number in its name.
    pub file_number: u64,
    /// Where the damaged block is in it, in bytes.
    pub offset: u64,
    /// What is wrong with it.
    pub message: String,
    /// The series; `None`: all that the segment had, whichever these were.
    pub labels: Option<Labels>,
    /// The time of the first sample.
    pub first: Timestamp,
    /// The time of the last sample, inclusive.
    pub last: Timestamp,
    /// Samples.
    pub rows: u32,
}

impl DamagedRange {
    /// The range as one line of JSON, without the line's end: what `quarantine/` keeps beside the
    /// file. Labels are an object.
    #[must_use]
    pub fn to_json(&self) -> String {
        let mut line = format!("{{\"file\":{}", json(&self.path.to_string_lossy()));
        let _ = write!(line, ",\"offset\":{},\"error\":{}", self.offset, json(&self.message));
        line.push_str(",\"series\":");
        match &self.labels {
            Some(labels) => {
                for (i, (name, value)) in labels.iter().enumerate() {
                    let before = if i > 0 { ',' } else { '{' };
                    let _ = write!(line, "{before}{}:{}", json(name), json(value));
                }
                line.push('}');
            }
            None => line.push_str("null"),
        }
        let (first, last, rows) = (self.first, self.last, self.rows);
        let _ = write!(line, ",\"first\":{first},\"last\":{last},\"samples\":{rows}}}");
        line
    }
}

/// A JSON string.
fn json(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c < ' ' => drop(write!(out, "\\u{:04x}", c as u32)),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// The damage that a merge met.
#[derive(Debug, Default)]
pub(super) struct DamageList {
    pub(super) ranges: Vec<DamagedRange>,
    /// Of all ranges, listed or not.
    pub(super) rows: u64,
    pub(super) chunks: u64,
    /// The segments, by file number.
    pub(super) files: Vec<u64>,
}

impl DamageList {
    /// Notes a chunk of `segment` that turned out to be damaged.
    pub(super) fn note(&mut self, segment: &Segment, lost: &LostChunk, labels: &Labels) {
        let file_number = segment.meta().file_number;
        let LostChunk { first, last, rows, .. } = *lost;
        let samples = lost.samples(Some(labels.clone()));
        self.rows += u64::from(rows);
        self.chunks += 1;
        if !self.files.contains(&file_number) {
            tracing::error!(error = %samples, "a merge carries on what is lost");
            self.files.push(file_number);
        }
        if self.ranges.len() < RANGES_MAX {
            self.ranges.push(DamagedRange {
                path: segment.path().to_path_buf(),
                file_number,
                offset: samples.offset,
                message: match samples.source {
                    Some(source) => {
                        let (path, section) = (samples.path.clone(), samples.section);
                        Error::decode(path, section, samples.offset, source).to_string()
                    }
                    None => samples.to_string(),
                },
                labels: Some(labels.clone()),
                first,
                last,
                rows,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_a_line_of_json() {
        let labels = Labels::from_pairs([("__name__", "a"), ("城市", "\"北\\\n")]).unwrap();
        let range = DamagedRange {
            path: "/s/000001.seg".into(),
            file_number: 1,
            offset: 64,
            message: "bad".into(),
            labels: Some(labels),
            first: -5,
            last: 7,
            rows: 3,
        };
        let line = range.to_json();
        let json: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(json["series"]["城市"], "\"北\\\n");
        assert_eq!((json["first"].as_i64(), json["samples"].as_u64()), (Some(-5), Some(3)));
        assert!(!line.contains('\n'));
        let line = DamagedRange { labels: None, ..range }.to_json();
        let json: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert!(json["series"].is_null());
    }
}
