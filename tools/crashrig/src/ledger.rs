//! What was written and what became of it: the memory against which an export is checked.
//!
//! The load is made of *parts*: the series of one writer in one epoch. Request `n` of a part holds one
//! sample of each of its series at one timestamp, so a request is found again as a whole or not at
//! all. A value is a function of (epoch, writer, series, timestamp): a sample that went to another
//! series or time is seen. Timestamps go forward and back by a few, so that arrival is out of order.

mod erased;

use std::collections::HashMap;

use siltstone_rig::remote_write::RequestTemplate;
use siltstone_rig::seeded::mix;

use self::erased::Erased;
use crate::compare::{Sample, SeriesLabels};

/// The load's metric name.
pub(crate) const METRIC: &str = "crashrig_load";
/// Flips the low bits of a request's number, which makes its timestamps go forward and back.
const DISORDER: u64 = 3;
/// Findings that are described one by one.
const DESCRIBED_MAX: usize = 20;

/// What is known about a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The server answered with a success: it must be there for ever.
    Acknowledged,
    /// There was no answer, or a refusal: it may be there, whole.
    InDoubt,
    /// Was in doubt and found: must be there for ever.
    Present,
    /// Was in doubt and not found: must never appear.
    Absent,
}

impl Outcome {
    /// Whether the request must be there.
    fn is_there(self) -> bool {
        matches!(self, Self::Acknowledged | Self::Present)
    }
}

/// The series of one writer in one epoch.
#[derive(Debug, Clone)]
pub(crate) struct Part {
    epoch: u32,
    writer: u32,
    series: u32,
    first_ms: i64,
    outcomes: Vec<Outcome>,
    erased: Erased,
}

impl Part {
    /// A part without requests yet.
    pub(crate) fn new(epoch: u32, writer: u32, series: u32, first_ms: i64) -> Self {
        let (outcomes, erased) = (Vec::new(), Erased::default());
        Self { epoch, writer, series, first_ms, outcomes, erased }
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

    /// Puts the samples of the next request into the template.
    pub(crate) fn fill(&self, template: &mut RequestTemplate) {
        let timestamp = self.timestamp(self.outcomes.len() as u64);
        for series in 0..self.series {
            template.set_sample(series as usize, timestamp, self.value(series, timestamp));
        }
    }

    /// Notes that the next request is about to be sent.
    pub(crate) fn sent(&mut self) {
        self.outcomes.push(Outcome::InDoubt);
    }

    /// Notes that the request that was sent last was answered with a success.
    pub(crate) fn acknowledged(&mut self) {
        if let Some(last) = self.outcomes.last_mut() {
            *last = Outcome::Acknowledged;
        }
    }

    fn timestamp(&self, request: u64) -> i64 {
        self.first_ms + (request ^ DISORDER).cast_signed()
    }

    /// The request that has this timestamp, if it was sent.
    fn request(&self, timestamp: i64) -> Option<usize> {
        let offset = u64::try_from(timestamp.checked_sub(self.first_ms)?).ok()?;
        let request = usize::try_from(offset ^ DISORDER).ok()?;
        (request < self.outcomes.len()).then_some(request)
    }

    /// The bits of a sample: every pattern for odd series, NaNs with payloads among them, and small
    /// integers for even ones.
    fn value(&self, series: u32, timestamp: i64) -> u64 {
        let place = u64::from(self.epoch) << 40 ^ u64::from(self.writer) << 32 ^ u64::from(series);
        let hash = mix(mix(place) ^ timestamp.cast_unsigned());
        if series.is_multiple_of(2) { ((hash % 1000) as f64).to_bits() } else { hash }
    }
}

/// What was found wrong, in samples unless said otherwise.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Damage {
    /// Acknowledged, or seen before, and not there.
    pub(crate) lost: u64,
    /// There with other bits.
    pub(crate) different: u64,
    /// Requests of which a part is there.
    pub(crate) torn_requests: u64,
    /// Deleted, or not found once, and there later.
    pub(crate) risen: u64,
    /// There, but never sent.
    pub(crate) foreign: u64,
    /// A second sample at one time, or samples that do not go forward in time.
    pub(crate) disordered: u64,
    /// The first findings.
    pub(crate) described: Vec<String>,
}

impl Damage {
    /// Whether nothing was found.
    pub(crate) fn is_none(&self) -> bool {
        let Self { lost, different, torn_requests, risen, foreign, disordered, described: _ } =
            self;
        lost + different + torn_requests + risen + foreign + disordered == 0
    }

    fn describe(&mut self, what: String) {
        if self.described.len() < DESCRIBED_MAX {
            self.described.push(what);
        }
    }

