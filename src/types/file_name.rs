//! The names of a store's files: the one place that spells them.
//!
//! Every file is flat in the store's directory. Numbers come from one counter in the manifest and
//! are never reused, so a name says for ever which file is meant.
//!
//! A name says so only if its number is one that the store can have given out. Numbers stay below
//! [`NUMBER_MAX`], so that counting on cannot overflow, and are given out one by one, so that none is far
//! above what the manifest knows ([`FileName::parse_below`]). Whatever else is named like this, somebody
//! put there: were its number believed, the next one would be above the maximum, and no file could be
//! made any more.

use std::fmt;

/// Ends the name of a file that is being written; such files are deleted when a store is opened.
pub const TEMPORARY_SUFFIX: &str = ".tmp";

/// Stands before [`TEMPORARY_SUFFIX`] in the name of scratch space.
const SCRATCH_SUFFIX: &str = ".index";
/// Starts the name of a manifest; its number follows.
pub const MANIFEST_PREFIX: &str = "MANIFEST-";

/// File numbers, edit numbers and seqs of a store stay below this, so that counting on cannot overflow.
pub const NUMBER_MAX: u64 = 1 << 62;

/// How far above the next number that the manifest knows a file may be. Numbers are given out without an
/// edit where flushes, merges and edits fail and are tried again: ten in a second, for thirteen years.
const AHEAD_MAX: u64 = 1 << 32;

/// The first number that no file has of which the manifest says that `next` is free: see `AHEAD_MAX`.
#[must_use]
pub fn numbers_end(next: u64) -> u64 {
    next.saturating_add(AHEAD_MAX).min(NUMBER_MAX)
}

/// A file of a store, by its role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FileName {
    /// `LOCK`: held with flock by the process that has the store open; its content is ignored.
    Lock,
    /// `CURRENT`: names the live manifest.
    Current,
    /// `MANIFEST-000001`: version edits.
    Manifest(u64),
    /// `000001.wal`: a file of the write-ahead log.
    Wal(u64),
    /// `000001.seg`: an immutable segment.
    Segment(u64),
    /// `000001.tomb`: the tombstones that one flush made part of the manifest.
    Tombstones(u64),
    /// `RESERVE`: no bytes, but blocks behind its end that are given back when the disk is full.
    Reserve,
    /// `quarantine`: the directory that complete files which no manifest lists are moved to.
    Quarantine,
}

impl FileName {
    /// The role of the file called `name`; `None` for a name that the store does not use, such as
    /// one with [`TEMPORARY_SUFFIX`], or for a number of [`NUMBER_MAX`] or above.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        let role = match name {
            "LOCK" => Self::Lock,
            "CURRENT" => Self::Current,
            "RESERVE" => Self::Reserve,
            "quarantine" => Self::Quarantine,
            _ => {
                if let Some(digits) = name.strip_prefix(MANIFEST_PREFIX) {
                    Self::Manifest(digits.parse().ok()?)
                } else if let Some(digits) = name.strip_suffix(".wal") {
                    Self::Wal(digits.parse().ok()?)
                } else if let Some(digits) = name.strip_suffix(".tomb") {
                    Self::Tombstones(digits.parse().ok()?)
                } else {
                    Self::Segment(name.strip_suffix(".seg")?.parse().ok()?)
                }
            }
        };
        // One spelling for each file: no sign, no missing or surplus zeros.
        let is_below = role.number().is_none_or(|number| number < NUMBER_MAX);
        (is_below && role.to_string() == name).then_some(role)
    }

    /// As [`parse`](Self::parse), of a store whose manifest says that `next` is the next file number;
    /// `None` also for a number that it cannot have given out. The numbers of manifests are others,
    /// and are not looked at.
    #[must_use]
    pub fn parse_below(name: &str, next: u64) -> Option<Self> {
        Self::parse(name).filter(|role| match role {
            Self::Manifest(_) => true,
            other => other.number().is_none_or(|number| number < numbers_end(next)),
        })
    }

    /// The number in a name that looks like one of a numbered file, also while that is being written,
    /// whether or not such a file can be; `u64::MAX` for one that does not fit.
    #[must_use]
    pub fn number_spelled(name: &str) -> Option<u64> {
        let name = name.strip_suffix(TEMPORARY_SUFFIX).unwrap_or(name);
        let name = name.strip_suffix(SCRATCH_SUFFIX).unwrap_or(name);
        let of_file = || [".wal", ".seg", ".tomb"].iter().find_map(|end| name.strip_suffix(end));
        let digits = name.strip_prefix(MANIFEST_PREFIX).or_else(of_file)?;
        let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        is_number.then(|| digits.parse().unwrap_or(u64::MAX))
    }

    /// The number, of a role that has one.
    fn number(self) -> Option<u64> {
        match self {
            Self::Manifest(n) | Self::Wal(n) | Self::Segment(n) | Self::Tombstones(n) => Some(n),
            Self::Lock | Self::Current | Self::Reserve | Self::Quarantine => None,
        }
    }

    /// The name under which the file is written before it is renamed into place.
    #[must_use]
    pub fn temporary(self) -> String {
        format!("{self}{TEMPORARY_SUFFIX}")
    }

    /// The name of scratch space that lives while the file is being written.
    #[must_use]
    pub fn scratch(self) -> String {
        format!("{self}{SCRATCH_SUFFIX}{TEMPORARY_SUFFIX}")
    }
}

