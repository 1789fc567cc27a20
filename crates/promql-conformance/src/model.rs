//! What the runner compares: labels, samples and answers, in types of its own.
//!
//! They share no code with the crate under test, so that a mistake there cannot hide itself by
//! making the expectation wrong in the same way. `under_test.rs` converts at the border.

use std::collections::BTreeMap;
use std::fmt;

/// Labels of a series. The order of maps is Prometheus's: pairs are compared one by one, bytewise,
/// and the shorter of two that begin alike comes first.
pub type Labels = BTreeMap<String, String>;

/// A float that says that a series has ended.
pub const STALE_BITS: u64 = 0x7ff0_0000_0000_0002;

/// Whether `value` is the stale marker, which no other NaN is.
pub fn is_stale(value: f64) -> bool {
    value.to_bits() == STALE_BITS
}

/// What is known of a counter reset before a histogram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hint {
    /// Nothing.
    Unknown,
    /// There was one.
    Reset,
    /// There was none.
    NotReset,
    /// It is no counter.
    Gauge,
}

/// The schema of histograms with custom bounds.
pub const CUSTOM_SCHEMA: i32 = -53;

/// A native histogram of floats.
#[derive(Debug, Clone, PartialEq)]
pub struct Histogram {
    /// The resolution of its buckets, or [`CUSTOM_SCHEMA`].
    pub schema: i32,
    /// Of all observations.
    pub count: f64,
    /// Of all observations.
    pub sum: f64,
    /// Observations up to the threshold from zero.
    pub zero_count: f64,
    /// The width of the bucket around zero.
    pub zero_threshold: f64,
    /// (index, count) in order of indices; empty buckets may stand there.
    pub positive: Vec<(i32, f64)>,
    /// The same of negative observations.
    pub negative: Vec<(i32, f64)>,
    /// Upper bounds under [`CUSTOM_SCHEMA`], without the infinite one.
    pub custom_values: Vec<f64>,
    /// Whether its counter was reset.
    pub hint: Hint,
}

impl Default for Histogram {
    fn default() -> Self {
        Self {
            schema: 0,
            count: 0.0,
            sum: 0.0,
            zero_count: 0.0,
            zero_threshold: 0.0,
            positive: Vec::new(),
            negative: Vec::new(),
            custom_values: Vec::new(),
            hint: Hint::Unknown,
        }
    }
}

/// A sample's value.
#[derive(Debug, Clone, PartialEq)]
pub enum Sample {
    /// A number.
    Float(f64),
    /// A native histogram.
    Histogram(Box<Histogram>),
}

/// The times of an evaluation, in milliseconds since the Unix epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Times {
    /// At one time.
    Instant(i64),
    /// At every step of a range.
    Range {
        /// The first time.
        start: i64,
        /// The last time, if a step hits it.
        end: i64,
        /// From one time to the next.
        step: i64,
    },
}

/// The value of a query.
#[derive(Debug, Clone)]
pub enum Value {
    /// A number without labels.
    Scalar(f64),
    /// The bytes of a string.
    Text(Vec<u8>),
    /// In the order of the answer.
    Vector(Vec<(Labels, Sample)>),
    /// Series in the order of the answer, samples with their times in milliseconds.
    Matrix(Vec<(Labels, Vec<(i64, Sample)>)>),
}

/// What a query answered.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The value.
    pub value: Value,
    /// As the API shows them: `PromQL warning: ... (1:5)`.
    pub warnings: Vec<String>,
    /// As the API shows them: `PromQL info: ... (1:5)`.
    pub infos: Vec<String>,
}

impl Answer {
    /// A text that is equal for two answers if, and only if, they are the same to the bit: order,
    /// labels, times, values, annotations.
    pub fn bits(&self) -> String {
        let value = match &self.value {
            Value::Scalar(value) => float_bits(*value),
            Value::Text(text) => format!("{text:?}"),
            Value::Vector(samples) => {
                samples.iter().map(|(l, s)| format!("{l:?} {};", s.bits())).collect()
            }
            Value::Matrix(series) => series.iter().map(|s| series_bits(&s.0, &s.1)).collect(),
        };
        format!("{value} {:?} {:?}", self.warnings, self.infos)
    }
}

fn series_bits(labels: &Labels, points: &[(i64, Sample)]) -> String {
    let points: String = points.iter().map(|(t, s)| format!(" {}@{t}", s.bits())).collect();
    format!("{labels:?}{points};")
}

fn float_bits(value: f64) -> String {
    format!("{value:?}/{:016x}", value.to_bits())
}

impl Sample {
    fn bits(&self) -> String {
        match self {
            Self::Float(value) => float_bits(*value),
            Self::Histogram(histogram) => {
                let all = [
                    histogram.count,
                    histogram.sum,
                    histogram.zero_count,
                    histogram.zero_threshold,
                ];
                let buckets = histogram.positive.iter().chain(&histogram.negative);
                let floats = all.iter().chain(&histogram.custom_values);
                let bits: Vec<String> =
                    floats.chain(buckets.map(|(_, count)| count)).map(|v| float_bits(*v)).collect();
                format!("{histogram:?} {bits:?}")
            }
        }
    }
}

impl fmt::Display for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Float(value) if is_stale(*value) => f.write_str("stale"),
            Self::Float(value) => write!(f, "{value}"),
            Self::Histogram(histogram) => histogram.fmt(f),
        }
    }
}

/// As scripts write histograms, but for bucket indices, which stand before each count.
impl fmt::Display for Histogram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{{{schema:{} count:{} sum:{}", self.schema, self.count, self.sum)?;
        write!(f, " z_bucket:{} z_bucket_w:{}", self.zero_count, self.zero_threshold)?;
        for (name, buckets) in [("buckets", &self.positive), ("n_buckets", &self.negative)] {
            if !buckets.is_empty() {
                let texts: Vec<String> = buckets.iter().map(|(i, c)| format!("{i}={c}")).collect();
                write!(f, " {name}:[{}]", texts.join(" "))?;
            }
        }
        if !self.custom_values.is_empty() {
            write!(f, " custom_values:{:?}", self.custom_values)?;
        }
        write!(f, " hint:{:?}}}}}", self.hint)
    }
}

/// `{a="b", c="d"}`.
pub fn show_labels(labels: &Labels) -> String {
    let pairs: Vec<String> = labels.iter().map(|(n, v)| format!("{n}={v:?}")).collect();
    format!("{{{}}}", pairs.join(", "))
}
