//! `/api/v1/status/active_queries`, and how one of them is stopped.

use std::fmt::Write;

use hyper::StatusCode;

use super::CONTENT_TYPE;
use crate::call::Call;
use crate::handlers::admin;
use crate::protocol::json_lines::write_string;
use crate::queries::Shown;
use crate::refusal::Refusal;
use crate::reply::{self, Reply};

/// The queries that run now, the oldest first: `id`, `query`, `kind`, `start` and `end` in milliseconds,
/// `step`, `seconds` and `bytes` held.
pub(crate) async fn active_queries(call: Call) -> Result<Reply, Refusal> {
    let mut body = b"{\"status\":\"success\",\"data\":[".to_vec();
    for (at, shown) in call.app.queries.shown().iter().enumerate() {
        if at > 0 {
            body.push(b',');
        }
        write_shown(shown, &mut body);
    }
    body.extend_from_slice(b"]}");
    Ok(reply::whole(StatusCode::OK, CONTENT_TYPE, body))
}

fn write_shown(shown: &Shown, out: &mut Vec<u8>) {
    let Shown { id, asked, elapsed, bytes_held } = shown;
    out.extend_from_slice(format!("{{\"id\":\"{id}\",\"query\":").as_bytes());
    write_string(&asked.text, out);
    let mut rest = String::new();
    // A String takes everything.
    let _ = write!(
        rest,
        ",\"kind\":\"{}\",\"start\":{},\"end\":{},\"step\":{},\"seconds\":{},\"bytes\":{bytes_held}}}",
        asked.kind.as_str(),
        asked.times.0,
        asked.times.1,
        asked.step,
        elapsed.as_secs_f64(),
    );
    out.extend_from_slice(rest.as_bytes());
}

/// Stops a query by its id; it answers `canceled` to whoever asked it.
pub(crate) async fn cancel_query(call: Call) -> Result<Reply, Refusal> {
    admin::check(&call)?;
    let id = call.segment.parse::<u64>();
    let id =
        id.map_err(|_| Refusal::bad_request(format!("{:?} is no id of a query", call.segment)))?;
    if call.app.queries.cancel(id) {
        return Ok(reply::empty(StatusCode::NO_CONTENT));
    }
    let message = format!("no query {id} runs; /api/v1/status/active_queries lists those that do");
    Err(Refusal::new(StatusCode::NOT_FOUND, message))
}
