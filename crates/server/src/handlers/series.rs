//! `/api/v1/series`, `/api/v1/labels`, `/api/v1/label/<name>/values`, in Prometheus' envelope.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use siltstone::{Cancel, Labels, Matcher, QueryMemory, QueryOptions, Snapshot};

use super::query::Query;
use crate::app::App;
use crate::call::Call;
use crate::envelope::CONTENT_TYPE;
use crate::protocol::json_lines::{write_labels, write_string};
use crate::refusal::Refusal;
use crate::reply::{self, Reply, ReplySink};
use crate::time::TimeScale;

const SUCCESS: &[u8] = b"{\"status\":\"success\",\"data\":[";
const TRUNCATED: &[u8] = b"],\"warnings\":[\"results truncated due to limit\"]}";

pub(crate) async fn series(call: Call) -> Result<Reply, Refusal> {
    let place = call.place.clone();
    reply::stream(&place, CONTENT_TYPE, move |sink, cancel| {
        let ask = Ask::new(call, cancel)?;
        if ask.query.selection.selectors.is_empty() {
            return Err(Refusal::bad_request("no match[] parameter provided"));
        }
        let found = ask.collect(cancel, |snapshot, matchers, query, options, limit| {
            snapshot.series(matchers, query.selection.range, options, limit)
        })?;
        write_answer(sink, found, |labels: &Labels, out| write_labels(labels.iter(), out));
        Ok(())
    })
    .await
}

pub(crate) async fn names(call: Call) -> Result<Reply, Refusal> {
    strings(call, |snapshot, matchers, query, options, limit| {
        snapshot.label_names(matchers, query.selection.range, options, limit)
    })
    .await
}

pub(crate) async fn values(call: Call) -> Result<Reply, Refusal> {
    let name = unescape_name(&call.segment);
    strings(call, move |snapshot, matchers, query, options, limit| {
        snapshot.label_values(&name, matchers, query.selection.range, options, limit)
    })
    .await
}

/// What asks a snapshot for at most so many series, names or values.
trait Find<T>:
    Fn(&Snapshot, &[Matcher], &Query, &QueryOptions, usize) -> siltstone::Result<Vec<T>>
{
}

impl<T, F> Find<T> for F where
    F: Fn(&Snapshot, &[Matcher], &Query, &QueryOptions, usize) -> siltstone::Result<Vec<T>>
{
}

/// A question about series, and how much may be answered.
struct Ask {
    app: Arc<App>,
    query: Query,
    limit: usize,
    /// What is found is counted here until the answer is written.
    memory: QueryMemory,
    deadline: Duration,
}

impl Ask {
    /// On a thread for work: regular expressions are compiled.
    fn new(call: Call, cancel: &Cancel) -> Result<Self, Refusal> {
        let Call { app, params, .. } = call;
        let deadline = app.query_deadline();
        let mut patterns = app.compiler(cancel, deadline);
        let scale = TimeScale::new(app.store.ticks_per_second());
        let query = Query::parse(&params, scale, &mut patterns)?;
        let limit = query.limit.unwrap_or(usize::MAX).min(app.config.results_max);
        let memory = app.queries.memory();
        Ok(Self { app, query, limit, memory, deadline })
    }

    /// The union of what each selector finds, sorted, and whether it was cut.
    fn collect<T: Ord>(
        &self,
        cancel: &Cancel,
        find: impl Find<T>,
    ) -> Result<(BTreeSet<T>, bool), Refusal> {
        self.app.store.read(|snapshot| self.collect_of(snapshot, cancel, &find))
    }

    fn collect_of<T: Ord>(
        &self,
        snapshot: &Snapshot,
        cancel: &Cancel,
        find: &impl Find<T>,
    ) -> Result<(BTreeSet<T>, bool), Refusal> {
        // For all selectors, before anything is held for one of them.
        let _kept = snapshot.keep_open(self.query.selection.range).map_err(Refusal::of_read)?;
        let options = QueryOptions {
            deadline: Some(self.deadline),
            cancel: Some(cancel.clone()),
            memory: Some(self.memory.clone()),
            ..QueryOptions::default()
        };
        let all = [Vec::new()];
        let given = &self.query.selection.selectors;
        let selectors = if given.is_empty() { &all[..] } else { given };
        let mut found = BTreeSet::new();
        for matchers in selectors {
            // One more than may be answered, to know whether something is left out.
            let some =
                find(snapshot, matchers, &self.query, &options, self.limit.saturating_add(1));
            found.extend(some.map_err(Refusal::of_read)?);
            while found.len() > self.limit.saturating_add(1) {
                found.pop_last();
            }
        }
        let truncated = found.len() > self.limit;
        if truncated {
            found.pop_last();
        }
        Ok((found, truncated))
    }
}

async fn strings(call: Call, find: impl Find<String> + Send + 'static) -> Result<Reply, Refusal> {
    let place = call.place.clone();
    reply::stream(&place, CONTENT_TYPE, move |sink, cancel| {
        let ask = Ask::new(call, cancel)?;
        let found = ask.collect(cancel, &find)?;
        write_answer(sink, found, |text: &String, out| write_string(text, out));
        Ok(())
    })
    .await
}

fn write_answer<T>(
    sink: &mut ReplySink,
    (found, truncated): (BTreeSet<T>, bool),
    write: impl Fn(&T, &mut Vec<u8>),
) {
    sink.buffer().extend_from_slice(SUCCESS);
    for (i, one) in found.iter().enumerate() {
        if i > 0 {
            sink.buffer().push(b',');
        }
        write(one, sink.buffer());
        if sink.checkpoint().is_break() {
            return;
        }
    }
    sink.buffer().extend_from_slice(if truncated { TRUNCATED } else { b"]}" });
}

/// Resolves Prometheus' escaping of names in paths: after `U__`, `__` is `_` and `_2e_` is the
/// character with that number. What is not escaped correctly stands for itself.
fn unescape_name(name: &str) -> String {
    let escaped = name.strip_prefix("U__");
    escaped.and_then(try_unescape).unwrap_or_else(|| name.to_owned())
}

fn try_unescape(mut rest: &str) -> Option<String> {
    let mut out = String::with_capacity(rest.len());
    while let Some((plain, after)) = rest.split_once('_') {
        out.push_str(plain);
        let (code, after) = after.split_once('_')?;
        if code.is_empty() {
            out.push('_');
        } else {
            let plain_hex = code.bytes().all(|b| b.is_ascii_hexdigit());
            let number = u32::from_str_radix(code, 16).ok().filter(|_| plain_hex);
            out.push(char::from_u32(number?)?);
        }
        rest = after;
    }
    out.push_str(rest);
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escaped_names() {
        for (escaped, name) in [
            ("job", "job"),
            ("U__http_2e_status", "http.status"),
            ("U__a__b", "a_b"),
            ("U___62f_ما", "دما"),
            ("U__no_zz_", "U__no_zz_"),
            ("U__cut_2e", "U__cut_2e"),
            ("U__no_+2e_", "U__no_+2e_"),
            ("U__no_110000_", "U__no_110000_"),
            ("__name__", "__name__"),
        ] {
            assert_eq!(unescape_name(escaped), name, "{escaped}");
        }
    }
}
