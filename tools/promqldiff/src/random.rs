//! Choices by weight from a seeded generator.

use siltstone_rig::seeded::Seeded;

/// A source of choices; the same seed gives the same choices.
#[derive(Debug, Clone)]
pub(crate) struct Random {
    seeded: Seeded,
}

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self { seeded: Seeded::new(seed) }
    }

    /// A number below `bound`, which is not 0.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        let drawn = self.seeded.below(bound as u64);
        usize::try_from(drawn).expect("it is below a usize")
    }

    /// A number in `low..=high`.
    pub(crate) fn between(&mut self, low: i64, high: i64) -> i64 {
        let count = high.abs_diff(low).saturating_add(1);
        low.saturating_add_unsigned(self.seeded.below(count))
    }

    /// True in `percent` of 100 cases.
    pub(crate) fn chance(&mut self, percent: u64) -> bool {
        self.seeded.below(100) < percent
    }

    /// A number in 0..1.
    pub(crate) fn unit(&mut self) -> f64 {
        (self.seeded.next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// One of these.
    pub(crate) fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }

    /// The place of one of these weights, by their shares.
    pub(crate) fn weighted(&mut self, weights: &[u64]) -> usize {
        let mut left = self.seeded.below(weights.iter().sum::<u64>().max(1));
        for (at, weight) in weights.iter().enumerate() {
            match left.checked_sub(*weight) {
                Some(rest) => left = rest,
                None => return at,
            }
        }
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn choices_follow_their_weights_and_bounds() {
        let mut random = Random::new(5);
        let mut counts = [0; 3];
        for _ in 0..10_000 {
            counts[random.weighted(&[1, 0, 3])] += 1;
            assert!((-3..=4).contains(&random.between(-3, 4)));
        }
        assert_eq!(counts[1], 0);
        assert!((2000..3000).contains(&counts[0]), "{counts:?}");
    }
}
