//! Which of `rate`, `increase` and `delta` a rate is.

/// Which of the functions it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RateKind {
    /// Whether the series starts at zero and falls by resets only.
    pub(super) is_counter: bool,
    pub(super) per_second: bool,
}

impl RateKind {
    pub(super) const RATE: Self = Self { is_counter: true, per_second: true };
    pub(super) const INCREASE: Self = Self { is_counter: true, per_second: false };
    pub(super) const DELTA: Self = Self { is_counter: false, per_second: false };
}
