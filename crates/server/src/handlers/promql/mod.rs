//! `/api/v1/query` and `/api/v1/query_range`: PromQL on what is stored, in Prometheus's envelope.
//!
//! 1. On a thread for work the parameters become an [`Ask`]; what is wrong with them is 400 `bad_data`. The tree
//!    of the query is counted in its account before it is made.
//! 2. The query enters the list of those that run ([`crate::queries`]) and is
//!    evaluated over a snapshot, with its memory counted in the account that all queries share.
//! 3. No error can follow the evaluation: its answer is written from there on, in pieces, as fast as the
//!    client takes it ([`answer`]).
//!
//! Answers of `query_range` are kept ([`App::results`]), and steps that are sure to be the same are taken of
//! them: what an answer says is the same, what its `stats` count is less. `nocache=1` evaluates, and keeps
//! nothing.
//!
//! A client that leaves cancels the query, as does `/api/v1/admin/queries/<id>/cancel`, while it is evaluated
//! and while its answer is written. With `partial_response=true` damage is left out and
//! listed in the warnings; otherwise a query that meets it is 422 `execution`, with its place.

mod answer;
mod ask;
mod running;

use hyper::StatusCode;
use siltstone::{Cancel, Damage, Error, Snapshot};
use siltstone_query::{Answer, CacheUse, Engine, Limits, QueryError, StoreSource};
use tokio::time::Instant;

use crate::app::App;
use crate::call::Call;
use crate::queries::{Asked, Outcome, QueryKind, Running};
use crate::refusal::Refusal;
use crate::reply::{self, Reply, ReplySink};
use answer::Timings;
use ask::{Ask, Times};
pub(crate) use running::{active_queries, cancel_query};

pub(super) const CONTENT_TYPE: &str = "application/json";

pub(crate) async fn instant(call: Call) -> Result<Reply, Refusal> {
    answer(call, Ask::instant).await
}

pub(crate) async fn range(call: Call) -> Result<Reply, Refusal> {
    answer(call, Ask::range).await
}

type Parse = fn(&crate::params::Params, &App, &Cancel) -> Result<Ask, Refusal>;

async fn answer(call: Call, parse: Parse) -> Result<Reply, Refusal> {
    let started = Instant::now();
    let Call { app, params, place, .. } = call;
    reply::stream(&place, CONTENT_TYPE, move |sink, cancel| {
        // Here, since regular expressions are compiled.
        let ask = parse(&params, &app, cancel)?;
        let running = app.queries.start(asked(&ask), cancel.clone(), ask.memory.clone());
        let prepared = started.elapsed();
        evaluate(&app, &ask, running, cancel, (started, prepared), sink)
    })
    .await
}

fn asked(ask: &Ask) -> Asked {
    let (kind, times, step) = match ask.times {
        Times::Instant(time) => (QueryKind::Instant, (time, time), 0),
        Times::Range { start, end, step } => (QueryKind::Range, (start, end), step),
    };
    Asked { kind, text: ask.query.text().to_owned(), times, step }
}

fn evaluate(
    app: &App,
    ask: &Ask,
    mut running: Running,
    cancel: &Cancel,
    (started, prepared): (Instant, std::time::Duration),
    sink: &mut ReplySink,
) -> Result<(), Refusal> {
    // Plans hold what several parts share, and operators stop gathering, by this limit.
    let bytes = app.queries.pool().bytes_max();
    let engine = Engine {
        lookback: ask.lookback,
        limits: Limits { time: Some(ask.timeout), bytes, ..Limits::default() },
        cancel: cancel.clone(),
        memory: Some(running.memory.clone()),
        patterns: Some(app.patterns.clone()),
        ..Engine::default()
    };
    let read = app.store.read(|snapshot| {
        let held = running.memory.bytes_held();
        let (result, damage) = evaluate_on(app, ask, &engine, snapshot);
        let (answer, used) = result.map_err(|error| {
            running.outcome = outcome(&error, cancel);
            // Nothing is left of the attempt.
            running.memory.release(running.memory.bytes_held().saturating_sub(held));
            refusal(&error)
        })?;
        Ok((snapshot.clone(), answer, used, damage))
    });
    let (snapshot, answer, used, damage) = read?;
    running.cost.samples_read = answer.samples_read;
    running.cost.series = series_of(&answer);
    let cached_steps = match used {
        CacheUse::Partial { steps } | CacheUse::Whole { steps } => steps,
        CacheUse::Unfit | CacheUse::Miss => 0,
    };
    let timings = Timings { prepared, evaluated: started.elapsed(), cached_steps };
    let damage = damage.take().iter().map(ToString::to_string).collect();
    let written = answer::write(sink, &snapshot, ask, answer, (damage, timings));
    // Whether it was stopped through the list, or its client left, the list knows.
    running.outcome = if written.is_continue() { Outcome::Success } else { Outcome::Canceled };
    Ok(())
}

