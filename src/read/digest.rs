//! A digest of content: equal for equal content, however that is laid out.
//!
//! Called by `db` ([`Snapshot::digest`](crate::Snapshot::digest)) and by the command, to show that a
//! merge, a copy or an import changed nothing.
//!
//! # Construction
//!
//! Each sample contributes XXH3-128 (seed 0) of 32 bytes: the [`SeriesId`] of its labels, its
//! timestamp in ticks and the bits of its value, little-endian. The sum is the sum of all
//! contributions modulo 2^128, beside the numbers of series and samples. A sum does not depend on
//! order, and unlike an exclusive or it does not lose what occurs twice.
//!
//! It finds faults, not forgers: who chooses the samples can make two stores collide. Stores with
//! other ticks per second differ, since the ticks are what is stored.

use std::fmt;
use std::ops::ControlFlow;
use std::sync::Arc;

use xxhash_rust::xxh3::xxh3_128;

use super::{QueryOptions, Sources};
use crate::cursor::Columns;
use crate::error::Result;
use crate::types::{Labels, Matcher, SeriesId, TimeRange};

/// Bytes that a sample is hashed as.
const SAMPLE_BYTES: usize = 32;

/// What some series hold, in 128 bits and two counts; `Display` is the sum in hexadecimal.
///
/// ```
/// # use siltstone::{Columns, ContentDigest, Labels};
/// let mut digest = ContentDigest::default();
/// let labels = Labels::from_pairs([("__name__", "up")])?;
/// let mut columns = Columns::default();
/// columns.timestamps.push(1_700_000_000_000);
/// columns.values.f64_mut().push(1.0);
/// digest.add(&labels, &columns);
/// assert_eq!(digest.to_string(), "8bb9fa9728d89c9a52559620318ff2ba");
/// # Ok::<(), siltstone::LabelError>(())
/// ```
#[derive(Clone, Copy, Default)]
pub struct ContentDigest {
    sum: u128,
    series: u64,
    samples: u64,
    /// The series of the last columns, to count each once.
    last: Option<SeriesId>,
}

impl ContentDigest {
    /// Adds samples of a series. All columns of one series come one after the other, as a scan hands
    /// them out; the order does not matter otherwise.
    pub fn add(&mut self, labels: &Labels, columns: &Columns) {
        if columns.is_empty() {
            return;
        }
        let id = labels.id();
        if self.last != Some(id) {
            self.series += 1;
            self.last = Some(id);
        }
        let mut bytes = [0; SAMPLE_BYTES];
        bytes[..16].copy_from_slice(&id.as_u128().to_le_bytes());
        for (timestamp, value) in columns.iter() {
            bytes[16..24].copy_from_slice(&timestamp.to_le_bytes());
            bytes[24..].copy_from_slice(&value.to_bits().to_le_bytes());
            self.sum = self.sum.wrapping_add(xxh3_128(&bytes));
        }
        self.samples += columns.len() as u64;
    }

    /// The sum over all samples.
    #[must_use]
    pub fn sum(&self) -> u128 {
        self.sum
    }

    /// The number of series that have samples.
    #[must_use]
    pub fn series(&self) -> u64 {
        self.series
    }

    /// The number of samples.
    #[must_use]
    pub fn samples(&self) -> u64 {
        self.samples
    }
}

impl PartialEq for ContentDigest {
    fn eq(&self, other: &Self) -> bool {
        (self.sum, self.series, self.samples) == (other.sum, other.series, other.samples)
    }
}

impl Eq for ContentDigest {}

impl fmt::Display for ContentDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.sum)
    }
}

impl fmt::Debug for ContentDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self} of {} samples in {} series", self.samples, self.series)
    }
}

