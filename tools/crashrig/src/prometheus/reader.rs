//! A second process that reads the store's directory all the time while the server writes, flushes and
//! merges there, and is killed.
//!
//! Each round runs `siltstone export` on the directory. It must succeed, and the samples of a metric
//! that nobody deletes must hold everything that an earlier round saw, bit for bit.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use siltstone_rig::RigError;

use super::deletes::CANARY;
use crate::compare::{Sample, SeriesLabels};
use crate::export::parse_line;
use siltstone_rig::verdict::Verdict;

/// One round in so many reads everything.
const WHOLE_EVERY: u64 = 4;
/// Rest between two rounds.
const REST: Duration = Duration::from_millis(100);
/// Faults that are described; further ones are counted.
const FAULTS_MAX: usize = 5;

/// What the rounds found.
#[derive(Debug, Clone, Default)]
pub(super) struct Report {
    pub(super) rounds: u64,
    /// Samples read, over all rounds.
    pub(super) samples: u64,
    faults_count: u64,
    faults: Vec<String>,
}

impl Report {
    fn fault(&mut self, what: String) {
        self.faults_count += 1;
        if self.faults.len() < FAULTS_MAX {
            self.faults.push(what);
        }
    }

    /// Notes what went wrong.
    pub(super) fn judge(&self, verdict: &mut Verdict) {
        verdict.require(self.rounds > 0, "the reader read nothing");
        verdict.require(
            self.faults_count == 0,
            format!(
                "{} rounds of the reader failed: {}",
                self.faults_count,
                self.faults.join("; ")
            ),
        );
    }
}

/// The reader's thread; ends it when dropped.
pub(super) struct Reader {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Report>>,
}

impl Reader {
    /// Starts reading `data` with `program`.
    ///
    /// # Errors
    /// If no thread can be had.
    pub(super) fn start(program: &Path, data: &Path) -> Result<Self, RigError> {
        let stop = Arc::new(AtomicBool::new(false));
        let mut rounds = Rounds {
            program: program.to_owned(),
            data: data.to_owned(),
            seen: BTreeMap::new(),
            report: Report::default(),
        };
        let stopped = Arc::clone(&stop);
        let thread = std::thread::Builder::new()
            .name("reader".into())
            .spawn(move || {
                while !stopped.load(Ordering::Relaxed) {
                    rounds.run();
                    std::thread::sleep(REST);
                }
                rounds.report
            })
            .map_err(RigError::io("starting the reader"))?;
        Ok(Self { stop, thread: Some(thread) })
    }

    /// Ends the reader after its round.
    pub(super) fn finish(mut self) -> Report {
        self.stop.store(true, Ordering::Relaxed);
        let ended = self.thread.take().and_then(|thread| thread.join().ok());
        ended.unwrap_or_else(|| {
            let mut report = Report::default();
            report.fault("the reader's thread panicked".into());
            report
        })
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Rounds {
    program: PathBuf,
    data: PathBuf,
    /// What the canary showed last.
    seen: BTreeMap<SeriesLabels, Vec<Sample>>,
    report: Report,
}

impl Rounds {
    fn run(&mut self) {
        let whole = self.report.rounds.is_multiple_of(WHOLE_EVERY);
        let selector = if whole {
            "{__name__=~\".+\"}".to_owned()
        } else {
            format!("{{__name__=\"{CANARY}\"}}")
        };
        match self.export(&selector) {
            Ok(found) => {
                self.compare(&found);
                self.seen = found;
            }
            Err(fault) => self.report.fault(fault),
        }
        self.report.rounds += 1;
    }

    /// Runs the export; counts all samples and returns those of the canary.
    fn export(&mut self, selector: &str) -> Result<BTreeMap<SeriesLabels, Vec<Sample>>, String> {
        let mut child = Command::new(&self.program)
            .args(["export", "--match", selector, "--data"])
            .arg(&self.data)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|e| format!("export could not be started: {e}"))?;
        let mut canary = BTreeMap::<_, Vec<Sample>>::new();
        let mut damaged = None;
        if let Some(output) = child.stdout.take() {
            for line in BufReader::new(output).split(b'\n') {
                let parsed = line.map_err(|e| e.to_string()).and_then(|line| parse_line(&line));
                match parsed {
                    Ok((labels, samples)) => {
                        self.report.samples += samples.len() as u64;
                        if labels.get("__name__") == Some(CANARY) {
                            canary.entry(labels).or_default().extend(samples);
                        }
                    }
                    Err(e) => damaged = damaged.or(Some(e)),
                }
            }
        }
        let mut said = String::new();
        if let Some(mut errors) = child.stderr.take() {
            let _ = errors.read_to_string(&mut said);
        }
        let status = child.wait().map_err(|e| format!("export could not be waited for: {e}"))?;
        if !status.success() {
            return Err(format!("export ended with {status}: {}", said.trim()));
        }
        damaged.map_or(Ok(canary), |e| Err(format!("export wrote a broken line: {e}")))
    }

    /// What was seen before must still be there, unchanged.
    fn compare(&mut self, found: &BTreeMap<SeriesLabels, Vec<Sample>>) {
        for (labels, before) in &self.seen {
            let now = found.get(labels).map_or(&[][..], Vec::as_slice);
            if !now.starts_with(before) {
                let what = format!("{labels} had {} samples, now {}", before.len(), now.len());
                self.report.fault(format!("{what}, or others"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rounds(seen: &[Sample]) -> Rounds {
        let labels = SeriesLabels::new([("__name__".to_owned(), CANARY.to_owned())]);
        Rounds {
            program: PathBuf::from("/does/not/exist"),
            data: PathBuf::new(),
            seen: BTreeMap::from([(labels, seen.to_vec())]),
            report: Report::default(),
        }
    }

    fn faults(before: &[Sample], now: &[Sample]) -> u64 {
        let mut rounds = rounds(before);
        let labels = rounds.seen.keys().next().cloned().unwrap();
        rounds.compare(&BTreeMap::from([(labels, now.to_vec())]));
        rounds.report.faults_count
    }

    #[test]
    fn what_was_seen_must_stay() {
        assert_eq!(faults(&[(1, 1)], &[(1, 1), (2, 1)]), 0);
        assert_eq!(faults(&[(1, 1)], &[(1, 2), (2, 1)]), 1);
        assert_eq!(faults(&[(1, 1), (2, 1)], &[(1, 1)]), 1);
        let mut gone = rounds(&[(1, 1)]);
        gone.compare(&BTreeMap::new());
        assert_eq!(gone.report.faults_count, 1);
    }

    #[test]
    fn a_program_that_fails_is_a_fault() {
        let mut rounds = rounds(&[]);
        rounds.run();
        assert_eq!((rounds.report.rounds, rounds.report.faults_count), (1, 1));
        let mut verdict = Verdict::default();
        rounds.report.judge(&mut verdict);
        assert!(!verdict.is_good());
    }
}
