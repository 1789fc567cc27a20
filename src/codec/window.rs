//! Which residuals are packed, at which base and width, and which are patched.
//!
//! A window `[base, base + 2^width)` holds all but a few residuals; those outside become patches.
//! Patches cost the decoder a branch each, so that they are at most one in sixteen. The best
//! window under that bound is found exactly: only the smallest and largest few residuals matter.

use super::SUB_BLOCK_ROWS;
use super::planes;
use crate::types::varint::{len_u64, zigzag};

/// Patches are at most this fraction of the residuals (and at least one).
const ROWS_PER_PATCH: usize = 16;
const PATCHES_MAX: usize = SUB_BLOCK_ROWS / ROWS_PER_PATCH;

/// What a patch is charged beyond its bytes, in bits, for the time that it takes to decode.
const PATCH_PENALTY_BITS: u64 = 8;

/// A choice, and what it costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Window {
    /// Packed: the smallest residual inside. Planes: the one that is written as zero.
    pub(super) base: i64,
    /// Bits a residual.
    pub(super) width: usize,
    /// Estimated bits of payload and patches; for planes, after an entropy coder.
    pub(super) cost: u64,
}

/// Chooses windows; owns the scratch for it.
pub(super) struct WindowChooser {
    /// The residuals; sorted at both ends, or throughout.
    sorted: Vec<i64>,
    is_sorted: bool,
}

/// Residuals that lie closer together than this are sorted by counting.
const NARROW: usize = 256;

/// The few smallest and largest residuals, and what patching them costs.
struct Tails<'a> {
    /// Ascending: the smallest first.
    low: &'a [i64],
    /// Ascending: the largest last.
    high: &'a [i64],
    /// Residual costs are estimated by their distance from this one.
    centre: i64,
}

impl WindowChooser {
    pub(super) fn new() -> Self {
        Self { sorted: Vec::with_capacity(SUB_BLOCK_ROWS), is_sorted: false }
    }

    /// The cheapest window for bit-packing.
    pub(super) fn packed(&mut self, residuals: &[i64]) -> Window {
        let count = residuals.len() as u64;
        let Some(tails) = self.tails(residuals) else { return Window::EMPTY };
        let trimmed = tails.trim(count, 0..=64);
        Window { base: trimmed.low, width: trimmed.width, cost: trimmed.cost }
    }

    /// The cheapest window of a plane's width, around the median.
    pub(super) fn planes(&mut self, residuals: &[i64]) -> Window {
        let count = residuals.len() as u64;
        let Some(tails) = self.tails(residuals) else { return Window::EMPTY };
        let Trimmed { low, high, width, .. } = tails.trim(count, planes::WIDTHS);
        let middle = self.sorted.len() / 2;
        let median = match self.is_sorted {
            true => self.sorted[middle],
            false => *self.sorted.select_nth_unstable(middle).1,
        };
        let base = match width {
            0 => low,
            64 => median,
            _ => {
                let half = 1i128 << (width - 1);
                let least = i128::from(high) - half + 1;
                let most = i128::from(low) + half;
                // Between two i64 if the median is one, and the window is not empty.
                i128::from(median).clamp(least, most) as i64
            }
        };
        Window { base, width, cost: entropy_bits(residuals, base) }
    }

    /// Sorts the ends of a copy of `residuals`; `None` if there are none.
    fn tails(&mut self, residuals: &[i64]) -> Option<Tails<'_>> {
        let count = residuals.len();
        let most = (count / ROWS_PER_PATCH).max(1).min(count.checked_sub(1)?);
        debug_assert!(most <= PATCHES_MAX, "a sub-block has at most {SUB_BLOCK_ROWS} rows");
        self.is_sorted = self.sort_narrow(residuals);
        if self.is_sorted {
            // Nothing is left to do.
        } else if count <= 4 * (most + 1) {
            self.sorted.clear();
            self.sorted.extend_from_slice(residuals);
            self.sorted.sort_unstable();
            self.is_sorted = true;
        } else {
            self.sorted.clear();
            self.sorted.extend_from_slice(residuals);
            self.sorted.select_nth_unstable(most);
            self.sorted[most + 1..].select_nth_unstable(count - 2 - 2 * most);
            self.sorted[..=most].sort_unstable();
            self.sorted[count - 1 - most..].sort_unstable();
        }
        let centre = self.sorted[count / 2];
        Some(Tails { low: &self.sorted[..=most], high: &self.sorted[count - 1 - most..], centre })
    }
}

