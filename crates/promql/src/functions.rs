//! The functions of the language: their names and what they take and give.
//!
//! One table, in the order of the names. The parser looks names up and checks arguments against it;
//! what a function computes stands with the evaluator.

use crate::ast::ValueType;
use ValueType::{Matrix, Scalar, String, Vector};

/// The upper end of the number of arguments of a function that takes any number.
const ANY: usize = usize::MAX;

/// What a function takes and gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signature {
    /// The name as it is written.
    pub name: &'static str,
    /// The types of the arguments; arguments beyond these have the last one's type.
    pub arguments: &'static [ValueType],
    /// The fewest arguments.
    pub arguments_min: usize,
    /// The most arguments; `usize::MAX` where there is no limit.
    pub arguments_max: usize,
    /// The type of the value.
    pub returns: ValueType,
    /// Whether it needs the flag of experimental functions.
    pub experimental: bool,
}

impl Signature {
    /// The type of the argument with this index, from 0.
    ///
    /// `None` for an index of a function without arguments.
    #[must_use]
    pub fn argument(&self, index: usize) -> Option<ValueType> {
        self.arguments.get(index).or(self.arguments.last()).copied()
    }
}

macro_rules! functions {
    ($(($variant:ident, $name:literal, [$($argument:expr),*], $min:literal..=$max:expr, $returns:expr, $stage:ident),)*) => {
        /// A function, named as in the language.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum Function {
            $(#[doc = concat!("`", $name, "`")] $variant,)*
        }

        /// In the order of [`Function`], which is that of the names.
        static SIGNATURES: &[Signature] = &[
            $(Signature {
                name: $name,
                arguments: &[$($argument),*],
                arguments_min: $min,
                arguments_max: $max,
                returns: $returns,
                experimental: functions!(@$stage),
            },)*
        ];

        impl Function {
            /// All functions, in the order of their names.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];
        }
    };
    (@stable) => { false };
    (@experimental) => { true };
}

