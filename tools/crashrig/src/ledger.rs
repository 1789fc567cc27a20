//! What was written and deleted and what became of it: the memory against which an export is checked.
//!
//! The load is made of *parts*: the series of one writer in one epoch. What a writer does is a list of
//! *operations*, one after the other, so that their order is known. A write holds one sample of each series
//! of the part at one timestamp; that of a new *slot*, or of an earlier one, which it overwrites. A delete hides
//! some series in a range of slots. Either is found again as a whole or not at all, and of what is there, the
//! last counts: a value is a function of (epoch, writer, series, timestamp, number of the operation), so that a
//! sample which went to another series or time is seen, and a value that was overwritten is told from the
//! last. Timestamps go forward and back by a few, so that arrival is out of order.

mod check;
mod damage;
mod judge;

use std::ops::Range;

use siltstone_rig::remote_write::RequestTemplate;
use siltstone_rig::seeded::mix;

pub(crate) use self::check::Check;
pub(crate) use self::damage::Damage;

/// The load's metric name.
pub(crate) const METRIC: &str = "crashrig_load";
/// Flips the low bits of a slot's number, which makes its timestamps go forward and back.
const DISORDER: u64 = 3;
/// Ranges of deletes start and end at multiples of it, so that a range of slots is one of timestamps.
const DELETE_SLOTS: u64 = DISORDER + 1;
/// One write of this many overwrites an earlier slot, in a part that does so.
const OVERWRITE_ONE_IN: u64 = 4;
/// One operation of this many is a delete, in a part that does so.
const DELETE_ONE_IN: u64 = 48;

/// What is known about an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The server answered with a success: it holds for ever.
    Acknowledged,
    /// There was no answer, or a refusal: it may hold, as a whole.
    InDoubt,
    /// Was in doubt and found: holds for ever.
    Present,
    /// Was in doubt and not found: must never appear.
    Absent,
}

impl Outcome {
    /// Whether the operation holds for sure.
    fn is_there(self) -> bool {
        matches!(self, Self::Acknowledged | Self::Present)
    }
}

/// What a writer does next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Op {
    /// One sample of each series at the timestamp of this slot.
    Write(u64),
    /// Hides the series for which there is `true`, in these slots.
    Delete { series: Vec<bool>, slots: Range<u64> },
}

/// The series of one writer in one epoch.
#[derive(Debug, Clone)]
pub(crate) struct Part {
    epoch: u32,
    writer: u32,
    series: u32,
    first_ms: i64,
    /// Whether it overwrites and deletes.
    is_lively: bool,
    ops: Vec<(Op, Outcome)>,
    /// The writes of each slot, by number of the operation.
    slots: Vec<Vec<u32>>,
    /// The deletes, by number of the operation.
    deletes: Vec<u32>,
}

impl Part {
    /// A part that writes each time once and deletes nothing.
    pub(crate) fn new(epoch: u32, writer: u32, series: u32, first_ms: i64) -> Self {
        let (ops, slots, deletes) = (Vec::new(), Vec::new(), Vec::new());
        Self { epoch, writer, series, first_ms, is_lively: false, ops, slots, deletes }
    }

    /// The same, but it overwrites some of what it wrote, and deletes some.
    pub(crate) fn lively(self) -> Self {
        Self { is_lively: true, ..self }
    }

    /// The request of this part, to be filled by [`Self::fill`].
    pub(crate) fn template(&self) -> RequestTemplate {
        let mut template = RequestTemplate::new();
        let (epoch, writer) = (self.epoch.to_string(), self.writer.to_string());
        for series in 0..self.series {
            let series = series.to_string();
            template.push_series(&[
                ("__name__", METRIC),
                ("epoch", &epoch),
                ("series", &series),
                ("writer", &writer),
            ]);
        }
        template
    }

    /// What comes next.
    pub(crate) fn next(&self) -> Op {
        let (number, slots) = (self.ops.len() as u64, self.slots.len() as u64);
        let hash = mix(number ^ u64::from(self.writer) << 40 ^ u64::from(self.epoch) << 20);
        if !self.is_lively || slots < 4 * DELETE_SLOTS {
            return Op::Write(slots);
        }
        if number % DELETE_ONE_IN == DELETE_ONE_IN - 1 {
            let ranges = slots / DELETE_SLOTS;
            let first = hash % ranges;
            let last = (first + hash / ranges % 6).min(ranges - 1);
            let series =
                (0..self.series).map(|s| mix(hash ^ u64::from(s)).is_multiple_of(3)).collect();
            return Op::Delete { series, slots: first * DELETE_SLOTS..(last + 1) * DELETE_SLOTS };
        }
        match number % OVERWRITE_ONE_IN == 0 {
            true => Op::Write(hash % slots),
            false => Op::Write(slots),
        }
    }

    /// Puts the samples of a write to `slot`, which is the next operation, into the template.
    pub(crate) fn fill(&self, slot: u64, template: &mut RequestTemplate) {
        let (timestamp, number) = (self.timestamp(slot), self.ops.len() as u32);
        for series in 0..self.series {
            template.set_sample(series as usize, timestamp, self.value(series, timestamp, number));
        }
    }

