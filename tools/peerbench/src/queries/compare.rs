//! Whether two answers say the same: the same series at the same times, with values that differ by no
//! more than rounding.
//!
//! The order of series is not compared (that of an instant query is not defined), nor are warnings. Each
//! series, time or value that differs counts once.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt::Debug;

use crate::queries::answer::{Answer, Series};

/// Values are the same if they differ by at most this part of the larger one: sums may have been added
/// up in another order.
pub const RELATIVE: f64 = 1e-12;

/// How many differences there are, and one of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Differences {
    /// Series, times and values that differ.
    pub count: u64,
    /// The first in words; theirs, then ours.
    pub first: Option<String>,
}

impl Differences {
    fn push(&mut self, describe: impl FnOnce() -> String) {
        self.count += 1;
        self.first.get_or_insert_with(describe);
    }

    /// Adds those of another answer.
    pub fn add(&mut self, other: Self) {
        self.count += other.count;
        self.first = self.first.take().or(other.first);
    }
}

/// Compares two outcomes of a request; one that is not answered differs from every other.
#[must_use]
pub fn outcomes(theirs: Result<&Answer, &String>, ours: Result<&Answer, &String>) -> Differences {
    let mut found = Differences::default();
    match (theirs, ours) {
        (Ok(theirs), Ok(ours)) => answers(theirs, ours, &mut found),
        (Err(error), _) => found.push(|| format!("theirs is not answered: {error}")),
        (_, Err(error)) => found.push(|| format!("ours is not answered: {error}")),
    }
    found
}

fn answers(theirs: &Answer, ours: &Answer, found: &mut Differences) {
    match (theirs, ours) {
        (
            Answer::Samples { result_type: a, series: theirs },
            Answer::Samples { result_type: b, series: ours },
        ) => {
            if a != b {
                found.push(|| format!("theirs is a {a}, ours a {b}"));
            }
            samples(theirs, ours, found);
        }
        (Answer::LabelSets(theirs), Answer::LabelSets(ours)) => {
            pairs("", alone(theirs), alone(ours), found);
        }
        (Answer::LabelValues(theirs), Answer::LabelValues(ours)) => {
            let same_values = pairs("", alone(theirs), alone(ours), found).len() == theirs.len();
            if same_values && theirs.len() == ours.len() && theirs != ours {
                found.push(|| "the values are in another order".into());
            }
        }
        _ => found.push(|| "answers of other kinds".into()),
    }
}

fn samples(theirs: &[Series], ours: &[Series], found: &mut Differences) {
    let theirs = theirs.iter().map(|series| (&series.labels, &series.points));
    let ours = ours.iter().map(|series| (&series.labels, &series.points));
    for (labels, theirs, ours) in pairs("", theirs, ours, found) {
        let place = format!(" of {labels:?}");
        for (time, a, b) in pairs(&place, theirs.iter().copied(), ours.iter().copied(), found) {
            if !same(a, b) {
                found.push(|| format!("{time} ms{place}: theirs {a}, ours {b}"));
            }
        }
    }
}

/// Keys without values.
fn alone<T>(all: &[T]) -> impl Iterator<Item = (&T, ())> {
    all.iter().map(|key| (key, ()))
}

/// What both sides have under the same key; a key that one side has alone, or twice, is a difference.
fn pairs<K: Ord + Debug, V>(
    place: &str,
    theirs: impl Iterator<Item = (K, V)>,
    ours: impl Iterator<Item = (K, V)>,
    found: &mut Differences,
) -> Vec<(K, V, V)> {
    let theirs = unique("theirs", place, theirs, found);
    let mut ours = unique("ours", place, ours, found);
    let mut both = Vec::with_capacity(theirs.len());
    for (key, theirs) in theirs {
        match ours.remove(&key) {
            Some(ours) => both.push((key, theirs, ours)),
            None => found.push(|| format!("only theirs: {key:?}{place}")),
        }
    }
    for key in ours.into_keys() {
        found.push(|| format!("only ours: {key:?}{place}"));
    }
    both
}

fn unique<K: Ord + Debug, V>(
    side: &str,
    place: &str,
    all: impl Iterator<Item = (K, V)>,
    found: &mut Differences,
) -> BTreeMap<K, V> {
    let mut unique = BTreeMap::new();
    for (key, value) in all {
        match unique.entry(key) {
            Entry::Vacant(vacant) => {
                vacant.insert(value);
            }
            Entry::Occupied(there) => {
                found.push(|| format!("twice in {side}: {:?}{place}", there.key()));
            }
        }
    }
    unique
}

