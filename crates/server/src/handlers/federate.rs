//! `/federate`: the newest sample of each selected series, in a text format, for another Prometheus to
//! scrape.
//!
//! Newest within the last five minutes, both ends included; a series whose newest sample is a stale
//! marker is left out, and one without a name, as in Prometheus. The answer is sorted by the names of
//! the metrics: the names are listed first, then each is read by itself, so that what is held is the
//! list of names and one series.

use std::ops::ControlFlow;

use hyper::header::{ACCEPT, HeaderMap};
use siltstone::types::STALE_MARKER_BITS;
use siltstone::{Columns, Error, Labels, Matcher, QueryOptions, Snapshot, Timestamp};

use super::query::Query;
use crate::accept::accepted;
use crate::call::Call;
use crate::protocol::exposition::Dialect;
use crate::protocol::exposition_text::ExpositionWriter;
use crate::refusal::Refusal;
use crate::reply::{self, Reply, ReplySink};
use crate::selected_series::{SelectedSeries, unlimited};
use crate::time::TimeScale;

/// How old a sample may be, in milliseconds: the lookback of an instant query.
const LOOKBACK_MS: i64 = 300_000;
/// The label that Prometheus adds, empty, to a series without it: the receiver then does not put the
/// address of this server there.
const INSTANCE: &str = "instance";
const METRIC_NAME: &str = "__name__";

/// A format that a client may ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Format {
    dialect: Dialect,
    utf8: bool,
    content_type: &'static str,
}

const TEXT: Format = Format {
    dialect: Dialect::Prometheus,
    utf8: false,
    content_type: "text/plain; version=0.0.4; charset=utf-8; escaping=underscores",
};
const TEXT_UTF8: Format = Format {
    dialect: Dialect::Prometheus,
    utf8: true,
    content_type: "text/plain; version=1.0.0; charset=utf-8; escaping=allow-utf-8",
};
const OPEN_METRICS: Format = Format {
    dialect: Dialect::OpenMetrics,
    utf8: false,
    content_type: "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=underscores",
};
const OPEN_METRICS_UTF8: Format = Format {
    dialect: Dialect::OpenMetrics,
    utf8: true,
    content_type: "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=allow-utf-8",
};

pub(crate) async fn federate(call: Call) -> Result<Reply, Refusal> {
    let Call { app, head, params, place, .. } = call;
    let format = negotiate(&head.headers);
    let scale = TimeScale::new(app.store.ticks_per_second());
    let now = app.store.options().clock.wall_ms();
    let range = scale.range(Some(now.saturating_sub(LOOKBACK_MS)), Some(now));
    let memory = Some(app.queries.memory());
    reply::stream(&place, format.content_type, move |sink, cancel| {
        let deadline = app.query_deadline();
        let mut patterns = app.compiler(cancel, deadline);
        let (cancelled, deadline) = (Some(cancel.clone()), Some(deadline));
        // Here, since regular expressions are compiled.
        let selection = Query::parse(&params, scale, &mut patterns)?.selection.within(range);
        let options = QueryOptions { deadline, cancel: cancelled, memory, ..unlimited() };
        app.read_into(sink, |snapshot, sink| {
            let writer = ExpositionWriter::new(format.dialect, format.utf8);
            let mut page = Page { writer, scale, series: None };
            match page.write(snapshot, &selection, &options, sink) {
                // The client is gone; nobody reads the answer.
                Err(Error::Cancelled) if cancel.is_cancelled() => Ok(()),
                Err(error) => Err(Refusal::of_read(error)),
                Ok(()) => {
                    page.writer.end(sink.buffer());
                    Ok(())
                }
            }
        })
    })
    .await
}

/// The format that the client prefers; the old text format for one that names none of these.
fn negotiate(headers: &HeaderMap) -> Format {
    let mut best = (0.0, TEXT);
    for element in accepted(headers, ACCEPT) {
        // Prometheus writes `allow-utf-8`, its documentation also `allow-utf8`.
        let utf8 = matches!(element.parameter("escaping"), Some("allow-utf-8" | "allow-utf8"));
        let format = match (&*element.name.to_ascii_lowercase(), element.parameter("version")) {
            ("application/openmetrics-text", None | Some("1.0.0" | "0.0.1")) => {
                if utf8 {
                    OPEN_METRICS_UTF8
                } else {
                    OPEN_METRICS
                }
            }
            ("text/plain", Some("1.0.0")) if utf8 => TEXT_UTF8,
            ("text/plain", None | Some("0.0.4" | "1.0.0")) => TEXT,
            _ => continue,
        };
        if element.quality > best.0 {
            best = (element.quality, format);
        }
    }
    best.1
}

