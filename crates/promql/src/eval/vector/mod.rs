//! Functions of instant vectors and scalars.
//!
//! | file | functions |
//! |---|---|
//! | `series_function` | one series to one series: `clamp*`, `round`, `timestamp`, `-v`, `histogram_count` and other statistics of histograms, and those of: |
//! | `math` | `abs`, `ceil`, ..., trigonometry |
//! | `calendar` | `year`, `month`, ... |
//! | `scalars` | `time`, `pi`, `start`, ..., `scalar`, `vector`, dates of the steps |

mod calendar;
mod math;
mod scalars;
mod series_function;

pub(crate) use scalars::{
    QueryTimes, SoleValue, constant, date_of_steps, extreme, vector_of,
};
pub(crate) use series_function::{SeriesFunction, negate};