// The columns: variant, name, types of the arguments, their number, type of the value, stage.
#[rustfmt::skip]
functions! {
    (Abs, "abs", [Vector], 1..=1, Vector, stable),
    (Absent, "absent", [Vector], 1..=1, Vector, stable),
    (AbsentOverTime, "absent_over_time", [Matrix], 1..=1, Vector, stable),
    (Acos, "acos", [Vector], 1..=1, Vector, stable),
    (Acosh, "acosh", [Vector], 1..=1, Vector, stable),
    (Asin, "asin", [Vector], 1..=1, Vector, stable),
    (Asinh, "asinh", [Vector], 1..=1, Vector, stable),
    (Atan, "atan", [Vector], 1..=1, Vector, stable),
    (Atanh, "atanh", [Vector], 1..=1, Vector, stable),
    (AvgOverTime, "avg_over_time", [Matrix], 1..=1, Vector, stable),
    (Ceil, "ceil", [Vector], 1..=1, Vector, stable),
    (Changes, "changes", [Matrix], 1..=1, Vector, stable),
    (Clamp, "clamp", [Vector, Scalar, Scalar], 3..=3, Vector, stable),
    (ClampMax, "clamp_max", [Vector, Scalar], 2..=2, Vector, stable),
    (ClampMin, "clamp_min", [Vector, Scalar], 2..=2, Vector, stable),
    (Cos, "cos", [Vector], 1..=1, Vector, stable),
    (Cosh, "cosh", [Vector], 1..=1, Vector, stable),
    (CountOverTime, "count_over_time", [Matrix], 1..=1, Vector, stable),
    (DayOfMonth, "day_of_month", [Vector], 0..=1, Vector, stable),
    (DayOfWeek, "day_of_week", [Vector], 0..=1, Vector, stable),
    (DayOfYear, "day_of_year", [Vector], 0..=1, Vector, stable),
    (DaysInMonth, "days_in_month", [Vector], 0..=1, Vector, stable),
    (Deg, "deg", [Vector], 1..=1, Vector, stable),
    (Delta, "delta", [Matrix], 1..=1, Vector, stable),
    (Deriv, "deriv", [Matrix], 1..=1, Vector, stable),
    (DoubleExponentialSmoothing, "double_exponential_smoothing", [Matrix, Scalar, Scalar], 3..=3, Vector, experimental),
    (End, "end", [], 0..=0, Scalar, experimental),
    (Exp, "exp", [Vector], 1..=1, Vector, stable),
    (FirstOverTime, "first_over_time", [Matrix], 1..=1, Vector, stable),
    (Floor, "floor", [Vector], 1..=1, Vector, stable),
    (HistogramAvg, "histogram_avg", [Vector], 1..=1, Vector, stable),
    (HistogramCount, "histogram_count", [Vector], 1..=1, Vector, stable),
    (HistogramFraction, "histogram_fraction", [Scalar, Scalar, Vector], 3..=3, Vector, stable),
    (HistogramQuantile, "histogram_quantile", [Scalar, Vector], 2..=2, Vector, stable),
    (HistogramQuantiles, "histogram_quantiles", [Vector, String, Scalar, Scalar], 3..=12, Vector, experimental),
    (HistogramStddev, "histogram_stddev", [Vector], 1..=1, Vector, stable),
    (HistogramStdvar, "histogram_stdvar", [Vector], 1..=1, Vector, stable),
    (HistogramSum, "histogram_sum", [Vector], 1..=1, Vector, stable),
    (Hour, "hour", [Vector], 0..=1, Vector, stable),
    (Idelta, "idelta", [Matrix], 1..=1, Vector, stable),
    (Increase, "increase", [Matrix], 1..=1, Vector, stable),
    (Info, "info", [Vector, Vector], 1..=2, Vector, experimental),
    (Irate, "irate", [Matrix], 1..=1, Vector, stable),
    (LabelJoin, "label_join", [Vector, String, String, String], 3..=ANY, Vector, stable),
    (LabelReplace, "label_replace", [Vector, String, String, String, String], 5..=5, Vector, stable),
    (LastOverTime, "last_over_time", [Matrix], 1..=1, Vector, stable),
    (Ln, "ln", [Vector], 1..=1, Vector, stable),
    (Log10, "log10", [Vector], 1..=1, Vector, stable),
    (Log2, "log2", [Vector], 1..=1, Vector, stable),
    (MadOverTime, "mad_over_time", [Matrix], 1..=1, Vector, experimental),
    (MaxOf, "max_of", [Scalar, Scalar], 2..=2, Scalar, experimental),
    (MaxOverTime, "max_over_time", [Matrix], 1..=1, Vector, stable),
    (MinOf, "min_of", [Scalar, Scalar], 2..=2, Scalar, experimental),
    (MinOverTime, "min_over_time", [Matrix], 1..=1, Vector, stable),
    (Minute, "minute", [Vector], 0..=1, Vector, stable),
    (Month, "month", [Vector], 0..=1, Vector, stable),
    (Pi, "pi", [], 0..=0, Scalar, stable),
    (PredictLinear, "predict_linear", [Matrix, Scalar], 2..=2, Vector, stable),
    (PresentOverTime, "present_over_time", [Matrix], 1..=1, Vector, stable),
    (QuantileOverTime, "quantile_over_time", [Scalar, Matrix], 2..=2, Vector, stable),
    (Rad, "rad", [Vector], 1..=1, Vector, stable),
    (Range, "range", [], 0..=0, Scalar, experimental),
    (Rate, "rate", [Matrix], 1..=1, Vector, stable),
    (Resets, "resets", [Matrix], 1..=1, Vector, stable),
    (Round, "round", [Vector, Scalar], 1..=2, Vector, stable),
    (Scalar, "scalar", [Vector], 1..=1, Scalar, stable),
    (Sgn, "sgn", [Vector], 1..=1, Vector, stable),
    (Sin, "sin", [Vector], 1..=1, Vector, stable),
    (Sinh, "sinh", [Vector], 1..=1, Vector, stable),
    (Sort, "sort", [Vector], 1..=1, Vector, stable),
    (SortByLabel, "sort_by_label", [Vector, String], 1..=ANY, Vector, experimental),
    (SortByLabelDesc, "sort_by_label_desc", [Vector, String], 1..=ANY, Vector, experimental),
    (SortDesc, "sort_desc", [Vector], 1..=1, Vector, stable),
    (Sqrt, "sqrt", [Vector], 1..=1, Vector, stable),
    (Start, "start", [], 0..=0, Scalar, experimental),
    (StartTimestamp, "start_timestamp", [Vector], 1..=1, Vector, experimental),
    (StddevOverTime, "stddev_over_time", [Matrix], 1..=1, Vector, stable),
    (StdvarOverTime, "stdvar_over_time", [Matrix], 1..=1, Vector, stable),
    (Step, "step", [], 0..=0, Scalar, experimental),
    (SumOverTime, "sum_over_time", [Matrix], 1..=1, Vector, stable),
    (Tan, "tan", [Vector], 1..=1, Vector, stable),
    (Tanh, "tanh", [Vector], 1..=1, Vector, stable),
    (Time, "time", [], 0..=0, Scalar, stable),
    (Timestamp, "timestamp", [Vector], 1..=1, Vector, stable),
    (TsOfFirstOverTime, "ts_of_first_over_time", [Matrix], 1..=1, Vector, experimental),
    (TsOfLastOverTime, "ts_of_last_over_time", [Matrix], 1..=1, Vector, experimental),
    (TsOfMaxOverTime, "ts_of_max_over_time", [Matrix], 1..=1, Vector, experimental),
    (TsOfMinOverTime, "ts_of_min_over_time", [Matrix], 1..=1, Vector, experimental),
    (Vector, "vector", [Scalar], 1..=1, Vector, stable),
    (Year, "year", [Vector], 0..=1, Vector, stable),
}

impl Function {
    /// The function of this name; names are case-sensitive.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        let index = SIGNATURES.binary_search_by(|signature| signature.name.cmp(name)).ok()?;
        Some(Self::ALL[index])
    }

    /// The name as it is written.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.signature().name
    }

    /// What it takes and gives.
    #[must_use]
    pub fn signature(self) -> &'static Signature {
        &SIGNATURES[self as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_finds_its_function() {
        assert_eq!(Function::ALL.len(), 90);
        for function in Function::ALL {
            assert_eq!(Function::from_name(function.name()), Some(*function));
        }
        assert_eq!(Function::from_name("Rate"), None);
        assert_eq!(Function::from_name("holt_winters"), None);
        assert_eq!(Function::ALL.iter().filter(|f| f.signature().experimental).count(), 17);
    }

    #[test]
    fn the_last_type_is_that_of_further_arguments() {
        let join = Function::LabelJoin.signature();
        assert_eq!((join.arguments_min, join.arguments_max), (3, usize::MAX));
        assert_eq!(join.argument(0), Some(Vector));
        assert_eq!(join.argument(17), Some(String));
        assert_eq!(Function::Pi.signature().argument(0), None);
        let quantiles = Function::HistogramQuantiles.signature();
        assert_eq!((quantiles.arguments_min, quantiles.arguments_max), (3, 12));
    }
}
