//! Functions of range vectors: what each gives for the samples of one window.

use siltstone_promql::functions::Function;

/// The samples of one series in one window. Times are in milliseconds.
#[derive(Debug, Clone, Copy)]
pub struct Window<'a> {
    /// Where it starts; samples are behind it.
    pub start: i64,
    /// Where it ends; the last sample may be there.
    pub end: i64,
    /// The time of the step.
    pub time: i64,
    /// Times and values, without stale markers.
    pub samples: &'a [(i64, f64)],
    /// The scalar arguments in the order written, at this step.
    pub parameters: &'a [f64],
}

/// The value of a function of a range vector for one window; none if it has none there, and for
/// functions of other things.
#[must_use]
pub fn over_window(function: Function, window: &Window<'_>) -> Option<f64> {
    use Function as F;
    let values: Vec<f64> = window.samples.iter().map(|(_, value)| *value).collect();
    let (first, last) = (window.samples.first()?, window.samples.last()?);
    Some(match function {
        F::Rate => extrapolated(window, true)? / seconds(window.end - window.start),
        F::Increase => extrapolated(window, true)?,
        F::Delta => extrapolated(window, false)?,
        F::Irate => {
            let [.., before, last] = window.samples else { return None };
            let is_reset = last.1 < before.1;
            (if is_reset { last.1 } else { last.1 - before.1 }) / seconds(last.0 - before.0)
        }
        F::Idelta => {
            let [.., before, last] = window.samples else { return None };
            last.1 - before.1
        }
        F::Deriv => line(window.samples, first.0)?.0,
        F::PredictLinear => {
            let (slope, value) = line(window.samples, window.time)?;
            slope * window.parameters[0] + value
        }
        F::Changes => {
            let changed = |p: &&[f64]| p[0] != p[1] && !(p[0].is_nan() && p[1].is_nan());
            values.windows(2).filter(changed).count() as f64
        }
        F::Resets => values.windows(2).filter(|p| p[1] < p[0]).count() as f64,
        F::SumOverTime => sum(&values),
        F::AvgOverTime => avg(&values),
        F::MinOverTime => extreme(window.samples, |new, old| new < old).1,
        F::MaxOverTime => extreme(window.samples, |new, old| new > old).1,
        F::TsOfMinOverTime => seconds(extreme(window.samples, |new, old| new <= old).0),
        F::TsOfMaxOverTime => seconds(extreme(window.samples, |new, old| new >= old).0),
        F::StddevOverTime => variance(&values).sqrt(),
        F::StdvarOverTime => variance(&values),
        F::QuantileOverTime => quantile(window.parameters[0], values),
        F::MadOverTime => median_distance(values),
        F::CountOverTime => values.len() as f64,
        F::PresentOverTime => 1.0,
        F::FirstOverTime => first.1,
        F::LastOverTime => last.1,
        F::TsOfFirstOverTime => seconds(first.0),
        F::TsOfLastOverTime => seconds(last.0),
        F::DoubleExponentialSmoothing => smoothed(&values, window.parameters)?,
        _ => return None,
    })
}

pub(crate) fn seconds(milliseconds: i64) -> f64 {
    milliseconds as f64 / 1000.0
}

/// The increase of a counter, or the difference of a gauge, extrapolated to the whole window: to its
/// ends, or by half the mean distance of samples where an end is farther than 1.1 such distances,
/// and of a counter not below zero.
fn extrapolated(window: &Window<'_>, is_counter: bool) -> Option<f64> {
    let samples = window.samples;
    if samples.len() < 2 {
        return None;
    }
    let ((first_time, first), (last_time, last)) = (samples[0], samples[samples.len() - 1]);
    let mut increase = last - first;
    for pair in samples.windows(2) {
        if is_counter && pair[1].1 < pair[0].1 {
            increase += pair[0].1;
        }
    }
    let covered = seconds(last_time - first_time);
    let distance = covered / (samples.len() - 1) as f64;
    let gap = |milliseconds: i64| {
        let gap = seconds(milliseconds);
        if gap >= distance * 1.1 { distance / 2.0 } else { gap }
    };
    let mut before = gap(first_time - window.start);
    if is_counter && increase > 0.0 && first >= 0.0 {
        before = before.min(covered * (first / increase));
    }
    Some(increase * ((covered + before + gap(window.end - last_time)) / covered))
}

