//! `info`: series get labels of *info series*, whose value is always 1 and whose labels tell more of
//! the same target.
//!
//! A base series and an info series belong together if their identifying labels, `instance` and
//! `job`, are equal; a base series that has one of the two only, only with info series that have no
//! other. At each step the newest sample of the info series of one metric counts.
//!
//! The caller evaluates both sides. It asks [`Info::selection`] which info series there may be for the
//! base series, looks them up at the steps (at the times at which the base looks), and hands both to
//! [`join_info`](super::join_info). Both are held; the result has one column for each base series and combination of
//! info series that it met.
//!
//! Semantics: Prometheus's `promql/info.go`.

use std::collections::{BTreeMap, BTreeSet};

use siltstone::{Matcher, Timestamp};

use crate::value::{LabelSet, METRIC_NAME, Series};

/// The metric of the info series if the call names none.
const DEFAULT_METRIC: &str = "target_info";

/// The names of info metrics where a call tells only which it does not mean.
const INFO_METRICS: &str = ".+_info";

/// The labels that tell of which target a series is.
pub(super) const IDENTIFYING_LABELS: [&str; 2] = ["instance", "job"];

/// Longest list of values of one label that is made a regular expression, in bytes.
const REGEX_BYTES_MAX: usize = 4096;

/// A call of `info` with all but its series.
#[derive(Debug, Clone)]
pub(crate) struct Info {
    /// Matchers of the name of info metrics, at least one of them `=` or `=~`. Base series that all
    /// of them match are info series themselves and get nothing.
    names: Vec<Matcher>,
    /// Matchers of other labels. If there are any, only labels that they name are added.
    data: Vec<Matcher>,
}

/// Which info series may belong to some base series.
#[derive(Debug, Clone)]
pub(crate) struct InfoSelection {
    /// What to list: matches all of them, and perhaps more.
    pub(crate) matchers: Vec<Matcher>,
    /// The values that identifying labels may have, of labels that any base series has.
    identities: BTreeMap<&'static str, BTreeSet<String>>,
}

/// What an info series has at a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum InfoSample {
    /// Nothing.
    None,
    /// A float, of this time: that of the sample, not of the step.
    Float(Timestamp),
    /// A native histogram, which is an error.
    Histogram,
}

/// An info series at the steps of the base series.
#[derive(Debug, Clone)]
pub(crate) struct InfoSeries {
    pub(crate) labels: LabelSet,
    /// One for each step.
    pub(crate) samples: Vec<InfoSample>,
}

impl Info {
    /// Prepares a call with the matchers of its second argument, none if it has none.
    ///
    /// Without a matcher of the name the info metric is [`DEFAULT_METRIC`]. With negative ones only,
    /// which would select nearly everything, it is any metric that [`INFO_METRICS`] matches, too.
    pub(crate) fn prepare(matchers: &[Matcher]) -> Self {
        let (mut names, data): (Vec<Matcher>, Vec<Matcher>) =
            matchers.iter().cloned().partition(|matcher| matcher.name() == METRIC_NAME);
        if names.is_empty() {
            names.push(Matcher::equal(METRIC_NAME, DEFAULT_METRIC));
        } else if !names.iter().any(|matcher| matcher.op().is_positive()) {
            let any = Matcher::regex(METRIC_NAME, INFO_METRICS);
            names.push(any.expect("a constant that is a regular expression"));
        }
        Self { names, data }
    }

    /// Which info series there may be for `base`. `None` if there are none, because no base series
    /// has an identifying label.
    pub(crate) fn selection(&self, base: &[Series]) -> Option<InfoSelection> {
        let mut identities: BTreeMap<&'static str, BTreeSet<String>> = BTreeMap::new();
        for series in base.iter().filter(|series| !self.is_info(&series.labels)) {
            for name in IDENTIFYING_LABELS {
                let value = series.labels.get(name);
                if !value.is_empty() {
                    let values = identities.entry(name).or_default();
                    if !values.contains(value) {
                        values.insert(value.to_owned());
                    }
                }
            }
        }
        if identities.is_empty() {
            return None;
        }
        let mut matchers = [self.names.clone(), self.data.clone()].concat();
        matchers.extend(identities.iter().filter_map(|(name, values)| one_of(name, values)));
        Some(InfoSelection { matchers, identities })
    }

    /// Whether a base series is an info series itself.
    pub(super) fn is_info(&self, labels: &LabelSet) -> bool {
        let name = labels.metric_name();
        self.names.iter().all(|matcher| matcher.matches(name))
    }

    /// Whether a label of an info series is one that is added.
    pub(super) fn adds(&self, name: &str) -> bool {
        let named = self.data.is_empty() || self.data.iter().any(|matcher| matcher.name() == name);
        name != METRIC_NAME && named
    }

    /// Whether a base series has a value where there is no info series for it.
    pub(super) fn keeps_unmatched(&self) -> bool {
        self.data.iter().all(Matcher::matches_empty)
    }
}

impl InfoSelection {
    /// Whether a series that the matchers match may belong to a base series.
    pub(crate) fn accepts(&self, labels: &LabelSet) -> bool {
        self.identities.iter().all(|(name, values)| values.contains(labels.get(name)))
    }
}

/// A matcher of all `values`, so that a source needs to list less; `None` where that would be a long
/// regular expression.
fn one_of(name: &str, values: &BTreeSet<String>) -> Option<Matcher> {
    let mut rest = values.iter();
    if let (Some(only), None) = (rest.next(), rest.next()) {
        return Some(Matcher::equal(name, only.as_str()));
    }
    let bytes: usize = values.iter().map(String::len).sum();
    if bytes > REGEX_BYTES_MAX {
        return None;
    }
    let quoted: Vec<String> = values.iter().map(|value| quoted(value)).collect();
    Matcher::regex(name, quoted.join("|")).ok()
}

/// `value` as a regular expression that matches it only.
fn quoted(value: &str) -> String {
    let mut text = String::with_capacity(value.len() + 8);
    for c in value.chars() {
        if r"\.+*?()|[]{}^$".contains(c) {
            text.push('\\');
        }
        text.push(c);
    }
    text
}

#[cfg(test)]
mod tests;
