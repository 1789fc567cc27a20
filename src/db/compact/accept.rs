//! Accepting losses: [`Db::accept_losses`](crate::Db::accept_losses) and what it answers.
//!
//! 1. Given a store, everything in memory is flushed, and a merge under way is given up.
//! 2. Each segment is read, every byte of it. One of which nothing is lost is left alone.
//! 3. Any other is merged alone, and what is lost of it becomes masks: they still hide what is older, and
//!    are left out where nothing older is listed.
//! 4. The output takes the place of the segment with one edit, as of any merge; a file that is damaged goes
//!    to `quarantine/`. So a crash leaves a segment accepted or not, and asking again goes on with the rest.
//!
//! A segment whose index is damaged, or whose file cannot be opened, stays as it is, and is named: which series it
//! has is not known. If that is asked for, it is given up as a whole (`give_up`), the oldest first: what takes its place
//! depends on what is older.

use std::collections::HashSet;
use std::ops::ControlFlow;

use super::Compactor;
use super::give_up::GivenUp;
use crate::compaction::{ClosedSet, Merged, Purpose, Step};
use crate::db::env::finding::Finding;
use crate::error::{Error, Result};
use crate::segment::Segment;
use crate::types::{FileName, LostSamples, SegmentMeta};

/// Losses that a report lists at most.
const LISTED_MAX: usize = 10_000;

/// How [`Db::accept_losses`](crate::Db::accept_losses) accepts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AcceptOptions {
    /// Whether segments of which it is not known what is lost, since their file is gone or has another size, or
    /// their index is damaged, are given up: none of their samples counts any more, and what is older in their range of time
    /// stays hidden, of every series, since any of it may have been replaced. Their files go to `quarantine/`. One that
    /// could not be opened for another reason stays, as a finding, and so do those over it that are newer. Default:
    /// false, they stay, and queries of their time fail.
    pub give_up_unreadable: bool,
}

/// What [`Db::accept_losses`](crate::Db::accept_losses) did.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct AcceptReport {
    /// What was lost and counts as never written from now on, the first 10,000 entries.
    pub accepted: Vec<LostSamples>,
    /// How many samples in all; at most, where their times are not known.
    pub accepted_samples: u64,
    /// Segments that were written anew.
    pub segments: u64,
    /// Segments that were given up as a whole.
    pub given_up: u64,
    /// Segments of which it cannot be said what is lost. They are as they were.
    pub findings: Vec<Finding>,
    /// Whether the caller stopped it.
    pub cancelled: bool,
}

impl AcceptReport {
    fn take(&mut self, lost: Vec<LostSamples>) {
        self.accepted_samples += lost.iter().map(|samples| samples.samples).sum::<u64>();
        let room = LISTED_MAX - self.accepted.len();
        self.accepted.extend(lost.into_iter().take(room));
    }
}

impl Compactor {
    /// Accepts what is lost of each segment; `progress` is called before each, with the number done and
    /// of all.
    ///
    /// # Errors
    /// Those of the flush, I/O errors, a full disk: what is accepted stays so.
    pub(in crate::db) fn accept_losses(
        &self,
        options: AcceptOptions,
        progress: &mut dyn FnMut(usize, usize) -> ControlFlow<()>,
    ) -> Result<AcceptReport> {
        self.env.health.check_open()?;
        self.writer.flush_all()?;
        let mut report = AcceptReport::default();
        let view = self.view.current();
        let mut found = Vec::new();
        let all = view.segments.len();
        for (done, segment) in view.segments.iter().enumerate() {
            if progress(done, all).is_break() {
                report.cancelled = true;
                break;
            }
            if let Some(error) = self.accept_in(segment, &mut report)? {
                found.push((*segment.meta(), error));
            }
        }
        let found = found.iter().map(|(meta, error)| (meta, error));
        let broken = view.broken.iter().map(|broken| (&broken.meta, &broken.error));
        let mut unreadable: Vec<(&SegmentMeta, &Error)> = broken.chain(found).collect();
        // The oldest first.
        unreadable.sort_by_key(|(meta, _)| meta.min_seq);
        let gives_up = options.give_up_unreadable && !report.cancelled;
        for (meta, error) in unreadable {
            self.unreadable(meta, error, gives_up, &mut report)?;
        }
        Ok(report)
    }

