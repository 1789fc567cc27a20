//! The type checker: which operands an expression takes.
//!
//! It runs when the text has no error of syntax, in the order of Prometheus's `checkAST`, so that of
//! several errors the same one is reported: an expression before or behind its operands, as noted at
//! each rule. The order is kept on a stack, not by recursion.

use siltstone::Matcher;

use super::parser::Parser;
use crate::ast::{
    Aggregate, AggregateOp, Binary, Cardinality, ExprId, ExprKind, Selector, Span, ValueType,
};
use crate::error::Fault;
use crate::functions::Function;
use crate::quote::quoted;
use crate::value::METRIC_NAME;

/// What is still to be checked.
#[derive(Debug, Clone, Copy)]
enum Task {
    /// An expression and its operands.
    Enter(ExprId),
    /// An expression whose operands have passed.
    Leave(ExprId),
    /// That an operand has the type that `expression` takes; `index` is that of an argument.
    Operand { expression: ExprId, operand: ExprId, index: usize },
}

/// Labels and fill values of a binary operator whose operands are not both instant vectors.
const NOT_VECTORS: &str = "only allowed between instant vectors";

impl ValueType {
    /// The name in the documentation, and in error messages.
    #[must_use]
    pub fn documented(self) -> &'static str {
        match self {
            Self::Scalar => "scalar",
            Self::Vector => "instant vector",
            Self::Matrix => "range vector",
            Self::String => "string",
        }
    }

    /// The name in the API's answers.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Scalar => "scalar",
            Self::Vector => "vector",
            Self::Matrix => "matrix",
            Self::String => "string",
        }
    }
}

