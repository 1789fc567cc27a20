//! Native histograms in scripts: reading `{{...}}`, adding, and what a store makes of their hints.

use crate::model::{CUSTOM_SCHEMA, Hint, Histogram};
use crate::scan::Scanner;

/// A histogram and whether its counter reset hint was written.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct WrittenHistogram {
    pub(crate) histogram: Histogram,
    pub(crate) hint_written: bool,
}

/// Reads `{{key:value ...}}`, which comes next.
pub(crate) fn read(scanner: &mut Scanner<'_>) -> Result<WrittenHistogram, String> {
    scanner.expect("{{")?;
    let mut histogram = Histogram::default();
    let (mut positive, mut negative) = (Vec::new(), Vec::new());
    let (mut offset, mut negative_offset) = (0, 0);
    let mut seen: Vec<&str> = Vec::new();
    loop {
        scanner.blanks();
        if scanner.eat("}}") {
            break;
        }
        let key = scanner.identifier(false);
        if seen.contains(&key) {
            return Err(format!("{key} stands twice in a histogram"));
        }
        seen.push(key);
        scanner.expect(":")?;
        match key {
            "schema" => histogram.schema = integer(scanner)?,
            "count" => histogram.count = scanner.number()?,
            "sum" => histogram.sum = scanner.number()?,
            "z_bucket" => histogram.zero_count = scanner.number()?,
            "z_bucket_w" => histogram.zero_threshold = scanner.number()?,
            "offset" => offset = integer(scanner)?,
            "n_offset" => negative_offset = integer(scanner)?,
            "buckets" => positive = numbers(scanner)?,
            "n_buckets" => negative = numbers(scanner)?,
            "custom_values" => histogram.custom_values = numbers(scanner)?,
            "counter_reset_hint" => histogram.hint = hint(scanner)?,
            _ => return Err(format!("a histogram has no {key:?}")),
        }
    }
    histogram.positive = (offset..).zip(positive).collect();
    histogram.negative = (negative_offset..).zip(negative).collect();
    let hint_written = seen.contains(&"counter_reset_hint");
    Ok(WrittenHistogram { histogram, hint_written })
}

fn integer(scanner: &mut Scanner<'_>) -> Result<i32, String> {
    let text = scanner.take_while(|c| c == '-' || c == '+' || c.is_ascii_digit());
    text.parse().map_err(|_| format!("expected an integer before {:?}", scanner.rest()))
}

fn numbers(scanner: &mut Scanner<'_>) -> Result<Vec<f64>, String> {
    scanner.expect("[")?;
    let mut numbers = Vec::new();
    loop {
        scanner.blanks();
        if scanner.eat("]") {
            return Ok(numbers);
        }
        numbers.push(scanner.number()?);
    }
}

fn hint(scanner: &mut Scanner<'_>) -> Result<Hint, String> {
    match scanner.identifier(false) {
        "unknown" => Ok(Hint::Unknown),
        "reset" => Ok(Hint::Reset),
        "not_reset" => Ok(Hint::NotReset),
        "gauge" => Ok(Hint::Gauge),
        other => Err(format!("there is no counter reset hint {other:?}")),
    }
}

impl Histogram {
    /// `self + sign * other`, at the schema of `self`, which must not be finer than that of `other`.
    pub(crate) fn plus(&self, sign: f64, other: &Self) -> Result<Self, String> {
        let custom = |histogram: &Self| histogram.schema == CUSTOM_SCHEMA;
        if custom(self) != custom(other)
            || self.custom_values != other.custom_values
            || (self.zero_threshold != other.zero_threshold)
        {
            return Err("a series needs histograms of one layout".to_owned());
        }
        let finer = u32::try_from(other.schema - self.schema)
            .map_err(|_| "a series needs a first histogram that is not finer".to_owned())?;
        let hint = match (self.hint, other.hint) {
            (a, b) if a == b => a,
            (Hint::Gauge, _) | (_, Hint::Gauge) => Hint::Gauge,
            _ => Hint::Unknown,
        };
        Ok(Self {
            count: self.count + sign * other.count,
            sum: self.sum + sign * other.sum,
            zero_count: self.zero_count + sign * other.zero_count,
            positive: add_buckets(&self.positive, sign, &other.positive, finer),
            negative: add_buckets(&self.negative, sign, &other.negative, finer),
            hint,
            ..self.clone()
        })
    }

    /// Without buckets that count nothing.
    pub(crate) fn compacted(&self) -> Self {
        let counting = |buckets: &[(i32, f64)]| {
            buckets.iter().filter(|(_, count)| *count != 0.0).copied().collect()
        };
        Self {
            positive: counting(&self.positive),
            negative: counting(&self.negative),
            ..self.clone()
        }
    }

    /// Whether a store that has `previous` as the last sample of the series takes `self` for its
    /// continuation: the layout is the same, and nothing has become less.
    pub(crate) fn continues(&self, previous: &Self) -> bool {
        // False where one of them is NaN, which is no decrease.
        let fell = |before: f64, after: f64| after < before;
        let kept = |before: &[(i32, f64)], after: &[(i32, f64)]| {
            before.iter().all(|(index, count)| {
                let now = after.iter().find(|(i, _)| i == index).map_or(0.0, |(_, count)| *count);
                !fell(*count, now)
            })
        };
        self.hint != Hint::Reset
            && !fell(previous.count, self.count)
            && self.schema == previous.schema
            && self.zero_threshold == previous.zero_threshold
            && self.custom_values == previous.custom_values
            && !fell(previous.zero_count, self.zero_count)
            && kept(&previous.positive, &self.positive)
            && kept(&previous.negative, &self.negative)
    }
}

/// Adds buckets; those of `other` are `finer` schemas finer. Of a coarser schema by one, bucket `i`
/// holds the buckets `2i - 1` and `2i`.
fn add_buckets(
    buckets: &[(i32, f64)],
    sign: f64,
    other: &[(i32, f64)],
    finer: u32,
) -> Vec<(i32, f64)> {
    let mut sums: std::collections::BTreeMap<i32, f64> = buckets.iter().copied().collect();
    for (index, count) in other {
        let index = if finer == 0 { *index } else { ((index - 1) >> finer.min(31)) + 1 };
        *sums.entry(index).or_default() += sign * count;
    }
    sums.into_iter().collect()
}
