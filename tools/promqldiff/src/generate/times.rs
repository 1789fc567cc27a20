//! What a query is evaluated at.

use super::Vocabulary;
use crate::answer::Times;
use crate::random::Random;

/// How far behind the ends of the data times lie.
const BEYOND_MS: i64 = 7 * 60_000;
const STEPS_MAX: i64 = 40;
/// Samples of most series are at multiples of this.
const SCRAPE_MS: i64 = 15_000;

/// Two instants and two ranges, with steps shorter and longer than windows.
///
/// A range may end between two steps, but not if `query` has a subquery: Prometheus evaluates it up
/// to the end, and errors and annotations may come from behind the last step.
pub(crate) fn times(query: &str, vocabulary: &Vocabulary, random: &mut Random) -> Vec<Times> {
    let mut all = Vec::new();
    for _ in 0..2 {
        all.push(Times::Instant(time(vocabulary, random)));
    }
    for _ in 0..2 {
        let start = time(vocabulary, random);
        let step = match random.below(4) {
            0 => *random.pick(&[1, 1000, 5000, 15_000, 60_000, 300_000]),
            1 => random.between(1, 20_000),
            2 => random.between(20_000, 200_000),
            _ => *random.pick(&[15_000, 30_000, 60_000]),
        };
        let steps = random.between(0, STEPS_MAX);
        let spare = if query.contains(':') { 0 } else { random.between(0, step - 1) };
        all.push(Times::Range { start, end: start + steps * step + spare, step });
    }
    all
}

/// A time: half of them where samples are, to the millisecond.
fn time(vocabulary: &Vocabulary, random: &mut Random) -> i64 {
    let (start, end) = (vocabulary.start_ms, vocabulary.end_ms);
    let any = random.between(start - BEYOND_MS / 3, end + BEYOND_MS);
    if random.chance(40) {
        start + (any - start) / SCRAPE_MS * SCRAPE_MS
    } else if random.chance(30) {
        any / 60_000 * 60_000
    } else {
        any
    }
}