    /// Adds what another check found.
    pub(crate) fn add(&mut self, other: Self) {
        self.lost += other.lost;
        self.different += other.different;
        self.torn_requests += other.torn_requests;
        self.risen += other.risen;
        self.foreign += other.foreign;
        self.disordered += other.disordered;
        for line in other.described {
            self.describe(line);
        }
    }
}

/// A check of one epoch's parts against an export of them.
#[derive(Debug)]
pub(crate) struct Check<'l> {
    parts: &'l mut [Part],
    /// Series found of each request of each part.
    found: Vec<Vec<u32>>,
    /// Time of the last sample of each series, by (part, series).
    last: HashMap<(usize, u32), i64>,
    damage: Damage,
}

impl<'l> Check<'l> {
    /// A check that has seen nothing yet. The parts are those of one epoch, by writer.
    pub(crate) fn new(parts: &'l mut [Part]) -> Self {
        let found = parts.iter().map(|part| vec![0; part.outcomes.len()]).collect();
        Self { parts, found, last: HashMap::new(), damage: Damage::default() }
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
        let Some((at, series)) = place else {
            self.damage.foreign += samples.len() as u64;
            self.damage.describe(format!("{labels} was never sent"));
            return;
        };
        for &(timestamp, bits) in samples {
            self.sample(at, series, timestamp, bits);
        }
    }

    fn sample(&mut self, at: usize, series: u32, timestamp: i64, bits: u64) {
        let part = &self.parts[at];
        let name = || format!("epoch {} writer {} series {series}", part.epoch, part.writer);
        if self.last.insert((at, series), timestamp).is_some_and(|last| last >= timestamp) {
            self.damage.disordered += 1;
            self.damage.describe(format!("{}: {timestamp} does not go forward", name()));
            return;
        }
        let Some(request) = part.request(timestamp) else {
            self.damage.foreign += 1;
            self.damage.describe(format!("{}: {timestamp} was never sent", name()));
            return;
        };
        if part.is_erased(series, request) {
            self.damage.risen += 1;
            self.damage.describe(format!("{}: {timestamp} was deleted", name()));
            return;
        }
        let expected = part.value(series, timestamp);
        if bits == expected {
            self.found[at][request] += 1;
        } else {
            // Counted once, as different: it is there.
            self.found[at][request] += 1;
            self.damage.different += 1;
            self.damage
                .describe(format!("{}: at {timestamp} {bits:#018x}, not {expected:#018x}", name()));
        }
    }

    /// Judges what was seen and settles what was in doubt.
    pub(crate) fn finish(self) -> Damage {
        let Self { parts, found, mut damage, .. } = self;
        for (part, found) in parts.iter_mut().zip(&found) {
            for (request, &count) in found.iter().enumerate() {
                let expected = part.remaining(request);
                let missing = u64::from(expected - count.min(expected));
                let outcome = part.outcomes[request];
                let mut describe = |what: &str| {
                    damage.describe(format!(
                        "epoch {} writer {} request {request} ({outcome:?}): {count} of {expected} \
                         series there: {what}",
                        part.epoch, part.writer
                    ));
                };
                match outcome {
                    Outcome::Acknowledged | Outcome::Present if missing > 0 => {
                        describe("lost");
                        damage.lost += missing;
                    }
                    Outcome::InDoubt if count == 0 => part.outcomes[request] = Outcome::Absent,
                    Outcome::InDoubt if missing == 0 => part.outcomes[request] = Outcome::Present,
                    Outcome::InDoubt => {
                        describe("torn");
                        damage.torn_requests += 1;
                    }
                    Outcome::Absent if count > 0 => {
                        describe("risen");
                        damage.risen += u64::from(count);
                    }
                    Outcome::Acknowledged | Outcome::Present | Outcome::Absent => {}
                }
            }
        }
        damage
    }
}

/// Requests of each outcome.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Answered with a success.
    pub(crate) acknowledged: u64,
    /// Samples of these.
    pub(crate) acknowledged_samples: u64,
    /// Not answered with a success, and there.
    pub(crate) present: u64,
    /// Not answered with a success, and not there.
    pub(crate) absent: u64,
    /// Not checked yet, or torn.
    pub(crate) in_doubt: u64,
}

/// Counts the requests of all parts.
pub(crate) fn tally<'p>(parts: impl IntoIterator<Item = &'p Part>) -> Tally {
    let mut tally = Tally::default();
    for part in parts {
        for outcome in &part.outcomes {
            match outcome {
                Outcome::Acknowledged => {
                    tally.acknowledged += 1;
                    tally.acknowledged_samples += u64::from(part.series);
                }
                Outcome::InDoubt => tally.in_doubt += 1,
                Outcome::Present => tally.present += 1,
                Outcome::Absent => tally.absent += 1,
            }
        }
    }
    tally
}

#[cfg(test)]
mod tests;
