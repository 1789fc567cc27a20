//! The names of a store's files: the one place that spells them.
//!
//! Every file is flat in the store's directory. Numbers come from one counter in the manifest and
//! are never reused, so a name says for ever which file is meant.

use std::fmt;

/// Ends the name of a file that is being written; such files are deleted when a store is opened.
pub const TEMPORARY_SUFFIX: &str = ".tmp";

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
    /// one with [`TEMPORARY_SUFFIX`].
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        let role = match name {
            "LOCK" => Self::Lock,
            "CURRENT" => Self::Current,
            "RESERVE" => Self::Reserve,
            "quarantine" => Self::Quarantine,
            _ => {
                if let Some(digits) = name.strip_prefix("MANIFEST-") {
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
        (role.to_string() == name).then_some(role)
    }

    /// The name under which the file is written before it is renamed into place.
    #[must_use]
    pub fn temporary(self) -> String {
        format!("{self}{TEMPORARY_SUFFIX}")
    }

    /// The name of scratch space that lives while the file is being written.
    #[must_use]
    pub fn scratch(self) -> String {
        format!("{self}.index{TEMPORARY_SUFFIX}")
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
            FileName::Segment(u64::MAX),
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
