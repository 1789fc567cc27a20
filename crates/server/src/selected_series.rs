//! Which series in which time: the selectors of a request or a command line, scanned as one.

mod steps;

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use siltstone::{
    Columns, Labels, MatchOp, Matcher, Patterns, QueryOptions, Result, Snapshot, TimeRange,
};
use siltstone_promql::parse_selector_with;

/// Most selectors of one selection.
const SELECTORS_MAX: usize = 100;

/// Series that satisfy any of several selectors, in a range of time.
#[derive(Debug, Clone)]
pub struct SelectedSeries {
    /// A list of matchers for each selector. A list without matchers selects every series.
    pub(crate) selectors: Vec<Vec<Matcher>>,
    pub(crate) range: TimeRange,
}

impl SelectedSeries {
    /// Reads selectors such as `up{job=~"api.*"}`; without any, nothing is selected.
    ///
    /// # Errors
    /// A message that says where a selector is wrong, or that the regular expressions of all of them
    /// are larger than a [`PatternBudget`](siltstone::PatternBudget).
    pub fn parse<'a>(
        selectors: impl IntoIterator<Item = &'a str>,
        range: TimeRange,
    ) -> std::result::Result<Self, String> {
        Self::parse_with(selectors, range, &mut Patterns::default())
    }

    /// As [`SelectedSeries::parse`]; `patterns` compiles the regular expressions, and has the bound that all
    /// selectors share.
    ///
    /// # Errors
    /// As [`SelectedSeries::parse`].
    pub fn parse_with<'a>(
        selectors: impl IntoIterator<Item = &'a str>,
        range: TimeRange,
        patterns: &mut Patterns,
    ) -> std::result::Result<Self, String> {
        let mut parsed = Vec::new();
        for text in selectors {
            if parsed.len() == SELECTORS_MAX {
                return Err(format!("more than {SELECTORS_MAX} selectors"));
            }
            let matchers = parse_selector_with(text, patterns);
            parsed.push(matchers.map_err(|error| format!("{text}: {error}"))?);
        }
        Ok(Self { selectors: parsed, range })
    }

    /// The matchers of each selector, in the order given.
    #[must_use]
    pub fn selectors(&self) -> &[Vec<Matcher>] {
        &self.selectors
    }

    /// Every series, in a range of time.
    #[must_use]
    pub fn all(range: TimeRange) -> Self {
        Self { selectors: vec![Vec::new()], range }
    }

    /// The same series in another range of time.
    #[must_use]
    pub fn within(&self, range: TimeRange) -> Self {
        Self { range, ..self.clone() }
    }

    /// Calls `visit` with the samples of every selected series until it breaks. A series comes once,
    /// under the first selector that selects it, and may come in several pieces; the series of one
    /// selector come in label order.
    ///
    /// # Errors
    /// As [`Snapshot::scan`].
    pub fn scan(
        &self,
        snapshot: &Snapshot,
        options: &QueryOptions,
        mut visit: impl FnMut(&Labels, &Columns) -> ControlFlow<()>,
    ) -> Result<()> {
        for (index, matchers) in self.selectors.iter().enumerate() {
            let mut flow = ControlFlow::Continue(());
            snapshot.scan(matchers, self.range, options, &mut |labels, columns| {
                if !columns.timestamps.is_empty() && !self.selected_before(index, labels) {
                    flow = visit(labels, columns);
                }
                flow
            })?;
            if flow.is_break() {
                break;
            }
        }
        Ok(())
    }

    /// The first selector, as it prints, that selects every series of the store without naming a
    /// value of one of their labels, such as `{__name__=~".+"}`: for what is better not done to all
    /// by a slip.
    ///
    /// # Errors
    /// As [`Snapshot::series`].
    pub fn of_everything(
        &self,
        snapshot: &Snapshot,
        options: &QueryOptions,
    ) -> Result<Option<String>> {
        for matchers in &self.selectors {
            let names_a_value = |m: &Matcher| m.op() == MatchOp::Equal && !m.value().is_empty();
            if matchers.iter().any(names_a_value) {
                continue;
            }
            // Some series is left out exactly if it does not satisfy one of the matchers.
            let mut leaves_some_out = false;
            for matcher in matchers {
                let others = [matcher.negated()];
                let found = snapshot.series(&others, TimeRange::ALL, options, 1)?;
                leaves_some_out |= !found.is_empty();
            }
            if !leaves_some_out {
                let texts: Vec<String> = matchers.iter().map(Matcher::to_string).collect();
                return Ok(Some(format!("{{{}}}", texts.join(","))));
            }
        }
        Ok(None)
    }

    /// The label names of the selected series.
    ///
    /// # Errors
    /// As [`Snapshot::label_names`].
    pub fn label_names(
        &self,
        snapshot: &Snapshot,
        options: &QueryOptions,
    ) -> Result<BTreeSet<String>> {
        let mut names = BTreeSet::new();
        for matchers in &self.selectors {
            names.extend(snapshot.label_names(matchers, self.range, options, usize::MAX)?);
        }
        Ok(names)
    }

    /// The values of the label `name` of the selected series.
    ///
    /// # Errors
    /// As [`Snapshot::label_values`].
    pub fn label_values(
        &self,
        name: &str,
        snapshot: &Snapshot,
        options: &QueryOptions,
    ) -> Result<BTreeSet<String>> {
        let mut values = BTreeSet::new();
        for matchers in &self.selectors {
            let found = snapshot.label_values(name, matchers, self.range, options, usize::MAX)?;
            values.extend(found);
        }
        Ok(values)
    }

    /// Whether a selector before the one with this index selects the series, too.
    fn selected_before(&self, index: usize, labels: &Labels) -> bool {
        self.selectors[..index].iter().any(|matchers| {
            matchers.iter().all(|matcher| matcher.matches(labels.get(matcher.name()).unwrap_or("")))
        })
    }
}

