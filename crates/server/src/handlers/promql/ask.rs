//! The parameters of a query, as Prometheus reads them.

use std::time::Duration;

use siltstone::{Cancel, QueryMemory};
use siltstone_query::{Features, Query, QueryError};

use crate::app::App;
use crate::handlers::query::{invalid, limit};
use crate::params::Params;
use crate::refusal::Refusal;
use crate::time::{parse_duration_ms, parse_time};

/// Most points of a series in one answer, as Prometheus has it.
const POINTS_MAX: i64 = 11_000;

/// A query with all that was said about it.
#[derive(Debug)]
pub(super) struct Ask {
    pub(super) query: Query,
    /// Where its tree is counted, and what the query takes from here on.
    pub(super) memory: QueryMemory,
    pub(super) times: Times,
    pub(super) timeout: Duration,
    /// How old a sample may be, in milliseconds.
    pub(super) lookback: i64,
    /// Most series of the answer.
    pub(super) limit: usize,
    /// Whether damage is left out.
    pub(super) partial: bool,
    /// Whether the answer says what it has cost.
    pub(super) stats: bool,
    /// Whether nothing is taken of answers that were kept, and this one is not kept.
    pub(super) nocache: bool,
}

/// When it is evaluated, in milliseconds.
#[derive(Debug, Clone, Copy)]
pub(super) enum Times {
    Instant(i64),
    Range { start: i64, end: i64, step: i64 },
}

impl Ask {
    pub(super) fn instant(params: &Params, app: &App, cancel: &Cancel) -> Result<Self, Refusal> {
        let now = || app.store.options().clock.wall_ms();
        let time = time(params, "time")?.unwrap_or_else(now);
        Self::new(params, app, cancel, Times::Instant(time))
    }

    pub(super) fn range(params: &Params, app: &App, cancel: &Cancel) -> Result<Self, Refusal> {
        let required = |name| {
            let missing = || invalid(name, "it is missing");
            time(params, name)?.ok_or_else(missing)
        };
        let (start, end) = (required("start")?, required("end")?);
        if end < start {
            return Err(invalid("end", "end timestamp must not be before start time"));
        }
        let step = duration(params, "step")?.ok_or_else(|| invalid("step", "it is missing"))?;
        if step <= 0 {
            let reason = "zero or negative query resolution step widths are not accepted. Try a \
                          positive integer";
            return Err(invalid("step", reason));
        }
        if end.saturating_sub(start) / step > POINTS_MAX {
            return Err(Refusal::bad_request(
                "exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the \
                 query resolution (?step=XX)",
            ));
        }
        Self::new(params, app, cancel, Times::Range { start, end, step })
    }

    fn new(params: &Params, app: &App, cancel: &Cancel, times: Times) -> Result<Self, Refusal> {
        let config = &app.config;
        let text = params.get("query").unwrap_or("");
        let timeout = match duration(params, "timeout")? {
            Some(ms) => {
                let ms = u64::try_from(ms).map_err(|_| invalid("timeout", "it is negative"))?;
                Duration::from_millis(ms).min(config.query_timeout)
            }
            None => config.query_timeout,
        };
        let memory = app.queries.memory_of(text).map_err(Refusal::of_read)?;
        let clock = &app.store.options().clock;
        let deadline = clock.monotonic().saturating_add(timeout);
        let mut patterns = app.compiler(cancel, deadline);
        let parsed = Query::parse_with(text, Features::default(), &mut patterns);
        let query = parsed.map_err(|error| match error {
            QueryError::Parse(_) if patterns.is_stopped() => super::refusal(&QueryError::Timeout),
            error => super::refusal(&error),
        })?;
        let lookback = match duration(params, "lookback_delta")? {
            Some(ms) if ms <= 0 => return Err(invalid("lookback_delta", "it is not positive")),
            Some(ms) => ms,
            None => i64::try_from(config.lookback.as_millis()).unwrap_or(i64::MAX),
        };
        Ok(Self {
            query,
            memory,
            times,
            timeout,
            lookback,
            limit: limit(params)?.unwrap_or(usize::MAX),
            partial: params.get("partial_response").is_some_and(|value| value == "true"),
            stats: params.get("stats").is_some(),
            nocache: params.get("nocache").is_some_and(|value| matches!(value, "1" | "true")),
        })
    }
}

fn time(params: &Params, name: &str) -> Result<Option<i64>, Refusal> {
    params.get(name).map(|text| parse_time(text).map_err(|e| invalid(name, e))).transpose()
}

fn duration(params: &Params, name: &str) -> Result<Option<i64>, Refusal> {
    params.get(name).map(|text| parse_duration_ms(text).map_err(|e| invalid(name, e))).transpose()
}
