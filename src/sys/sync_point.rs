//! The names of the engine's syncs.
//!
//! Every sync states what it protects, so that the simulated disk can ignore one of them and a test
//! can show that the store then breaks: a sync whose absence nothing notices is either useless or
//! untested.

/// One place in the engine that makes something durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum SyncPoint {
    /// The parent of the store's directory, after that was created: without it a new store and all
    /// that it acknowledged may vanish as a whole.
    StoreDirectory,
    /// A WAL file's header, before its first frame: frames are worthless without the header's salt.
    WalHeader,
    /// The directory, after a WAL file was created: without it synced frames are in a file that has
    /// no name.
    WalDirectory,
    /// Frames of batches: what makes an acknowledgement true.
    WalFrames,
    /// The END frame of a WAL file, before the next file is created: it tells a finished file from
    /// one that lost its tail.
    WalEnd,
    /// The directory, after a covered WAL file was removed: gives the space back for certain.
    WalRemoved,
    /// A segment's bytes, before it takes its name: without it the name may show an empty file.
    SegmentData,
    /// The directory, after a segment took its name and before the manifest lists it.
    SegmentDirectory,
    /// A `.tomb` file's bytes, before it takes its name.
    TombstonesData,
    /// The directory, after a `.tomb` file took its name and before the manifest lists what is in it.
    TombstonesDirectory,
    /// What a merge could not read, before the manifest lets go of the damaged segment.
    DamageReport,
    /// The directories that name such a report: without it the segment is taken for a sound one that
    /// nobody needs.
    DamageDirectory,
    /// `quarantine/`, after a file got its name there and before that loses its old one: without it the
    /// file may vanish.
    SetAside,
    /// The store's directory, which may name `quarantine/` for the first time, before the same.
    QuarantineName,
    /// The store's directory, after the file lost its old name there: it has one name for certain.
    SetAsideSource,
    /// Edits appended to the manifest, before what they replace is removed.
    ManifestEdit,
    /// A new manifest file's snapshot, before `CURRENT` may name it.
    ManifestFile,
    /// The directory, after a new manifest file was created.
    ManifestDirectory,
    /// The temporary `CURRENT`, before it replaces the old one.
    CurrentData,
    /// The directory, after `CURRENT` was replaced and before the old manifest is removed.
    CurrentDirectory,
}

impl SyncPoint {
    /// Every point, in the order of declaration.
    pub const ALL: &[Self] = &[
        Self::StoreDirectory,
        Self::WalHeader,
        Self::WalDirectory,
        Self::WalFrames,
        Self::WalEnd,
        Self::WalRemoved,
        Self::SegmentData,
        Self::SegmentDirectory,
        Self::TombstonesData,
        Self::TombstonesDirectory,
        Self::DamageReport,
        Self::DamageDirectory,
        Self::SetAside,
        Self::QuarantineName,
        Self::SetAsideSource,
        Self::ManifestEdit,
        Self::ManifestFile,
        Self::ManifestDirectory,
        Self::CurrentData,
        Self::CurrentDirectory,
    ];
}

#[cfg(test)]
mod tests {
    use super::SyncPoint;

    #[test]
    fn all_lists_every_point_once() {
        for (i, point) in SyncPoint::ALL.iter().enumerate() {
            assert_eq!(*point as usize, i, "{point:?} is out of place");
        }
        // The last declared: a point added after it is missing above.
        assert_eq!(SyncPoint::ALL.last(), Some(&SyncPoint::CurrentDirectory));
        assert_eq!(SyncPoint::ALL.len(), SyncPoint::CurrentDirectory as usize + 1);
    }
}