/// The limits of an export, which may be as long as the store: its memory is bounded by what the
/// visitor keeps, its time by whoever reads.
#[must_use]
pub fn unlimited() -> QueryOptions {
    let lift = |mut options: QueryOptions| {
        options.samples_max = u64::MAX;
        options.series_max = u64::MAX;
        options.bytes_max = Some(u64::MAX);
        options.timeout = None;
        options
    };
    lift(QueryOptions::default())
}

#[cfg(test)]
mod tests {
    use siltstone::{Db, Options, WriteBatch};

    use super::*;

    #[test]
    fn a_selector_of_everything_is_told_from_one_that_names_a_value() {
        let dir = tempfile::tempdir().unwrap();
        let db = Db::open(dir.path().join("store"), Options::default()).unwrap();
        let mut batch = WriteBatch::new();
        for (name, job) in [("up", "a"), ("up", "b"), ("دما", "a")] {
            let labels = Labels::from_pairs([("__name__", name), ("job", job)]).unwrap();
            batch.push(db.series(&labels).unwrap(), 1, 1.0).unwrap();
        }
        db.write(&batch).unwrap();
        let snapshot = db.snapshot().unwrap();
        let everything = |selector: &str| {
            let selection = SelectedSeries::parse([selector], TimeRange::ALL).unwrap();
            selection.of_everything(&snapshot, &unlimited()).unwrap()
        };
        for all in [
            "{__name__!=\"\"}",
            "{__name__=~\".+\",job=~\"a|b\"}",
            "{__name__!=\"\",job!~\"c.*\",none=\"\"}",
        ] {
            assert_eq!(everything(all).as_deref(), Some(all));
        }
        for some in ["{job=~\"a.*\"}", "{__name__=~\".+\",job!=\"b\"}", "up", "{job=\"c\"}"] {
            assert_eq!(everything(some), None, "{some}");
        }
        // One of several is enough.
        let both = SelectedSeries::parse(["up", "{job=~\".+\"}"], TimeRange::ALL).unwrap();
        assert!(both.of_everything(&snapshot, &unlimited()).unwrap().is_some());
        db.close().unwrap();
    }
}
