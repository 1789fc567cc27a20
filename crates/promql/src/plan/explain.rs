//! A plan as text, for people: one line a node, operands below their operator and to the right of
//! it, selections at the end.

use std::fmt;

use siltstone::ReadCost;

use super::{LookupValue, Node, NodeId, NodeKind, Plan, RangeSource};
use crate::ast::RangeMode;
use crate::eval::grid::{Grid, Shift, Windows};

/// What a source says of a selection before anything of it is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Estimate {
    pub(crate) series: usize,
    /// What reading it takes, over all its readers; `None` where the source does not know.
    pub(crate) cost: Option<ReadCost>,
}

/// A plan with what the source says of its selections, if it was asked.
pub(crate) struct Explained<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) estimates: &'a [Estimate],
}

impl fmt::Display for Explained<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.plan)?;
        for (number, estimate) in self.estimates.iter().enumerate() {
            write!(f, "selection {number} has {} series", estimate.series)?;
            if let Some(ReadCost { samples, chunks, bytes }) = estimate.cost {
                write!(f, ", about {samples} samples")?;
                if chunks > 0 {
                    write!(f, ", {chunks} chunks of {bytes} bytes")?;
                }
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // With a stack of its own: a chain of thousands of operators is as many levels.
        let mut waiting = vec![(self.root(), 0)];
        while let Some((id, depth)) = waiting.pop() {
            let node = self.node(id);
            let indent = 2 * usize::min(depth, 40);
            write!(f, "{:indent$}{}  [{}]", "", Described(node), Steps(node.grid))?;
            writeln!(f, "{}", if node.users > 1 { ", taken by several" } else { "" })?;
            let mut operands: Vec<NodeId> = Vec::new();
            node.kind.for_each_operand(|operand| operands.push(operand));
            waiting.extend(operands.into_iter().rev().map(|operand| (operand, depth + 1)));
        }
        for (number, selection) in self.selections.iter().enumerate() {
            write!(f, "selection {number}: {{")?;
            for (at, matcher) in selection.matchers.iter().enumerate() {
                write!(f, "{}{matcher}", if at == 0 { "" } else { "," })?;
            }
            write!(f, "}} {}..={} ms", selection.start, selection.end)?;
            if let Some(function) = selection.function {
                write!(f, ", for {function}")?;
            }
            if let Some(range) = selection.range {
                write!(f, " over {range} ms")?;
            }
            if let Some(labels) = &selection.labels_kept {
                write!(f, ", keeps {labels:?}")?;
            }
            match selection.readers {
                0 | 1 => writeln!(f)?,
                readers => writeln!(f, ", read by {readers}")?,
            }
        }
        Ok(())
    }
}

struct Steps(Grid);

impl fmt::Display for Steps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Grid { start, step, count } = self.0;
        match count {
            1 => write!(f, "at {start} ms"),
            _ => write!(f, "{count} steps of {step} ms from {start} ms"),
        }
    }
}

struct Described<'a>(&'a Node);

impl fmt::Display for Described<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0.kind {
            NodeKind::Number(value) => write!(f, "number {value}"),
            NodeKind::Text(text) => write!(f, "text {:?}", String::from_utf8_lossy(text)),
            NodeKind::Lookup { lookup, selection } => {
                let what = match lookup.what {
                    LookupValue::Sample => "newest sample",
                    LookupValue::Smoothed => "interpolated value",
                    LookupValue::Timestamp => "time of the newest sample",
                    LookupValue::StartTimestamp => "start timestamp of the newest sample",
                };
                write!(f, "{what} of selection {}", selection.index())?;
                write_shift(f, lookup.shift)
            }
            NodeKind::RangeFunction { function, source, windows, .. } => {
                f.write_str(function.name())?;
                write_windows(f, *source, windows)
            }
            NodeKind::Samples { source, windows } => {
                f.write_str("samples")?;
                write_windows(f, *source, windows)
            }
            NodeKind::SeriesFunction { function, .. }
            | NodeKind::LabelFunction { function, .. }
            | NodeKind::VectorFunction { function, .. }
            | NodeKind::ScalarFunction { function, .. } => f.write_str(function.name()),
            NodeKind::AbsentOverTime { .. } => f.write_str("absent_over_time"),
            NodeKind::Absent { .. } => f.write_str("absent"),
            NodeKind::Info { .. } => f.write_str("info"),
            NodeKind::Negate(_) | NodeKind::NegateScalar(_) => f.write_str("negate"),
            NodeKind::ScalarScalar { op, .. } => write!(f, "scalar {op} scalar"),
            NodeKind::VectorScalar { op, vector_is_left: true, .. } => {
                write!(f, "vector {op} scalar")
            }
            NodeKind::VectorScalar { op, .. } => write!(f, "scalar {op} vector, vector first"),
            NodeKind::VectorVector { op, .. } => write!(f, "vector {op} vector"),
            NodeKind::Aggregate { op, grouping, .. } => {
                let by = if grouping.without { "without" } else { "by" };
                write!(f, "{} {by} {:?}", op.as_str(), grouping.labels)
            }
            NodeKind::Repeat(_) => f.write_str("repeat"),
        }
    }
}

fn write_shift(f: &mut fmt::Formatter<'_>, shift: Shift) -> fmt::Result {
    if let Some(at) = shift.at {
        write!(f, " at {at} ms")?;
    }
    if shift.offset != 0 {
        write!(f, " offset {} ms", shift.offset)?;
    }
    Ok(())
}

fn write_windows(
    f: &mut fmt::Formatter<'_>,
    source: RangeSource,
    windows: &Windows,
) -> fmt::Result {
    let mode = match windows.mode {
        RangeMode::Inside => "",
        RangeMode::Anchored => "anchored ",
        RangeMode::Smoothed => "smoothed ",
    };
    write!(f, " over {mode}windows of {} ms of ", windows.range)?;
    match source {
        RangeSource::Stored(id) => write!(f, "selection {}", id.index())?,
        RangeSource::Subquery(_) => f.write_str("a subquery")?,
    }
    write_shift(f, windows.shift)
}
