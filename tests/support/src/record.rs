//! What a workload issued and what it was promised; the judge of what a store holds later.
//!
//! No two rows of a record have equal bits, so that every sample names the batch it came from.

use std::collections::{HashMap, HashSet};

use siltstone::{Labels, Matcher, QueryOptions, Result, Snapshot, TimeRange};

use crate::oracle::{Oracle, OracleSeries, satisfies};

/// What the store promised of a batch, the weakest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fate {
    /// Nothing: it failed, or the answer never came.
    Unknown,
    /// It survives the death of the process.
    Written,
    /// It survives a power cut.
    Durable,
}

/// One batch, in the order of issue.
#[derive(Debug)]
pub struct Batch {
    /// (series, timestamp, bits of the value).
    pub rows: Vec<(Labels, i64, u64)>,
    /// Of its acknowledgement.
    pub seq: Option<u64>,
    /// What was promised of it.
    pub fate: Fate,
}

/// One delete.
#[derive(Debug)]
pub struct Delete {
    /// What a series that loses samples satisfies.
    pub matchers: Vec<Matcher>,
    /// Of the samples that are lost.
    pub range: TimeRange,
    /// How many batches were issued before it.
    pub place: usize,
    /// Of its acknowledgement.
    pub seq: Option<u64>,
    /// What was promised of it.
    pub fate: Fate,
}

impl Delete {
    fn hides(&self, labels: &Labels, timestamp: i64) -> bool {
        self.range.contains(timestamp) && satisfies(labels, &self.matchers)
    }
}

/// Every batch and delete that was issued.
#[derive(Debug, Default)]
pub struct Record {
    /// In the order of issue.
    pub batches: Vec<Batch>,
    /// In the order of issue.
    pub deletes: Vec<Delete>,
    /// The batch of each value's bits.
    owner: HashMap<u64, usize>,
}

impl Record {
    /// Notes a batch before it is handed to the store; answers with its place.
    pub fn issue(&mut self, rows: Vec<(Labels, i64, u64)>) -> usize {
        let place = self.batches.len();
        for (_, _, bits) in &rows {
            assert!(self.owner.insert(*bits, place).is_none(), "values are unique");
        }
        self.batches.push(Batch { rows, seq: None, fate: Fate::Unknown });
        place
    }

    /// Notes that everything up to `seq` survives a power cut.
    pub fn durable_to(&mut self, seq: u64) {
        for batch in &mut self.batches {
            if batch.seq.is_some_and(|s| s <= seq) {
                batch.fate = Fate::Durable;
            }
        }
        for delete in &mut self.deletes {
            if delete.seq.is_some_and(|s| s <= seq) {
                delete.fate = Fate::Durable;
            }
        }
    }

    /// Forgets the rows before `horizon`: they may be there or not.
    pub fn expire(&mut self, horizon: i64) {
        for batch in &mut self.batches {
            batch.rows.retain(|(_, timestamp, _)| *timestamp >= horizon);
        }
    }

    /// How many batches were promised at least this much.
    pub fn promised(&self, floor: Fate) -> usize {
        self.batches.iter().filter(|batch| batch.fate >= floor).count()
            + self.deletes.iter().filter(|delete| delete.fate >= floor).count()
    }

    /// Notes a delete before it is handed to the store; answers with its place.
    pub fn issue_delete(&mut self, matchers: Vec<Matcher>, range: TimeRange) -> usize {
        let (place, fate) = (self.batches.len(), Fate::Unknown);
        self.deletes.push(Delete { matchers, range, place, seq: None, fate });
        self.deletes.len() - 1
    }

    /// The deletes that took place: those that were promised, and of the others those that nothing
    /// found contradicts. (If such a one did not take place, nothing that it would hide is left.)
    fn effective_deletes(&self, found: &[OracleSeries], floor: Fate) -> Vec<&Delete> {
        let contradicts = |delete: &Delete| {
            found.iter().any(|(labels, samples)| {
                samples.iter().any(|(timestamp, bits)| {
                    self.owner.get(bits).is_some_and(|&place| place < delete.place)
                        && delete.hides(labels, *timestamp)
                })
            })
        };
        let took_place = |delete: &&Delete| delete.fate >= floor || !contradicts(delete);
        self.deletes.iter().filter(took_place).collect()
    }

    /// Whether `found` is the last-write-wins answer of whole batches and deletes, among them all that
    /// were promised at least `floor`.
    pub fn explain(&self, found: &[OracleSeries], floor: Fate) -> Result<(), String> {
        let mut present: Vec<bool> = self.batches.iter().map(|b| b.fate >= floor).collect();
        for (labels, samples) in found {
            for (timestamp, bits) in samples {
                let Some(&place) = self.owner.get(bits) else {
                    return Err(format!("{labels} at {timestamp}: nobody wrote {bits:#x}"));
                };
                let row = (labels.clone(), *timestamp, *bits);
                if !self.batches[place].rows.contains(&row) {
                    return Err(format!("{labels} at {timestamp}: a value of another place"));
                }
                present[place] = true;
            }
        }
        let mut expected = Oracle::default();
        let mut deletes = self.effective_deletes(found, floor).into_iter().peekable();
        for (place, batch) in self.batches.iter().enumerate() {
            while let Some(delete) = deletes.next_if(|delete| delete.place <= place) {
                expected.delete(&delete.matchers, delete.range);
            }
            for (labels, timestamp, bits) in batch.rows.iter().filter(|_| present[place]) {
                expected.write(labels, *timestamp, *bits);
            }
        }
        deletes.for_each(|delete| expected.delete(&delete.matchers, delete.range));
        let expected = expected.select(&[], TimeRange::ALL);
        if expected == found { Ok(()) } else { Err(self.difference(&expected, found)) }
    }

