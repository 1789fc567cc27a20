//! Functions of range vectors, evaluated over one series at all steps.

use crate::ast::Span;
use crate::eval::grid::Windows;
use crate::flags::Features;
use crate::functions::Function;

/// A call of a function of a range vector, prepared once for all series.
pub(crate) struct RangeCall {
    pub(crate) function: Function,
    pub(crate) windows: Windows,
    /// The scalar arguments in the order written, each with a value for every step.
    pub(crate) parameters: Vec<Vec<f64>>,
    pub(crate) features: Features,
    /// The range vector argument, which annotations blame.
    pub(crate) argument_span: Span,
}
