//! Two sets of series, compared sample by sample and bit by bit.
//!
//! What is *expected* comes from the judge (Prometheus's own storage), what is *actual* from the store
//! under test. Values are compared as bits, so that every NaN, -0.0 and stale marker counts. Works on
//! whatever order the samples came in; does no I/O.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};

/// The bits of Prometheus's stale marker.
pub(crate) const STALE_MARKER: u64 = 0x7ff0_0000_0000_0002;
/// Findings that are described one by one; further ones are counted.
const DESCRIBED_MAX: usize = 20;

/// A timestamp in milliseconds and the bits of an `f64`.
pub(crate) type Sample = (i64, u64);

/// Labels sorted by name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct SeriesLabels(Vec<(String, String)>);

impl SeriesLabels {
    /// Sorts the labels.
    pub(crate) fn new(labels: impl IntoIterator<Item = (String, String)>) -> Self {
        let mut labels: Vec<_> = labels.into_iter().collect();
        labels.sort();
        Self(labels)
    }

    /// The value of a label.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }
}

impl fmt::Display for SeriesLabels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('{')?;
        for (at, (name, value)) in self.0.iter().enumerate() {
            let comma = if at > 0 { "," } else { "" };
            write!(f, "{comma}{name}={value:?}")?;
        }
        f.write_char('}')
    }
}

/// Series and their samples.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct SeriesSet {
    series: BTreeMap<SeriesLabels, Vec<Sample>>,
}

impl SeriesSet {
    /// Adds samples of a series, in any order.
    pub(crate) fn add(&mut self, labels: SeriesLabels, samples: impl IntoIterator<Item = Sample>) {
        self.series.entry(labels).or_default().extend(samples);
    }

    /// Series in the set.
    pub(crate) fn len(&self) -> usize {
        self.series.len()
    }

    /// Samples in the set.
    pub(crate) fn samples(&self) -> u64 {
        self.series.values().map(|samples| samples.len() as u64).sum()
    }

    /// Removes the samples that `is_gone`, and series without samples; returns how many it was.
    pub(crate) fn remove(&mut self, is_gone: impl Fn(&SeriesLabels, i64) -> bool) -> u64 {
        let before = self.samples();
        for (labels, samples) in &mut self.series {
            samples.retain(|&(timestamp, _)| !is_gone(labels, timestamp));
        }
        self.series.retain(|_, samples| !samples.is_empty());
        before - self.samples()
    }

    /// Orders the samples of each series by time; equal times keep their order.
    fn sorted(mut self) -> Self {
        for samples in self.series.values_mut() {
            samples.sort_by_key(|&(timestamp, _)| timestamp);
        }
        self
    }
}

/// What a comparison found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Comparison {
    /// Series that were expected.
    pub(crate) series: u64,
    /// Samples that were expected.
    pub(crate) samples: u64,
    /// Stale markers among them.
    pub(crate) stale_markers: u64,
    /// Other NaNs among them.
    pub(crate) other_nans: u64,
    /// Expected, but not there.
    pub(crate) missing: u64,
    /// There with other bits.
    pub(crate) different: u64,
    /// There within the range, but not expected; a second sample at one time too.
    pub(crate) extra: u64,
    /// The first findings, one line each.
    pub(crate) described: Vec<String>,
}

impl Comparison {
    fn describe(&mut self, labels: &SeriesLabels, what: fmt::Arguments<'_>) {
        if self.described.len() < DESCRIBED_MAX {
            self.described.push(format!("{labels} {what}"));
        }
    }

    fn count(&mut self, expected: &[Sample]) {
        for &(_, bits) in expected {
            self.samples += 1;
            if bits == STALE_MARKER {
                self.stale_markers += 1;
            } else if f64::from_bits(bits).is_nan() {
                self.other_nans += 1;
            }
        }
    }

    /// Merges the samples of one series, both in order of time.
    fn series(&mut self, labels: &SeriesLabels, expected: &[Sample], actual: &[Sample]) {
        let mut actual = actual.iter().copied().peekable();
        for &(time, bits) in expected {
            while let Some((extra, found)) = actual.next_if(|&(t, _)| t < time) {
                self.extra += 1;
                self.describe(labels, format_args!("at {extra}: {found:#018x} was not expected"));
            }
            match actual.next_if(|&(t, _)| t == time) {
                Some((_, found)) if found == bits => {}
                Some((_, found)) => {
                    self.different += 1;
                    self.describe(
                        labels,
                        format_args!("at {time}: {found:#018x}, not {bits:#018x}"),
                    );
                }
                None => {
                    self.missing += 1;
                    self.describe(labels, format_args!("at {time}: {bits:#018x} is missing"));
                }
            }
        }
        for (extra, found) in actual {
            self.extra += 1;
            self.describe(labels, format_args!("at {extra}: {found:#018x} was not expected"));
        }
    }
}

/// Compares the samples of `range` (milliseconds, both ends included).
pub(crate) fn compare(
    expected: SeriesSet,
    actual: SeriesSet,
    range: std::ops::RangeInclusive<i64>,
) -> Comparison {
    let (expected, mut actual) = (expected.sorted(), actual.sorted());
    let mut found = Comparison::default();
    for (labels, expected) in &expected.series {
        let expected = within(expected, &range);
        let actual = actual.series.remove(labels).unwrap_or_default();
        if !expected.is_empty() {
            found.series += 1;
        }
        found.count(expected);
        found.series(labels, expected, within(&actual, &range));
    }
    for (labels, actual) in &actual.series {
        found.series(labels, &[], within(actual, &range));
    }
    found
}

