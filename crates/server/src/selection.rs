//! Which series in which time: the selectors of a request or a command line, scanned as one.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use siltstone::{Columns, Labels, Matcher, QueryOptions, Result, Snapshot, TimeRange};
use siltstone_promql::parse_selector;

/// Most selectors of one selection.
const SELECTORS_MAX: usize = 100;

/// Series that satisfy any of several selectors, in a range of time.
#[derive(Debug, Clone)]
pub struct Selection {
    /// A list of matchers for each selector. A list without matchers selects every series.
    pub(crate) selectors: Vec<Vec<Matcher>>,
    pub(crate) range: TimeRange,
}

impl Selection {
    /// Reads selectors such as `up{job=~"api.*"}`; without any, nothing is selected.
    ///
    /// # Errors
    /// A message that says where a selector is wrong.
    pub fn parse<'a>(
        selectors: impl IntoIterator<Item = &'a str>,
        range: TimeRange,
    ) -> std::result::Result<Self, String> {
        let mut parsed = Vec::new();
        for text in selectors {
            if parsed.len() == SELECTORS_MAX {
                return Err(format!("more than {SELECTORS_MAX} selectors"));
            }
            parsed.push(parse_selector(text).map_err(|error| format!("{text}: {error}"))?);
        }
        Ok(Self { selectors: parsed, range })
    }

    /// Every series, in a range of time.
    #[must_use]
    pub fn all(range: TimeRange) -> Self {
        Self { selectors: vec![Vec::new()], range }
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
        options.bytes_max = u64::MAX;
        options.timeout = None;
        options
    };
    lift(QueryOptions::default())
}