/// The page as it is written.
struct Page {
    writer: ExpositionWriter,
    scale: TimeScale,
    /// The series that is being read, with its newest sample so far.
    series: Option<(Labels, Timestamp, f64)>,
}

impl Page {
    fn write(
        &mut self,
        snapshot: &Snapshot,
        selection: &SelectedSeries,
        options: &QueryOptions,
        sink: &mut ReplySink,
    ) -> siltstone::Result<()> {
        // For all names, before the first line.
        let _kept = snapshot.keep_open(selection.range)?;
        for name in selection.label_values(METRIC_NAME, snapshot, options)? {
            let of_name = named(selection, &name);
            let mut flow = ControlFlow::Continue(());
            of_name.scan(snapshot, options, |labels, columns| {
                flow = self.piece(labels, columns, sink);
                flow
            })?;
            if flow.is_break() || self.finish(sink).is_break() {
                break;
            }
        }
        Ok(())
    }

    /// Takes a piece of a series; those of one series come one after the other, in time order.
    fn piece(
        &mut self,
        labels: &Labels,
        columns: &Columns,
        sink: &mut ReplySink,
    ) -> ControlFlow<()> {
        let newest = columns.timestamps.last().zip(columns.values.f64().last());
        let Some((&timestamp, &value)) = newest else { return ControlFlow::Continue(()) };
        if let Some((held, at, newest)) = &mut self.series
            && held == labels
        {
            (*at, *newest) = (timestamp, value);
            return ControlFlow::Continue(());
        }
        let flow = self.finish(sink);
        self.series = Some((labels.clone(), timestamp, value));
        flow
    }

    /// Writes the series that was read.
    fn finish(&mut self, sink: &mut ReplySink) -> ControlFlow<()> {
        let Some((labels, timestamp, value)) = self.series.take() else {
            return ControlFlow::Continue(());
        };
        let Some(name) = labels.get(METRIC_NAME).filter(|_| value.to_bits() != STALE_MARKER_BITS)
        else {
            return ControlFlow::Continue(());
        };
        let instance = labels.get(INSTANCE).is_none().then_some((INSTANCE, ""));
        let others = labels.iter().filter(|(name, _)| *name != METRIC_NAME).chain(instance);
        let sample = (self.scale.to_ms(timestamp), value);
        self.writer.sample(name, others, sample, sink.buffer());
        sink.checkpoint()
    }
}

/// The part of a selection that has the metric `name`. Matchers of the name are answered here: the
/// store would try their expressions on every name, for every name.
fn named(selection: &SelectedSeries, name: &str) -> SelectedSeries {
    let mut of_name = selection.clone();
    of_name.selectors.retain_mut(|matchers| {
        let accepts = matchers.iter().all(|m| m.name() != METRIC_NAME || m.matches(name));
        matchers.retain(|m| m.name() != METRIC_NAME);
        matchers.push(Matcher::equal(METRIC_NAME, name));
        accepts
    });
    of_name
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    #[test]
    fn the_client_chooses_the_format() {
        let of = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT, HeaderValue::from_static(value));
            negotiate(&headers)
        };
        assert_eq!(negotiate(&HeaderMap::new()), TEXT);
        for (value, format) in [
            ("*/*", TEXT),
            ("text/plain", TEXT),
            ("application/json", TEXT),
            ("application/openmetrics-text", OPEN_METRICS),
            ("application/openmetrics-text;q=0, text/plain;q=0.1", TEXT),
            // What Prometheus sends.
            (
                "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,\
                 application/openmetrics-text;version=0.0.1;q=0.4,\
                 text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,\
                 text/plain;version=0.0.4;q=0.2,*/*;q=0.1",
                OPEN_METRICS_UTF8,
            ),
            ("text/plain;version=1.0.0;escaping=allow-utf8;q=0.3,text/plain;q=0.2", TEXT_UTF8),
            ("text/plain;version=1.0.0;escaping=underscores", TEXT),
            ("application/openmetrics-text;version=2.0.0,text/plain;q=0.2", TEXT),
        ] {
            assert_eq!(of(value), format, "{value}");
        }
    }
}