    /// The matcher of the series that a delete hides, and its first and last millisecond.
    pub(crate) fn delete_request(&self, series: &[bool], slots: &Range<u64>) -> (String, i64, i64) {
        let numbers = (0..series.len()).filter(|&number| series[number]);
        let numbers: Vec<String> = numbers.map(|number| number.to_string()).collect();
        let selector = format!(
            "{METRIC}{{epoch=\"{}\",writer=\"{}\",series=~\"{}\"}}",
            self.epoch,
            self.writer,
            numbers.join("|")
        );
        let ms = |slot: u64| self.first_ms + slot.cast_signed();
        (selector, ms(slots.start), ms(slots.end) - 1)
    }

    /// Notes that an operation is about to be sent.
    pub(crate) fn sent(&mut self, op: Op) {
        let number = self.ops.len() as u32;
        match &op {
            Op::Write(slot) => {
                let slot = *slot as usize;
                if slot == self.slots.len() {
                    self.slots.push(Vec::new());
                }
                self.slots[slot].push(number);
            }
            Op::Delete { .. } => self.deletes.push(number),
        }
        self.ops.push((op, Outcome::InDoubt));
    }

    /// Notes that the operation that was sent last was answered with a success.
    pub(crate) fn acknowledged(&mut self) {
        if let Some((_, outcome)) = self.ops.last_mut() {
            *outcome = Outcome::Acknowledged;
        }
    }

    /// Notes that the series for which `is_gone` answers true were deleted up to now, when nothing was under
    /// way.
    pub(crate) fn erase(&mut self, is_gone: impl Fn(u32) -> bool) {
        let series = (0..self.series).map(is_gone).collect();
        self.sent(Op::Delete { series, slots: 0..self.slots.len() as u64 });
        self.acknowledged();
    }

    /// Samples that are hidden by the last delete, of writes that were acknowledged or found.
    pub(crate) fn erased_samples(&self) -> u64 {
        let Some(&last) = self.deletes.last() else { return 0 };
        let Op::Delete { series, .. } = &self.ops[last as usize].0 else { return 0 };
        let gone = series.iter().filter(|&&gone| gone).count() as u64;
        let before = self.ops[..last as usize].iter();
        let written =
            before.filter(|(op, outcome)| matches!(op, Op::Write(_)) && outcome.is_there());
        written.count() as u64 * gone
    }

    fn timestamp(&self, slot: u64) -> i64 {
        self.first_ms + (slot ^ DISORDER).cast_signed()
    }

    /// The slot that has this timestamp, if it was written to.
    fn slot(&self, timestamp: i64) -> Option<usize> {
        let offset = u64::try_from(timestamp.checked_sub(self.first_ms)?).ok()?;
        let slot = usize::try_from(offset ^ DISORDER).ok()?;
        (slot < self.slots.len()).then_some(slot)
    }

    /// The bits of a sample: every pattern for odd series, NaNs with payloads among them, and small
    /// integers for even ones. Two writes of one slot differ.
    fn value(&self, series: u32, timestamp: i64, op: u32) -> u64 {
        let place = u64::from(self.epoch) << 40 ^ u64::from(self.writer) << 32 ^ u64::from(series);
        let hash = mix(mix(place) ^ timestamp.cast_unsigned()) ^ mix(u64::from(op));
        match series.is_multiple_of(2) {
            true => ((hash % 1000) as f64 + f64::from(op) * 1024.0).to_bits(),
            false => hash,
        }
    }

    /// The writes and deletes that concern a series at a slot, by number.
    fn events(&self, series: u32, slot: usize) -> Vec<u32> {
        let covers = |&&number: &&u32| match &self.ops[number as usize].0 {
            Op::Delete { series: gone, slots } => {
                gone[series as usize] && slots.contains(&(slot as u64))
            }
            Op::Write(_) => false,
        };
        let mut events: Vec<u32> = self.slots[slot].clone();
        events.extend(self.deletes.iter().filter(covers));
        events.sort_unstable();
        events
    }
}

/// Operations of each outcome.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Writes answered with a success.
    pub(crate) acknowledged: u64,
    /// Samples of these.
    pub(crate) acknowledged_samples: u64,
    /// Of these writes, those of a time that was written before.
    pub(crate) overwrites: u64,
    /// Deletes answered with a success.
    pub(crate) deletes: u64,
    /// Not answered with a success, and there.
    pub(crate) present: u64,
    /// Not answered with a success, and not there.
    pub(crate) absent: u64,
    /// Not checked yet, torn, or hidden by a later operation.
    pub(crate) in_doubt: u64,
}

/// Counts the operations of all parts.
pub(crate) fn tally<'p>(parts: impl IntoIterator<Item = &'p Part>) -> Tally {
    let mut tally = Tally::default();
    for part in parts {
        for (number, (op, outcome)) in part.ops.iter().enumerate() {
            match (outcome, op) {
                (Outcome::Acknowledged, Op::Write(slot)) => {
                    tally.acknowledged += 1;
                    tally.acknowledged_samples += u64::from(part.series);
                    let is_first = part.slots[*slot as usize].first() == Some(&(number as u32));
                    tally.overwrites += u64::from(!is_first);
                }
                (Outcome::Acknowledged, Op::Delete { .. }) => tally.deletes += 1,
                (Outcome::InDoubt, _) => tally.in_doubt += 1,
                (Outcome::Present, _) => tally.present += 1,
                (Outcome::Absent, _) => tally.absent += 1,
            }
        }
    }
    tally
}

#[cfg(test)]
mod tests;
