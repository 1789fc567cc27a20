//! Damage, open, query, merge, reopen twice, verify, query: what may be seen at each step.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use siltstone::sys::{SimClock, SimFs};
use siltstone::{Db, Error, Finding, Options, ReadOnlyDb, Result, Snapshot, TimeRange, Verify};
use siltstone_testing::answers::{STORE, Series, salvage};

use super::stores::{Wide, kind};
use crate::judge::salvage_all;

/// A damaged copy of a store.
pub(crate) struct Case<'a> {
    pub(crate) store: &'a Wide,
    pub(crate) fs: SimFs,
    pub(crate) file: &'a str,
    pub(crate) what: String,
    /// Whether it looks like a write that a crash cut short, so that nobody needs to say anything.
    pub(crate) torn: bool,
}

/// What the undamaged store answers to a reader, and then at each step of its owner; empty while that is
/// found out.
pub(crate) type Answers = Vec<Vec<Series>>;

/// What was said and seen.
pub(crate) struct Outcome {
    pub(crate) answers: Answers,
    /// By the owner, since it opened the store.
    pub(crate) reports: Vec<String>,
    /// Whether anybody said anything.
    pub(crate) noticed: bool,
}

impl Case<'_> {
    /// Goes through all steps; panics at a value that must not be seen, and at a loss in silence.
    pub(crate) fn run(&self, expected: &Answers) -> Outcome {
        // A word of `verify` does not excuse the reader, nor one of the reader the owner.
        let noticed = !self.verify().is_empty();
        let mut outcome = Outcome { answers: Vec::new(), reports: Vec::new(), noticed };
        let clock = Arc::new(SimClock::new(self.store.now));
        if let Some(db) = self.said(ReadOnlyDb::open(STORE, self.options(&clock)), &mut outcome) {
            let findings = &db.open_report().findings;
            self.look(&db.snapshot(), findings, (0, expected), &mut outcome);
        }
        outcome.noticed |= !outcome.reports.is_empty();
        outcome.reports.clear();
        let owner = self.own(&clock, expected, &mut outcome);
        self.said(owner, &mut outcome);
        outcome.reports.extend(self.verify());
        outcome.noticed |= !outcome.reports.is_empty();
        outcome
    }

    /// What the owner does: it opens the store, lets time pass, merges, and opens it twice again, the last time to keep
    /// everything, so that what has expired and is there still may be seen.
    fn own(&self, clock: &Arc<SimClock>, expected: &Answers, outcome: &mut Outcome) -> Result<()> {
        let mut steps = 0;
        for round in 0..3 {
            let retention = self.store.retention.filter(|_| round < 2);
            let db = Db::open(STORE, Options { retention, ..self.options(clock) })?;
            let mut step = |outcome: &mut Outcome| {
                let findings = &db.open_report().findings;
                steps += 1;
                self.look(&db.snapshot().unwrap(), findings, (steps, expected), outcome);
            };
            step(outcome);
            if round == 0 {
                if self.store.retention.is_some() {
                    for _ in 0..3 {
                        clock.advance(Duration::from_secs(3600));
                        self.said(db.tick(), outcome);
                    }
                    step(outcome);
                }
                let go_on = &mut |_: &_| std::ops::ControlFlow::Continue(());
                self.said(db.compact(TimeRange::ALL, go_on), outcome);
                step(outcome);
            }
            self.said(db.close(), outcome);
        }
        Ok(())
    }

    fn options(&self, clock: &Arc<SimClock>) -> Options {
        self.store.options(&self.fs, clock)
    }

    fn name(&self) -> String {
        format!("{}: {} {}", self.store.name, self.file, self.what)
    }

    /// A value, or an error that names a place.
    fn said<T>(&self, result: Result<T>, outcome: &mut Outcome) -> Option<T> {
        result.map_err(|error: Error| self.note(error.to_string(), outcome)).ok()
    }

    fn note(&self, report: String, outcome: &mut Outcome) {
        assert!(report.contains('/'), "{}: {report:?} names no place", self.name());
        outcome.reports.push(report);
    }

    fn verify(&self) -> Vec<String> {
        let options = self.options(&Arc::new(SimClock::new(self.store.now)));
        let mut reports = Vec::new();
        let note = |finding: &Finding| reports.push(finding.to_string());
        let run = Verify::new(Path::new(STORE)).options(options).on_finding(note).run();
        reports.extend(run.err().map(|error| error.to_string()));
        for report in &reports {
            assert!(report.contains(STORE), "{}: {report:?} names no place", self.name());
        }
        reports
    }

    /// Reads everything, strictly and leaving damage out.
    fn look(
        &self,
        snapshot: &Snapshot,
        findings: &[Finding],
        (step, expected): (usize, &Answers),
        outcome: &mut Outcome,
    ) {
        findings.iter().for_each(|finding| self.note(finding.to_string(), outcome));
        let (strict, errors) = salvage(snapshot, &[], TimeRange::ALL);
        let (salvaged, skipped) = salvage_all(snapshot);
        // What a damaged log or manifest does not tell is not known once that was said.
        let knows = !matches!(kind(self.file), "wal" | "MANIFEST" | "CURRENT");
        let knows = knows || outcome.reports.is_empty() && !self.torn;
        [&strict, &salvaged].into_iter().for_each(|found| self.check_values(found, knows));
        for error in errors.into_iter().chain(skipped) {
            self.note(error.to_string(), outcome);
        }
        if let Some(expected) = expected.get(step)
            && outcome.reports.is_empty()
            && !self.torn
        {
            assert!(strict == *expected, "{}, step {step}: nobody said a word", self.name());
            assert!(salvaged == *expected, "{}, step {step}: salvaged, in silence", self.name());
        }
        outcome.answers.push(strict);
    }

    fn check_values(&self, found: &[Series], knows: bool) {
        let history = &self.store.history;
        for (labels, samples) in found {
            assert!(samples.windows(2).all(|pair| pair[0].0 < pair[1].0), "{}", self.name());
            for &(time, bits) in samples {
                let place = || format!("{}: {labels} at {time} is {bits:x}", self.name());
                assert!(history.was_written(labels, time, bits), "{}, never written", place());
                let is_last = !knows || history.is_last(labels, time, bits);
                assert!(is_last, "{}, replaced or deleted", place());
            }
        }
    }
}
