//! An open segment: the footer and the tops in memory, and checked reads of everything else.
//!
//! Called by the read path and by merges. Opening checks that the file exists with the right size;
//! the footer is read at first use and must be the one that the manifest means. What is in use is
//! shared, what was used lately is kept open (`handles.rs`), the rest is closed.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, Weak};

use super::bytes_by_kind::BytesByKind;
use super::cache::BlockCache;
use super::chunk_index;
use super::footer::{self, Footer, SectionTag};
use super::loaded::Loaded;
use super::time_table;
use crate::error::{Error, Result};
use crate::index::Index;
use crate::sys::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use crate::sys::sync::{Mutex, OnceLock};
use crate::sys::{ReadFile, ReadMode, Vfs};
use crate::types::{DecodeError, FileName, SegmentMeta, StoreIds, WHOLE_FILE};

/// A segment that is open for reading. Shared by all readers.
#[derive(Debug)]
pub struct Segment {
    vfs: Arc<dyn Vfs>,
    path: PathBuf,
    ids: StoreIds,
    meta: SegmentMeta,
    pub(super) mode: ReadMode,
    pub(super) cache: Arc<BlockCache>,
    /// What is in memory, if it is. Locked while loading, so that it happens once.
    loaded: Mutex<Weak<Loaded>>,
    /// Kept for the statistics, which ask often.
    pub(super) bytes_by_kind: OnceLock<BytesByKind>,
    pub(super) twin_reads: AtomicU64,
    pub(super) second_reads: AtomicU64,
}

/// Keeps a segment open: while it lives, the segment can be read, whatever becomes of the name of its
/// file.
#[derive(Debug)]
pub struct SegmentPin {
    _loaded: Arc<Loaded>,
}

impl Segment {
    /// Opens the segment that `meta` describes, of the store `ids` in `dir`: it carries one of these.
    ///
    /// # Errors
    /// [`Error::Io`] if the file is missing; [`Error::Corrupt`] if its size is wrong;
    /// [`Error::UnsupportedVersion`] if the segment has features that this build does not know.
    pub fn open(
        vfs: &Arc<dyn Vfs>,
        dir: &Path,
        ids: &StoreIds,
        meta: &SegmentMeta,
        mode: ReadMode,
        cache: Arc<BlockCache>,
    ) -> Result<Arc<Self>> {
        let path = dir.join(FileName::Segment(meta.file_number).to_string());
        let file_bytes = vfs.file_len(&path).map_err(|e| Error::io("open", &path, e))?;
        if file_bytes != meta.file_bytes {
            return Err(wrong_size(path, file_bytes));
        }
        if meta.features & !footer::FEATURES_KNOWN != 0 {
            return Err(Error::UnsupportedVersion { path, found: 2, supported: 1 });
        }
        Ok(Arc::new(Self {
            vfs: Arc::clone(vfs),
            path,
            ids: ids.clone(),
            meta: *meta,
            mode,
            cache,
            loaded: Mutex::default(),
            bytes_by_kind: OnceLock::new(),
            twin_reads: AtomicU64::new(0),
            second_reads: AtomicU64::new(0),
        }))
    }

