//! Counts, and the summary.

use std::collections::BTreeMap;
use std::fmt;

use crate::answer::{Outcome, Times, Value};
use crate::compare::Aspect;

/// What was counted in a run.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) queries: u64,
    pub(crate) instants: u64,
    pub(crate) ranges: u64,
    /// Answers of Prometheus by what they were.
    pub(crate) errors: u64,
    pub(crate) empty: u64,
    pub(crate) filled: u64,
    /// Answers with warnings or infos.
    pub(crate) annotated: u64,
    /// Float samples and histograms that were compared.
    pub(crate) samples: u64,
    pub(crate) rounding: u64,
    pub(crate) known: BTreeMap<&'static str, u64>,
    pub(crate) found: BTreeMap<Aspect, u64>,
    /// Queries that both sides formatted.
    pub(crate) formatted: u64,
}

impl Counts {
    pub(crate) fn evaluation(&mut self, times: Times) {
        match times {
            Times::Instant(_) => self.instants += 1,
            Times::Range { .. } => self.ranges += 1,
        }
    }

    pub(crate) fn same(&mut self, outcome: &Outcome) {
        let Outcome::Answer(answer) = outcome else {
            self.errors += 1;
            return;
        };
        if answer.value.is_empty() {
            self.empty += 1;
        } else {
            self.filled += 1;
        }
        if !answer.warnings.is_empty() || !answer.infos.is_empty() {
            self.annotated += 1;
        }
        self.samples += match &answer.value {
            Value::Vector(rows) | Value::Matrix(rows) => {
                rows.iter().map(|row| row.points.len() as u64).sum()
            }
            _ => 1,
        };
    }

    /// Findings of all kinds.
    pub(crate) fn findings(&self) -> u64 {
        self.found.values().sum()
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} queries: {} instant and {} range evaluations; equal: {} filled, {} empty, {} \
             errors; {} with annotations; {} samples",
            self.queries,
            self.instants,
            self.ranges,
            self.filled,
            self.empty,
            self.errors,
            self.annotated,
            self.samples
        )?;
        writeln!(f, "{} queries formatted alike or refused in the same words", self.formatted)?;
        writeln!(f, "{} differences are of rounding", self.rounding)?;
        for (reason, count) in &self.known {
            writeln!(f, "{count} known: {reason}")?;
        }
        write!(f, "{} findings", self.findings())?;
        for (aspect, count) in &self.found {
            write!(f, ", {count} {aspect:?}")?;
        }
        Ok(())
    }
}
