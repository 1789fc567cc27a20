//! Operators between two operands.
//!
//! Called by the evaluator, one entry for each pair of types: [`scalar_scalar`], [`VectorScalar`],
//! which streams, and [`VectorVector`], which holds both sides. The last brings the series of both
//! sides together once for all steps, by the labels that must be equal, and then combines columns.
//! Errors and annotations are those of an evaluation step by step.
//!
//! - [`float`]: the operators themselves, between floats and columns of floats.
//! - [`pair`]: between two values of any kinds, native histograms included.
//! - [`columns`]: between the columns of two series.
//! - [`signature`], [`join`]: which series match.
//! - [`one_side`], [`taken`], [`group`]: the pairs of the series that match, and what fills in.
//! - [`costs`]: the memory and the time that this takes.
//! - [`result_labels`], [`match_error`], [`notes`]: labels, errors and annotations of the results.
//! - [`set_operators`]: `and`, `or`, `unless`.

mod columns;
mod costs;
mod float;
mod group;
mod join;
mod match_error;
mod notes;
mod one_side;
mod pair;
mod result_labels;
mod set_operators;
mod signature;
mod taken;
#[cfg(test)]
mod tests;
mod vector_scalar;
mod vector_vector;

pub(crate) use float::scalar_scalar;
pub(crate) use vector_scalar::VectorScalar;
pub(crate) use vector_vector::VectorVector;
