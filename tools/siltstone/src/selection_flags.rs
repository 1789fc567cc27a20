//! The flags that say which samples a command is about: a range of time, and selectors.

use clap::Args;
use siltstone::TimeRange;
use siltstone_server::selected_series::SelectedSeries;
use siltstone_server::time::TimeScale;

use crate::failure::{Failure, Result};
use crate::times::parse_time;

/// From when to when; both ends are included.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct RangeFlags {
    /// First time, included: -1h, now-5m, 2026-01-31, RFC 3339, or seconds since 1970
    #[arg(long, value_name = "TIME", value_parser = parse_time, allow_hyphen_values = true)]
    pub(crate) start: Option<i64>,
    /// Last time, included
    #[arg(long, value_name = "TIME", value_parser = parse_time, allow_hyphen_values = true)]
    pub(crate) end: Option<i64>,
}

impl RangeFlags {
    /// Refuses an inverted range.
    pub(crate) fn check(self) -> Result<()> {
        if self.start.zip(self.end).is_some_and(|(start, end)| start > end) {
            return Err(Failure::usage("--end is before --start"));
        }
        Ok(())
    }

    /// The ticks of a store from the start to the end.
    pub(crate) fn ticks(self, ticks_per_second: u64) -> Result<TimeRange> {
        self.check()?;
        Ok(TimeScale::new(ticks_per_second).range(self.start, self.end))
    }
}

/// What the selectors select together; without any, everything. `what` is the name of the flag.
pub(crate) fn selection(
    what: &str,
    selectors: &[String],
    range: TimeRange,
) -> Result<SelectedSeries> {
    if selectors.is_empty() {
        return Ok(SelectedSeries::all(range));
    }
    SelectedSeries::parse(selectors.iter().map(String::as_str), range)
        .map_err(|error| Failure::usage(format!("{what} {error}")))
}
