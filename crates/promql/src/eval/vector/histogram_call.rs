//! `histogram_quantile`, `histogram_quantiles` and `histogram_fraction` of classic and native
//! histograms.
//!
//! Holds all of its input, because the buckets of a classic histogram are not neighbours; the result
//! is smaller but for `histogram_quantiles`, see [`HistogramCall::series_per_histogram`]. Labels are
//! grouped once; at each step the buckets of a group are gathered into one buffer, already sorted.
//!
//! Where a classic and a native histogram have the same labels at one step, neither counts, and a
//! warning says so. Annotations name the metric only with delayed name removal, as in Prometheus.

use std::borrow::Cow;

use super::histogram_groups::HistogramGroups;
use crate::annotations::{Annotation, Annotations};
use crate::ast::Span;
use crate::eval::merge::merge_same_labels;
use crate::eval::meter::{Meter, Ticker};
use crate::flags::Features;
use crate::functions::Function;
use crate::go_float::format_g;
use crate::histogram::{
    ClassicBucket, Histogram, NanObservations, classic_fraction, classic_quantile,
};
use crate::query_error::QueryError;
use crate::value::{LabelSet, Series, StepColumn};

/// The work of a native histogram at one step, in samples looked at.
const STEP_WORK: usize = 64;

/// A call of such a function with all but its series.
#[derive(Debug)]
pub(crate) struct HistogramCall {
    kind: Kind,
    spans: Spans,
    features: Features,
}

/// Values are one for each step.
#[derive(Debug)]
enum Kind {
    Quantile(Vec<f64>),
    Quantiles { label: String, quantiles: Vec<Quantiles> },
    Fraction { lower: Vec<f64>, upper: Vec<f64> },
}

/// One parameter of `histogram_quantiles`.
#[derive(Debug)]
struct Quantiles {
    values: Vec<f64>,
    /// The different values as texts, which become values of the label.
    texts: Vec<String>,
    /// The text of each step, by its place; empty where there is only one.
    text_of_step: Vec<u32>,
}

/// Whom annotations blame.
#[derive(Debug)]
struct Spans {
    /// The vector, for its labels and for NaN among its observations.
    vector: Span,
    /// For counts that do not increase: the second argument, whatever that is.
    forced: Span,
    /// The quantiles.
    parameters: Vec<Span>,
}

impl HistogramCall {
    /// Prepares `function` with its scalar arguments in the order written, each with a value for every
    /// step, the text argument of `histogram_quantiles`, and the places of all arguments. `None` if it
    /// is no function of this kind, or with other arguments than it takes.
    pub(crate) fn prepare(
        function: Function,
        parameters: Vec<Vec<f64>>,
        label: Option<&[u8]>,
        arguments: &[Span],
        features: Features,
    ) -> Option<Self> {
        let mut values = parameters.into_iter();
        let (kind, vector, quantiles) = match function {
            Function::HistogramQuantile => (Kind::Quantile(values.next()?), 1, 0..1),
            Function::HistogramFraction => {
                let (lower, upper) = (values.next()?, values.next()?);
                (Kind::Fraction { lower, upper }, 2, 0..0)
            }
            Function::HistogramQuantiles => {
                let label = String::from_utf8_lossy(label?).into_owned();
                let quantiles = values.map(Quantiles::new).collect();
                (Kind::Quantiles { label, quantiles }, 0, 2..arguments.len())
            }
            _ => return None,
        };
        let spans = Spans {
            vector: *arguments.get(vector)?,
            forced: *arguments.get(1)?,
            parameters: arguments.get(quantiles)?.to_vec(),
        };
        Some(Self { kind, spans, features })
    }

    /// The most bytes that the texts of `histogram_quantiles` with these parameters take, and what goes
    /// with each for one histogram. A caller that meters memory charges them before
    /// [`prepare`](Self::prepare).
    pub(crate) fn texts_bytes(parameters: &[Vec<f64>]) -> usize {
        /// A text in the list and in the table that finds it, and a column.
        const TEXT_BYTES: usize = 256;
        let texts = |values: &Vec<f64>| if is_constant(values) { 1 } else { values.len() };
        parameters.iter().map(texts).sum::<usize>().saturating_mul(TEXT_BYTES)
    }

