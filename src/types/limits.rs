//! How large labels may be. Checked before allocation and before the write-ahead log.

/// Limits on one label set. The defaults are those of `README.md`; raise them with care, since
/// every limit bounds a buffer somewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LabelsLimits {
    /// Most labels in one set, after labels with empty values are dropped.
    pub labels_max: usize,
    /// Longest label name in bytes.
    pub name_bytes_max: usize,
    /// Longest label value in bytes.
    pub value_bytes_max: usize,
    /// Longest canonical encoding of a whole set in bytes.
    pub set_bytes_max: usize,
}

impl Default for LabelsLimits {
    fn default() -> Self {
        Self {
            labels_max: 64,
            name_bytes_max: 1024,
            value_bytes_max: 8192,
            set_bytes_max: 32 * 1024,
        }
    }
}
