//! What damage did: read by a reader, by the owner and by `verify`, and held against what was written.

use std::path::Path;

use siltstone::sys::SimFs;
use siltstone::{Damage, Db, Error, Labels, QueryOptions, ReadOnlyDb, Snapshot, TimeRange, Verify};
use siltstone_testing::answers::{STORE, Series, salvage, sim_clock, sim_options};

use crate::store::Store;

/// A damaged copy of a store.
pub(crate) struct Case<'a> {
    pub(crate) store: &'a Store,
    pub(crate) fs: SimFs,
    /// The damaged file.
    pub(crate) file: String,
    pub(crate) what: String,
}

/// What came out. Wrong values have panicked before.
#[derive(Debug)]
pub(crate) struct Verdict {
    /// The case, for messages.
    name: String,
    /// Every sample was read, with its last value, by reader and owner.
    pub(crate) complete: bool,
    /// Reader or owner lost something without any finding or error.
    silent: bool,
    /// Somebody reported damage.
    pub(crate) noticed: bool,
    /// A report names the damaged file.
    pub(crate) named: bool,
    /// A newer version was reported.
    pub(crate) newer: bool,
}

impl Verdict {
    pub(crate) fn nothing_silent(&self) {
        assert!(!self.silent, "{}: samples are gone and nobody said so", self.name);
    }
}

