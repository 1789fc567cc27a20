//! What a step of a range query depends on: whether its value follows from the samples around it alone,
//! and how far around.
//!
//! Called by who keeps answers and computes only what is new of the next one. The promise is about bits:
//! where a query has a reach, its value at a step is the same, whatever other steps are evaluated with it.
//! One walk over the syntax tree, operands first, learns of each expression
//!
//! - how far before and behind a step samples matter: windows, offsets and lookback add up;
//! - which metric names its series can have: two names that are dropped can make one series of two, and a
//!   function of windows refuses that for the whole range;
//! - whether its series always go to an aggregation in one *order*, however many of them there are: sums
//!   are rounded by the order of their terms. Series that are held do, since a range query sorts them;
//!   those of a selection go in the order of their own labels, which is that of their final labels unless
//!   functions in between change more than one name.
//!
//! Where anything else matters there is no reach, which costs time and is never wrong: `@`, functions that
//! know the whole range (`start`, `end`, `range`), lengths that are computed, `info`, `sort` (it warns by
//! the number of steps), `limitk` and `limit_ratio`, `anchored` and `smoothed`, fill modifiers, delayed name
//! removal, a parameter of `topk` that is computed (it is checked over all steps), and `deriv` and
//! `predict_linear`, which share partial sums between steps and count time from the first sample.

use crate::ast::{
    Aggregate, AggregateOp, Ast, Binary, BinaryOp, Cardinality, ExprId, ExprKind, Grouping, Length,
    RangeMode, Selector, Subquery, TimeShift, ValueType,
};
use crate::functions::Function;

/// How far around a step samples matter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reach {
    /// Milliseconds before the step, at least 0: no older sample matters.
    pub before_ms: i64,
    /// Milliseconds behind the step, at least 0: no later sample matters.
    pub after_ms: i64,
}

/// What lengths depend on that are not in the query.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ReachOptions {
    /// Milliseconds.
    pub(crate) lookback: i64,
    /// Milliseconds.
    pub(crate) subquery_step: i64,
    /// The step of the query, in milliseconds.
    pub(crate) step: i64,
}

/// The metric names that the series of a value may have.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Names {
    /// All have none.
    None,
    /// All have this one.
    One(String),
    Many,
}

/// What is known of an expression.
#[derive(Debug, Clone)]
struct Fact {
    before: i64,
    after: i64,
    names: Names,
    /// Whether the series go to an aggregation in an order that does not depend on which of them there
    /// are.
    is_ordered: bool,
    /// Whether they are held before they do, and so sorted: not made one by one of those of a selection.
    is_held: bool,
}

/// The reach of the query `ast`, if it has one.
pub(crate) fn reach(ast: &Ast, options: ReachOptions) -> Option<Reach> {
    let steps = steps(ast, options)?;
    let walk = Walk { ast, options, steps };
    let mut facts: Vec<Fact> = Vec::with_capacity(ast.nodes().len());
    for index in 0..ast.nodes().len() {
        facts.push(walk.fact(ExprId::at(index), &facts)?);
    }
    let root = facts.pop()?;
    Some(Reach { before_ms: root.before.max(0), after_ms: root.after.max(0) })
}

/// For each expression the distance of the steps at which it is evaluated.
fn steps(ast: &Ast, options: ReachOptions) -> Option<Vec<i64>> {
    let mut steps = vec![options.step; ast.nodes().len()];
    for index in (0..steps.len()).rev() {
        let id = ExprId::at(index);
        let step = match &ast.get(id).kind {
            ExprKind::Subquery(subquery) => match &subquery.step {
                Some(step) => Some(fixed(step)?).filter(|step| *step > 0),
                None => None,
            }
            .unwrap_or(options.subquery_step),
            _ => steps[index],
        };
        ast.for_each_operand(id, |operand| steps[operand.index()] = step);
    }
    Some(steps)
}

fn fixed(length: &Length) -> Option<i64> {
    match length {
        Length::Fixed(milliseconds) => Some(*milliseconds),
        Length::Expression(_) => None,
    }
}

/// The offset of a selector or subquery that follows the step.
fn offset(shift: &TimeShift) -> Option<i64> {
    match (&shift.at, &shift.offset) {
        (Some(_), _) => None,
        (None, None) => Some(0),
        (None, Some(offset)) => fixed(offset),
    }
}

impl Fact {
    /// A value that no sample matters for, of one series at most.
    fn of_nothing() -> Self {
        Self {
            before: i64::MIN,
            after: i64::MIN,
            names: Names::None,
            is_ordered: true,
            is_held: true,
        }
    }

