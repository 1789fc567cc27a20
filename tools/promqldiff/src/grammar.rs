//! Texts that show what the grammar allows, from the generator of the parser's own tests, and broken
//! ones: for the comparison of parsers and printers, which needs no series.

use siltstone_promql_reference::generate::{ANY_TEXT, query};

use crate::generate::spoil;
use crate::ours::features;
use crate::random::Random;

/// What 3.5 does not have; texts with it are left out.
const NEWER: &[&str] = &[
    "step",
    "range(",
    "min_of",
    "max_of",
    "</",
    ">/",
    "start(",
    "end(",
    "fill",
    "anchored",
    "smoothed",
    "ts_of_first",
    "first_over",
    "histogram_quantiles",
    "start_timestamp",
];

/// Whether 3.5 can be asked about this text: it knows all of it.
pub(crate) fn is_old(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    !NEWER.iter().any(|newer| text.contains(newer))
}

/// A query, or half of the time what is left of one after some tokens were moved.
pub(crate) fn text(random: &mut Random) -> String {
    let mut choose = |below: usize| random.below(below);
    let text = query(features(false), &ANY_TEXT, &mut choose);
    if random.chance(50) { spoil(&text, random) } else { text }
}