impl Sources {
    /// The digest of the samples in `range` of every series that satisfies every matcher.
    ///
    /// # Errors
    /// As [`Sources::scan`]; `samples_max` and `series_max` count what is digested.
    pub(crate) fn digest(
        self: &Arc<Self>,
        matchers: &[Matcher],
        range: TimeRange,
        options: &QueryOptions,
    ) -> Result<ContentDigest> {
        let mut digest = ContentDigest::default();
        self.scan(matchers, range, options, &mut |labels, columns| {
            digest.add(labels, columns);
            ControlFlow::Continue(())
        })?;
        Ok(digest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(name: &str) -> Labels {
        Labels::from_pairs([("__name__", name), ("شهر", "تبریز")]).unwrap()
    }

    fn columns(samples: &[(i64, u64)]) -> Columns {
        let mut columns = Columns::default();
        for &(timestamp, bits) in samples {
            columns.timestamps.push(timestamp);
            columns.values.f64_mut().push(f64::from_bits(bits));
        }
        columns
    }

    fn digest(parts: &[(&str, &[(i64, u64)])]) -> ContentDigest {
        let mut digest = ContentDigest::default();
        for (name, samples) in parts {
            digest.add(&labels(name), &columns(samples));
        }
        digest
    }

    const NAN: u64 = 0x7ff8_0000_0000_0000;

    #[test]
    fn pieces_and_order_do_not_matter() {
        let whole = digest(&[("a", &[(1, 5), (2, NAN), (i64::MAX, 7)]), ("b", &[(1, 5)])]);
        assert_eq!((whole.series(), whole.samples()), (2, 4));
        let pieces = digest(&[
            ("b", &[(1, 5)]),
            ("a", &[(1, 5)]),
            ("a", &[]),
            ("a", &[(2, NAN), (i64::MAX, 7)]),
        ]);
        assert_eq!(whole, pieces);
        assert_eq!(ContentDigest::default().to_string(), "0".repeat(32));
    }

    /// Series and their samples.
    type Content<'a> = &'a [(&'a str, &'a [(i64, u64)])];

    #[test]
    fn every_part_of_a_sample_counts() {
        let one = digest(&[("a", &[(1, 5)])]);
        let others: [Content<'_>; 7] = [
            &[("b", &[(1, 5)])],
            &[("a", &[(2, 5)])],
            &[("a", &[(5, 1)])],
            &[("a", &[(1, 6)])],
            &[("a", &[(1, 5 | 1 << 63)])],
            &[("a", &[(1, 5), (2, 5)])],
            &[],
        ];
        for other in others {
            assert_ne!(one.sum(), digest(other).sum(), "{other:?}");
        }
        // Payloads of NaNs and the sign of zero are content.
        assert_ne!(digest(&[("a", &[(1, NAN)])]), digest(&[("a", &[(1, NAN | 1)])]));
        assert_ne!(digest(&[("a", &[(1, 0)])]), digest(&[("a", &[(1, 1 << 63)])]));
        // Exchanged between two series: the same sets of labels, times and values.
        let straight = digest(&[("a", &[(1, 5)]), ("b", &[(1, 6)])]);
        assert_ne!(straight, digest(&[("a", &[(1, 6)]), ("b", &[(1, 5)])]));
        // What occurs twice does not cancel out.
        assert_ne!(digest(&[("a", &[(1, 5)]), ("b", &[]), ("a", &[(1, 5)])]).sum(), 0);
    }

    #[test]
    fn the_construction_is_pinned() {
        let mut bytes = labels("a").id().as_u128().to_le_bytes().to_vec();
        bytes.extend_from_slice(&(-2i64).to_le_bytes());
        bytes.extend_from_slice(&NAN.to_le_bytes());
        assert_eq!(digest(&[("a", &[(-2, NAN)])]).sum(), xxh3_128(&bytes));
        let other = digest(&[("a", &[(-2, NAN)]), ("b", &[(3, 4)])]);
        let sum = xxh3_128(&bytes).wrapping_add(digest(&[("b", &[(3, 4)])]).sum());
        assert_eq!(other.sum(), sum);
    }
}