    /// The same series as far as that goes; the samples of both matter.
    fn and(mut self, other: &Self) -> Self {
        self.before = self.before.max(other.before);
        self.after = self.after.max(other.after);
        self
    }

    /// Behind something that drops names.
    fn without_names(self) -> Self {
        let is_ordered = self.is_held || (self.is_ordered && self.names != Names::Many);
        Self { names: Names::None, is_ordered, ..self }
    }

    /// Behind something whose series are held.
    fn held(self) -> Self {
        Self { is_ordered: true, is_held: true, ..self }
    }
}

struct Walk<'a> {
    ast: &'a Ast,
    options: ReachOptions,
    steps: Vec<i64>,
}

impl Walk<'_> {
    /// What is known of `id`, by the `facts` of what was written before; `None` if something else than
    /// the samples around a step matters.
    fn fact(&self, id: ExprId, facts: &[Fact]) -> Option<Fact> {
        let of = |id: ExprId| facts[id.index()].clone();
        Some(match &self.ast.get(id).kind {
            ExprKind::Number { .. } | ExprKind::String(_) => Fact::of_nothing(),
            ExprKind::Paren(inner) => of(*inner),
            ExprKind::Unary { operand, .. } => match self.ast.get(*operand).value_type {
                ValueType::Scalar => of(*operand),
                _ => of(*operand).without_names(),
            },
            ExprKind::Selector(selector) => self.selector(selector)?,
            ExprKind::Range { selector, range } => {
                let ExprKind::Selector(inner) = &self.ast.get(*selector).kind else { return None };
                let own = offset(&inner.shift)?;
                Fact { before: own.saturating_add(fixed(range)?), ..of(*selector) }
            }
            ExprKind::Subquery(subquery) => subquery_fact(subquery, of(subquery.operand))?,
            ExprKind::Binary(binary) => self.binary(binary, facts)?,
            ExprKind::Aggregate(aggregate) => self.aggregate(aggregate, facts)?,
            ExprKind::Call { function, arguments } => self.call(id, *function, arguments, facts)?,
        })
    }

    fn selector(&self, selector: &Selector) -> Option<Fact> {
        if selector.mode != RangeMode::Inside {
            return None;
        }
        let own = offset(&selector.shift)?;
        let named = selector.matchers.iter().find(|matcher| {
            matcher.name() == "__name__" && matcher.op() == siltstone::MatchOp::Equal
        });
        let names = match named.map(|matcher| matcher.value()) {
            None => Names::Many,
            Some("") => Names::None,
            Some(name) => Names::One(name.to_owned()),
        };
        let before = own.saturating_add(self.options.lookback);
        Some(Fact { before, after: own.saturating_neg(), names, is_ordered: true, is_held: false })
    }

    fn binary(&self, binary: &Binary, facts: &[Fact]) -> Option<Fact> {
        let of = |id: ExprId| facts[id.index()].clone();
        let (left, right) = (of(binary.left), of(binary.right));
        let type_of = |id: ExprId| self.ast.get(id).value_type;
        let keeps_names = binary.op.is_comparison() && !binary.return_bool;
        let named = |fact: Fact| if keeps_names { fact } else { fact.without_names() };
        let matching = match (type_of(binary.left), type_of(binary.right), &binary.matching) {
            (ValueType::Scalar, ValueType::Scalar, _) => return Some(left.and(&right)),
            (ValueType::Scalar, ..) => return Some(named(right.and(&left))),
            (_, ValueType::Scalar, _) => return Some(named(left.and(&right))),
            (.., matching) => matching.as_ref()?,
        };
        if matching.fill.left.is_some() || matching.fill.right.is_some() {
            return None;
        }
        match binary.op {
            BinaryOp::And | BinaryOp::Unless => return Some(left.and(&right).held()),
            BinaryOp::Or => {
                let same = left.names == right.names;
                let names = if same { left.names.clone() } else { Names::Many };
                return Some(Fact { names, ..left.and(&right) }.held());
            }
            _ => {}
        }
        let many_is_left = matching.cardinality != Cardinality::OneToMany;
        let (many, one) = if many_is_left { (left, right) } else { (right, left) };
        let copies_name = matching.include.iter().any(|label| label == "__name__");
        let fact = named(many.and(&one));
        let names = if copies_name { Names::Many } else { fact.names.clone() };
        Some(Fact { names, ..fact }.held())
    }

    fn aggregate(&self, aggregate: &Aggregate, facts: &[Fact]) -> Option<Fact> {
        let of = |id: ExprId| facts[id.index()].clone();
        let operand = of(aggregate.operand);
        let fact = match aggregate.parameter {
            Some(parameter) => operand.clone().and(&of(parameter)),
            None => operand.clone(),
        };
        let names = names_of_groups(&aggregate.grouping, &operand.names);
        match aggregate.op {
            AggregateOp::Limitk | AggregateOp::LimitRatio => None,
            AggregateOp::Count | AggregateOp::Group => Some(Fact { names, ..fact }.held()),
            // The others depend on the order of their series: sums by rounding, the rest where values
            // are equal, as zeros of both signs are.
            _ if !operand.is_ordered => None,
            AggregateOp::Topk | AggregateOp::Bottomk => {
                let parameter = self.ast.without_parens(aggregate.parameter?);
                let is_number = matches!(self.ast.get(parameter).kind, ExprKind::Number { .. });
                is_number.then_some(fact.held())
            }
            AggregateOp::CountValues => {
                let label = self.ast.get(self.ast.without_parens(aggregate.parameter?));
                let is_name = matches!(&label.kind, ExprKind::String(t) if &**t == b"__name__");
                let names = if is_name { Names::Many } else { names };
                Some(Fact { names, ..fact }.held())
            }
            _ => Some(Fact { names, ..fact }.held()),
        }
    }

    fn call(
        &self,
        id: ExprId,
        function: Function,
        arguments: &[ExprId],
        facts: &[Fact],
    ) -> Option<Fact> {
        let type_of = |id: &ExprId| self.ast.get(*id).value_type;
        // That whose series the value has.
        let main = arguments
            .iter()
            .find(|a| matches!(type_of(a), ValueType::Vector | ValueType::Matrix))
            .map(|id| (self.ast.without_parens(*id), facts[id.index()].clone()));
        let all = arguments
            .iter()
            .fold(main.as_ref().map_or(Fact::of_nothing(), |(_, fact)| fact.clone()), |all, id| {
                all.and(&facts[id.index()])
            });
        match function {
            Function::Info
            | Function::Start
            | Function::End
            | Function::Range
            | Function::Sort
            | Function::SortDesc
            | Function::SortByLabel
            | Function::SortByLabelDesc
            | Function::StartTimestamp
            | Function::HistogramQuantiles => None,
            Function::Absent | Function::AbsentOverTime | Function::Scalar | Function::Vector => {
                Some(Fact { names: Names::None, ..all }.held())
            }
            Function::LabelReplace | Function::LabelJoin => {
                let target = self.ast.get(self.ast.without_parens(*arguments.get(1)?));
                let is_name = matches!(&target.kind, ExprKind::String(t) if &**t == b"__name__");
                let names = if is_name { Names::Many } else { all.names.clone() };
                Some(Fact { names, is_ordered: all.is_held, ..all })
            }
            Function::HistogramQuantile | Function::HistogramFraction => {
                Some(all.without_names().held())
            }
            _ => match main {
                None => Some(Fact { names: Names::None, ..all }.held()),
                Some((range, operand)) if type_of(&range) == ValueType::Matrix => {
                    self.range_function(id, function, &operand.names, all)
                }
                Some(_) => Some(all.without_names()),
            },
        }
    }

    /// A function of the windows of series that have `names`.
    fn range_function(
        &self,
        id: ExprId,
        function: Function,
        names: &Names,
        fact: Fact,
    ) -> Option<Fact> {
        if matches!(function, Function::LastOverTime | Function::FirstOverTime) {
            return Some(fact);
        }
        // Series that become one are refused for the whole range.
        if *names == Names::Many {
            return None;
        }
        let depends = match function {
            Function::Deriv | Function::PredictLinear => true,
            // A range of one step of a millisecond cannot be told from an instant, whose window is not
            // cut in two.
            Function::SumOverTime
            | Function::AvgOverTime
            | Function::StddevOverTime
            | Function::StdvarOverTime => self.steps[id.index()] < 2,
            _ => false,
        };
        if depends {
            return None;
        }
        Some(fact.without_names())
    }
}

