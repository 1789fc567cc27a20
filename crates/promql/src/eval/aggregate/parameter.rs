//! Parameters of aggregations: what each allows, and the form in which its family uses them.

use std::sync::Arc;

use crate::annotations::Annotation;
use crate::ast::AggregateOp;
use crate::go_float::format_g;
use crate::query_error::QueryError;
use crate::quote::quoted;

/// The value of a parameter.
#[derive(Debug, Clone)]
pub(crate) enum Parameter {
    /// There is none.
    None,
    /// A number for each step.
    Scalar(Vec<f64>),
    /// The label that `count_values` writes values to.
    Label(Arc<[u8]>),
}

/// A checked parameter.
#[derive(Debug)]
pub(super) enum Prepared {
    None,
    /// How many series of a group `topk`, `bottomk` and `limitk` keep at each step; 0 keeps none.
    Counts(Vec<u32>),
    /// The share of `limit_ratio` at each step, from -1 to 1.
    Ratios(Vec<f64>),
    /// The quantile at each step; anything.
    Quantiles(Vec<f64>),
    /// The label of `count_values`.
    Label(Box<str>),
}

impl Prepared {
    pub(super) fn counts(&self) -> &[u32] {
        if let Self::Counts(counts) = self { counts } else { &[] }
    }

    pub(super) fn ratios(&self) -> &[f64] {
        if let Self::Ratios(ratios) = self { ratios } else { &[] }
    }

    pub(super) fn quantiles(&self) -> &[f64] {
        if let Self::Quantiles(quantiles) = self { quantiles } else { &[] }
    }

    pub(super) fn label(&self) -> &str {
        if let Self::Label(label) = self { label } else { "" }
    }
}

/// From here on Prometheus takes a number for too large for 64 bits: the largest float below `2^63`
/// but one.
const INT64_END: f64 = 9_223_372_036_854_774_784.0;
/// Down from here it takes a number for too small: `-2^63`.
const INT64_START: f64 = -9_223_372_036_854_775_808.0;

/// Checks `parameter` for `op`; `warn` takes warnings about it.
pub(super) fn prepare(
    op: AggregateOp,
    parameter: Parameter,
    warn: impl FnMut(Annotation),
) -> Result<Prepared, QueryError> {
    use AggregateOp::{Bottomk, CountValues, LimitRatio, Limitk, Quantile, Topk};
    match (op, parameter) {
        (Topk | Bottomk | Limitk, Parameter::Scalar(values)) => counts(&values),
        (LimitRatio, Parameter::Scalar(values)) => ratios(values, warn),
        (Quantile, Parameter::Scalar(values)) => Ok(quantiles(values, warn)),
        (CountValues, Parameter::Label(name)) => label(&name),
        (op, Parameter::None) if !op.has_parameter() => Ok(Prepared::None),
        // The type checker refuses such a query.
        (op, _) => Err(QueryError::execution(format!("the parameter of {op:?} has a wrong type"))),
    }
}

/// `topk` and its kin: the whole part of each number. NaN and numbers beyond 64 bits are errors,
/// unless no number reaches 1: then there is no result whatever they are.
fn counts(values: &[f64]) -> Result<Prepared, QueryError> {
    let range = Extent::of(values);
    // Written so that a NaN is not below 1.
    let keeps_nothing = range.max < 1.0;
    if !keeps_nothing {
        if range.has_nan {
            return Err(QueryError::execution("Parameter value is NaN"));
        }
        for (value, fails, how) in [
            (range.min, range.min <= INT64_START, "underflows"),
            (range.max, range.max >= INT64_END, "overflows"),
        ] {
            if fails {
                let value = format_g(value);
                return Err(QueryError::execution(format!("Scalar value {value} {how} int64")));
            }
        }
    }
    // A conversion of floats saturates and takes NaN for 0. No group has more series than `u32`.
    Ok(Prepared::Counts(values.iter().map(|value| *value as u32).collect()))
}

/// `limit_ratio`: the numbers, those beyond -1 and 1 with a warning that shows the farthest.
fn ratios(values: Vec<f64>, mut warn: impl FnMut(Annotation)) -> Result<Prepared, QueryError> {
    let range = Extent::of(&values);
    if range.has_nan {
        return Err(QueryError::execution("Ratio value is NaN"));
    }
    for (value, cap, beyond) in
        [(range.max, 1.0, range.max > 1.0), (range.min, -1.0, range.min < -1.0)]
    {
        if beyond {
            warn(Annotation::InvalidRatio { ratio: format_g(value), cap: format_g(cap) });
        }
    }
    Ok(Prepared::Ratios(values.iter().map(|value| value.clamp(-1.0, 1.0)).collect()))
}

/// `quantile`: the numbers as they are, NaN and those beyond 0 and 1 with warnings.
fn quantiles(values: Vec<f64>, mut warn: impl FnMut(Annotation)) -> Prepared {
    let range = Extent::of(&values);
    for (value, wrong) in
        [(f64::NAN, range.has_nan), (range.max, range.max > 1.0), (range.min, range.min < 0.0)]
    {
        if wrong {
            warn(Annotation::InvalidQuantile { quantile: format_g(value) });
        }
    }
    Prepared::Quantiles(values)
}

