//! What can be said of an expression without evaluating it: `/api/v1/format_query`,
//! `/api/v1/parse_query`, and `/api/v1/query_exemplars`, of which there are none.

use hyper::StatusCode;
use siltstone::{Cancel, QueryMemory};
use siltstone_promql::ast::{Ast, ExprKind};
use siltstone_promql::{Features, parse_with, pretty};

use super::query::{malformed, time};
use crate::app::App;
use crate::call::Call;
use crate::envelope::{CONTENT_TYPE, success};
use crate::params::Params;
use crate::protocol::ast_json;
use crate::protocol::json_lines::string;
use crate::refusal::Refusal;
use crate::reply::{self, Reply};

/// The expression, formatted for reading.
pub(crate) async fn format_query(call: Call) -> Result<Reply, Refusal> {
    let Call { app, params, place, .. } = call;
    place
        .run(move || {
            let (ast, _memory) = expression(&app, &params, &Cancel::default())?;
            Ok(success(string(&pretty(&ast))))
        })
        .await?
}

/// The syntax tree of the expression.
pub(crate) async fn parse_query(call: Call) -> Result<Reply, Refusal> {
    let Call { app, params, place, .. } = call;
    reply::stream(&place, CONTENT_TYPE, move |sink, cancel| {
        let (ast, _memory) = expression(&app, &params, cancel)?;
        sink.buffer().extend_from_slice(b"{\"status\":\"success\",\"data\":");
        for piece in ast_json::pieces(&ast) {
            sink.buffer().extend_from_slice(piece.as_bytes());
            if sink.checkpoint().is_break() {
                return Ok(());
            }
        }
        sink.buffer().push(b'}');
        Ok(())
    })
    .await
}

/// Exemplars are not stored: every expression with a selector has none, one without has no answer.
pub(crate) async fn query_exemplars(call: Call) -> Result<Reply, Refusal> {
    let Call { app, params, place, .. } = call;
    let (start, end) = (time(&params, "start")?, time(&params, "end")?);
    if start.zip(end).is_some_and(|(start, end)| end < start) {
        return Err(Refusal::bad_request("end timestamp must not be before start timestamp"));
    }
    let selects = place.run(move || {
        let (ast, _memory) = expression(&app, &params, &Cancel::default())?;
        Ok::<_, Refusal>(ast.nodes().iter().any(|e| matches!(e.kind, ExprKind::Selector(_))))
    });
    Ok(if selects.await?? { success("[]") } else { reply::empty(StatusCode::NO_CONTENT) })
}

/// The parameter `query`, parsed, and the account in which its tree is counted.
fn expression(app: &App, params: &Params, cancel: &Cancel) -> Result<(Ast, QueryMemory), Refusal> {
    let text = params.get("query").unwrap_or("");
    let memory = app.queries.memory_of(text).map_err(Refusal::of_read)?;
    let mut patterns = app.compiler(cancel, app.query_deadline());
    let ast = parse_with(text, &Features::default(), &mut patterns)
        .map_err(|error| malformed("query", error, &patterns))?;
    Ok((ast, memory))
}