fn subquery_fact(subquery: &Subquery, operand: Fact) -> Option<Fact> {
    let own = offset(&subquery.shift)?;
    let length = own.saturating_add(fixed(&subquery.range)?);
    Some(Fact {
        before: operand.before.saturating_add(length),
        after: operand.after.saturating_sub(own),
        ..operand
    })
}

fn names_of_groups(grouping: &Grouping, names: &Names) -> Names {
    let keeps = !grouping.without && grouping.labels.iter().any(|label| label == "__name__");
    if keeps { names.clone() } else { Names::None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flags::Features;
    use crate::parse;

    fn of(text: &str) -> Option<(i64, i64)> {
        let ast = parse(text, &Features::experimental()).unwrap();
        let options = ReachOptions { lookback: 300_000, subquery_step: 60_000, step: 60_000 };
        reach(&ast, options).map(|reach| (reach.before_ms, reach.after_ms))
    }

    const MINUTE: i64 = 60_000;

    #[test]
    fn windows_offsets_and_lookback_add_up() {
        for (text, before, after) in [
            ("1", 0, 0),
            ("time()", 0, 0),
            ("m", 5, 0),
            ("m offset 10m", 15, 0),
            ("m offset -10m", 0, 10),
            ("rate(m[3m])", 3, 0),
            ("rate(m[3m] offset -1m)", 2, 1),
            ("max_over_time(rate(m[3m])[1h:])", 63, 0),
            ("max_over_time((m offset 2m)[1h:5m] offset -4m)", 63, 2),
            ("min_over_time(max_over_time(m[1h:])[1d:] offset 1h)", 26 * 60 + 5, 0),
            ("sum by (x) (rate(m[3m])) / on (x) sum by (x) (n offset -7m)", 3, 7),
            ("histogram_quantile(scalar(n offset 1h), sum by (le) (rate(m[3m])))", 65, 0),
            ("topk(3, m)", 5, 0),
            ("sum(m * n)", 5, 0),
            ("sum(m * on (a) group_left n)", 5, 0),
            ("last_over_time({x=\"1\"}[3m])", 3, 0),
            ("absent_over_time({x=\"1\"}[3m])", 3, 0),
            ("count_values(\"v\", m)", 5, 0),
            ("sum_over_time(m[1m])", 1, 0),
            ("sum(sum(m)) + vector(time())", 5, 0),
            ("label_replace(m, \"a\", \"$1\", \"b\", \"(.*)\")", 5, 0),
            ("count(sum by (x) (m))", 5, 0),
            ("sum_over_time(m[5m])", 5, 0),
            ("avg_over_time(stdvar_over_time(m[2m])[10m:30s])", 12, 0),
            ("sum(sum by (x) (m))", 5, 0),
            ("topk(3, sum by (x) (m))", 5, 0),
            ("avg(m * on (x) n)", 5, 0),
            ("sum(m * on (x) group_left (y) n)", 5, 0),
            ("sum(m or n)", 5, 0),
            ("sum(abs(m or n))", 5, 0),
            ("sum(count_values(\"v\", m))", 5, 0),
            ("sum(label_replace(sum by (b) (m), \"a\", \"$1\", \"b\", \"(.*)\"))", 5, 0),
        ] {
            assert_eq!(of(text), Some((before * MINUTE, after * MINUTE)), "{text}");
        }
    }

    #[test]
    fn what_depends_on_other_steps_has_none() {
        for text in [
            "m @ 5",
            "m @ start()",
            "rate(m[5m] @ end())",
            "max_over_time(m[5m:] @ 7)",
            "m + start()",
            "end() - time()",
            "vector(range())",
            "m offset (step() * 2)",
            "rate(m[5m + 1s])",
            "max_over_time(m[5m:1m + 1s])",
            "info(m)",
            "sort(m)",
            "sort_desc(sum by (x) (m))",
            "sort_by_label(m, \"x\")",
            "limitk(2, m)",
            "limit_ratio(0.5, m)",
            "rate(m[5m] anchored)",
            "m smoothed",
            "m + fill(0) n",
            "topk(scalar(n), m)",
            "deriv(m[5m])",
            "predict_linear(m[1m], 60)",
            "max_over_time(deriv(m[2m])[10m:30s])",
            "sum_over_time(avg_over_time(m[2m])[10m:1ms])",
            // Names that are dropped may leave two series with the same labels.
            "rate({x=\"1\"}[5m])",
            "rate((m or n)[5m:1m])",
            "rate(label_replace(m, \"__name__\", \"$1\", \"x\", \"(.*)\")[5m:1m])",
            "sum(abs({x=\"1\"}))",
            // Series of a selection whose order is not that of their new labels.
            "sum(label_replace(m, \"a\", \"$1\", \"b\", \"(.*)\"))",
            "topk(1, label_join(rate(m[5m]), \"a\", \"\", \"b\"))",
        ] {
            assert_eq!(of(text), None, "{text}");
        }
    }
}
