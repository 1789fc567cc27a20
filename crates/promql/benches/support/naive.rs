//! The functions of the benches as they are defined, one step after the other: each step searches
//! its window again and goes through all of its samples.

use std::collections::BTreeMap;

use siltstone::Matcher;
use siltstone_promql::{Control, Hints, Queryable, SelectRequest};

/// A function of the samples in a window: their times in milliseconds and values, and its bounds.
pub(crate) type WindowFunction = fn(&[i64], &[f64], (i64, i64)) -> Option<f64>;

/// The windows of a range query.
#[derive(Clone, Copy)]
pub(crate) struct Steps {
    pub(crate) start: i64,
    pub(crate) end: i64,
    pub(crate) step: i64,
    pub(crate) range: i64,
}

/// `function(requests_total[range])` at all steps: the results of all series, one after the other.
pub(crate) fn over_time(
    source: &dyn Queryable,
    steps: Steps,
    function: WindowFunction,
) -> Vec<f64> {
    let mut results = Vec::new();
    each_series(source, steps, |_, times, values| {
        for (start, end) in windows(steps) {
            let inside: Vec<usize> =
                (0..times.len()).filter(|at| times[*at] > start && times[*at] <= end).collect();
            let Some((first, last)) = inside.first().zip(inside.last()) else { continue };
            let window = *first..*last + 1;
            let value = function(&times[window.clone()], &values[window], (start, end));
            results.extend(value);
        }
    });
    results
}

/// `sum by (job) (rate(requests_total[range]))` at all steps.
pub(crate) fn sum_of_rates(source: &dyn Queryable, steps: Steps) -> BTreeMap<(String, i64), f64> {
    let mut sums = BTreeMap::new();
    each_series(source, steps, |job, times, values| {
        for (start, end) in windows(steps) {
            let inside: Vec<usize> =
                (0..times.len()).filter(|at| times[*at] > start && times[*at] <= end).collect();
            let Some((first, last)) = inside.first().zip(inside.last()) else { continue };
            let window = *first..*last + 1;
            if let Some(value) = rate(&times[window.clone()], &values[window], (start, end)) {
                *sums.entry((job.to_owned(), end)).or_insert(0.0) += value;
            }
        }
    });
    sums
}

fn windows(steps: Steps) -> impl Iterator<Item = (i64, i64)> {
    (0..)
        .map(move |at| steps.start + at * steps.step)
        .take_while(move |t| *t <= steps.end)
        .map(move |t| (t - steps.range, t))
}

fn each_series(source: &dyn Queryable, steps: Steps, mut visit: impl FnMut(&str, &[i64], &[f64])) {
    let matchers = [Matcher::equal("__name__", "requests_total")];
    let selection = SelectRequest {
        matchers: &matchers,
        start: steps.start - steps.range + 1,
        end: steps.end,
        hints: Hints::default(),
    };
    let list = source.list(&selection, &Control::default()).expect("series in memory");
    let all: Vec<u32> = (0..list.labels().len() as u32).collect();
    list.fold(&all, &mut |number, columns| {
        let job = list.labels()[number as usize].get("job");
        visit(job, columns.floats.timestamps, columns.floats.values);
        Ok(())
    })
    .expect("series in memory");
}

/// Prometheus's `rate`.
pub(crate) fn rate(times: &[i64], values: &[f64], (start, end): (i64, i64)) -> Option<f64> {
    let (first, last) = (values.first()?, values.last()?);
    if values.len() < 2 {
        return None;
    }
    let lost: f64 = values.windows(2).filter(|v| v[1] < v[0]).map(|v| v[0]).sum();
    let increase = last - first + lost;
    let span = (times[times.len() - 1] - times[0]) as f64 / 1000.0;
    let average = span / (values.len() - 1) as f64;
    let reach = |distance: f64| if distance >= average * 1.1 { average / 2.0 } else { distance };
    let mut before = reach((times[0] - start) as f64 / 1000.0);
    if increase > 0.0 && *first >= 0.0 {
        before = before.min(span * first / increase);
    }
    let behind = reach((end - times[times.len() - 1]) as f64 / 1000.0);
    Some(increase * (span + before + behind) / span / ((end - start) as f64 / 1000.0))
}

/// `max_over_time` of values that are no NaNs.
pub(crate) fn max(_: &[i64], values: &[f64], _: (i64, i64)) -> Option<f64> {
    values.iter().copied().reduce(f64::max)
}

/// `avg_over_time` without compensation.
pub(crate) fn avg(_: &[i64], values: &[f64], _: (i64, i64)) -> Option<f64> {
    Some(values.iter().sum::<f64>() / values.len() as f64)
}

/// `quantile_over_time(0.9, ...)`.
pub(crate) fn quantile(_: &[i64], values: &[f64], _: (i64, i64)) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = 0.9 * (sorted.len() - 1) as f64;
    let (low, high) = (rank.floor() as usize, rank.ceil() as usize);
    let share = rank - rank.floor();
    Some(sorted[low] * (1.0 - share) + sorted[high] * share)
}
