//! What each function of floats gives for the samples of one window, written down as it is defined,
//! without regard to other windows.

use crate::functions::Function;

/// A window: its start and end, and the samples in it as (time, value); times in milliseconds.
pub(super) struct Window<'a> {
    pub(super) start: i64,
    pub(super) end: i64,
    /// The time of the step.
    pub(super) time: i64,
    pub(super) samples: &'a [(i64, f64)],
    pub(super) parameters: &'a [f64],
}

pub(super) fn evaluate(function: Function, window: &Window<'_>) -> Option<f64> {
    use Function as F;
    let values: Vec<f64> = window.samples.iter().map(|(_, value)| *value).collect();
    let (first, last) = (window.samples.first()?, window.samples.last()?);
    let count = values.len() as f64;
    Some(match function {
        F::Rate => {
            extrapolated(window, true)? / ((window.end - window.start) as f64 / 1000.0)
        }
        F::Increase => extrapolated(window, true)?,
        F::Delta => extrapolated(window, false)?,
        F::Irate | F::Idelta => {
            let [.., before, last] = window.samples else { return None };
            let counter = function == F::Irate;
            let lost = if counter && last.1 < before.1 { 0.0 } else { before.1 };
            let value = if lost == 0.0 && counter && last.1 < before.1 {
                last.1
            } else {
                last.1 - before.1
            };
            if counter { value / ((last.0 - before.0) as f64 / 1000.0) } else { value }
        }
        F::Deriv => line(window.samples, first.0)?.0,
        F::PredictLinear => {
            let (slope, intercept) = line(window.samples, window.time)?;
            slope * window.parameters[0] + intercept
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
        F::TsOfMinOverTime => extreme(window.samples, |new, old| new <= old).0 as f64 / 1000.0,
        F::TsOfMaxOverTime => extreme(window.samples, |new, old| new >= old).0 as f64 / 1000.0,
        F::StddevOverTime => variance(&values).sqrt(),
        F::StdvarOverTime => variance(&values),
        F::QuantileOverTime => quantile(window.parameters[0], values),
        F::MadOverTime if values.iter().any(|v| v.is_nan()) => f64::NAN,
        F::MadOverTime => {
            let median = quantile(0.5, values.clone());
            quantile(0.5, values.iter().map(|value| (value - median).abs()).collect())
        }
        F::CountOverTime => count,
        F::PresentOverTime => 1.0,
        F::FirstOverTime => first.1,
        F::LastOverTime => last.1,
        F::TsOfFirstOverTime => first.0 as f64 / 1000.0,
        F::TsOfLastOverTime => last.0 as f64 / 1000.0,
        F::DoubleExponentialSmoothing => smoothed(&values, window.parameters)?,
        other => panic!("no range function: {other:?}"),
    })
}

/// The increase (or difference) of the window, extrapolated to all of it.
fn extrapolated(window: &Window<'_>, counter: bool) -> Option<f64> {
    let samples = window.samples;
    if samples.len() < 2 {
        return None;
    }
    let ((first_time, first), (last_time, last)) = (samples[0], samples[samples.len() - 1]);
    let mut increase = last - first;
    for pair in samples.windows(2) {
        if counter && pair[1].1 < pair[0].1 {
            increase += pair[0].1;
        }
    }
    let covered = (last_time - first_time) as f64 / 1000.0;
    let distance = covered / (samples.len() - 1) as f64;
    let gap = |milliseconds: i64| {
        let seconds = milliseconds as f64 / 1000.0;
        if seconds >= distance * 1.1 { distance / 2.0 } else { seconds }
    };
    let mut before = gap(first_time - window.start);
    if counter && increase > 0.0 && first >= 0.0 {
        before = before.min(covered * (first / increase));
    }
    Some(increase * ((covered + before + gap(window.end - last_time)) / covered))
}

/// Slope and value at `origin` of the least-squares line, by its normal equations.
fn line(samples: &[(i64, f64)], origin: i64) -> Option<(f64, f64)> {
    if samples.len() < 2 {
        return None;
    }
    let initial = samples[0].1;
    if samples.iter().all(|(_, value)| *value == initial) {
        let finite = initial.is_finite();
        return Some(if finite { (0.0, initial) } else { (f64::NAN, f64::NAN) });
    }
    let count = samples.len() as f64;
    let seconds = |time: i64| (time - origin) as f64 / 1000.0;
    let x = samples.iter().map(|(time, _)| seconds(*time)).sum::<f64>() / count;
    let y = samples.iter().map(|(_, value)| *value).sum::<f64>() / count;
    let (mut products, mut squares) = (0.0, 0.0);
    for (time, value) in samples {
        products += (seconds(*time) - x) * (value - y);
        squares += (seconds(*time) - x).powi(2);
    }
    let slope = products / squares;
    let special = samples.iter().any(|(_, value)| !value.is_finite());
    Some(if special { (f64::NAN, f64::NAN) } else { (slope, y - slope * x) })
}

/// The sum, of ordinary numbers in whole units of 2^-40, so exact.
fn sum(values: &[f64]) -> f64 {
    const UNIT: f64 = (1u64 << 40) as f64;
    if values.iter().all(|value| value.abs() < 1e15) {
        return values.iter().map(|value| (value * UNIT) as i128).sum::<i128>() as f64 / UNIT;
    }
    values.iter().sum()
}

fn avg(values: &[f64]) -> f64 {
    let count = values.len() as f64;
    match sum(values) {
        total if total.is_infinite() && values.iter().all(|value| value.is_finite()) => {
            values.iter().map(|value| value / count).sum()
        }
        total => total / count,
    }
}

fn variance(values: &[f64]) -> f64 {
    let mean = avg(values);
    values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / values.len() as f64
}

fn extreme(samples: &[(i64, f64)], better: impl Fn(f64, f64) -> bool) -> (i64, f64) {
    let mut found = samples[0];
    for sample in samples {
        if better(sample.1, found.1) || found.1.is_nan() {
            found = *sample;
        }
    }
    found
}

fn quantile(q: f64, mut values: Vec<f64>) -> f64 {
    if q.is_nan() {
        return f64::NAN;
    }
    if !(0.0..=1.0).contains(&q) {
        return if q < 0.0 { f64::NEG_INFINITY } else { f64::INFINITY };
    }
    values.sort_by(|a, b| match (a.is_nan(), b.is_nan()) {
        (false, false) => a.partial_cmp(b).unwrap(),
        (a, b) => b.cmp(&a),
    });
    let rank = q * (values.len() - 1) as f64;
    let (lower, upper) = (rank.floor() as usize, (rank.floor() as usize + 1).min(values.len() - 1));
    let weight = rank - rank.floor();
    values[lower] * (1.0 - weight) + values[upper] * weight
}

fn smoothed(values: &[f64], factors: &[f64]) -> Option<f64> {
    if values.len() < 2 {
        return None;
    }
    let (mut level, mut trend) = (values[0], values[1] - values[0]);
    let mut before = 0.0;
    for (at, value) in values.iter().enumerate().skip(1) {
        if at > 1 {
            trend = factors[1] * (level - before) + (1.0 - factors[1]) * trend;
        }
        before = level;
        level = factors[0] * value + (1.0 - factors[0]) * (level + trend);
    }
    Some(level)
}