    /// Accepts what is lost of a segment; the error if it is not known what that is.
    fn accept_in(&self, segment: &Segment, report: &mut AcceptReport) -> Result<Option<Error>> {
        let (mut lost, mut of_index) = (Vec::new(), None);
        segment.verify(&mut |finding| match finding.error {
            Error::Lost(samples) => lost.push(*samples),
            _ if finding.has_twin => {}
            error if finding.lost.is_empty() => of_index = Some(error),
            error => {
                let number = segment.meta().file_number;
                lost.extend(finding.lost.iter().filter_map(|range| range.samples(number, &error)));
            }
        })?;
        if lost.is_empty() && of_index.is_none() {
            return Ok(None);
        }
        let accepted = lost.iter().map(|samples| samples.samples).sum::<u64>();
        match self.rewrite(segment.meta().file_number, accepted) {
            Ok(true) => {}
            // Replaced meanwhile: what came in its place is looked at when this is asked for again.
            Ok(false) => return Ok(None),
            Err(error @ Error::Corrupt { .. }) => return Ok(Some(error)),
            Err(error @ Error::UnsupportedVersion { .. }) => {
                report.findings.push(Finding::of(segment.path(), &error));
                return Ok(None);
            }
            Err(error) => return Err(error),
        }
        report.segments += 1;
        report.take(lost);
        Ok(None)
    }

    /// A segment of which it is not known what is lost: it is given up if that is asked for.
    fn unreadable(
        &self,
        meta: &SegmentMeta,
        error: &Error,
        gives_up: bool,
        report: &mut AcceptReport,
    ) -> Result<()> {
        // What fails for now may be right the next time: somebody's rights, a device.
        let is_final = error.is_missing() || matches!(error, Error::Corrupt { .. });
        let mut advice = String::new();
        if gives_up && is_final {
            match self.give_up_segment(meta.file_number, error)? {
                GivenUp::Lost(lost) => {
                    report.given_up += 1;
                    report.take(vec![*lost]);
                    return Ok(());
                }
                GivenUp::NotListed => return Ok(()),
                GivenUp::Behind(older) => {
                    advice = format!(
                        "; it can be given up once {}, which is older and cannot be read either, is given up or put back",
                        older.display()
                    );
                }
            }
        }
        let path = self.env.path(FileName::Segment(meta.file_number));
        let mut finding = Finding::of(path, error);
        finding.message.push_str(&format!(
            "; which of its {} samples from {} to {} are lost is not known{advice}",
            meta.samples, meta.min_timestamp, meta.max_timestamp
        ));
        report.findings.push(finding);
        Ok(())
    }

    /// Merges a segment alone, with what is lost of it, `accepted` samples, accepted; false if it is not listed
    /// any more.
    fn rewrite(&self, file_number: u64, accepted: u64) -> Result<bool> {
        let mut runner = self.lock_runner();
        self.abandon_merge(&mut runner);
        self.env.health.check_open()?;
        let view = self.view.current();
        let live = view.version.segments();
        let Ok(inputs) = ClosedSet::new(live, &HashSet::new(), &[file_number]) else {
            return Ok(false);
        };
        let mut job = self.merge_job(&runner, &view, inputs, Purpose::Accept)?;
        let merged: Box<Merged> = loop {
            match job.step()? {
                Step::More(_) => self.env.health.check_open()?,
                Step::Done(merged) => break merged,
            }
        };
        self.publish_merge(&[file_number], &merged, (Purpose::Accept, accepted))?;
        Ok(true)
    }
}