/// Slope in units a second, and value at the time `origin`, of the least-squares line.
fn line(samples: &[(i64, f64)], origin: i64) -> Option<(f64, f64)> {
    if samples.len() < 2 {
        return None;
    }
    let first = samples[0].1;
    if samples.iter().all(|(_, value)| *value == first) {
        return Some(if first.is_finite() { (0.0, first) } else { (f64::NAN, f64::NAN) });
    }
    if samples.iter().any(|(_, value)| !value.is_finite()) {
        return Some((f64::NAN, f64::NAN));
    }
    let count = samples.len() as f64;
    let mean_time = samples.iter().map(|(t, _)| seconds(*t - origin)).sum::<f64>() / count;
    let mean_value = samples.iter().map(|(_, value)| *value).sum::<f64>() / count;
    let (mut products, mut squares) = (0.0, 0.0);
    for (time, value) in samples {
        let from_mean = seconds(*time - origin) - mean_time;
        products += from_mean * (value - mean_value);
        squares += from_mean * from_mean;
    }
    let slope = products / squares;
    Some((slope, mean_value - slope * mean_time))
}

/// The sum, with Neumaier's compensation: an improved Kahan sum, which also holds if a term is larger
/// than the sum so far.
pub(crate) fn sum(values: &[f64]) -> f64 {
    let (mut sum, mut lost) = (0.0_f64, 0.0_f64);
    for value in values {
        let next = sum + value;
        if next.is_infinite() {
            lost = 0.0;
        } else if sum.abs() >= value.abs() {
            lost += (sum - next) + value;
        } else {
            lost += (value - next) + sum;
        }
        sum = next;
    }
    if sum.is_infinite() { sum } else { sum + lost }
}

/// The mean; by parts if the sum is too large for a float.
pub(crate) fn avg(values: &[f64]) -> f64 {
    let count = values.len() as f64;
    match sum(values) {
        total if total.is_infinite() && values.iter().all(|value| value.is_finite()) => {
            sum(&values.iter().map(|value| value / count).collect::<Vec<_>>())
        }
        total => total / count,
    }
}

/// The mean square of the distances from the mean.
pub(crate) fn variance(values: &[f64]) -> f64 {
    let mean = avg(values);
    values.iter().map(|value| (value - mean) * (value - mean)).sum::<f64>() / values.len() as f64
}

/// The first of the best samples. A NaN is worse than anything.
fn extreme(samples: &[(i64, f64)], is_better: impl Fn(f64, f64) -> bool) -> (i64, f64) {
    let mut best = samples[0];
    for sample in samples {
        if is_better(sample.1, best.1) || best.1.is_nan() {
            best = *sample;
        }
    }
    best
}

/// The value at rank `q * (n - 1)`, between two values their weighted mean. NaN is below all others.
pub(crate) fn quantile(q: f64, mut values: Vec<f64>) -> f64 {
    if q.is_nan() || values.is_empty() {
        return f64::NAN;
    }
    if q < 0.0 {
        return f64::NEG_INFINITY;
    }
    if q > 1.0 {
        return f64::INFINITY;
    }
    values.sort_by(|a, b| b.is_nan().cmp(&a.is_nan()).then(a.total_cmp(b)));
    let rank = q * (values.len() - 1) as f64;
    let lower = rank.floor() as usize;
    let upper = (lower + 1).min(values.len() - 1);
    let weight = rank - rank.floor();
    values[lower] * (1.0 - weight) + values[upper] * weight
}

/// The median of the distances from the median.
fn median_distance(values: Vec<f64>) -> f64 {
    if values.iter().any(|value| value.is_nan()) {
        return f64::NAN;
    }
    let median = quantile(0.5, values.clone());
    quantile(0.5, values.into_iter().map(|value| (value - median).abs()).collect())
}

/// Double exponential smoothing: a level that follows the values, and a trend that follows the level.
fn smoothed(values: &[f64], factors: &[f64]) -> Option<f64> {
    if values.len() < 2 {
        return None;
    }
    let (mut level, mut trend) = (values[0], values[1] - values[0]);
    for (at, value) in values.iter().enumerate().skip(1) {
        let expected = level + trend;
        let before = level;
        level = factors[0] * value + (1.0 - factors[0]) * expected;
        if at + 1 < values.len() {
            trend = factors[1] * (level - before) + (1.0 - factors[1]) * trend;
        }
    }
    Some(level)
}
