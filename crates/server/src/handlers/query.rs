//! What the reading endpoints have in common: `match[]`, `start`, `end`, `limit`.

use siltstone::{Error, Patterns, TimeRange};

use crate::params::Params;
use crate::refusal::Refusal;
use crate::selected_series::SelectedSeries;
use crate::time::{TimeScale, parse_time};

/// Which series in which time, and how many results.
#[derive(Debug, Clone)]
pub(crate) struct Query {
    pub(crate) selection: SelectedSeries,
    /// Most results, if the client says so.
    pub(crate) limit: Option<usize>,
}

impl Query {
    pub(crate) fn parse(
        params: &Params,
        scale: TimeScale,
        patterns: &mut Patterns,
    ) -> Result<Self, Refusal> {
        let range = time_range(params, scale)?;
        let selection = selection(params.all("match[]"), range, patterns)?;
        Ok(Self { selection, limit: limit(params)? })
    }
}

/// The series of the parameter `match[]`.
pub(crate) fn selection<'a>(
    selectors: impl IntoIterator<Item = &'a str>,
    range: TimeRange,
    patterns: &mut Patterns,
) -> Result<SelectedSeries, Refusal> {
    let parsed = SelectedSeries::parse_with(selectors, range, patterns);
    parsed.map_err(|reason| malformed("match[]", reason, patterns))
}

/// That a parameter with regular expressions is malformed, unless its reading was stopped.
pub(crate) fn malformed(
    name: &str,
    reason: impl std::fmt::Display,
    patterns: &Patterns,
) -> Refusal {
    if patterns.is_stopped() { Refusal::of_read(Error::Cancelled) } else { invalid(name, reason) }
}

/// How many results may be returned at most, if the client says so; 0 is as much as there is.
pub(crate) fn limit(params: &Params) -> Result<Option<usize>, Refusal> {
    let limit = params.get("limit").map(|text| {
        let number = text.parse::<usize>();
        number.map_err(|_| invalid("limit", format!("{text:?} is not a whole number")))
    });
    Ok(limit.transpose()?.filter(|limit| *limit > 0))
}

/// The ticks from `start` to `end`, both included.
pub(crate) fn time_range(params: &Params, scale: TimeScale) -> Result<TimeRange, Refusal> {
    let (start, end) = (time(params, "start")?, time(params, "end")?);
    if start.zip(end).is_some_and(|(start, end)| start > end) {
        return Err(Refusal::bad_request("the end of the time range is before its start"));
    }
    Ok(scale.range(start, end))
}

/// A time in milliseconds.
pub(crate) fn time(params: &Params, name: &str) -> Result<Option<i64>, Refusal> {
    params.get(name).map(|text| parse_time(text).map_err(|e| invalid(name, e))).transpose()
}

/// A whole number.
pub(crate) fn number(params: &Params, name: &str) -> Result<Option<i64>, Refusal> {
    let read = |text: &str| {
        text.parse().map_err(|_| invalid(name, format!("{name} must be a number, not {text:?}")))
    };
    params.get(name).map(read).transpose()
}

/// A parameter that is `true`, `false` or absent.
pub(crate) fn flag(params: &Params, name: &str) -> Result<bool, Refusal> {
    match params.get(name) {
        None | Some("false" | "0") => Ok(false),
        Some("true" | "1") => Ok(true),
        Some(other) => Err(invalid(name, format!("{other:?} is neither true nor false"))),
    }
}

pub(crate) fn invalid(name: &str, reason: impl std::fmt::Display) -> Refusal {
    Refusal::bad_request(format!("invalid parameter \"{name}\": {reason}"))
}
