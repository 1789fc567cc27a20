//! `histogram_quantile` of classic histograms: a series for each bucket, which counts what is at most
//! its bound `le`.

use siltstone_promql::LabelSet;

use crate::value::Sample;

/// The quantile of each histogram in the vector.
pub(crate) fn quantiles(q: f64, samples: &[Sample]) -> Vec<Sample> {
    let mut histograms: Vec<Histogram> = Vec::new();
    for sample in samples {
        let Some(bound) = bound(sample.labels.get("le")) else { continue };
        let labels = sample.labels.filter(|name| name != "le");
        let bucket = (bound, sample.value);
        match histograms.iter_mut().find(|known| known.labels == labels) {
            Some(known) => known.buckets.push(bucket),
            None => histograms.push(Histogram { labels, buckets: vec![bucket] }),
        }
    }
    let result = |Histogram { labels, buckets }| {
        let value = quantile(q, buckets);
        Sample { labels, drop_name: true, value }
    };
    histograms.into_iter().map(result).collect()
}

/// The series that differ in their bound only.
struct Histogram {
    /// Without the bound.
    labels: LabelSet,
    /// Bounds and counts.
    buckets: Vec<(f64, f64)>,
}

/// The number that `le` says, as Go reads numbers.
fn bound(text: &str) -> Option<f64> {
    text.parse().ok()
}

fn quantile(q: f64, mut buckets: Vec<(f64, f64)>) -> f64 {
    if q.is_nan() {
        return f64::NAN;
    }
    if !(0.0..=1.0).contains(&q) {
        return if q < 0.0 { f64::NEG_INFINITY } else { f64::INFINITY };
    }
    buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
    // Counts of equal bounds are added; counts never go down.
    let mut merged: Vec<(f64, f64)> = Vec::new();
    for (bound, count) in buckets {
        match merged.last_mut() {
            Some(last) if last.0 == bound => last.1 += count,
            _ => merged.push((bound, count)),
        }
    }
    for at in 1..merged.len() {
        let (before, count) = (merged[at - 1].1, merged[at].1);
        // A step from a finite count to an infinite one is none of rounding.
        let sum = (before.abs() + count.abs()).min(f64::MAX);
        let is_rounding = before == count || (before - count).abs() / sum < 1e-12;
        if count < before || is_rounding {
            merged[at].1 = before;
        }
    }
    let [finite @ .., last] = merged.as_slice() else { return f64::NAN };
    if finite.is_empty() || last.0 != f64::INFINITY || last.1 == 0.0 {
        return f64::NAN;
    }
    let rank = q * last.1;
    let Some(at) = finite.iter().position(|(_, count)| *count >= rank) else {
        return finite[finite.len() - 1].0;
    };
    let (upper, count) = finite[at];
    if at == 0 && upper <= 0.0 {
        return upper;
    }
    let (lower, before) = if at == 0 { (0.0, 0.0) } else { finite[at - 1] };
    lower + (upper - lower) * ((rank - before) / (count - before))
}
