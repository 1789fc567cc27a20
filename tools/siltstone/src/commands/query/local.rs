//! An answer from a directory, also one that a server has open.

use std::path::Path;

use siltstone::{Error, ReadOnlyDb, Snapshot};
use siltstone_query::{Answer, Engine, Features, Query, QueryError, StoreSource};

use super::answer::Shown;
use crate::failure::{Failure, Outcome, Result};
use crate::interrupt::Interrupt;
use crate::output;
use crate::query_flags::{LimitFlags, When};
use crate::store_flags::read_only;

/// Evaluates the query `text` on the store in `dir`.
pub(super) fn evaluate(
    dir: &Path,
    text: &str,
    when: When,
    limits: LimitFlags,
) -> Result<(Shown, Outcome)> {
    let ask = |engine: &Engine, source: &StoreSource, query: &Query| match when {
        When::At(time) => source.instant(engine, query, time),
        When::Range { start, end, step } => source.range(engine, query, (start, end), step),
    };
    let (answer, found): (Answer, Outcome) = on_store(dir, text, limits, ask)?;
    let (When::At(time) | When::Range { start: time, .. }) = when;
    Ok((Shown::new(answer, time), found))
}

/// Parses the query `text` and asks `ask` of the store in `dir`; what opening it found wrong is
/// reported, and the outcome. A signal stops it.
pub(crate) fn on_store<T>(
    dir: &Path,
    text: &str,
    limits: LimitFlags,
    ask: impl Fn(&Engine, &StoreSource, &Query) -> std::result::Result<T, QueryError>,
) -> Result<(T, Outcome)> {
    // Before the store is opened: that may take long, and the error is there already.
    let failed = |error| Failure::query(error, text);
    let query = Query::parse(text, Features::default()).map_err(failed)?;
    let mut db = ReadOnlyDb::open(dir, read_only())?;
    let found = output::report_findings(db.open_report());
    let interrupt = Interrupt::watch()?;
    let engine = limits.engine(&interrupt);
    let answer = db.read(|snapshot: &Snapshot| {
        let source = StoreSource::new(snapshot);
        match ask(&engine, &source, &query) {
            // The owner has replaced what it reads: it starts over.
            Err(QueryError::Source(error)) => match error.downcast::<Error>() {
                Ok(gone) if matches!(*gone, Error::SnapshotGone { .. }) => Err(*gone),
                Ok(error) => Ok(Err(QueryError::Source(error))),
                Err(error) => Ok(Err(QueryError::Source(error))),
            },
            answer => Ok(answer),
        }
    })?;
    Ok((answer.map_err(failed)?, found))
}
