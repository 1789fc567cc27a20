//! The cache and the plain engine asked the same.

use siltstone::{Labels, Snapshot};
use siltstone_query::{Answer, CacheUse, Engine, Query, QueryValue, ResultCache, StoreSource};

/// Numbers that are the same in every run.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }

    pub(crate) fn between(&mut self, first: i64, end: i64) -> i64 {
        first + self.below((end - first) as u64) as i64
    }
}

/// A panel: a query and the range that it shows.
pub(crate) struct Panel {
    pub(crate) query: Query,
    pub(crate) start: i64,
    pub(crate) end: i64,
    pub(crate) step: i64,
}

/// How much was asked and how much of it was there.
#[derive(Default)]
pub(crate) struct Tally {
    pub(crate) answers: u64,
    pub(crate) steps: u64,
    pub(crate) cached: u64,
    pub(crate) points: u64,
    pub(crate) continued: std::collections::BTreeSet<String>,
}

pub(crate) fn notes(answer: &Answer) -> (Vec<String>, Vec<String>) {
    (answer.warnings(), answer.infos())
}

/// Asks both on one snapshot.
pub(crate) fn ask(
    cache: &ResultCache,
    snapshot: &Snapshot,
    engine: &Engine,
    panel: &Panel,
    tally: &mut Tally,
) {
    let source = StoreSource::new(snapshot);
    let (range, step) = ((panel.start, panel.end), panel.step);
    let expected = source.range(engine, &panel.query, range, step);
    let found = cache.range(&source, engine, &panel.query, range, step);
    let text = panel.query.text();
    match (found, expected) {
        (Ok((found, used)), Ok(expected)) => {
            let place = format!("{text} {range:?} {step} {used:?}");
            assert_eq!(found.value, expected.value, "{place}");
            assert_eq!(notes(&found), notes(&expected), "{place}");
            let steps = (range.1 - range.0) as u64 / step as u64 + 1;
            if let CacheUse::Partial { steps } | CacheUse::Whole { steps } = used {
                tally.cached += steps;
                tally.continued.insert(text.to_owned());
            }
            tally.steps += steps;
            tally.answers += 1;
            if let QueryValue::Matrix(series) = expected.value {
                tally.points += series.iter().map(|one| one.points.len() as u64).sum::<u64>();
            }
        }
        (Err(found), Err(expected)) => {
            assert_eq!(found.to_string(), expected.to_string(), "{text}")
        }
        (found, expected) => panic!("{text}: {found:?} {expected:?}"),
    }
}

pub(crate) fn labels(pairs: &[(&str, String)]) -> Labels {
    Labels::from_pairs(pairs.iter().map(|(name, value)| (*name, value.as_str()))).unwrap()
}

pub(crate) fn all_series() -> Vec<Labels> {
    let mut all = Vec::new();
    for name in ["m", "g"] {
        for (x, y) in [(0, 0), (0, 1), (1, 0), (1, 1), (2, 0)] {
            let (x, y) = (x.to_string(), y.to_string());
            all.push(labels(&[("__name__", name.to_owned()), ("x", x), ("y", y)]));
        }
    }
    for le in ["0.1", "1", "1.0", "5", "+Inf"] {
        all.push(labels(&[("__name__", "b_bucket".to_owned()), ("le", le.to_owned())]));
    }
    all
}