impl Case<'_> {
    pub(crate) fn judge(&self) -> Verdict {
        let mut verdict = Verdict {
            name: format!("{} {}", self.file, self.what),
            complete: true,
            silent: false,
            noticed: false,
            named: false,
            newer: false,
        };
        let options = || sim_options(&self.fs, &sim_clock());
        let reports = self.verify(&mut verdict);
        self.note(&reports, &mut verdict);
        match ReadOnlyDb::open(STORE, options()) {
            Err(error) => self.refused(&error, &mut verdict),
            Ok(db) => {
                let report = db.open_report();
                let findings = report.findings.iter().map(ToString::to_string).collect();
                self.read(&db.snapshot(), findings, &mut verdict);
            }
        }
        match Db::open(STORE, options()) {
            Err(error) => self.refused(&error, &mut verdict),
            Ok(db) => {
                let report = db.open_report();
                let findings = report.findings.iter().map(ToString::to_string).collect();
                self.read(&db.snapshot().unwrap(), findings, &mut verdict);
            }
        }
        verdict
    }

    /// Opens the store, merges everything, opens it twice again and verifies it: at each step the same is
    /// known, and what is not is said. Whether anything was lost.
    pub(crate) fn merge_and_reopen(&self) -> bool {
        let options = || {
            let background = siltstone::Background::Manual;
            siltstone::Options { background, ..sim_options(&self.fs, &sim_clock()) }
        };
        let known = |db: &Db| {
            let snapshot = db.snapshot().unwrap();
            let (strict, errors) = salvage(&snapshot, &[], TimeRange::ALL);
            let (found, skipped) = salvage_all(&snapshot);
            let complete = self.compare(&found);
            assert_eq!(self.compare(&strict), complete && errors.is_empty(), "{}", self.what);
            assert!(complete || !(errors.is_empty() || skipped.is_empty()), "{}", self.what);
            (found, complete)
        };
        let db = Db::open(STORE, options()).unwrap();
        let before = known(&db);
        let merged = db.compact(TimeRange::ALL, &mut |_| std::ops::ControlFlow::Continue(()));
        drop(merged.unwrap());
        assert_eq!(known(&db), before, "{} {}: merged", self.file, self.what);
        db.close().unwrap();
        for _ in 0..2 {
            let db = Db::open(STORE, options()).unwrap();
            assert_eq!(known(&db), before, "{} {}: reopened", self.file, self.what);
            db.close().unwrap();
        }
        let verified = Verify::new(Path::new(STORE)).options(options()).run().unwrap();
        assert!(before.1 || verified.findings > 0, "{} {}: nothing is said", self.file, self.what);
        let db = Db::open(STORE, options()).unwrap();
        let accepted = db
            .accept_losses(siltstone::AcceptOptions::default(), |_, _| {
                std::ops::ControlFlow::Continue(())
            })
            .unwrap();
        if accepted.findings.is_empty() {
            let (found, errors) = salvage(&db.snapshot().unwrap(), &[], TimeRange::ALL);
            assert_eq!(
                (&found, errors.len()),
                (&before.0, 0),
                "{} {}: accepted",
                self.file,
                self.what
            );
            assert!(db.losses().unwrap().is_whole());
        }
        !before.1
    }

    fn verify(&self, verdict: &mut Verdict) -> Vec<String> {
        let options = sim_options(&self.fs, &sim_clock());
        let mut reports = Vec::new();
        let report = |finding: &siltstone::Finding| reports.push(finding.to_string());
        match Verify::new(Path::new(STORE)).options(options).on_finding(report).run() {
            Ok(_) => {}
            Err(error) => self.refused(&error, verdict),
        }
        reports
    }

    /// The store could not be opened: the error says where.
    fn refused(&self, error: &Error, verdict: &mut Verdict) {
        let text = error.to_string();
        verdict.complete = false;
        self.note(&[text], verdict);
        verdict.newer |= matches!(error, Error::UnsupportedVersion { .. });
    }

    /// Every report says where.
    fn note(&self, reports: &[String], verdict: &mut Verdict) {
        for text in reports {
            assert!(text.contains(STORE), "{}: {text:?} names no place", verdict.name);
            verdict.noticed = true;
            verdict.named |= text.contains(&self.file);
        }
    }

    /// Reads everything twice: strictly, and salvaging what damage leaves.
    fn read(&self, snapshot: &Snapshot, mut reports: Vec<String>, verdict: &mut Verdict) {
        let (strict, errors) = salvage(snapshot, &[], TimeRange::ALL);
        reports.extend(errors.iter().map(ToString::to_string));
        let complete = self.compare(&strict);
        let (salvaged, skipped) = salvage_all(snapshot);
        reports.extend(skipped.iter().map(ToString::to_string));
        let salvaged_all = self.compare(&salvaged);
        assert!(
            samples(&salvaged) >= samples(&strict),
            "{}: salvaging finds no less",
            verdict.name
        );
        self.note(&reports, verdict);
        verdict.complete &= complete && salvaged_all;
        verdict.silent |= !(complete && salvaged_all) && reports.is_empty();
    }

    /// Panics at a sample that was never written, and at one that another replaced where only a segment is
    /// damaged; whether all are there, with their last values.
    fn compare(&self, found: &[Series]) -> bool {
        let mut last = 0;
        for (labels, samples) in found {
            assert!(samples.windows(2).all(|pair| pair[0].0 < pair[1].0), "{}", self.what);
            for &(timestamp, bits) in samples {
                let written = self.store.written(labels, timestamp);
                assert!(
                    written.contains(&bits),
                    "{} {}: {labels} at {timestamp} is {bits:x}, never written",
                    self.file,
                    self.what
                );
                let is_last = written.last() == Some(&bits);
                // What a damaged log or manifest does not tell is not known.
                let is_known = self.store.kind(&self.file) == "seg";
                assert!(
                    is_last || !is_known,
                    "{} {}: {labels} at {timestamp} is {bits:x}, which was replaced",
                    self.file,
                    self.what
                );
                last += usize::from(is_last);
            }
        }
        let labels: Vec<&Labels> = found.iter().map(|(labels, _)| labels).collect();
        assert!(labels.windows(2).all(|pair| pair[0] < pair[1]), "{}: order", self.what);
        last == self.store.samples()
    }
}

fn samples(found: &[Series]) -> usize {
    found.iter().map(|(_, samples)| samples.len()).sum()
}

pub(crate) fn salvage_all(snapshot: &Snapshot) -> (Vec<Series>, Vec<Error>) {
    let damage = Damage::default();
    let options = QueryOptions { skip_damaged: Some(damage.clone()), ..QueryOptions::default() };
    let mut found = Vec::new();
    for series in snapshot.select(&[], TimeRange::ALL, &options).unwrap() {
        let series = series.unwrap();
        let samples = series.columns.iter().map(|(t, v)| (t, v.to_bits())).collect();
        found.push((series.labels, samples));
    }
    (found, damage.take())
}