impl Parser<'_> {
    /// Checks the tree below `root`, and drops what only instant vectors have from operators between
    /// others.
    pub(super) fn check_types(&mut self, root: ExprId) -> Result<(), Fault> {
        let mut tasks = vec![Task::Enter(root)];
        while let Some(task) = tasks.pop() {
            match task {
                Task::Enter(id) => self.check_before(id, &mut tasks)?,
                Task::Leave(id) => self.check_behind(id)?,
                Task::Operand { expression, operand, index } => {
                    self.check_operand(expression, operand, index)?;
                }
            }
        }
        Ok(())
    }

    /// What is checked before the operands; plans the checks of those, last first.
    fn check_before(&mut self, id: ExprId, tasks: &mut Vec<Task>) -> Result<(), Fault> {
        let typed = |operand, index| {
            [Task::Operand { expression: id, operand, index }, Task::Enter(operand)]
        };
        match &self.node(id).kind {
            ExprKind::Number { .. } | ExprKind::String(_) => {}
            ExprKind::Paren(operand) | ExprKind::Range { selector: operand, .. } => {
                tasks.push(Task::Enter(*operand));
            }
            ExprKind::Unary { operand, .. } => {
                tasks.extend([Task::Leave(id), Task::Enter(*operand)]);
            }
            ExprKind::Binary(binary) => {
                let (left, right) = (binary.left, binary.right);
                tasks.extend([Task::Leave(id), Task::Enter(right), Task::Enter(left)]);
            }
            ExprKind::Subquery(subquery) => {
                tasks.extend([Task::Leave(id), Task::Enter(subquery.operand)]);
            }
            ExprKind::Aggregate(aggregate) => {
                tasks.extend(aggregate.parameter.into_iter().flat_map(|p| typed(p, 0)));
                tasks.extend(typed(aggregate.operand, 1));
            }
            ExprKind::Call { function, arguments } => {
                let span = self.node(id).span;
                check_argument_count(*function, arguments.len(), span)?;
                let labels = self.info_labels(*function, arguments, span)?;
                for (index, argument) in arguments.iter().enumerate().rev() {
                    // Labels to look for may all match the empty value.
                    if Some(*argument) != labels {
                        tasks.extend(typed(*argument, index));
                    }
                }
            }
            ExprKind::Selector(selector) => check_selector(selector, self.node(id).span)?,
        }
        Ok(())
    }

    /// The second argument of `info`, which must be matchers without a name.
    fn info_labels(
        &self,
        function: Function,
        arguments: &[ExprId],
        call: Span,
    ) -> Result<Option<ExprId>, Fault> {
        let (Function::Info, [_, labels, ..]) = (function, arguments) else { return Ok(None) };
        let node = self.node(*labels);
        if node.value_type != ValueType::Vector {
            return Err(wrong_argument(function, ValueType::Vector, node.value_type, call));
        }
        match &node.kind {
            ExprKind::Selector(selector) if selector.name.is_none() => Ok(Some(*labels)),
            ExprKind::Selector(_) => {
                let message = "expected label selectors only, got vector selector instead";
                Err(Fault::new(node.span, message))
            }
            _ => Err(Fault::new(node.span, "expected label selectors only")),
        }
    }

    fn check_operand(
        &self,
        expression: ExprId,
        operand: ExprId,
        index: usize,
    ) -> Result<(), Fault> {
        let node = self.node(operand);
        match &self.node(expression).kind {
            ExprKind::Aggregate(aggregate) => {
                let (wanted, context) = aggregate_operand(aggregate, index);
                if node.value_type == wanted {
                    return Ok(());
                }
                let (wanted, found) = (wanted.documented(), node.value_type.documented());
                let message = format!("expected type {wanted} in {context}, got {found}");
                Err(Fault::new(node.span, message))
            }
            ExprKind::Call { function, .. } => match function.signature().argument(index) {
                Some(wanted) if wanted != node.value_type => {
                    Err(wrong_argument(*function, wanted, node.value_type, node.span))
                }
                _ => Ok(()),
            },
            _ => Ok(()),
        }
    }

    /// What is checked behind the operands.
    fn check_behind(&mut self, id: ExprId) -> Result<(), Fault> {
        let node = self.node(id);
        let fault = |message: String| Err(Fault::new(node.span, message));
        match &node.kind {
            ExprKind::Unary { operand, .. } => {
                let found = self.node(*operand).value_type;
                if matches!(found, ValueType::Scalar | ValueType::Vector) {
                    return Ok(());
                }
                let found = quoted(found.documented().as_bytes());
                fault(format!(
                    "unary expression only allowed on expressions of type scalar or instant \
                     vector, got {found}"
                ))
            }
            ExprKind::Subquery(subquery) => match self.node(subquery.operand).value_type {
                ValueType::Vector => Ok(()),
                found => {
                    let found = found.as_str();
                    fault(format!(
                        "subquery is only allowed on instant vector, got {found} instead"
                    ))
                }
            },
            ExprKind::Binary(binary) => {
                self.check_modifiers(binary)?;
                let are_vectors = self.check_binary_operands(binary, node.span)?;
                if let ExprKind::Binary(binary) = &mut self.node_mut(id).kind {
                    settle_matching(binary, are_vectors);
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// `bool`, and labels that two modifiers claim; the place is that of the operator.
    fn check_modifiers(&self, binary: &Binary) -> Result<(), Fault> {
        let (left, right) = (self.node(binary.left), self.node(binary.right));
        let fault = |message: String| {
            let between = Span { start: left.span.end, end: right.span.start };
            let text = self.text.get(between.range()).unwrap_or_default();
            let start = left.span.end as usize + (text.len() - text.trim_start().len());
            Err(Fault::new(Span::new(start, start + text.trim().len()), message))
        };
        if binary.return_bool && !binary.op.is_comparison() {
            return fault("bool modifier can only be used on comparison operators".to_owned());
        }
        let scalars = left.value_type == ValueType::Scalar && right.value_type == ValueType::Scalar;
        if binary.op.is_comparison() && !binary.return_bool && scalars {
            return fault("comparisons between scalars must use BOOL modifier".to_owned());
        }
        let Some(matching) = &binary.matching else { return Ok(()) };
        let labels = &matching.labels;
        match labels.labels.iter().find(|label| matching.include.contains(label)) {
            Some(label) if labels.on => {
                let label = quoted(label.as_bytes());
                fault(format!("label {label} must not occur in ON and GROUP clause at once"))
            }
            _ => Ok(()),
        }
    }

    /// Whether both operands are instant vectors; they must be vectors or scalars that the operator
    /// and its modifiers take.
    fn check_binary_operands(&self, binary: &Binary, span: Span) -> Result<bool, Fault> {
        let (left, right) = (self.node(binary.left), self.node(binary.right));
        for operand in [left, right] {
            if !matches!(operand.value_type, ValueType::Scalar | ValueType::Vector) {
                let message = "binary expression must contain only scalar and instant vector types";
                return Err(Fault::new(operand.span, message));
            }
        }
        let vectors = left.value_type == ValueType::Vector && right.value_type == ValueType::Vector;
        let Some(matching) = &binary.matching else { return Ok(vectors) };
        let fills = matching.fill.left.is_some() || matching.fill.right.is_some();
        let groups =
            matches!(matching.cardinality, Cardinality::ManyToOne | Cardinality::OneToMany);
        let op = quoted(binary.op.as_str().as_bytes());
        let is_set_operator = binary.op.is_set_operator();
        let message = if !vectors && !matching.labels.labels.is_empty() {
            format!("vector matching {NOT_VECTORS}")
        } else if !vectors && fills {
            format!("filling in missing series {NOT_VECTORS}")
        } else if !vectors && is_set_operator {
            format!("set operator {op} not allowed in binary scalar expression")
        } else if vectors && is_set_operator && groups {
            format!("no grouping allowed for {op} operation")
        } else if vectors && is_set_operator && fills {
            "filling in missing series not allowed for set operators".to_owned()
        } else {
            return Ok(vectors);
        };
        Err(Fault::new(span, message))
    }
}

/// Gives set operators their cardinality, and drops the matching where there is nothing to match.
fn settle_matching(binary: &mut Binary, are_vectors: bool) {
    if !are_vectors {
        binary.matching = None;
    } else if let Some(matching) = &mut binary.matching
        && binary.op.is_set_operator()
    {
        matching.cardinality = Cardinality::ManyToMany;
    }
}

/// The type of an aggregation's parameter (index 0) or operand, and how messages name it.
fn aggregate_operand(aggregate: &Aggregate, index: usize) -> (ValueType, &'static str) {
    match (index, aggregate.op) {
        (0, AggregateOp::CountValues) => (ValueType::String, "aggregation parameter"),
        (0, _) => (ValueType::Scalar, "aggregation parameter"),
        _ => (ValueType::Vector, "aggregation expression"),
    }
}

fn wrong_argument(function: Function, wanted: ValueType, found: ValueType, span: Span) -> Fault {
    let (wanted, found) = (wanted.documented(), found.documented());
    let name = function.name();
    let message = format!("expected type {wanted} in call to function \"{name}\", got {found}");
    Fault::new(span, message)
}

fn check_argument_count(function: Function, count: usize, call: Span) -> Result<(), Fault> {
    let signature = function.signature();
    let (min, max) = (signature.arguments_min, signature.arguments_max);
    if (min..=max).contains(&count) {
        return Ok(());
    }
    let (quantity, limit) = match () {
        () if min == max => ("", min),
        () if count < min => ("at least ", min),
        () => ("at most ", max),
    };
    let name = signature.name;
    let message =
        format!("expected {quantity}{limit} argument(s) in call to \"{name}\", got {count}");
    Err(Fault::new(call, message))
}

fn check_selector(selector: &Selector, span: Span) -> Result<(), Fault> {
    let Some(name) = &selector.name else {
        if selector.matchers.iter().all(Matcher::matches_empty) {
            let message = "vector selector must contain at least one non-empty matcher";
            return Err(Fault::new(span, message));
        }
        return Ok(());
    };
    match selector.matchers.iter().skip(1).find(|matcher| matcher.name() == METRIC_NAME) {
        Some(second) => {
            let (first, second) = (quoted(name.as_bytes()), quoted(second.value().as_bytes()));
            let message = format!("metric name must not be set twice: {first} or {second}");
            Err(Fault::new(span, message))
        }
        None => Ok(()),
    }
}