/// The same number but for rounding; any NaN is any other.
fn same(a: f64, b: f64) -> bool {
    let close = (a - b).abs() <= RELATIVE * a.abs().max(b.abs());
    a == b || (a.is_nan() && b.is_nan()) || (close && a.is_finite() && b.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queries::answer::Labels;

    fn labels(value: &str) -> Labels {
        Labels::from([("a".to_owned(), value.to_owned())])
    }

    fn matrix(series: &[(&str, &[(i64, f64)])]) -> Answer {
        let series = series
            .iter()
            .map(|(value, points)| Series { labels: labels(value), points: points.to_vec() });
        Answer::Samples { result_type: "matrix".into(), series: series.collect() }
    }

    fn count(theirs: &Answer, ours: &Answer) -> u64 {
        let found = outcomes(Ok(theirs), Ok(ours));
        assert_eq!(found.count > 0, found.first.is_some());
        found.count
    }

    #[test]
    fn values_are_the_same_but_for_rounding() {
        assert!(same(1.0, 1.0 + 9e-13) && !same(1.0, 1.0 + 2e-12));
        assert!(same(f64::NAN, -f64::NAN) && same(0.0, -0.0));
        assert!(!same(0.0, 1e-300) && !same(f64::NAN, 1.0));
        assert!(!same(f64::INFINITY, f64::MAX) && !same(f64::INFINITY, f64::NEG_INFINITY));
    }

    #[test]
    fn each_series_time_and_value_counts() {
        let theirs = matrix(&[("x", &[(1, 1.0), (2, 2.0)]), ("y", &[(1, 3.0)])]);
        assert_eq!(count(&theirs, &theirs), 0);
        let turned = matrix(&[("y", &[(1, 3.0)]), ("x", &[(1, 1.0 + 1e-15), (2, 2.0)])]);
        assert_eq!(count(&theirs, &turned), 0);
        let one_value = matrix(&[("x", &[(1, 1.0), (2, 2.1)]), ("y", &[(1, 3.0)])]);
        assert_eq!(count(&theirs, &one_value), 1);
        let other_time = matrix(&[("x", &[(1, 1.0), (3, 2.0)]), ("y", &[(1, 3.0)])]);
        assert_eq!(count(&theirs, &other_time), 2, "one is missing, one too many");
        let other_series = matrix(&[("x", &[(1, 1.0), (2, 2.0)]), ("z", &[(1, 3.0)])]);
        assert_eq!(count(&theirs, &other_series), 2);
        assert_eq!(count(&theirs, &matrix(&[])), 2);
        let twice = matrix(&[("x", &[(1, 1.0), (2, 2.0)]), ("y", &[(1, 3.0)]), ("y", &[])]);
        assert_eq!(count(&theirs, &twice), 1);
        let Answer::Samples { series, .. } = theirs.clone() else { panic!("samples") };
        let vector = Answer::Samples { result_type: "vector".into(), series };
        assert_eq!(count(&theirs, &vector), 1);
    }

    #[test]
    fn lists_and_failures() {
        let values = |all: &[&str]| {
            Answer::LabelValues(all.iter().map(ToString::to_string).collect::<Vec<_>>())
        };
        assert_eq!(count(&values(&["x", "y"]), &values(&["x", "y"])), 0);
        assert_eq!(count(&values(&["x", "y"]), &values(&["y", "x"])), 1);
        assert_eq!(count(&values(&["x", "y"]), &values(&["x"])), 1);
        let sets = |all: &[&str]| Answer::LabelSets(all.iter().map(|v| labels(v)).collect());
        assert_eq!(count(&sets(&["x", "y"]), &sets(&["y", "x"])), 0);
        assert_eq!(count(&sets(&["x"]), &sets(&["y"])), 2);
        assert_eq!(count(&sets(&["x"]), &values(&["x"])), 1);
        let refused = "status 404".to_owned();
        let mut all = outcomes(Ok(&sets(&["x"])), Err(&refused));
        assert_eq!(all.first.as_deref(), Some("ours is not answered: status 404"));
        all.add(outcomes(Err(&refused), Err(&refused)));
        assert_eq!(all.count, 2);
        assert!(all.first.is_some_and(|first| first.starts_with("ours")));
    }
}
