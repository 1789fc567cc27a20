//! `/api/v1/metadata`: type, help and unit of metrics, as senders of remote write gave them since the
//! server was started.

use super::query::{number, params};
use crate::envelope::success;
use crate::json::Object;
use crate::metric_metadata::Family;
use crate::protocol::json_lines::string;
use crate::refusal::Refusal;
use crate::reply::Reply;
use crate::router::Call;

/// `metric` for one, `limit` for the first so many. `limit_per_metric` is read and has nothing to cut:
/// of each metric the newest is known.
pub(crate) async fn metadata(call: Call) -> Result<Reply, Refusal> {
    let app = call.app;
    let params = params(&app, call.request).await?;
    let limit = match number(&params, "limit")? {
        Some(limit) if limit > 0 => usize::try_from(limit).unwrap_or(usize::MAX),
        _ => usize::MAX,
    };
    number(&params, "limit_per_metric")?;
    let mut members: Vec<String> = Vec::new();
    let mut push = |name: &str, family: &Family| {
        let entry = Object::new()
            .text("type", family.kind)
            .text("help", &family.help)
            .text("unit", &family.unit)
            .end();
        members.push(format!("{}:[{entry}]", string(name)));
    };
    match params.get("metric") {
        Some(name) => app.metadata.get(name).iter().for_each(|family| push(name, family)),
        None => app.metadata.first(limit, push),
    }
    Ok(success(format!("{{{}}}", members.join(","))))
}
