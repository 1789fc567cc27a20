//! The times of a range of steps, as scripts write them.

use crate::model::Times;
use crate::scan::whole_duration;

/// Reads the times `from`, `to` and `step`.
pub(crate) fn read_range(from: &str, to: &str, step: &str) -> Result<Times, String> {
    let (start, end) = (whole_duration(from)?, whole_duration(to)?);
    if end < start {
        return Err(format!("{to} is before {from}"));
    }
    Ok(Times::Range { start, end, step: whole_duration(step)? })
}
