//! Random queries that pass the type checker, written in every way that the grammar allows.
//!
//! Tests, fuzz targets and the comparison with Prometheus call [`query`](query()). This file has the
//! expressions; [`selector`] writes what stands at their ends.

mod selector;

use siltstone_promql::Features;
use siltstone_promql::ast::ValueType;
use siltstone_promql::functions::Function;

use super::Choose;
use super::vocabulary::Vocabulary;

/// Writes one query.
struct Generator<'a> {
    choose: Choose<'a>,
    features: Features,
    words: &'static Vocabulary,
    depth: u32,
    out: String,
}

/// A query that needs no more than `features`, in the words of `words`. All choices 0 make the
/// smallest.
pub fn query(features: Features, words: &'static Vocabulary, choose: Choose<'_>) -> String {
    use ValueType::{Matrix, Scalar, String, Vector};
    let value_type = [Vector, Scalar, Vector, Vector, Matrix, String][choose(6)];
    query_of_type(value_type, features, words, choose)
}

/// The same, with a value of this type.
pub fn query_of_type(
    value_type: ValueType,
    features: Features,
    words: &'static Vocabulary,
    choose: Choose<'_>,
) -> String {
    let mut generator = Generator { choose, features, words, depth: 0, out: String::new() };
    generator.expression(value_type);
    generator.out
}

