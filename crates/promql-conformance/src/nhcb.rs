//! Classic histograms turned into native ones with custom buckets, as `load_with_nhcb` asks for.

use std::collections::BTreeMap;

use crate::model::{CUSTOM_SCHEMA, Histogram, Labels, Sample};
use crate::script::LoadedSeries;
use crate::series::Slot;

/// The parts of one classic histogram at one time.
#[derive(Debug, Default)]
struct Classic {
    /// (upper bound, cumulative count) in order of bounds.
    buckets: Vec<(f64, f64)>,
    count: Option<f64>,
    sum: f64,
}

/// A native histogram's labels, and its samples by slot.
pub(crate) type Converted = (Labels, BTreeMap<usize, Sample>);

/// What the last part of a metric's name says of the series.
enum Part {
    /// A bucket with its upper bound.
    Bucket(f64),
    Count,
    Sum,
}

/// The native histograms of all classic ones among `series`, with their slots.
pub(crate) fn convert(series: &[LoadedSeries]) -> Result<Vec<Converted>, String> {
    let mut found: BTreeMap<Labels, BTreeMap<usize, Classic>> = BTreeMap::new();
    for one in series {
        let Some((base, part)) = part_of(&one.labels)? else { continue };
        let slots = found.entry(base).or_default();
        for (at, slot) in one.slots.iter().enumerate() {
            let Slot::Float(value) = slot else { continue };
            let classic = slots.entry(at).or_default();
            match part {
                Part::Bucket(bound) => classic.add_bucket(bound, *value)?,
                Part::Count if *value < 0.0 => return Err("a count is negative".to_owned()),
                Part::Count => classic.count = Some(*value),
                Part::Sum => classic.sum = *value,
            }
        }
    }
    let native = |classic: Classic| classic.into_native().map(|h| Sample::Histogram(Box::new(h)));
    found
        .into_iter()
        .map(|(labels, slots)| {
            let slots = slots.into_iter().map(|(at, classic)| Ok((at, native(classic)?)));
            Ok((labels, slots.collect::<Result<_, String>>()?))
        })
        .collect()
}

/// The labels of the histogram that a series is a part of, and which part.
fn part_of(labels: &Labels) -> Result<Option<(Labels, Part)>, String> {
    let name = labels.get("__name__").map_or("", String::as_str);
    let (base, part) = if let Some(base) = name.strip_suffix("_bucket") {
        let bound = labels.get("le").ok_or_else(|| format!("a bucket of {name} has no bound"))?;
        match bound.parse::<f64>() {
            Ok(bound) if !bound.is_nan() => (base, Part::Bucket(bound)),
            _ => return Ok(None),
        }
    } else if let Some(base) = name.strip_suffix("_count") {
        (base, Part::Count)
    } else if let Some(base) = name.strip_suffix("_sum") {
        (base, Part::Sum)
    } else {
        return Ok(None);
    };
    let mut labels = labels.clone();
    labels.insert("__name__".to_owned(), base.to_owned());
    labels.retain(|name, value| name != "le" && !value.is_empty());
    Ok(Some((labels, part)))
}

impl Classic {
    /// Adds a bucket at its place; of two with one bound the first stays.
    fn add_bucket(&mut self, bound: f64, count: f64) -> Result<(), String> {
        let at = self.buckets.partition_point(|(other, _)| *other < bound);
        if self.buckets.get(at).is_some_and(|(other, _)| *other == bound) {
            return Ok(());
        }
        let before = at.checked_sub(1).map_or(0.0, |at| self.buckets[at].1);
        let after = self.buckets.get(at).map_or(f64::INFINITY, |(_, count)| *count);
        if count < before || count > after {
            return Err(format!("the count {count} of bucket {bound} is not cumulative"));
        }
        self.buckets.insert(at, (bound, count));
        Ok(())
    }

    fn into_native(mut self) -> Result<Histogram, String> {
        let last = self.buckets.last().copied();
        let Some(count) = self.count.or(last.map(|(_, count)| count)) else {
            return Err("a classic histogram has neither buckets nor a count".to_owned());
        };
        if last.is_none_or(|(bound, _)| bound != f64::INFINITY) {
            self.buckets.push((f64::INFINITY, count));
        }
        if self.buckets.last().is_some_and(|(_, last)| *last != count) {
            return Err(format!("the last bucket does not hold the count {count}"));
        }
        let mut before = 0.0;
        let counts = (0..).zip(&self.buckets).map(|(index, (_, cumulative))| {
            let count = cumulative - before;
            before = *cumulative;
            (index, count)
        });
        let histogram = Histogram {
            schema: CUSTOM_SCHEMA,
            count,
            sum: self.sum,
            positive: counts.collect(),
            custom_values: self
                .buckets
                .iter()
                .map(|b| b.0)
                .filter(|b| *b < f64::INFINITY)
                .collect(),
            ..Histogram::default()
        };
        Ok(histogram.compacted())
    }
}
