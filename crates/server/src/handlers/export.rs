//! `/api/v1/export`: samples as JSON lines, streamed in bounded memory.
//!
//! A long series takes several lines; a series selected by several `match[]` is sent once. The answer
//! is as fast as the client takes it, and a client that goes away stops the scan. A sample that is damaged
//! or lost ends it, unless the request says `skip_damaged=true`.

use hyper::StatusCode;
use siltstone::{Damage, Error, QueryOptions, Snapshot};

use super::query::Query;
use crate::call::Call;
use crate::protocol::json_lines::write_line;
use crate::refusal::Refusal;
use crate::reply::{self, Reply, ReplySink};
use crate::selected_series::unlimited;
use crate::time::TimeScale;

/// The media type that VictoriaMetrics gives it.
const CONTENT_TYPE: &str = "application/stream+json; charset=utf-8";

/// Damage is 500: no other request would do better.
fn refusal(error: Error) -> Refusal {
    match error {
        Error::Corrupt { .. } | Error::Lost(_) => {
            Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string())
        }
        error => Refusal::of_read(error),
    }
}

pub(crate) async fn json_lines(call: Call) -> Result<Reply, Refusal> {
    let Call { app, params, place, .. } = call;
    reply::stream(&place, CONTENT_TYPE, move |sink, cancel| {
        // Here, since regular expressions are compiled.
        let scale = TimeScale::new(app.store.ticks_per_second());
        let query = Query::parse(&params, scale, &mut app.compiler(cancel, app.query_deadline()))?;
        if query.selection.selectors.is_empty() {
            return Err(Refusal::bad_request(
                "give at least one match[], such as match[]={__name__!=\"\"}",
            ));
        }
        let skips = params.get("skip_damaged").is_some_and(|value| value == "true");
        app.read_into(sink, |snapshot, sink| {
            let skip_damaged = skips.then(Damage::default);
            let damage = skip_damaged.clone();
            let (cancelled, memory) = (Some(cancel.clone()), Some(app.queries.memory()));
            let options = QueryOptions { cancel: cancelled, memory, skip_damaged, ..unlimited() };
            write(&query, snapshot, &options, sink)?;
            // The lines have no place for it.
            for left_out in damage.map_or_else(Vec::new, |damage| damage.take()) {
                tracing::warn!(%left_out, "an export leaves out what is damaged");
            }
            Ok(())
        })
    })
    .await
}

fn write(
    query: &Query,
    snapshot: &Snapshot,
    options: &QueryOptions,
    sink: &mut ReplySink,
) -> Result<(), Refusal> {
    // For all selectors, before the first line.
    let _kept = snapshot.keep_open(query.selection.range).map_err(refusal)?;
    let result = query.selection.scan(snapshot, options, |labels, columns| {
        write_line(labels.iter(), &columns.timestamps, columns.values.f64(), sink.buffer());
        sink.checkpoint()
    });
    match result {
        // The client is gone; nobody reads the answer.
        Err(Error::Cancelled) => Ok(()),
        result => result.map_err(refusal),
    }
}
