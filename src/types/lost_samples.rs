//! Samples that are known to be lost: what an error, a report and a query's list of gaps say of them.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use super::{DecodeError, Labels, Timestamp};

/// Samples of one series that a store had and cannot read: the block that held them is damaged, or was when
/// a merge read it. What is older at the same times is not their value, and is not shown in their place.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LostSamples {
    /// The series; `None` if its labels cannot be read either.
    pub labels: Option<Labels>,
    /// The earliest time that is lost.
    pub first: Timestamp,
    /// The latest time that is lost, inclusive.
    pub last: Timestamp,
    /// How many samples; at most, if their times are not known.
    pub samples: u64,
    /// Whether it is known at which times there were samples. If not, any time from `first` to `last` may
    /// have had one.
    pub times_are_known: bool,
    /// The file whose block is damaged, as it was called; once a merge has carried the loss on, it is in
    /// `quarantine/`, if it is anywhere.
    pub path: PathBuf,
    /// The number in that file's name.
    pub file_number: u64,
    /// What the damaged block is, such as "value block".
    pub section: &'static str,
    /// Where in the file it starts, in bytes.
    pub offset: u64,
    /// What is wrong with it; `None` if a merge has carried the loss on.
    pub source: Option<DecodeError>,
}

impl LostSamples {
    /// Counts more samples of the same series and block.
    pub(crate) fn add(&mut self, more: &Self) {
        // A query that reads the same samples twice meets the same loss twice.
        let is_new = more.first > self.last || more.last < self.first;
        if is_new {
            self.samples += more.samples;
        }
        self.first = self.first.min(more.first);
        self.last = self.last.max(more.last);
        self.times_are_known &= more.times_are_known;
    }
}

/// A chunk that cannot be read, as its reader hands it to what merges layers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LostChunk {
    /// The earliest time of its samples.
    pub first: Timestamp,
    /// The latest, inclusive.
    pub last: Timestamp,
    /// How many samples; at most, if their times are not known.
    pub rows: u32,
    /// Their times, strictly rising; empty if they cannot be read either.
    pub times: Vec<Timestamp>,
    /// Whether somebody has accepted that they are lost: then nothing is missing, but older samples at these
    /// times stay hidden.
    pub is_accepted: bool,
    /// Where they were.
    pub place: Arc<LostPlace>,
}

impl LostChunk {
    /// The same for people, of the series with these labels.
    pub(crate) fn samples(&self, labels: Option<Labels>) -> LostSamples {
        let times_are_known = !self.times.is_empty();
        self.place.samples(labels, (self.first, self.last), u64::from(self.rows), times_are_known)
    }
}

/// The section of damage that is of the file as a whole: it has not the size that it was written with.
pub(crate) const WHOLE_FILE: &str = "file";

/// Where lost samples were.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LostPlace {
    /// The file whose block is or was damaged.
    pub path: PathBuf,
    /// The number in its name.
    pub file_number: u64,
    /// What the block is.
    pub section: &'static str,
    /// Where it starts.
    pub offset: u64,
    /// What is wrong with it; `None` if a merge has carried the loss on.
    pub source: Option<DecodeError>,
}

impl LostPlace {
    /// Whether the file as a whole is not what was written. A good copy of it may be put back, which nothing
    /// should be in the way of.
    pub(crate) fn is_whole_file(&self) -> bool {
        self.section == WHOLE_FILE
    }

    /// One that tests need and do not look at.
    #[cfg(test)]
    pub(crate) fn anywhere() -> Arc<Self> {
        let path = "1.seg".into();
        Arc::new(Self { path, file_number: 1, section: "block", offset: 0, source: None })
    }

    /// Samples from `first` to `last` that were here.
    pub(crate) fn samples(
        &self,
        labels: Option<Labels>,
        (first, last): (Timestamp, Timestamp),
        samples: u64,
        times_are_known: bool,
    ) -> LostSamples {
        let Self { path, file_number, section, offset, source } = self.clone();
        LostSamples {
            labels,
            first,
            last,
            samples,
            times_are_known,
            path,
            file_number,
            section,
            offset,
            source,
        }
    }
}

impl fmt::Display for LostSamples {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let most = if self.times_are_known { "" } else { "at most " };
        let Self { samples, first, last, section, offset, .. } = self;
        write!(f, "{most}{samples} samples ")?;
        if let Some(labels) = &self.labels {
            write!(f, "of {labels} ")?;
        }
        let path = self.path.display();
        match &self.source {
            Some(source) => {
                write!(
                    f,
                    "from {first} to {last} cannot be read: {path} is damaged: {section} at byte {offset}: {source}"
                )
            }
            None => {
                write!(
                    f,
                    "from {first} to {last} are lost: the {section} at byte {offset} of {path} was damaged"
                )
            }
        }
    }
}