/// The part of a sorted slice that lies in the range.
fn within<'s>(samples: &'s [Sample], range: &std::ops::RangeInclusive<i64>) -> &'s [Sample] {
    let start = samples.partition_point(|(t, _)| t < range.start());
    let end = samples.partition_point(|(t, _)| t <= range.end());
    &samples[start..end.max(start)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(host: &str) -> SeriesLabels {
        SeriesLabels::new([("host".into(), host.into()), ("__name__".into(), "m".into())])
    }

    fn set(series: &[(&str, &[Sample])]) -> SeriesSet {
        let mut set = SeriesSet::default();
        for (host, samples) in series {
            set.add(labels(host), samples.iter().copied());
        }
        set
    }

    fn is_good(found: &Comparison) -> bool {
        found.missing + found.different == 0
    }

    const ONE: u64 = 0x3ff0_0000_0000_0000;
    const NAN: u64 = 0x7ff8_0000_0000_0001;

    fn full() -> SeriesSet {
        set(&[("a", &[(10, ONE), (20, NAN), (30, STALE_MARKER)]), ("b", &[(15, ONE)])])
    }

    #[test]
    fn equal_sets_are_equal_whatever_their_order() {
        let shuffled = set(&[
            ("b", &[(15, ONE)]),
            ("a", &[(30, STALE_MARKER), (10, ONE)]),
            ("a", &[(20, NAN)]),
        ]);
        let found = compare(full(), shuffled, 0..=100);
        let expected = Comparison {
            series: 2,
            samples: 4,
            stale_markers: 1,
            other_nans: 1,
            ..Comparison::default()
        };
        assert_eq!(found, expected);
        assert!(is_good(&found));
    }

    #[test]
    fn a_missing_sample_is_found() {
        let actual = set(&[("a", &[(10, ONE), (30, STALE_MARKER)]), ("b", &[(15, ONE)])]);
        let found = compare(full(), actual, 0..=100);
        assert_eq!((found.missing, found.different, found.extra), (1, 0, 0));
        assert!(!is_good(&found));
        assert!(found.described[0].contains("at 20"), "{:?}", found.described);
        assert!(found.described[0].contains("host=\"a\""), "{:?}", found.described);
    }

    #[test]
    fn a_missing_series_is_found() {
        let actual = set(&[("a", &[(10, ONE), (20, NAN), (30, STALE_MARKER)])]);
        let found = compare(full(), actual, 0..=100);
        assert_eq!((found.series, found.missing, found.extra), (2, 1, 0));
    }

    #[test]
    fn one_differing_bit_is_found() {
        for bit in 0..64 {
            let actual = set(&[
                ("a", &[(10, ONE ^ 1 << bit), (20, NAN), (30, STALE_MARKER)]),
                ("b", &[(15, ONE)]),
            ]);
            let found = compare(full(), actual, 0..=100);
            assert_eq!((found.missing, found.different, found.extra), (0, 1, 0));
        }
    }

    #[test]
    fn a_stale_marker_that_became_another_nan_is_found() {
        let actual = set(&[
            ("a", &[(10, ONE), (20, NAN), (30, 0x7ff8_0000_0000_0000)]),
            ("b", &[(15, ONE)]),
        ]);
        let found = compare(full(), actual, 0..=100);
        assert_eq!((found.missing, found.different, found.extra), (0, 1, 0));
        assert!(found.described[0].contains("not 0x7ff0000000000002"), "{:?}", found.described);
    }

    #[test]
    fn extra_samples_and_series_are_counted_and_no_failure() {
        let mut actual = full();
        actual.add(labels("a"), [(12, ONE), (20, NAN), (99, ONE)]);
        actual.add(labels("c"), [(5, ONE)]);
        let found = compare(full(), actual, 0..=100);
        assert_eq!((found.missing, found.different, found.extra), (0, 0, 4));
        assert!(is_good(&found));
    }

    #[test]
    fn only_the_range_counts_and_its_ends_belong_to_it() {
        let actual = set(&[("a", &[(20, NAN), (35, ONE)]), ("b", &[(15, ONE)])]);
        assert!(is_good(&compare(full(), actual.clone(), 11..=29)));
        assert_eq!(compare(full(), actual.clone(), 11..=29).samples, 2);
        assert_eq!(compare(full(), actual.clone(), 10..=29).missing, 1);
        assert_eq!(compare(full(), actual.clone(), 11..=30).missing, 1);
        assert_eq!(compare(full(), actual, 11..=35).extra, 1);
    }

    #[test]
    fn only_the_first_findings_are_described() {
        let many: Vec<Sample> = (0..1000).map(|t| (t, ONE)).collect();
        let found = compare(set(&[("a", &many)]), SeriesSet::default(), 0..=2000);
        assert_eq!(found.missing, 1000);
        assert_eq!(found.described.len(), DESCRIBED_MAX);
    }
}