impl WindowChooser {
    /// Sorts a copy of `residuals`, which are at least one, if they are close together.
    fn sort_narrow(&mut self, residuals: &[i64]) -> bool {
        let (low, high) = residuals
            .iter()
            .fold((i64::MAX, i64::MIN), |(low, high), &r| (low.min(r), high.max(r)));
        if range(low, high) >= NARROW as u64 {
            return false;
        }
        // Two tables: equal residuals in a row do not wait for each other.
        let mut counts = [[0u32; NARROW]; 2];
        for pair in residuals.chunks(2) {
            for (table, residual) in counts.iter_mut().zip(pair) {
                table[residual.wrapping_sub(low) as usize] += 1;
            }
        }
        self.sorted.clear();
        let [even, odd] = &counts;
        for (place, (even, odd)) in even.iter().zip(odd).enumerate() {
            let end = self.sorted.len() + (even + odd) as usize;
            self.sorted.resize(end, low.wrapping_add(place as i64));
        }
        true
    }
}

impl Window {
    const EMPTY: Self = Self { base: 0, width: 0, cost: 0 };
}

/// The residuals left after trimming, and what that costs in bits.
#[derive(Clone, Copy)]
struct Trimmed {
    low: i64,
    high: i64,
    width: usize,
    cost: u64,
}

impl Tails<'_> {
    /// Finds which of `widths` (ascending, up to 64) is cheapest for `count` residuals, and how
    /// many are cut off at either end for it. For one width, the more are cut off below, the fewer
    /// need to be above: one sweep finds the best split.
    fn trim(&self, count: u64, widths: impl IntoIterator<Item = usize>) -> Trimmed {
        let most = self.low.len() - 1;
        let (below, above) = self.patch_costs();
        let left = |cut_high: usize| self.high[most - cut_high];
        let mut best = Trimmed { low: self.low[0], high: left(0), width: 64, cost: u64::MAX };
        let narrowest = match self.low[most] < left(most) {
            true => bits(range(self.low[most], left(most))),
            false => 0,
        };
        for width in widths.into_iter().filter(|&width| width >= narrowest) {
            let payload = count * width as u64;
            if payload >= best.cost {
                break;
            }
            let fits = |low: i64, high: i64| low > high || bits(range(low, high)) <= width;
            let mut cut_high = most;
            for (cut_low, &low) in self.low.iter().enumerate() {
                while cut_high > 0 && fits(low, left(cut_high - 1)) {
                    cut_high -= 1;
                }
                let high = left(cut_high);
                let cost = payload + below[cut_low] + above[cut_high];
                if cut_low + cut_high <= most && fits(low, high) && cost < best.cost {
                    best = Trimmed { low, high, width, cost };
                }
                if cut_high == 0 {
                    break;
                }
            }
        }
        best
    }

    /// What it costs to cut off so many residuals below, and above.
    fn patch_costs(&self) -> ([u64; PATCHES_MAX + 1], [u64; PATCHES_MAX + 1]) {
        let (mut below, mut above) = ([0; PATCHES_MAX + 1], [0; PATCHES_MAX + 1]);
        let ends = self.low.iter().zip(self.high.iter().rev());
        for (cut, (&low, &high)) in ends.enumerate().take(PATCHES_MAX) {
            below[cut + 1] = below[cut] + self.patch_bits(low);
            above[cut + 1] = above[cut] + self.patch_bits(high);
        }
        (below, above)
    }

    fn patch_bits(&self, residual: i64) -> u64 {
        let bytes = 1 + len_u64(zigzag(residual.wrapping_sub(self.centre)));
        8 * bytes as u64 + PATCH_PENALTY_BITS
    }
}