impl fmt::Display for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lock => f.write_str("LOCK"),
            Self::Current => f.write_str("CURRENT"),
            Self::Manifest(number) => write!(f, "MANIFEST-{number:06}"),
            Self::Wal(number) => write!(f, "{number:06}.wal"),
            Self::Segment(number) => write!(f, "{number:06}.seg"),
            Self::Tombstones(number) => write!(f, "{number:06}.tomb"),
            Self::Reserve => f.write_str("RESERVE"),
            Self::Quarantine => f.write_str("quarantine"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_parse_back() {
        for name in [
            FileName::Lock,
            FileName::Current,
            FileName::Manifest(1),
            FileName::Wal(999_999),
            FileName::Segment(1_000_000),
            FileName::Segment(NUMBER_MAX - 1),
            FileName::Tombstones(12),
            FileName::Reserve,
            FileName::Quarantine,
        ] {
            assert_eq!(FileName::parse(&name.to_string()), Some(name));
            assert_eq!(FileName::parse(&name.temporary()), None);
            assert_eq!(FileName::parse(&name.scratch()), None);
            assert!(name.scratch().ends_with(TEMPORARY_SUFFIX), "opening removes it");
        }
        assert_eq!(FileName::Segment(7).to_string(), "000007.seg");
    }

    #[test]
    fn numbers_that_no_store_gives_out_are_not_the_stores() {
        for number in [NUMBER_MAX, u64::MAX - 1, u64::MAX] {
            for name in [
                FileName::Manifest(number),
                FileName::Wal(number),
                FileName::Segment(number),
                FileName::Tombstones(number),
            ] {
                assert_eq!(FileName::parse(&name.to_string()), None, "{name}");
                for spelled in [name.to_string(), name.temporary(), name.scratch()] {
                    assert_eq!(FileName::number_spelled(&spelled), Some(number), "{spelled}");
                }
            }
        }
        let far = FileName::Wal(7 + AHEAD_MAX);
        assert_eq!(FileName::parse_below(&far.to_string(), 7), None);
        assert_eq!(FileName::parse_below(&far.to_string(), 8), Some(far));
        assert_eq!(numbers_end(NUMBER_MAX - 1), NUMBER_MAX);
        let beyond = format!("{}0.seg", u64::MAX);
        assert_eq!(FileName::number_spelled(&beyond), Some(u64::MAX));
        for name in
            ["LOCK", "a.seg", "-1.seg", "+1.wal", ".tomb", "MANIFEST-", "7.seg.damage.jsonl"]
        {
            assert_eq!(FileName::number_spelled(name), None, "{name}");
        }
    }

    #[test]
    fn other_spellings_are_not_the_stores() {
        for name in [
            "7.seg",
            "0000007.seg",
            "+00007.wal",
            "MANIFEST-1",
            "lock",
            "",
            ".seg",
            "x.seg",
            "1.tomb",
        ] {
            assert_eq!(FileName::parse(name), None, "{name}");
        }
    }
}
