//! Repeatable randomness and the hash that makes samples verify themselves.

/// SplitMix64's output function: a bijection of 64 bits in which every input bit reaches every output
/// bit.
#[must_use]
pub fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A small generator; the same seed gives the same numbers everywhere.
#[derive(Debug, Clone)]
pub struct Seeded {
    state: u64,
}

impl Seeded {
    /// The generator of `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// The next 64 bits.
    pub fn next_u64(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.state)
    }

    /// A number below `bound`, which must not be zero; the bias of 2^-64 times `bound` is accepted.
    pub fn below(&mut self, bound: u64) -> u64 {
        assert!(bound > 0, "no number is below zero");
        let product = u128::from(self.next_u64()) * u128::from(bound);
        (product >> 64) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_repeats_and_bounds_hold() {
        let mut one = Seeded::new(7);
        let mut two = Seeded::new(7);
        let mut seen = [false; 5];
        for _ in 0..1000 {
            assert_eq!(one.next_u64(), two.next_u64());
            seen[usize::try_from(one.below(5)).unwrap()] = true;
            two.below(5);
        }
        assert_eq!(seen, [true; 5]);
        assert_ne!(Seeded::new(7).next_u64(), Seeded::new(8).next_u64());
    }

    #[test]
    fn mix_is_the_published_function() {
        // First output of SplitMix64 for the seed 0.
        assert_eq!(Seeded::new(0).next_u64(), 0xe220_a839_7b1d_cdaf);
    }
}
