//! A histogram as text: label values of `count_values`, and messages.

use std::fmt;

use super::iterate::Bucket;
use super::value::Histogram;
use crate::go_float::format_g;

impl fmt::Display for Histogram {
    /// As Prometheus prints it: `{count:3, sum:1.5, [-2,-1):1, [-0.5,0.5]:1, (1,2]:1}`, the populated
    /// buckets in ascending order and with the bounds of the schema. Custom buckets have no zero
    /// bucket, also not where a division by zero left NaN as its count.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{count:{}, sum:{}", format_g(self.count), format_g(self.sum))?;
        let zero = (!self.is_custom()).then(|| self.zero_bucket());
        self.negative_buckets()
            .rev()
            .chain(zero)
            .chain(self.positive_buckets())
            .filter(|bucket| bucket.count != 0.0)
            .try_for_each(|bucket| write!(f, ", {bucket}"))?;
        f.write_str("}")
    }
}

impl fmt::Display for Bucket {
    /// `(lower,upper]:count`, with a square bracket at a bound that belongs to the bucket.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let open = if self.lower_inclusive { '[' } else { '(' };
        let close = if self.upper_inclusive { ']' } else { ')' };
        let (lower, upper) = (format_g(self.lower), format_g(self.upper));
        write!(f, "{open}{lower},{upper}{close}:{}", format_g(self.count))
    }
}

#[cfg(test)]
mod tests {
    use crate::histogram::tests::{custom, exponential};

    #[test]
    fn buckets_ascend_with_their_brackets() {
        let histogram = exponential(0, 1, &[1.0, 0.0, 2.5])
            .negative(1, &[3.0, 4.0])
            .zero(0.5, 5.0)
            .totals(15.5, -1e21)
            .build();
        assert_eq!(
            histogram.to_string(),
            "{count:15.5, sum:-1e+21, [-4,-2):4, [-2,-1):3, [-0.5,0.5]:5, (1,2]:1, (4,8]:2.5}"
        );
    }

    // The two below are what Prometheus 3.5 printed for the same histograms.
    #[test]
    fn numbers_are_written_as_go_writes_them() {
        let histogram = exponential(0, 0, &[100_000.0, 1e6, 0.0001, 0.000_012_34])
            .zero(1e-5, 1_234_567.0)
            .totals(12_345_678.0, 1e21)
            .build();
        assert_eq!(
            histogram.to_string(),
            "{count:1.2345678e+07, sum:1e+21, [-1e-05,1e-05]:1.234567e+06, (0.5,1]:100000, \
             (1,2]:1e+06, (2,4]:0.0001, (4,8]:1.234e-05}"
        );
    }

    #[test]
    fn custom_buckets_reach_from_infinity_to_infinity() {
        let mut histogram = custom(&[1.0, 2.0], 0, &[4.0, 4.0, 4.0]);
        histogram.sum = 3.0;
        assert_eq!(histogram.to_string(), "{count:12, sum:3, [-Inf,1]:4, (1,2]:4, (2,+Inf]:4}");
        histogram.div(0.0);
        assert_eq!(histogram.to_string(), "{count:+Inf, sum:+Inf}");
    }

    #[test]
    fn a_zero_bucket_without_width() {
        let mut histogram = exponential(0, 1, &[1.0]).totals(20.0, f64::NAN).build();
        histogram.div(0.0);
        assert_eq!(histogram.to_string(), "{count:+Inf, sum:NaN, [-0,0]:NaN}");
    }
}