    /// The most series that the result has for one histogram: for `histogram_quantiles` as many as
    /// there are different quantiles, which may be as many as steps where a quantile is no constant.
    /// Each has a float for every step; a caller that meters memory charges them before
    /// [`apply`](Self::apply).
    pub(crate) fn series_per_histogram(&self) -> usize {
        match &self.kind {
            Kind::Quantiles { quantiles, .. } => quantiles.iter().map(|q| q.texts.len()).sum(),
            Kind::Quantile(_) | Kind::Fraction { .. } => 1,
        }
    }

    /// The result for `series`, which have columns of `steps` steps.
    ///
    /// # Errors
    /// Two results have the same labels at one step: histograms that differ in their names only
    /// (without delayed name removal), or a label of `histogram_quantiles` that the histograms have
    /// themselves, or twice the same quantile. The time is up, or the evaluation was cancelled.
    pub(crate) fn apply(
        &self,
        series: &[Series],
        steps: usize,
        meter: &Meter,
        notes: &mut Annotations,
    ) -> Result<Vec<Series>, QueryError> {
        let mut ticker = Ticker::new(meter);
        self.check_quantiles(notes);
        let named = self.features.delayed_name_removal;
        let groups = HistogramGroups::new(series, self.spans.vector, named, notes);
        let mut result = Vec::new();
        for native in &groups.native {
            let one = &series[native.series];
            let mut columns = self.columns(steps);
            for (step, histogram) in one.values.histograms() {
                ticker.tick(STEP_WORK)?;
                let step = *step as usize;
                let classic = native.classic.map(|place| &groups.classic[place]);
                if classic.is_some_and(|group| group.is_present(series, step)) {
                    let metric = self.metric(&one.labels);
                    let note = Annotation::MixedClassicNativeHistograms { metric };
                    notes.add(note, self.spans.vector);
                } else {
                    self.native_step(histogram, step, &mut columns, |nan| {
                        notes.add(self.nan_note(nan, &one.labels), self.spans.vector);
                    });
                }
            }
            self.finish(&one.labels, columns, &mut result);
        }
        let mut buffer = Vec::new();
        for group in &groups.classic {
            let mut columns = self.columns(steps);
            for step in 0..steps {
                ticker.tick(group.len())?;
                group.gather(series, step, &mut buffer);
                if !buffer.is_empty() && self.classic_step(&mut buffer, step, &mut columns) {
                    let metric = self.metric(&group.labels);
                    notes.add(Annotation::ForcedMonotonicity { metric }, self.spans.forced);
                }
            }
            self.finish(&group.labels, columns, &mut result);
        }
        merge_same_labels(result)
    }

    /// Warns of quantiles outside of 0 to 1, whether there are histograms or not.
    fn check_quantiles(&self, notes: &mut Annotations) {
        for (values, span) in self.quantiles().zip(&self.spans.parameters) {
            for value in values.iter().filter(|value| !is_quantile(**value)) {
                let quantile = format_g(*value);
                notes.add(Annotation::InvalidQuantile { quantile }, *span);
            }
        }
    }

    /// The quantiles that are asked for, each with a value for every step.
    fn quantiles(&self) -> impl Iterator<Item = &[f64]> {
        let (one, many) = match &self.kind {
            Kind::Quantile(values) => (Some(values.as_slice()), &[][..]),
            Kind::Quantiles { quantiles, .. } => (None, quantiles.as_slice()),
            Kind::Fraction { .. } => (None, &[][..]),
        };
        one.into_iter().chain(many.iter().map(|quantiles| quantiles.values.as_slice()))
    }

    /// Calls `visit` with the column and the value of each quantile at `step`.
    fn each_quantile(&self, step: usize, mut visit: impl FnMut(usize, f64)) {
        match &self.kind {
            Kind::Quantile(values) => visit(0, values[step]),
            Kind::Quantiles { quantiles, .. } => {
                let mut first = 0;
                for one in quantiles {
                    visit(first + one.text_at(step), one.values[step]);
                    first += one.texts.len();
                }
            }
            Kind::Fraction { .. } => {}
        }
    }

    /// Puts the results of one native histogram at one step into `columns`, and tells `note` what
    /// NaN observations did to them.
    fn native_step(
        &self,
        histogram: &Histogram,
        step: usize,
        columns: &mut ResultColumns,
        mut note: impl FnMut(NanObservations),
    ) {
        let mut put = |column, (value, nan): (f64, Option<NanObservations>)| {
            columns.set(column, step, value);
            if let Some(nan) = nan {
                note(nan);
            }
        };
        if let Kind::Fraction { lower, upper } = &self.kind {
            put(0, histogram.fraction(lower[step], upper[step]));
        }
        self.each_quantile(step, |column, q| put(column, histogram.quantile(q)));
    }