    /// What the manifest says of the segment.
    #[must_use]
    pub fn meta(&self) -> &SegmentMeta {
        &self.meta
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How many segments may be open at a time, this one among them.
    #[must_use]
    pub fn open_files_max(&self) -> usize {
        self.cache.open_files_max()
    }

    /// How often a damaged footer, timestamp table or timestamp block was read from its twin
    /// instead: above 0, the segment should be rewritten.
    #[must_use]
    pub fn twin_reads(&self) -> u64 {
        self.twin_reads.load(Ordering::Relaxed)
    }

    /// How often a block that did not verify did so when it was read again: above 0, the machine's memory,
    /// or what lies between it and the disk, cannot be trusted.
    #[must_use]
    pub fn second_reads(&self) -> u64 {
        self.second_reads.load(Ordering::Relaxed)
    }

    /// The same file with another cache, and nothing loaded yet.
    pub(crate) fn with_cache(&self, cache: Arc<BlockCache>) -> Result<Arc<Self>> {
        let dir = self.path.parent().unwrap_or(Path::new(""));
        Self::open(&self.vfs, dir, &self.ids, &self.meta, self.mode, cache)
    }

    pub(crate) fn damaged(&self, section: &'static str, offset: u64, e: DecodeError) -> Error {
        Error::decode(&self.path, section, offset, e)
    }

    /// The error of a file that has not the length with which it was written.
    pub(super) fn wrong_size(&self, file_bytes: u64) -> Error {
        wrong_size(self.path.clone(), file_bytes)
    }

    /// Opens the segment and keeps it open while the pin lives.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Corrupt`] or [`Error::UnsupportedVersion`]; [`Error::SnapshotGone`] if
    /// the process whose file it is has removed it.
    pub fn pin(&self) -> Result<SegmentPin> {
        self.loaded().map(|loaded| SegmentPin { _loaded: loaded })
    }

    /// Footer and tops, read at first use and when they were closed meanwhile. A failure is not kept:
    /// the next use tries again.
    pub(super) fn loaded(&self) -> Result<Arc<Loaded>> {
        let mut place = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(loaded) = place.upgrade() {
            loaded.used.store(true, Ordering::Relaxed);
            return Ok(loaded);
        }
        let loaded = Arc::new(self.load()?);
        *place = Arc::downgrade(&loaded);
        drop(place);
        self.cache.handles.keep(Arc::clone(&loaded));
        Ok(loaded)
    }

    fn load(&self) -> Result<Loaded> {
        let file = self.vfs.open_read(&self.path).map_err(|e| match e.kind() {
            ErrorKind::NotFound if self.cache.handles.foreign => {
                Error::SnapshotGone { path: self.path.clone() }
            }
            _ => Error::io("open", &self.path, e),
        })?;
        let last_offset = self.meta.file_bytes.saturating_sub(u64::from(self.meta.footer_bytes));
        let footer = self.footer_at(&file, last_offset).or_else(|e| {
            self.or_twin(e, "footer", || self.footer_at(&file, self.meta.footer_twin_offset))
        })?;
        let table = |tag: SectionTag| {
            let bytes = self.section(&file, &footer, tag)?;
            time_table::decode_table(&bytes, footer.columns)
                .map_err(|e| self.damaged(tag.name(), footer.section(tag).offset, e))
        };
        let time_table = table(SectionTag::TimeTable)
            .or_else(|e| self.or_twin(e, "timestamp table", || table(SectionTag::TimeTableTwin)))?;
        let label_top = self.section(&file, &footer, SectionTag::LabelTop)?;
        let at = |tag| footer.section(tag).offset;
        let index = Index::from_top(&label_top)
            .and_then(|index| match index.series_count() == footer.series {
                true => Ok(index),
                false => Err(DecodeError::Invalid("number of series")),
            })
            .map_err(|e| self.damaged("label top", at(SectionTag::LabelTop), e))?;
        let chunk_top = self.section(&file, &footer, SectionTag::ChunkTop)?;
        let chunk_top = chunk_index::decode_top(&chunk_top, footer.series)
            .map_err(|e| self.damaged("chunk top", at(SectionTag::ChunkTop), e))?;
        let used = AtomicBool::new(false);
        Ok(Loaded { file, footer, index, chunk_top, time_table, used })
    }

    /// Reads the footer at `offset` and checks that it is the one of this segment.
    pub(super) fn footer_at(&self, file: &Arc<dyn ReadFile>, offset: u64) -> Result<Footer> {
        let footer_bytes = u64::from(self.meta.footer_bytes);
        self.read_decoded(file, (offset, footer_bytes), "footer", |bytes| {
            let (footer, crc) = Footer::decode(bytes, self.meta.file_bytes)?;
            if !self.ids.has(&footer.uuid) {
                return Err(DecodeError::Invalid("uuid of the store"));
            }
            if footer.file_number != self.meta.file_number {
                return Err(DecodeError::Invalid("file number"));
            }
            if footer.features != self.meta.features {
                return Err(DecodeError::Invalid("features"));
            }
            if crc != self.meta.footer_crc {
                return Err(DecodeError::Checksum("footer in the manifest"));
            }
            if footer.tombstone_seq > self.meta.tombstone_seq {
                return Err(DecodeError::Invalid("tombstone seq in the manifest"));
            }
            Ok(footer)
        })
    }
}

fn wrong_size(path: PathBuf, file_bytes: u64) -> Error {
    let source =
        DecodeError::Invalid("its size, which something outside of the store has changed,");
    Error::Corrupt { path, section: WHOLE_FILE, offset: file_bytes, source }
}

/// A file that nobody will read again takes no place, and no space on the disk, once it is removed.
impl Drop for Segment {
    fn drop(&mut self) {
        let loaded = self.loaded.get_mut().unwrap_or_else(PoisonError::into_inner);
        self.cache.handles.forget(loaded);
    }
}