impl Generator<'_> {
    fn one_in(&mut self, n: usize) -> bool {
        (self.choose)(n) == n - 1
    }

    fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[(self.choose)(of.len())]
    }

    fn write(&mut self, text: &str) {
        self.out.push_str(text);
    }

    fn pick_text(&mut self, of: &[&str]) {
        let text = self.pick(of);
        self.write(text);
    }

    fn operators(&self) -> &'static [&'static str] {
        if self.words.floats_only { &OPERATORS[..OPERATORS.len() - 2] } else { OPERATORS }
    }

    fn blank(&mut self) {
        self.pick_text(&[" ", "  ", "\n", " # comment (\n"]);
    }

    fn expression(&mut self, value_type: ValueType) {
        self.depth += 1;
        let deep = self.depth > self.words.depth_max;
        match value_type {
            ValueType::String => self.pick_text(self.words.strings),
            ValueType::Matrix => self.matrix(deep),
            ValueType::Scalar if deep => self.pick_text(self.words.numbers),
            ValueType::Scalar => self.scalar(),
            ValueType::Vector if deep => self.selector(),
            ValueType::Vector => self.vector(),
        }
        self.depth -= 1;
    }

    fn scalar(&mut self) {
        match (self.choose)(6) {
            0 | 1 => self.pick_text(self.words.numbers),
            2 => self.call(ValueType::Scalar),
            3 => self.parens(ValueType::Scalar),
            4 => self.unary(ValueType::Scalar),
            _ => {
                self.expression(ValueType::Scalar);
                self.blank();
                let op = self.pick(self.operators());
                self.write(op);
                if COMPARISONS.contains(&op) {
                    self.write(" bool");
                }
                self.blank();
                self.expression(ValueType::Scalar);
            }
        }
    }

    fn vector(&mut self) {
        match (self.choose)(8) {
            0 => self.selector(),
            1 => self.parens(ValueType::Vector),
            2 => self.unary(ValueType::Vector),
            3 => self.binary(),
            4 | 5 => self.aggregate(),
            _ => self.call(ValueType::Vector),
        }
    }

    fn parens(&mut self, value_type: ValueType) {
        self.write("(");
        self.expression(value_type);
        self.write(")");
    }

    fn unary(&mut self, value_type: ValueType) {
        self.pick_text(&["-", "+", "- "]);
        self.expression(value_type);
    }

    fn binary(&mut self) {
        let shape = (self.choose)(6);
        let (left, right) = match shape {
            0 => (ValueType::Vector, ValueType::Scalar),
            1 => (ValueType::Scalar, ValueType::Vector),
            _ => (ValueType::Vector, ValueType::Vector),
        };
        // In parentheses, so that the types of the operands hold whatever binds first.
        self.write("(");
        self.parens(left);
        self.blank();
        let sets = shape > 3;
        let op =
            if sets { self.pick(&["and", "or", "UNLESS"]) } else { self.pick(self.operators()) };
        self.write(op);
        if COMPARISONS.contains(&op) && self.one_in(2) {
            self.write(" bool");
        }
        if shape > 1 {
            self.matching(sets);
        }
        self.blank();
        self.parens(right);
        self.write(")");
    }

    fn matching(&mut self, sets: bool) {
        if self.one_in(2) {
            self.pick_text(&[" on", " ignoring "]);
            self.labels(self.words.keys);
            if !sets && self.one_in(2) {
                self.pick_text(&[" group_left", " group_right "]);
                self.labels(self.words.copied);
            }
        }
        if !sets && self.features.fill_modifiers && self.one_in(4) {
            self.pick_text(&[
                " fill(0)",
                " fill (-1.5)",
                " fill_left(5m)",
                " fill_right(NaN) fill_left(1e30)",
                " fill_left(1) fill_right (+1e-7)",
            ]);
        }
    }

    fn labels(&mut self, names: &[&str]) {
        self.write("(");
        let count = (self.choose)(3);
        for index in 0..count {
            self.write(if index > 0 { ", " } else { "" });
            self.pick_text(names);
        }
        self.write(if count > 1 { ",)" } else { ")" });
    }

    fn aggregate(&mut self) {
        let experimental = self.features.experimental_functions;
        let op = self.pick(if experimental { AGGREGATIONS } else { &AGGREGATIONS[..12] });
        self.write(op);
        let place = (self.choose)(3);
        if place == 1 {
            self.grouping();
        }
        self.write("(");
        match op {
            "count_values" => self.expression(ValueType::String),
            "topk" | "bottomk" | "quantile" | "limitk" | "limit_ratio" => {
                self.expression(ValueType::Scalar);
            }
            _ => {}
        }
        if !self.out.ends_with('(') {
            self.write(", ");
        }
        self.expression(ValueType::Vector);
        self.write(")");
        if place == 2 {
            self.grouping();
        }
    }

    fn grouping(&mut self) {
        self.pick_text(&[" by", " without ", " BY "]);
        self.labels(self.words.groups);
    }

    fn call(&mut self, returns: ValueType) {
        let experimental = self.features.experimental_functions;
        let usable = |f: &&Function| {
            let signature = f.signature();
            signature.returns == returns
                && (experimental || !signature.experimental)
                && (!self.words.floats_only || is_of_floats(**f))
        };
        let functions: Vec<Function> = Function::ALL.iter().filter(usable).copied().collect();
        let function = self.pick(&functions);
        let signature = function.signature();
        let spare = signature.arguments_max.saturating_sub(signature.arguments_min).min(3);
        let count = signature.arguments_min + (self.choose)(spare + 1);
        self.write(function.name());
        self.write("(");
        for index in 0..count {
            self.write(if index > 0 { ", " } else { "" });
            if function == Function::Info && index == 1 {
                self.pick_text(&["{}", "{a=\"b\"}", "{__name__=~\"x.*\", b=''}"]);
            } else if let Some(argument) = signature.argument(index) {
                self.expression(argument);
            }
        }
        self.write(")");
    }
}

const AGGREGATIONS: &[&str] = &[
    "sum",
    "avg",
    "COUNT",
    "min",
    "max",
    "group",
    "stddev",
    "stdvar",
    "topk",
    "bottomk",
    "count_values",
    "quantile",
    "limitk",
    "limit_ratio",
];
const COMPARISONS: &[&str] = &["==", "!=", "<", "<=", ">", ">="];
/// The last two are for native histograms.
const OPERATORS: &[&str] =
    &["+", "-", "*", "/", "%", "^", "atan2", "==", "!=", "<", "<=", ">", ">=", "</", ">/"];

/// Whether the function is about series of floats alone.
fn is_of_floats(function: Function) -> bool {
    use Function as F;
    !matches!(
        function,
        F::HistogramAvg
            | F::HistogramCount
            | F::HistogramFraction
            | F::HistogramQuantiles
            | F::HistogramStddev
            | F::HistogramStdvar
            | F::HistogramSum
            | F::Info
            | F::StartTimestamp
    )
}
