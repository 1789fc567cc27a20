//! Functions of instant vectors and scalars.
//!
//! | file | functions |
//! |---|---|
//! | `series_function` | one series to one series: `clamp`, `round`, `timestamp`, `-v`, statistics of histograms, and those of the next two |
//! | `math` | `abs`, `ceil`, ..., trigonometry |
//! | `calendar` | `year`, `month`, ... |
//! | `scalars` | `time`, `pi`, `start`, ..., `scalar`, `vector`, dates of the steps |
//! | `histogram_call`, `histogram_groups` | `histogram_quantile`, `histogram_quantiles`, `histogram_fraction` |
//! | `info`, `info_join` | `info` |
//! | `labels` | `label_replace`, `label_join` |
//! | `absence` | `absent`, `absent_over_time` |
//! | `sort`, `natural_order` | `sort`, `sort_by_label`, ... |

mod absence;
mod calendar;
mod histogram_call;
mod histogram_groups;
mod info;
mod info_join;
mod labels;
mod math;
mod natural_order;
mod scalars;
mod series_function;
mod sort;

pub(crate) use absence::{Presence, absent_labels};
pub(crate) use histogram_call::HistogramCall;
pub(crate) use info::{Info, InfoSample, InfoSelection, InfoSeries};
pub(crate) use info_join::join_info;
pub(crate) use labels::LabelTransform;
pub(crate) use math::{go_max, go_min};
pub(crate) use scalars::{QueryTimes, SoleValue, constant, date_of_steps, extreme, vector_of};
pub(crate) use series_function::{SeriesFunction, negate, negated};
pub(crate) use sort::Sort;
