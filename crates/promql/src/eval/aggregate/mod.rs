//! Aggregations: `sum by (job) (x)` and its kin, over columns of values at steps.
//!
//! The evaluator prepares an [`AggregateCall`] once for a node of the query, cuts the series of the
//! operand into a fixed number of shares by the hash of their labels, feeds each share to an
//! [`Accumulator`] of its own, and merges the accumulators in pairs along a fixed tree. Within a
//! share series come in order of *rank*, the place of a series in Prometheus's order of the operand.
//! Which thread does what has no influence on the answer, bit for bit: the shares, the order within
//! them and the tree are the same.
//!
//! An accumulator holds one state for each group. A state is made of columns over the steps, and the
//! inner loops run over slices. What each holds in a share, with `n` series in `g` groups over `s`
//! steps (up to sixteen shares are held at a time):
//!
//! | aggregation | file | streams | holds |
//! |---|---|---|---|
//! | `sum` | `sum` | yes | 16 bytes × `g` × `s` |
//! | `avg` | `avg` | yes | 24 bytes × `g` × `s` |
//! | `count`, `group` | `count` | yes | 8 bytes × `g` × `s` |
//! | `min`, `max` | `extremum` | yes | 8 bytes × `g` × `s` |
//! | `stddev`, `stdvar` | `deviation` | yes | 24 bytes × `g` × `s` |
//! | `topk`, `bottomk` | `top` | yes | 16 bytes × `k` × `g` × `s`, 24 bytes × `g` × `s`, and what was driven out: at worst its input |
//! | `limitk` | `limit` | yes | 16 bytes × `k` × `g` × `s` |
//! | `limit_ratio` | `limit` | yes | its output |
//! | `quantile` | `quantile` | no | its input: 8 bytes × `n` × `s` |
//! | `count_values` | `count_values` | no | 8 bytes × different values × `s` |
//!
//! Native histograms, where an aggregation takes them, are summed in `histograms`. `group_labels`
//! says which labels make a group, `groups` finds the group of a series, `group_state` is what each
//! file above implements. Parameters are checked by `parameter`.

mod accumulator;
mod avg;
mod call;
mod count;
mod count_values;
mod deviation;
mod extremum;
mod group_labels;
mod group_state;
mod groups;
mod histograms;
mod input;
mod limit;
mod parameter;
mod quantile;
mod sum;
mod top;

#[cfg(test)]
mod tests;

pub(crate) use accumulator::Accumulator;
pub(crate) use call::{AggregateCall, AggregateNode, AggregateSpans};
pub(crate) use input::InputSeries;
pub(crate) use parameter::Parameter;
