//! The proof of a merge: which rows went in, what became of each, and that nothing else came out.
//!
//! A [`Digest`] is a count of rows and a wrapping sum of their hashes, so it does not depend on the
//! order in which they pass by. Rows are counted where they are decoded, where they are left out and
//! where they are handed to a writer (which decodes again what it has encoded): each sum is taken
//! apart from the others, and only [`Account::check`] brings them together.

use crate::error::{Error, Result};
use crate::types::{Labels, Timestamp};

/// A number of rows and what they are, in any order.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Digest {
    /// Rows.
    pub rows: u64,
    /// The sum of their hashes.
    pub sum: u64,
}

impl Digest {
    /// Takes rows of the series `series` into account.
    pub(super) fn add(&mut self, series: SeriesHash, timestamps: &[Timestamp], values: &[f64]) {
        debug_assert_eq!(timestamps.len(), values.len(), "columns have equal lengths");
        let hashes = timestamps.iter().zip(values).map(|(&time, value)| series.row(time, *value));
        self.rows += timestamps.len() as u64;
        self.sum = self.sum.wrapping_add(hashes.fold(0, u64::wrapping_add));
    }

    /// Takes rows of which nothing but the time is known into account.
    pub(super) fn add_lost(&mut self, series: SeriesHash, timestamps: &[Timestamp]) {
        timestamps.iter().for_each(|&time| self.add(series, &[time], &[0.0]));
    }

    fn plus(self, other: Self) -> Self {
        Self { rows: self.rows + other.rows, sum: self.sum.wrapping_add(other.sum) }
    }
}

/// What the labels of a series add to the hash of each of its rows.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct SeriesHash(u64);

impl SeriesHash {
    pub(super) fn of(labels: &Labels) -> Self {
        Self(xxhash_rust::xxh3::xxh3_64(labels.encoded()))
    }

    /// Two rounds of multiplying and folding: enough to tell rows apart that a fault mixed up, and
    /// cheap enough to be done for each row twice.
    #[inline]
    fn row(self, timestamp: Timestamp, value: f64) -> u64 {
        let a = (timestamp as u64 ^ self.0).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let b = (value.to_bits() ^ a.rotate_left(32)).wrapping_mul(0xd6e8_feb8_6659_fd93);
        (a ^ b ^ b >> 32).wrapping_mul(0xa076_1d64_78bd_642f)
    }
}

/// What became of the rows of a merge.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Account {
    /// Decoded from the inputs.
    pub read: Digest,
    /// Handed to the outputs.
    pub written: Digest,
    /// Left out because a later write has the same timestamp.
    pub superseded: Digest,
    /// Left out because a delete hides them.
    pub deleted: Digest,
    /// Left out because they are older than the retention.
    pub expired: Digest,
}

impl Account {
    /// Whether every row that was read is accounted for, and nothing else was written.
    ///
    /// # Errors
    /// [`Error::SelfCheck`]: the outputs must not be used.
    pub(super) fn check(&self) -> Result<()> {
        let out = [self.superseded, self.deleted, self.expired];
        let out = out.into_iter().fold(self.written, Digest::plus);
        if self.read == out {
            return Ok(());
        }
        Err(Error::SelfCheck(format!(
            "a merge read {} rows and accounts for {} (sums {:016x} and {:016x}): its outputs are \
             not used",
            self.read.rows, out.rows, self.read.sum, out.sum
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(name: &str) -> SeriesHash {
        SeriesHash::of(&Labels::from_pairs([("__name__", name)]).unwrap())
    }

    fn digest(series: SeriesHash, rows: &[(i64, u64)]) -> Digest {
        let mut digest = Digest::default();
        for &(time, bits) in rows {
            digest.add(series, &[time], &[f64::from_bits(bits)]);
        }
        digest
    }

    #[test]
    fn the_order_does_not_matter_and_everything_else_does() {
        let (up, down) = (series("up"), series("down"));
        let rows = [(1, 0x7ff8_0000_0000_0001), (2, 5), (i64::MIN, 0)];
        let expected = digest(up, &rows);
        assert_eq!(digest(up, &[rows[2], rows[0], rows[1]]), expected);
        assert_ne!(digest(down, &rows), expected, "another series");
        for other in [
            [(1, 0x7ff8_0000_0000_0002), rows[1], rows[2]],
            [(2, 0x7ff8_0000_0000_0001), (1, 5), rows[2]],
            [rows[0], rows[1], (i64::MIN, 1 << 63)],
            [rows[0], rows[1], (i64::MAX, 0)],
            [rows[0], rows[1], rows[1]],
        ] {
            assert_ne!(digest(up, &other), expected, "{other:?}");
        }
        assert_ne!(digest(up, &[]), digest(up, &[(0, 0)]));
    }

    #[test]
    fn an_account_holds_when_each_row_is_somewhere() {
        let up = series("up");
        let row = |time| digest(up, &[(time, 1)]);
        let account = Account {
            read: digest(up, &[(1, 1), (2, 1), (3, 1), (4, 1)]),
            written: row(1),
            superseded: row(2),
            deleted: row(3),
            expired: row(4),
        };
        account.check().unwrap();
        for broken in [
            Account { written: row(2), ..account },
            Account { superseded: Digest::default(), ..account },
            Account { deleted: row(5), ..account },
            Account { expired: digest(up, &[(4, 2)]), ..account },
        ] {
            assert!(matches!(broken.check(), Err(Error::SelfCheck(_))), "{broken:?}");
        }
    }
}
