//! The samples of an import on their way into the store: their labels and times are judged, and they are
//! written in batches.

use siltstone::{BATCH_ROWS_MAX, Db, Error, LabelCollector, LabelsLimits, Timestamp};

use super::pending::Pending;
use super::report::IngestReport;
use super::undecided::{looks_like_ms, looks_like_seconds};
use crate::extra_labels::ExtraLabels;
use crate::protocol::LineError;
use crate::protocol::exposition::{self, Dialect, TextSample};
use crate::time::TimeBounds;

/// What to do about a time whose unit cannot be told.
const DECLARE: &str = "declare application/openmetrics-text, or end the page with # EOF, if times are seconds; \
     say time_unit=ms if they are milliseconds";

/// What collects samples and writes them.
pub(super) struct Writer {
    db: Db,
    batch_rows: usize,
    labels_limits: LabelsLimits,
    pub(super) extra: ExtraLabels,
    pub(super) bounds: TimeBounds,
    now_ms: i64,
    pub(super) counts_series: bool,
    pub(super) pending: Pending,
    pub(super) report: IngestReport,
}

impl Writer {
    /// What writes to `db` as many samples at a time.
    pub(super) fn new(db: &Db, batch_rows: usize) -> Self {
        let options = db.options();
        Self {
            db: db.clone(),
            batch_rows: batch_rows.clamp(1, BATCH_ROWS_MAX),
            labels_limits: options.labels,
            extra: ExtraLabels::default(),
            bounds: TimeBounds::now(db),
            now_ms: options.clock.wall_ms(),
            counts_series: false,
            pending: Pending::default(),
            report: IngestReport::default(),
        }
    }

    /// Most labels of a series.
    pub(super) fn labels_max(&self) -> usize {
        self.labels_limits.labels_max
    }

    /// The store's idea of now is that of this moment.
    pub(super) fn renew_bounds(&mut self) {
        self.bounds = TimeBounds::now(&self.db);
    }

    pub(super) fn read_text(
        &mut self,
        text: &[u8],
        line: u64,
        dialect: Dialect,
        default_ms: Option<i64>,
    ) -> Result<(), Error> {
        match exposition::parse_line_within(text, line, dialect, Some(self.labels_max())) {
            Ok(None) => Ok(()),
            Ok(Some(sample))
                if dialect == Dialect::OpenMetrics
                    && sample.timestamp_ms.is_some_and(looks_like_ms) =>
            {
                self.report.refused.add(|| {
                    format!("line {line}: the time looks like milliseconds, and should be seconds")
                });
                Ok(())
            }
            Ok(Some(sample)) => self.add_text(&sample, default_ms, line),
            Err(error) => {
                self.report.refused.add(|| error.to_string());
                Ok(())
            }
        }
    }

    /// Takes a line, read as Prometheus's text, whose times are milliseconds because nothing says otherwise.
    pub(super) fn take_undeclared(
        &mut self,
        parsed: Result<Option<TextSample<'_>>, LineError>,
        line: u64,
        default_ms: Option<i64>,
    ) -> Result<(), Error> {
        match parsed {
            Ok(None) => Ok(()),
            Ok(Some(sample)) => match sample.timestamp_ms {
                Some(time) if looks_like_seconds(time) => {
                    let reason =
                        || format!("line {line}: the time {time} looks like seconds; {DECLARE}");
                    self.report.refused.add(reason);
                    Ok(())
                }
                _ => self.add_text(&sample, default_ms, line),
            },
            Err(error) => {
                self.report.refused.add(|| error.to_string());
                Ok(())
            }
        }
    }

    fn add_text(
        &mut self,
        sample: &TextSample<'_>,
        default_ms: Option<i64>,
        line: u64,
    ) -> Result<(), Error> {
        let ms = sample.timestamp_ms.or(default_ms).unwrap_or(self.now_ms);
        let Some(timestamp) = self.bounds.scale.from_ms(ms) else {
            self.report.refused.add(|| format!("line {line}: the timestamp is out of range"));
            return Ok(());
        };
        let labels = sample.labels.iter().map(|(n, v)| (n.as_bytes(), v.as_bytes()));
        let labels = (labels, sample.labels_left_out);
        self.add(labels, std::iter::once((timestamp, sample.value)), line)
    }

    /// Adds the samples of a line, except those whose time the store does not take.
    pub(super) fn add<'l>(
        &mut self,
        (pairs, left_out): (impl Iterator<Item = (&'l [u8], &'l [u8])>, usize),
        rows: impl Iterator<Item = (Timestamp, f64)>,
        line: u64,
    ) -> Result<(), Error> {
        let mut labels = LabelCollector::new(&self.labels_limits);
        pairs
            .filter(|(name, _)| !self.extra.replaces(name))
            .for_each(|(name, value)| labels.push(name, value));
        self.extra.pairs().for_each(|(name, value)| labels.push(name, value));
        labels.leave_out(left_out);
        let labels = match labels.finish() {
            Ok(labels) => labels,
            Err(error) => {
                self.report.refused.add(|| format!("line {line}: {error}"));
                return Ok(());
            }
        };
        let (mut started, mut accepted) = (false, false);
        let mut bad = 0u64;
        let mut clock_is_wrong = false;
        let mut first = String::new();
        for (timestamp, value) in rows {
            if let Err(refusal) = self.bounds.check(timestamp) {
                bad += 1;
                clock_is_wrong |= refusal.clock_is_wrong;
                first = if bad == 1 { refusal.reason } else { first };
                continue;
            }
            accepted = true;
            if !started {
                self.pending.start(&labels, line);
                started = true;
            }
            self.pending.push(timestamp, value);
            self.report.old.before_2000 += u64::from(self.bounds.is_before_2000(timestamp));
            self.report.old.expired += u64::from(self.bounds.is_expired(timestamp));
            if self.pending.is_full(self.batch_rows) {
                self.write()?;
                started = false;
            }
        }
        if self.counts_series && accepted {
            self.report.series.insert(labels.id());
        }
        self.report.clock_refused += u64::from(clock_is_wrong);
        if bad > 0 {
            self.report.refused.add(|| match bad {
                1 => format!("line {line}: {first}"),
                _ => format!("line {line}: {bad} samples; of the first, {first}"),
            });
        }
        Ok(())
    }

    pub(super) fn write(&mut self) -> Result<(), Error> {
        if self.pending.rows() > 0 {
            let IngestReport { refused, no_room, .. } = &mut self.report;
            self.report.samples += self.pending.write(&self.db, refused, no_room)?;
        }
        self.pending.clear();
        Ok(())
    }
}
