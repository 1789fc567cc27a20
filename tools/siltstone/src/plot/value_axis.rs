//! The axis of values: its ends, and round numbers on it.

use super::unit::{Scale, Unit};

/// Smallest part of the largest number that a range must span; what varies less counts as constant,
/// because labels with so many digits say nothing.
const SPAN_MIN: f64 = 1e-9;

/// From `low` to `high` in numbers that are divided by the scale's factor.
#[derive(Debug)]
pub(crate) struct ValueAxis {
    low: f64,
    high: f64,
    /// The distance of the ticks.
    step: f64,
    scale: Scale,
}

impl ValueAxis {
    /// An axis for values from `extent.0` to `extent.1`, finite, with about `about` ticks, at least
    /// two.
    pub(crate) fn new(extent: (f64, f64), unit: Unit, about: usize) -> Self {
        let scale = unit.scale(extent.0.abs().max(extent.1.abs()));
        let (low, high) = widened(extent.0 / scale.factor, extent.1 / scale.factor);
        let mut axis = Self { low, high, step: (high - low) / about.max(1) as f64, scale };
        axis.step = round_step(axis.step);
        while axis.tick_numbers().count() < 2 {
            // The round number before it.
            axis.step = round_step(axis.step / 3.0);
        }
        axis
    }

    /// Where `value`, which is finite, stands between the low end (0) and the high end (1).
    pub(crate) fn fraction(&self, value: f64) -> f64 {
        self.place(value / self.scale.factor)
    }

    fn place(&self, number: f64) -> f64 {
        ((number - self.low) / (self.high - self.low)).clamp(0.0, 1.0)
    }

    /// The multiples of the step from low to high; ends that are off by rounding belong to it.
    fn tick_numbers(&self) -> impl Iterator<Item = f64> {
        let first = (self.low / self.step - 1e-6).ceil() as i64;
        let last = (self.high / self.step + 1e-6).floor() as i64;
        (first..=last).map(|multiple| multiple as f64 * self.step)
    }

    /// The round numbers from low to high: where each stands, and how it is written.
    pub(crate) fn ticks(&self) -> Vec<(f64, String)> {
        let decimals = usize::try_from(-(self.step.log10() + 1e-9).floor() as i32).unwrap_or(0);
        let label = |number: f64| {
            let mut text = format!("{number:.decimals$}");
            // A zero that rounding gave a sign.
            if text.starts_with('-') && text.bytes().all(|b| b"-.0".contains(&b)) {
                text.remove(0);
            }
            format!("{text}{}", self.scale.suffix)
        };
        self.tick_numbers().map(|number| (self.place(number), label(number))).collect()
    }
}

/// The range from `low` to `high`, or one around them if they are all but equal, or from zero if they
/// are near to it.
fn widened(low: f64, high: f64) -> (f64, f64) {
    let magnitude = low.abs().max(high.abs());
    if high - low <= magnitude * SPAN_MIN {
        let around = if magnitude == 0.0 { 1.0 } else { magnitude * 0.1 };
        return (low - around, high + around);
    }
    let span = high - low;
    match (low > 0.0 && low < span, high < 0.0 && -high < span) {
        (true, _) => (0.0, high),
        (_, true) => (low, 0.0),
        _ => (low, high),
    }
}

/// The next of 1, 2, 5, 10, 20, ... from `least` on, which is positive.
fn round_step(least: f64) -> f64 {
    let power = 10f64.powf(least.log10().floor());
    let times = [1.0, 2.0, 5.0].into_iter().find(|times| times * power >= least * (1.0 - 1e-9));
    times.unwrap_or(10.0) * power
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(extent: (f64, f64), unit: Unit, about: usize) -> Vec<String> {
        ValueAxis::new(extent, unit, about).ticks().into_iter().map(|(_, label)| label).collect()
    }

    #[test]
    fn ticks_are_round_numbers_around_the_values() {
        for (extent, unit, expected) in [
            ((0.0, 1.0), Unit::None, &["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"][..]),
            ((-1.0, 1.0), Unit::None, &["-1.0", "-0.5", "0.0", "0.5", "1.0"]),
            ((3.0, 97.0), Unit::None, &["0", "20", "40", "60", "80"]),
            ((971.0, 1012.0), Unit::None, &["980", "990", "1000", "1010"]),
            ((0.0, 26_000.0), Unit::None, &["0k", "10k", "20k"]),
            ((0.0, 3_000_000.0), Unit::Bytes, &["0 MiB", "1 MiB", "2 MiB"]),
            ((0.12, 0.31), Unit::Seconds, &["0 ms", "100 ms", "200 ms", "300 ms"]),
            ((2.1e-5, 4.5e-5), Unit::None, &["0e-6", "10e-6", "20e-6", "30e-6", "40e-6"]),
        ] {
            assert_eq!(labels(extent, unit, 5), expected, "{extent:?}");
        }
        assert_eq!(labels((1.0, 9.0), Unit::None, 1), ["0", "5"], "at least two");
    }

    #[test]
    fn a_constant_is_in_the_middle() {
        for value in [5.0, -3.0, 0.0, 1e-7, 1e17, f64::MAX, -f64::MAX, f64::MIN_POSITIVE, 5e-324] {
            for end in [value, value * (1.0 + 1e-12)] {
                let extent = if value < end { (value, end) } else { (end, value) };
                if !extent.0.is_finite() || !extent.1.is_finite() {
                    continue;
                }
                let axis = ValueAxis::new(extent, Unit::None, 5);
                let at = axis.fraction(value);
                assert!((0.3..0.7).contains(&at), "{value}: {at} {axis:?}");
            }
        }
    }

    #[test]
    fn every_range_has_ticks_in_it_in_order() {
        let numbers =
            [0.0, 5e-324, 1e-300, 1e-9, 0.1, 0.3, 1.0, 99.0, 1e3, 1e9, 1e16, 1e300, f64::MAX];
        let signed: Vec<f64> = numbers.iter().flat_map(|n| [-n, *n]).collect();
        for unit in [Unit::None, Unit::Bytes, Unit::Seconds] {
            for about in [1, 2, 5, 20] {
                for low in &signed {
                    for high in signed.iter().filter(|high| **high >= *low) {
                        let axis = ValueAxis::new((*low, *high), unit, about);
                        let ticks = axis.ticks();
                        let case = format!("{unit:?} {low} {high} {about}: {axis:?}");
                        assert!((2..=about + 4).contains(&ticks.len()), "{case} {}", ticks.len());
                        assert!(ticks.windows(2).all(|two| two[0].0 < two[1].0), "{case}");
                        assert!(axis.fraction(*low) <= axis.fraction(*high), "{case}");
                        let longest = ticks.iter().map(|(_, label)| label.len()).max();
                        assert!(longest < Some(32), "{case}: {ticks:?}");
                    }
                }
            }
        }
    }
}