/// The answer on a moment of the store, or the error, and the damage that it leaves out.
fn evaluate_on(
    app: &App,
    ask: &Ask,
    engine: &Engine,
    snapshot: &Snapshot,
) -> (Result<(Answer, CacheUse), QueryError>, Damage) {
    let damage = Damage::default();
    let source = StoreSource::new(snapshot);
    let source = if ask.partial { source.skipping_damage(damage.clone()) } else { source };
    let result = match ask.times {
        Times::Instant(time) => source.instant(engine, &ask.query, time).map(evaluated),
        Times::Range { start, end, step } if ask.nocache => {
            source.range(engine, &ask.query, (start, end), step).map(evaluated)
        }
        Times::Range { start, end, step } => {
            app.results.range(&source, engine, &ask.query, (start, end), step)
        }
    };
    (result, damage)
}

/// An answer of which nothing was kept.
fn evaluated(answer: Answer) -> (Answer, CacheUse) {
    (answer, CacheUse::Unfit)
}

fn series_of(answer: &Answer) -> u64 {
    use siltstone_query::QueryValue::{Matrix, Scalar, String, Vector};
    match &answer.value {
        Vector(series) | Matrix(series) => series.len() as u64,
        Scalar(_) | String(_) => 1,
    }
}

fn outcome(error: &QueryError, cancel: &Cancel) -> Outcome {
    match status(error).as_u16() {
        400 => Outcome::BadData,
        422 => Outcome::Execution,
        503 => Outcome::Timeout,
        499 if cancel.is_cancelled() => Outcome::Canceled,
        _ => Outcome::Internal,
    }
}

/// What the API answers where there is no answer.
pub(super) fn refusal(error: &QueryError) -> Refusal {
    let message = error.to_string();
    match error {
        // Start, end and step were checked before: what makes no sense then is in the query.
        QueryError::Parse(_) | QueryError::BadTimes(_) => {
            Refusal::bad_request(format!("invalid parameter \"query\": {message}"))
        }
        QueryError::Source(source)
            if matches!(source.downcast_ref(), Some(Error::SnapshotGone { .. })) =>
        {
            Refusal::files_gone(message)
        }
        _ => Refusal::new(status(error), message),
    }
}

fn status(error: &QueryError) -> StatusCode {
    match error {
        QueryError::Parse(_) | QueryError::BadTimes(_) => StatusCode::BAD_REQUEST,
        QueryError::Execution(_) | QueryError::Limit { .. } | QueryError::Memory(_) => {
            StatusCode::UNPROCESSABLE_ENTITY
        }
        QueryError::Timeout => StatusCode::SERVICE_UNAVAILABLE,
        QueryError::Cancelled => Refusal::CANCELED,
        QueryError::Source(error) => match error.downcast_ref::<Error>() {
            Some(Error::Corrupt { .. } | Error::Lost(_) | Error::LimitExceeded(_)) => {
                StatusCode::UNPROCESSABLE_ENTITY
            }
            Some(Error::Cancelled) => Refusal::CANCELED,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        },
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}
