//! `/api/v1/metadata`: type, help and unit of metrics, as senders of remote write gave them since the
//! server was started.

use std::sync::Arc;

use super::query::number;
use crate::call::Call;
use crate::envelope::CONTENT_TYPE;
use crate::json::Object;
use crate::metric_metadata::{Family, MetricMetadata};
use crate::protocol::json_lines::string;
use crate::refusal::Refusal;
use crate::reply::{self, Reply, ReplySink};

/// Metrics that are copied at a time, so that writers do not wait for a client.
const METRICS_AT_ONCE: usize = 64;

/// `metric` for one, `limit` for the first so many. `limit_per_metric` is read and has nothing to cut:
/// of each metric the newest is known.
pub(crate) async fn metadata(call: Call) -> Result<Reply, Refusal> {
    let Call { app, params, place, .. } = call;
    let limit = match number(&params, "limit")? {
        Some(limit) if limit > 0 => usize::try_from(limit).unwrap_or(usize::MAX),
        _ => usize::MAX,
    };
    number(&params, "limit_per_metric")?;
    let one = params.get("metric").map(str::to_owned);
    reply::stream(&place, CONTENT_TYPE, move |sink, _| {
        sink.buffer().extend_from_slice(b"{\"status\":\"success\",\"data\":{");
        match one {
            Some(name) => {
                app.metadata.get(&name).iter().for_each(|family| push(&name, family, "", sink));
            }
            None => write_all(&app.metadata, limit, sink),
        }
        sink.buffer().extend_from_slice(b"}}");
        Ok(())
    })
    .await
}

/// Writes the first `limit` metrics. What is known may change while a slow client reads; each metric
/// comes at most once.
fn write_all(metadata: &MetricMetadata, limit: usize, sink: &mut ReplySink) {
    let (mut left, mut last): (usize, Option<Arc<str>>) = (limit, None);
    loop {
        let some = metadata.next(last.as_deref(), left.min(METRICS_AT_ONCE));
        let Some((name, _)) = some.last() else { return };
        let mut separator = if last.is_none() { "" } else { "," };
        last = Some(Arc::clone(name));
        left -= some.len();
        for (name, family) in &some {
            push(name, family, separator, sink);
            separator = ",";
        }
        if sink.checkpoint().is_break() {
            return;
        }
    }
}

fn push(name: &str, family: &Family, separator: &str, sink: &mut ReplySink) {
    let entry = Object::new()
        .text("type", family.kind)
        .text("help", &family.help)
        .text("unit", &family.unit)
        .end();
    let member = format!("{separator}{}:[{entry}]", string(name));
    sink.buffer().extend_from_slice(member.as_bytes());
}
