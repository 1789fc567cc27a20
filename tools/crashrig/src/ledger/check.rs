//! An export, held against what its parts know.
//!
//! Two questions: of a server at rest, whether everything is as it must be, which settles what was in doubt; and
//! of a reader beside writers, whether it saw a state that was possible while it read.

use std::collections::HashMap;

use super::judge::{self, Fault};
use super::{Damage, Outcome, Part};
use crate::compare::{Sample, SeriesLabels};

/// A check of parts against an export of them.
#[derive(Debug)]
pub(crate) struct Check<'l> {
    parts: &'l [Part],
    /// The bits found, by part, series and slot.
    found: HashMap<(usize, u32), HashMap<usize, u64>>,
    /// Time of the last sample of each series, by (part, series).
    last: HashMap<(usize, u32), i64>,
    damage: Damage,
}

/// What was exported, and what is wrong with it in itself.
#[derive(Debug)]
pub(crate) struct Seen {
    found: HashMap<(usize, u32), HashMap<usize, u64>>,
    damage: Damage,
}

impl<'l> Check<'l> {
    /// A check that has seen nothing yet. No two parts have one epoch and one writer.
    pub(crate) fn new(parts: &'l [Part]) -> Self {
        let (found, last) = (HashMap::new(), HashMap::new());
        Self { parts, found, last, damage: Damage::default() }
    }

    /// Takes a line of the export; the lines of a series must go forward in time.
    pub(crate) fn line(&mut self, labels: &SeriesLabels, samples: &[Sample]) {
        let number = |name| labels.get(name).and_then(|value| value.parse::<u32>().ok());
        let place = match (number("epoch"), number("writer"), number("series")) {
            (Some(epoch), Some(writer), Some(series)) => self
                .parts
                .iter()
                .position(|part| part.epoch == epoch && part.writer == writer)
                .filter(|at| series < self.parts[*at].series)
                .map(|at| (at, series)),
            _ => None,
        };
        let Some(place) = place else {
            self.damage.foreign += samples.len() as u64;
            self.damage.describe(format!("{labels} was never sent"));
            return;
        };
        for &(timestamp, bits) in samples {
            self.sample(place, timestamp, bits);
        }
    }

    fn sample(&mut self, place: (usize, u32), timestamp: i64, bits: u64) {
        let part = &self.parts[place.0];
        let name = || format!("epoch {} writer {} series {}", part.epoch, part.writer, place.1);
        if self.last.insert(place, timestamp).is_some_and(|last| last >= timestamp) {
            self.damage.disordered += 1;
            self.damage.describe(format!("{}: {timestamp} does not go forward", name()));
            return;
        }
        match part.slot(timestamp) {
            Some(slot) => drop(self.found.entry(place).or_default().insert(slot, bits)),
            None => {
                self.damage.foreign += 1;
                self.damage.describe(format!("{}: {timestamp} was never sent", name()));
            }
        }
    }

    /// Everything has been taken.
    pub(crate) fn end(self) -> Seen {
        Seen { found: self.found, damage: self.damage }
    }
}

impl Seen {
    /// Judges the export of a server to which nothing was on its way, and settles what was in doubt.
    pub(crate) fn settle(mut self, parts: &mut [Part]) -> Damage {
        for (at, part) in parts.iter_mut().enumerate() {
            let mut evidence: HashMap<u32, (u32, u32)> = HashMap::new();
            let outcome = |number: u32| part.ops[number as usize].1;
            let is_sure = |number: u32| outcome(number).is_there();
            let is_possible = |number: u32| outcome(number) == Outcome::InDoubt;
            for place in places(part) {
                let bits = self.bits(at, place);
                match judge::judge(part, place, bits, &is_sure, &is_possible) {
                    Ok(found) => {
                        found.held.iter().for_each(|op| evidence.entry(*op).or_default().0 += 1);
                        found.missing.iter().for_each(|op| evidence.entry(*op).or_default().1 += 1);
                    }
                    Err(fault) => self.note(part, place, bits, fault),
                }
            }
            for (number, (held, missing)) in evidence {
                part.ops[number as usize].1 = match (held, missing) {
                    (0, _) => Outcome::Absent,
                    (_, 0) => Outcome::Present,
                    _ => {
                        self.damage.torn += 1;
                        self.damage.describe(format!(
                            "epoch {} writer {} operation {number}: at {held} places it holds, at \
                             {missing} it does not",
                            part.epoch, part.writer
                        ));
                        Outcome::InDoubt
                    }
                };
            }
        }
        self.damage
    }

    /// Judges what a reader saw: `before` it began, the parts were as they are there, and when it had ended as in
    /// `after`, which are those of the check.
    pub(crate) fn beside_writers(mut self, before: &[Part], after: &[Part]) -> Damage {
        for (at, (before, after)) in before.iter().zip(after).enumerate() {
            let was_sure = |number: u32| {
                before.ops.get(number as usize).is_some_and(|(_, outcome)| outcome.is_there())
            };
            // What was refused meanwhile may have been there for a moment.
            let is_possible = |number: u32| after.ops[number as usize].1 != Outcome::Absent;
            for place in places(after) {
                let bits = self.bits(at, place);
                if let Err(fault) = judge::judge(after, place, bits, &was_sure, &is_possible) {
                    self.note(after, place, bits, fault);
                }
            }
        }
        self.damage
    }

    fn bits(&self, at: usize, (series, slot): (u32, usize)) -> Option<u64> {
        self.found.get(&(at, series))?.get(&slot).copied()
    }

    fn note(&mut self, part: &Part, place: (u32, usize), bits: Option<u64>, fault: Fault) {
        let damage = &mut self.damage;
        let count = match fault {
            Fault::Lost => &mut damage.lost,
            Fault::Different => &mut damage.different,
            Fault::Superseded => &mut damage.superseded,
            Fault::Risen => &mut damage.risen,
        };
        *count += 1;
        let (series, slot) = place;
        let events: Vec<_> = part.events(series, slot);
        let known = events.iter().map(|&number| (number, part.ops[number as usize].1));
        damage.describe(format!(
            "epoch {} writer {} series {series} slot {slot}: {fault:?}: {bits:x?}; operations {:?}",
            part.epoch,
            part.writer,
            known.collect::<Vec<_>>()
        ));
    }
}

/// Every series at every slot that was written to.
fn places(part: &Part) -> impl Iterator<Item = (u32, usize)> + use<> {
    let slots = part.slots.len();
    (0..part.series).flat_map(move |series| (0..slots).map(move |slot| (series, slot)))
}
