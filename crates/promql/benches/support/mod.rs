//! Series for the benches, and an evaluator that computes each step by itself.

pub mod naive;

use siltstone_promql::{LabelSet, MemorySource, Point};

/// The distance of samples in milliseconds.
pub const SCRAPE: i64 = 15_000;

/// `series` series of `samples` samples: counters that are reset now and then, jittered by values
/// that a generator yields.
pub fn source(series: usize, samples: usize) -> MemorySource {
    let mut source = MemorySource::new();
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    for number in 0..series {
        let labels = LabelSet::from_pairs([
            ("__name__", "requests_total".to_owned()),
            ("instance", format!("host-{}", number / 10)),
            ("path", format!("/{}", number % 10)),
            ("job", format!("job-{}", number % 7)),
        ]);
        let mut value = 0.0;
        let points = (0..samples).map(|at| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let step = (state >> 60) as f64;
            value = if state >> 50 == 0 { 0.0 } else { value + step };
            (at as i64 * SCRAPE, 0, Point::Float(value))
        });
        source.extend(&labels, points);
    }
    source
}
