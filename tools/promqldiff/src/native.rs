//! Native histograms as both sides take them: as protobuf of remote write, and as the crate's own.

use std::sync::Arc;

use siltstone_promql::histogram::{Buckets, CounterResetHint, Histogram, HistogramParts};
use siltstone_rig::wire::{put_bytes, put_fixed64, put_integer};

/// The schema of custom buckets.
pub(crate) const CUSTOM: i32 = -53;

/// A histogram of floats.
#[derive(Debug, Clone, Default)]
pub(crate) struct Native {
    pub(crate) schema: i32,
    pub(crate) zero_threshold: f64,
    pub(crate) zero_count: f64,
    pub(crate) sum: f64,
    /// Observations that are in no bucket: NaNs.
    pub(crate) outside: f64,
    /// Index of the first bucket and the counts from there.
    pub(crate) positive: (i32, Vec<f64>),
    pub(crate) negative: (i32, Vec<f64>),
    pub(crate) custom: Vec<f64>,
    pub(crate) is_gauge: bool,
}

impl Native {
    fn count(&self) -> f64 {
        let buckets = self.positive.1.iter().chain(&self.negative.1);
        buckets.sum::<f64>() + self.zero_count + self.outside
    }

    /// The crate's histogram, all counts times `factor` and the sum times its square, so that they
    /// change each by its own part.
    pub(crate) fn histogram(&self, factor: f64) -> Arc<Histogram> {
        let buckets = |(first, counts): &(i32, Vec<f64>)| {
            let counts: Vec<f64> = counts.iter().map(|c| c * factor).collect();
            Buckets::from_dense(*first, &counts).expect("there are few buckets")
        };
        let hint = if self.is_gauge { CounterResetHint::Gauge } else { CounterResetHint::Unknown };
        let parts = HistogramParts {
            schema: self.schema,
            custom_bounds: self.custom.as_slice().into(),
            hint,
            count: self.count() * factor,
            sum: if self.sum.is_finite() { self.sum * factor * factor } else { self.sum },
            zero_count: self.zero_count * factor,
            zero_threshold: self.zero_threshold,
            positive: buckets(&self.positive),
            negative: buckets(&self.negative),
        };
        Arc::new(parts.try_into().expect("the histogram is valid"))
    }

    /// The message `prometheus.Histogram` of remote write 1.0.
    pub(crate) fn message(&self, time: i64) -> Vec<u8> {
        let mut out = Vec::new();
        put_fixed64(&mut out, 2, self.count().to_bits());
        put_fixed64(&mut out, 3, self.sum.to_bits());
        put_integer(&mut out, 4, zigzag(self.schema));
        put_fixed64(&mut out, 5, self.zero_threshold.to_bits());
        put_fixed64(&mut out, 7, self.zero_count.to_bits());
        put_buckets(&mut out, (8, 10), &self.negative);
        put_buckets(&mut out, (11, 13), &self.positive);
        put_integer(&mut out, 14, if self.is_gauge { 3 } else { 0 });
        put_integer(&mut out, 15, time.cast_unsigned());
        for bound in &self.custom {
            put_fixed64(&mut out, 16, bound.to_bits());
        }
        out
    }
}

fn put_buckets(out: &mut Vec<u8>, (spans, counts): (u32, u32), buckets: &(i32, Vec<f64>)) {
    if buckets.1.is_empty() {
        return;
    }
    let mut span = Vec::new();
    put_integer(&mut span, 1, zigzag(buckets.0));
    put_integer(&mut span, 2, buckets.1.len() as u64);
    put_bytes(out, spans, &span);
    for count in &buckets.1 {
        put_fixed64(out, counts, count.to_bits());
    }
}

/// A `sint32` of protobuf.
fn zigzag(value: i32) -> u64 {
    u64::from(((value << 1) ^ (value >> 31)).cast_unsigned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signs_are_in_the_lowest_bit() {
        assert_eq!([0, -1, 1, -53, 52].map(zigzag), [0, 1, 2, 105, 104]);
    }

    #[test]
    fn the_count_is_that_of_all_buckets() {
        let native = Native {
            zero_count: 1.0,
            outside: 2.0,
            positive: (-1, vec![1.0, 2.0]),
            negative: (0, vec![4.0]),
            ..Native::default()
        };
        assert_eq!(native.histogram(1.0).count, 10.0);
        assert_eq!(native.histogram(1.0).positive().indices(), [-1, 0]);
    }
}
