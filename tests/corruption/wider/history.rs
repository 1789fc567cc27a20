//! What was written to a store, in the order in which it counts.

use std::collections::BTreeMap;

use siltstone::{Db, Labels, TimeRange, WriteBatch};
use siltstone_testing::answers::{Series, labels};

pub(crate) const START: i64 = 1_700_000_000_000;

/// Every value of a series at a time; no two of them are equal, in all stores of a case.
#[derive(Default)]
pub(crate) struct History {
    values: BTreeMap<(Labels, i64), Vec<u64>>,
    /// Places whose last value is deleted, or lost for good.
    gone: std::collections::BTreeSet<(Labels, i64)>,
    next: u64,
}

pub(crate) fn series(name: &str) -> Labels {
    labels(&[("__name__", "m"), ("ряд", name)])
}

impl History {
    /// Values that no other history has, if their numbers are further apart than what is written.
    pub(crate) fn from(next: u64) -> Self {
        Self { next, ..Self::default() }
    }

    /// Writes a row of each series at each of these times behind `START`, as one batch.
    pub(crate) fn write(&mut self, db: &Db, names: &[&str], times: impl Iterator<Item = i64>) {
        let mut batch = WriteBatch::new();
        for time in times.map(|time| START + time) {
            for name in names {
                let labels = series(name);
                self.next += 1;
                let bits = (self.next as f64 / 4.0).to_bits();
                batch.push_bits(db.series(&labels).unwrap(), time, bits).unwrap();
                let place = (labels, time);
                self.gone.remove(&place);
                self.values.entry(place).or_default().push(bits);
            }
        }
        db.write(&batch).unwrap();
    }

    /// Deletes what a series has before a time.
    pub(crate) fn delete(&mut self, db: &Db, name: &str, before: i64) {
        let matcher = siltstone::Matcher::equal("ряд", name);
        db.delete(&[matcher], TimeRange::new(i64::MIN, START + before)).unwrap();
        let labels = series(name);
        let times = self.values.keys().filter(|(l, t)| *l == labels && *t < START + before);
        self.gone.extend(times.cloned());
    }

    /// What another store had is written over this; what was deleted there stays so, and hides nothing here.
    pub(crate) fn attach(&mut self, other: Self) {
        for (place, mut values) in other.values {
            let own = self.values.entry(place.clone()).or_default();
            if other.gone.contains(&place) {
                if own.is_empty() {
                    self.gone.insert(place);
                }
                values.append(own);
                *own = values;
            } else {
                own.append(&mut values);
                self.gone.remove(&place);
            }
        }
    }

    /// What is not found is lost, and that was accepted.
    pub(crate) fn accept(&mut self, found: &[Series]) -> usize {
        let before = self.gone.len();
        let is_there = |(labels, time): &(Labels, i64)| {
            let series = found.iter().find(|(l, _)| l == labels);
            series.is_some_and(|(_, samples)| samples.iter().any(|(t, _)| t == time))
        };
        self.gone.extend(self.values.keys().filter(|place| !is_there(place)).cloned());
        self.gone.len() - before
    }

    pub(crate) fn was_written(&self, labels: &Labels, time: i64, bits: u64) -> bool {
        self.values.get(&(labels.clone(), time)).is_some_and(|values| values.contains(&bits))
    }

    /// Whether nothing replaced this value, or deleted it.
    pub(crate) fn is_last(&self, labels: &Labels, time: i64, bits: u64) -> bool {
        let place = (labels.clone(), time);
        let last = self.values.get(&place).and_then(|values| values.last());
        last == Some(&bits) && !self.gone.contains(&place)
    }

    /// How many places have a value that counts, from a time on.
    pub(crate) fn samples(&self, from: i64) -> usize {
        self.values.keys().filter(|place| place.1 >= from && !self.gone.contains(place)).count()
    }
}
