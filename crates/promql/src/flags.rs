//! What may be switched on or off in the language, by Prometheus's feature flags.

/// Switches of the language, with Prometheus's flags where it has one; all are off by default, as
/// there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Features {
    /// `promql-experimental-functions`: functions and aggregations that may still change.
    pub experimental_functions: bool,
    /// `promql-duration-expr`: arithmetic in ranges, steps and offsets.
    pub duration_expressions: bool,
    /// `promql-extended-range-selectors`: `anchored` and `smoothed`.
    pub extended_ranges: bool,
    /// `promql-binop-fill-modifiers`: `fill`, `fill_left`, `fill_right`.
    pub fill_modifiers: bool,
    /// `promql-delayed-name-removal`: `__name__` is dropped at the end of the evaluation.
    pub delayed_name_removal: bool,
    /// `type-and-unit-labels`: decisions follow the labels `__type__` and `__unit__`.
    pub type_and_unit_labels: bool,
    /// Counter resets are also recognised by start timestamps.
    pub start_timestamps: bool,
}

impl Features {
    /// Everything switched on but [`type_and_unit_labels`](Self::type_and_unit_labels).
    #[must_use]
    pub fn experimental() -> Self {
        Self {
            experimental_functions: true,
            duration_expressions: true,
            extended_ranges: true,
            fill_modifiers: true,
            delayed_name_removal: true,
            type_and_unit_labels: false,
            start_timestamps: true,
        }
    }
}
