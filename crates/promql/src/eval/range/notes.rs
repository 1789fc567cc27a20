//! Annotations that the functions of range vectors cause.

use crate::annotations::{Annotation, Annotations, HistogramOperation};
use crate::ast::Span;
use crate::value::LabelSet;

/// What a window may give reason to say about its series.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Note {
    /// Floats and histograms where only one kind may be; there is no result.
    Mixed,
    /// Histograms beside floats, of which only the floats were taken.
    HistogramsIgnored,
    /// Gauge histograms where counters are expected.
    NotCounter,
    /// Counter histograms where gauges are expected.
    NotGauge,
    /// Histograms with exponential and with custom buckets; there is no result.
    MixedLayouts,
    /// A sample began before the one before it ended.
    OverlappingStart,
    /// Histograms with differing custom buckets were added.
    BucketsAdded,
    /// Histograms with differing custom buckets were subtracted.
    BucketsSubtracted,
    /// Histograms with differing custom buckets were summed up over a window.
    BucketsAggregated,
    /// Histograms of which some say that they follow a reset, and others that they do not, were
    /// summed up.
    ResetCollision,
}

/// The annotations about one series. Each is added once however many windows cause it: its text does
/// not depend on the window, and texts are not to be built again for every step.
#[derive(Debug)]
pub(super) struct SeriesNotes<'a> {
    notes: &'a mut Annotations,
    labels: &'a LabelSet,
    span: Span,
    /// A bit for each [`Note`].
    added: u16,
}

impl<'a> SeriesNotes<'a> {
    /// About the series `labels`; `span` is what annotations blame.
    pub(super) fn new(notes: &'a mut Annotations, labels: &'a LabelSet, span: Span) -> Self {
        Self { notes, labels, span, added: 0 }
    }

    /// Adds `note`, unless it was added before.
    #[inline]
    pub(super) fn add(&mut self, note: Note) {
        let bit = 1 << note as u16;
        if self.added & bit == 0 {
            self.added |= bit;
            let annotation = annotation(note, self.labels.metric_name());
            self.notes.add(annotation, self.span);
        }
    }

    /// Adds an annotation of which there are not many.
    pub(super) fn add_other(&mut self, annotation: Annotation) {
        self.notes.add(annotation, self.span);
    }
}

fn annotation(note: Note, metric: &str) -> Annotation {
    let metric = metric.to_owned();
    match note {
        Note::Mixed => Annotation::MixedFloatsHistograms { metric },
        Note::HistogramsIgnored => Annotation::HistogramIgnoredInMixedRange { metric },
        Note::NotCounter => Annotation::HistogramNotCounter { metric },
        Note::NotGauge => Annotation::HistogramNotGauge { metric },
        Note::MixedLayouts => Annotation::MixedExponentialCustomHistograms { metric },
        Note::OverlappingStart => Annotation::OverlappingStartTimestamp { metric },
        Note::BucketsAdded => {
            Annotation::MismatchedCustomBuckets { during: HistogramOperation::Addition }
        }
        Note::BucketsSubtracted => {
            Annotation::MismatchedCustomBuckets { during: HistogramOperation::Subtraction }
        }
        Note::BucketsAggregated => {
            Annotation::MismatchedCustomBuckets { during: HistogramOperation::Aggregation }
        }
        Note::ResetCollision => {
            Annotation::CounterResetCollision { during: HistogramOperation::Aggregation }
        }
    }
}
