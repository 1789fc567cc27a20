//! Instant vectors.

use siltstone_promql::ast::ValueType;
use siltstone_promql::functions::{Function, Signature};

use super::vocabulary::Kind;
use super::{Generator, Vector};

impl Generator<'_> {
    pub(super) fn vector(&mut self) -> Vector {
        if self.errs() {
            let text = match self.random.below(3) {
                0 => self.string(),
                1 => self.matrix().0,
                _ => self.scalar(),
            };
            return Vector { text, labels: Vec::new() };
        }
        if self.is_deep() {
            let kinds = self.any_kind();
            return self.selector(kinds);
        }
        self.deeper(|g| match g.random.weighted(&[8, 20, 26, 14, 20, 5, 6, 5, 3, 2]) {
            0 => {
                let kinds = g.any_kind();
                g.selector(kinds)
            }
            1 => g.aggregate(),
            2 => g.of_range(),
            3 => g.of_vector(),
            4 => g.binary(),
            5 => g.quantile_of_histogram(),
            6 => g.relabelled(),
            7 => g.special(),
            8 => g.vector().wrapped("(", ")"),
            _ => g.vector().wrapped("-", ""),
        })
    }

    /// A function of a range.
    fn of_range(&mut self) -> Vector {
        let function = self.function(|s| s.arguments.contains(&ValueType::Matrix));
        let kinds: &[Kind] = match function.name() {
            "rate" | "increase" | "irate" | "resets" if self.random.chance(85) => {
                if self.random.chance(75) { &[Kind::Counter] } else { &[Kind::Native] }
            }
            "delta" | "idelta" | "deriv" | "predict_linear" if self.random.chance(80) => {
                &[Kind::Gauge]
            }
            _ => match self.random.weighted(&[45, 25, 5, 25]) {
                0 => &[Kind::Gauge],
                1 => &[Kind::Counter],
                2 => &[Kind::Bucket],
                _ => &[Kind::Native],
            },
        };
        let (matrix, labels) = self.matrix_of(kinds);
        let arguments = match function.name() {
            "quantile_over_time" => format!("{}, {matrix}", self.quantile()),
            "predict_linear" => format!("{matrix}, {}", self.scalar()),
            "double_exponential_smoothing" => {
                let (a, b) = (self.factor(), self.factor());
                format!("{matrix}, {a}, {b}")
            }
            _ => matrix,
        };
        Vector { text: format!("{}({arguments})", function.name()), labels }
    }

    /// A factor of smoothing: between 0 and 1 mostly.
    fn factor(&mut self) -> String {
        self.pick(&["0.1", "0.5", "0.9", "0.01", "0.3", "0.5", "0", "1", "2", "NaN", "scalar(g)"])
    }

    /// A function of one vector, perhaps with numbers.
    fn of_vector(&mut self) -> Vector {
        let plain = |s: &Signature| {
            s.arguments.first() == Some(&ValueType::Vector)
                && s.returns == ValueType::Vector
                && s.arguments.iter().all(|a| *a != ValueType::String)
        };
        let function = self.function(plain);
        if function == Function::Info {
            return self.info();
        }
        let operand = match function.name().starts_with("histogram_") {
            true if self.random.chance(90) => self.selector_or_rate(&[Kind::Native]),
            _ => self.vector(),
        };
        let signature = function.signature();
        let spare = signature.arguments_max - signature.arguments_min;
        let count = signature.arguments_min + self.random.below(spare + 1);
        if count == 0 {
            return Vector { text: format!("{}()", function.name()), labels: Vec::new() };
        }
        let mut after = String::new();
        for _ in 1..count {
            after.push_str(", ");
            after.push_str(&self.scalar());
        }
        after.push(')');
        operand.wrapped(&format!("{}(", function.name()), &after)
    }

    /// A function whose signature `fits`, that both sides know.
    fn function(&mut self, fits: impl Fn(&Signature) -> bool) -> Function {
        let known = self.vocabulary.functions.iter().copied();
        let fitting: Vec<Function> = known.filter(|f| fits(f.signature())).collect();
        *self.random.pick(&fitting)
    }

    pub(super) fn selector_or_rate(&mut self, kinds: &[Kind]) -> Vector {
        if self.random.chance(50) {
            return self.selector(kinds);
        }
        let function = self.pick(&["rate", "increase", "delta", "sum_over_time", "last_over_time"]);
        let (matrix, labels) = self.matrix_of(kinds);
        Vector { text: format!("{function}({matrix})"), labels }
    }

    /// Quantiles and fractions, of classic and native histograms.
    fn quantile_of_histogram(&mut self) -> Vector {
        let kinds: &[Kind] = match self.random.weighted(&[60, 35, 5]) {
            0 => &[Kind::Bucket],
            1 => &[Kind::Native],
            _ => &[Kind::Gauge],
        };
        let mut buckets = self.selector_or_rate(kinds);
        if self.random.chance(40) {
            let by = self.pick(&[" by (le)", " by (le, job)", " without (instance)", ""]);
            buckets = buckets.wrapped(&format!("sum{by} ("), ")");
        }
        if self.random.chance(25) {
            let (low, high) = (self.bound(), self.bound());
            return buckets.wrapped(&format!("histogram_fraction({low}, {high}, "), ")");
        }
        let q = self.quantile();
        buckets.wrapped(&format!("histogram_quantile({q}, "), ")")
    }

    fn bound(&mut self) -> String {
        self.pick(&["0", "-Inf", "+Inf", "0.3", "1", "-1", "5", "NaN", "0.0001", "100"])
    }

    fn relabelled(&mut self) -> Vector {
        let operand = self.vector();
        let labels = operand.labels.clone();
        let label = |g: &mut Self| match &labels[..] {
            [] => "job".to_owned(),
            some => g.random.pick(some).clone(),
        };
        let target = match self.random.weighted(&[50, 30, 8, 4]) {
            0 => "new".to_owned(),
            1 => label(self),
            2 => "__name__".to_owned(),
            _ => self.pick(&["", "1a", "a.b", "a b"]),
        };
        if self.random.chance(60) {
            let replacement = self.pick(&["$1", "x-$1", "${1}y", "$0", "", "$2", "fix", "$1$1"]);
            let source = if self.random.chance(8) { "__name__".into() } else { label(self) };
            let pattern =
                self.pick(&["(.*)", "(.+):(.+)", "a(.*)", "", ".*", "([a-z]+).*", "(", "no"]);
            return operand.wrapped(
                "label_replace(",
                &format!(", \"{target}\", \"{replacement}\", \"{source}\", \"{pattern}\")"),
            );
        }
        let separator = self.pick(&["-", "", ",", "::"]);
        let mut after = format!(", \"{target}\", \"{separator}\"");
        for _ in 0..self.random.below(4) {
            after.push_str(&format!(", \"{}\"", label(self)));
        }
        after.push(')');
        operand.wrapped("label_join(", &after)
    }

    /// What fits nowhere else.
    fn special(&mut self) -> Vector {
        match self.random.below(7) {
            0 => {
                let number = self.scalar();
                Vector { text: format!("vector({number})"), labels: Vec::new() }
            }
            1 => self.vector().wrapped("absent(", ")"),
            2 => {
                let (matrix, labels) = self.matrix();
                Vector { text: format!("absent_over_time({matrix})"), labels }
            }
            3 => self.vector().wrapped("timestamp(", ")"),
            4 if self.vocabulary.knows("sort_by_label") => {
                let name = self.pick(&["sort_by_label", "sort_by_label_desc"]);
                let operand = self.vector();
                let mut after = String::new();
                for _ in 0..self.random.below(3) {
                    let labels = ["job", "instance", "v", "le", "path"];
                    after.push_str(&format!(", \"{}\"", self.random.pick(&labels)));
                }
                operand.wrapped(&format!("{name}("), &format!("{after})"))
            }
            5 => self.info(),
            _ => {
                let name = self.pick(&["sort", "sort_desc"]);
                self.vector().wrapped(&format!("{name}("), ")")
            }
        }
    }

    fn info(&mut self) -> Vector {
        let operand = self.vector();
        let after = match self.random.below(5) {
            0 => ", {version=~\".+\"}",
            1 => ", {__name__=~\".*_info\"}",
            2 => ", {__name__=\"build_info\", rev!=\"\"}",
            3 => ", {env=\"prod\"}",
            _ => "",
        };
        operand.wrapped("info(", &format!("{after})"))
    }
}