/// How far apart two residuals are, `low <= high`.
fn range(low: i64, high: i64) -> u64 {
    high.wrapping_sub(low) as u64
}

/// The bits that hold every number up to `range`.
fn bits(range: u64) -> usize {
    64 - range.leading_zeros() as usize
}

/// An estimate of what an entropy coder makes of the residuals: the entropy of their lengths plus
/// the bits below the leading one.
fn entropy_bits(residuals: &[i64], base: i64) -> u64 {
    let mut lengths = [0u32; 65];
    for residual in residuals {
        lengths[bits(zigzag(residual.wrapping_sub(base)))] += 1;
    }
    let total = residuals.len() as f64;
    let cost: f64 = lengths
        .iter()
        .enumerate()
        .filter(|&(_, &count)| count > 0)
        .map(|(length, &count)| {
            let count = f64::from(count);
            count * ((total / count).log2() + length.saturating_sub(1) as f64)
        })
        .sum();
    cost as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn packed(residuals: &[i64]) -> Window {
        WindowChooser::new().packed(residuals)
    }

    #[test]
    fn a_few_outliers_on_either_side_are_left_out() {
        let mut residuals: Vec<i64> = (0..1000).map(|i| 100 + i % 4).collect();
        let clean = packed(&residuals);
        assert_eq!((clean.base, clean.width), (100, 2));
        residuals[10] = -1_000_000;
        residuals[500] = i64::MAX;
        residuals[600] = i64::MIN;
        let window = packed(&residuals);
        assert_eq!((window.base, window.width), (100, 2));
    }

    #[test]
    fn many_outliers_widen_the_window() {
        let mut residuals = vec![0i64; 1000];
        residuals.iter_mut().step_by(10).for_each(|r| *r = 1000);
        assert_eq!(packed(&residuals).width, 10);
    }

    #[test]
    fn extremes_need_all_bits() {
        let residuals: Vec<i64> = (0..100).map(|i| [i64::MIN, i64::MAX, 0][i % 3]).collect();
        assert_eq!(packed(&residuals).width, 64);
        assert_eq!(WindowChooser::new().planes(&residuals).width, 64);
    }

    #[test]
    fn empty_and_single_columns_have_width_zero() {
        assert_eq!(packed(&[]), Window::EMPTY);
        assert_eq!((packed(&[-7]).base, packed(&[-7]).width), (-7, 0));
    }

    /// Whether a window for `residuals` leaves out no more than the bound, packed and in planes.
    fn leaves_out_few(residuals: &[i64]) -> bool {
        let most = (residuals.len() / ROWS_PER_PATCH).max(1);
        let mut chooser = WindowChooser::new();
        let Window { base, width, .. } = chooser.packed(residuals);
        let packed = residuals.iter().filter(|r| bits(r.wrapping_sub(base) as u64) > width);
        let packed = packed.count();
        let Window { base, width, .. } = chooser.planes(residuals);
        let planes = residuals.iter().filter(|r| bits(zigzag(r.wrapping_sub(base))) > width);
        packed <= most && planes.count() <= most
    }

    /// A window once left out more than the bound here.
    #[test]
    fn zeros_with_a_few_on_both_sides() {
        let residuals = [0, 0, 0, 0, 0, -10, 0, 0, 0, 0, 6, -8, 0, 8, 0, 0, 0, -1];
        assert!(leaves_out_few(&residuals));
    }

    proptest! {
        #[test]
        fn windows_leave_out_no_more_than_the_bound(
            residuals in prop::collection::vec(
                prop_oneof![8 => -9i64..9, 1 => any::<i64>()], 1..SUB_BLOCK_ROWS),
        ) {
            prop_assert!(leaves_out_few(&residuals));
        }
    }
}
