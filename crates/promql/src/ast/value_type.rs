//! The types of the language.
//!
//! Below the rest of `ast`: the table of functions says by them what a function takes and gives.

/// The type of an expression's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ValueType {
    /// One number at each step.
    Scalar,
    /// Series with at most one sample each at each step: an *instant vector*.
    Vector,
    /// Series with the samples of a range at each step: a *range vector*.
    Matrix,
    /// A text.
    String,
}