/// `count_values`: a label name is any UTF-8 text that is not empty.
fn label(name: &[u8]) -> Result<Prepared, QueryError> {
    match std::str::from_utf8(name) {
        Ok(text) if !text.is_empty() => Ok(Prepared::Label(text.into())),
        _ => Err(QueryError::execution(format!("invalid label name {}", quoted(name)))),
    }
}

/// The smallest and the largest of some numbers as Go's `math.Min` and `math.Max` find them: NaN if
/// one of the numbers is NaN, unless there is an infinity at that end.
struct Extent {
    min: f64,
    max: f64,
    has_nan: bool,
}

impl Extent {
    fn of(values: &[f64]) -> Self {
        let has_nan = values.iter().any(|value| value.is_nan());
        let (mut min, mut max) = (f64::MAX, f64::MIN);
        for value in values {
            (min, max) = (min.min(*value), max.max(*value));
        }
        let or_nan = |value: f64| if has_nan && value.is_finite() { f64::NAN } else { value };
        Self { min: or_nan(min), max: or_nan(max), has_nan }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(op: AggregateOp, values: &[f64]) -> (Result<Prepared, String>, Vec<String>) {
        let mut warnings = Vec::new();
        let warn = |note: Annotation| warnings.push(note.to_string());
        let prepared = prepare(op, Parameter::Scalar(values.to_vec()), warn);
        (prepared.map_err(|error| error.to_string()), warnings)
    }

    fn error_of(op: AggregateOp, values: &[f64]) -> String {
        checked(op, values).0.expect_err("refused")
    }

    #[test]
    fn counts_are_whole_parts() {
        let (prepared, _) = checked(AggregateOp::Topk, &[2.9, 1.0, 0.99, -3.0, 9_999_999_999.0]);
        assert_eq!(prepared.expect("allowed").counts(), [2, 1, 0, 0, u32::MAX]);
    }

    #[test]
    fn counts_beyond_64_bits_are_refused() {
        let op = AggregateOp::Bottomk;
        assert_eq!(error_of(op, &[1.0, f64::NAN]), "Parameter value is NaN");
        assert_eq!(error_of(op, &[f64::NAN]), "Parameter value is NaN");
        assert_eq!(error_of(op, &[1e19]), "Scalar value 1e+19 overflows int64");
        assert_eq!(error_of(op, &[f64::INFINITY]), "Scalar value +Inf overflows int64");
        assert_eq!(error_of(op, &[1.0, -1e19]), "Scalar value -1e+19 underflows int64");
        assert!(checked(op, &[9.223_372_036_854_773e18]).0.is_ok(), "just below the limit");
        assert!(checked(op, &[-1e19, 0.5]).0.is_ok(), "no result needs no valid parameter");
    }

    #[test]
    fn ratios_are_capped_with_a_warning() {
        let op = AggregateOp::LimitRatio;
        assert_eq!(error_of(op, &[0.5, f64::NAN]), "Ratio value is NaN");
        let (prepared, warnings) = checked(op, &[1.1, -0.25, -2.0]);
        assert_eq!(prepared.expect("allowed").ratios(), [1.0, -0.25, -1.0]);
        let text = "PromQL warning: ratio value should be between -1 and 1, got";
        assert_eq!(
            warnings,
            [format!("{text} 1.1, capping to 1"), format!("{text} -2, capping to -1")]
        );
    }

    #[test]
    fn quantiles_beyond_their_range_are_kept_with_a_warning() {
        let got = |values: &[f64]| {
            let (prepared, warnings) = checked(AggregateOp::Quantile, values);
            assert_eq!(prepared.expect("allowed").quantiles().len(), values.len());
            let last = |text: &String| text.rsplit(' ').next().map(str::to_owned);
            warnings.iter().filter_map(last).collect::<Vec<_>>()
        };
        assert!(got(&[0.0, 0.5, 1.0]).is_empty());
        assert_eq!(got(&[1.5, -0.5, 2e6]), ["2e+06", "-0.5"]);
        assert_eq!(got(&[f64::NAN, 5.0]), ["NaN"], "a NaN hides the largest number");
        assert_eq!(got(&[f64::NAN, f64::INFINITY]), ["NaN", "+Inf"], "but no infinity");
    }

    #[test]
    fn label_names_are_utf8() {
        let checked = |name: &[u8]| {
            let parameter = Parameter::Label(name.into());
            let prepared = prepare(AggregateOp::CountValues, parameter, |_| ());
            prepared.map(|prepared| prepared.label().to_owned()).map_err(|e| e.to_string())
        };
        assert_eq!(checked("a b".as_bytes()), Ok("a b".to_owned()));
        assert_eq!(checked(b"a\xc5z"), Err("invalid label name \"a\\xc5z\"".to_owned()));
        assert_eq!(checked(b""), Err("invalid label name \"\"".to_owned()));
    }
}