    /// Whether `found` is the last-write-wins answer of the first so many batches and deletes, in the order of
    /// issue, among them all that were promised at least `floor`: of no series and time an older value,
    /// and nothing younger than what is missing. What was promised nothing counts where it is to be seen,
    /// as in [`explain`](Self::explain).
    pub fn explain_prefix(&self, found: &[OracleSeries], floor: Fate) -> Result<(), String> {
        self.explain(found, floor)?;
        let events = self.events(found);
        let least = events.iter().rposition(|event| event.is_there(floor)).map_or(0, |i| i + 1);
        let mut expected = Oracle::default();
        for taken in 0..=events.len() {
            if taken >= least && expected.select(&[], TimeRange::ALL) == found {
                return Ok(());
            }
            match events.get(taken).map(|event| &event.what) {
                Some(What::Batch(batch)) => {
                    batch.rows.iter().for_each(|(l, t, bits)| expected.write(l, *t, *bits));
                }
                Some(What::Delete(delete)) => expected.delete(&delete.matchers, delete.range),
                None => {}
            }
        }
        Err(format!(
            "no prefix: of {} batches and deletes the first {least} are needed, but not all is there, or more",
            events.len()
        ))
    }

    /// What was acknowledged, or is to be seen, in the order of issue.
    fn events(&self, found: &[OracleSeries]) -> Vec<Event<'_>> {
        let samples = found.iter().flat_map(|(_, samples)| samples);
        let seen: HashSet<usize> =
            samples.filter_map(|(_, bits)| self.owner.get(bits).copied()).collect();
        let batches = self.batches.iter().enumerate().map(|(place, batch)| {
            (
                place,
                Event { what: What::Batch(batch), fate: batch.fate, seen: seen.contains(&place) },
            )
        });
        let batches = batches.filter(|(_, event)| event.seen || event.fate >= Fate::Written);
        let deletes = self.effective_deletes(found, Fate::Written).into_iter().map(|delete| {
            (delete.place, Event { what: What::Delete(delete), fate: delete.fate, seen: false })
        });
        let mut events: Vec<_> = deletes.chain(batches).collect();
        // Stable: deletes come before the batch that was issued behind them.
        events.sort_by_key(|(place, _)| *place);
        events.into_iter().map(|(_, event)| event).collect()
    }

    fn difference(&self, expected: &[OracleSeries], found: &[OracleSeries]) -> String {
        let flat = |series: &[OracleSeries]| -> Vec<(Labels, i64, u64)> {
            let samples = series.iter().flat_map(|(labels, samples)| {
                samples.iter().map(|(timestamp, bits)| (labels.clone(), *timestamp, *bits))
            });
            samples.collect()
        };
        let (expected, found) = (flat(expected), flat(found));
        let missing: Vec<_> = expected.iter().filter(|sample| !found.contains(sample)).collect();
        let surplus = found.iter().find(|sample| !expected.contains(sample));
        if let Some((labels, timestamp, bits)) = surplus {
            let place = self.owner[bits];
            return format!("{labels} at {timestamp} of batch {place} was deleted or replaced");
        }
        let Some((labels, timestamp, bits)) = missing.first() else {
            return format!("{} samples expected, {} found", expected.len(), found.len());
        };
        let place = self.owner[bits];
        let batch = &self.batches[place];
        format!(
            "{} samples missing, the first {labels} at {timestamp} of batch {place} ({:?}, seq {:?}, {} rows)",
            missing.len(),
            batch.fate,
            batch.seq,
            batch.rows.len()
        )
    }
}

/// A batch or a delete of a record.
struct Event<'a> {
    what: What<'a>,
    fate: Fate,
    /// Whether a sample of it was found.
    seen: bool,
}

enum What<'a> {
    Batch(&'a Batch),
    Delete(&'a Delete),
}

impl Event<'_> {
    fn is_there(&self, floor: Fate) -> bool {
        self.seen || self.fate >= floor
    }
}

/// Everything that a snapshot shows.
pub fn read_all(snapshot: &Snapshot) -> Result<Vec<OracleSeries>> {
    let matchers = [Matcher::not_equal("__name__", "")];
    let selected = snapshot.select(&matchers, TimeRange::ALL, &QueryOptions::default())?;
    let series = selected.map(|series| {
        let series = series?;
        let samples = series.columns.iter().map(|(t, v)| (t, v.to_bits())).collect();
        Ok((series.labels, samples))
    });
    series.collect()
}