    /// Puts the results of one classic histogram at one step into `columns`; whether counts that
    /// decreased had to be raised for a quantile.
    fn classic_step(
        &self,
        buckets: &mut Vec<ClassicBucket>,
        step: usize,
        columns: &mut ResultColumns,
    ) -> bool {
        if let Kind::Fraction { lower, upper } = &self.kind {
            columns.set(0, step, classic_fraction(lower[step], upper[step], buckets));
        }
        let mut forced = false;
        self.each_quantile(step, |column, q| {
            // The first quantile mends the buckets for all.
            let quantile = classic_quantile(q, buckets);
            forced |= quantile.forced.is_some();
            columns.set(column, step, quantile.value);
        });
        forced
    }

    /// The annotation of NaN observations in a histogram of `labels`.
    fn nan_note(&self, nan: NanObservations, labels: &LabelSet) -> Annotation {
        let metric = self.metric(labels);
        match nan {
            NanObservations::ResultIsNan => Annotation::QuantileNanResult { metric },
            NanObservations::ResultIsSkewed => Annotation::QuantileNanSkew { metric },
            NanObservations::LeftOut => Annotation::FractionNans { metric },
        }
    }

    /// The name that annotations give the metric.
    fn metric(&self, labels: &LabelSet) -> String {
        if self.features.delayed_name_removal {
            labels.metric_name().to_owned()
        } else {
            String::new()
        }
    }

    fn columns(&self, steps: usize) -> ResultColumns {
        ResultColumns { steps, columns: vec![None; self.series_per_histogram()] }
    }

    /// Appends the series of one histogram of `labels` to `result`.
    fn finish(&self, labels: &LabelSet, columns: ResultColumns, result: &mut Vec<Series>) {
        let drop_name = self.features.delayed_name_removal;
        let labels =
            if drop_name { Cow::Borrowed(labels) } else { Cow::Owned(labels.without_metric()) };
        let texts: Vec<Option<(&str, &str)>> = match &self.kind {
            Kind::Quantiles { label, quantiles } => quantiles
                .iter()
                .flat_map(|one| &one.texts)
                .map(|text| Some((label.as_str(), text.as_str())))
                .collect(),
            Kind::Quantile(_) | Kind::Fraction { .. } => vec![None],
        };
        for (column, text) in columns.columns.into_iter().zip(texts) {
            if let Some(values) = column {
                let labels = match text {
                    Some((name, value)) => labels.with(name, value),
                    None => labels.clone().into_owned(),
                };
                result.push(Series { labels, drop_name, values });
            }
        }
    }
}

/// The results for one histogram; a column is made when it gets its first value.
#[derive(Debug)]
struct ResultColumns {
    steps: usize,
    columns: Vec<Option<StepColumn>>,
}

impl ResultColumns {
    fn set(&mut self, slot: usize, step: usize, value: f64) {
        self.columns[slot]
            .get_or_insert_with(|| StepColumn::absent(self.steps))
            .set_float(step, value);
    }
}

impl Quantiles {
    fn new(values: Vec<f64>) -> Self {
        let mut one = Self { values, texts: Vec::new(), text_of_step: Vec::new() };
        if is_constant(&one.values) {
            one.texts.push(quantile_text(one.values.first().copied().unwrap_or_default()));
            return one;
        }
        let mut places = std::collections::HashMap::new();
        for value in &one.values {
            let place = *places.entry(quantile_text(*value)).or_insert_with_key(|text| {
                one.texts.push(text.clone());
                u32::try_from(one.texts.len() - 1).expect("as few as steps")
            });
            one.text_of_step.push(place);
        }
        one
    }

    /// The place of the text of a step.
    fn text_at(&self, step: usize) -> usize {
        self.text_of_step.get(step).map_or(0, |place| *place as usize)
    }
}

fn is_constant(values: &[f64]) -> bool {
    values.windows(2).all(|pair| pair[0].to_bits() == pair[1].to_bits())
}

fn is_quantile(value: f64) -> bool {
    (0.0..=1.0).contains(&value)
}

/// The value of the label for a quantile, as OpenMetrics writes numbers: like Go's `%g`, but with
/// `.0` behind whole numbers. Both zeros are `0.0`.
fn quantile_text(value: f64) -> String {
    let mut text = format_g(if value == 0.0 { 0.0 } else { value });
    if value.is_finite() && !text.contains(['.', 'e']) {
        text.push_str(".0");
    }
    text
}

#[cfg(test)]
mod tests;
