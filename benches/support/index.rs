//! Label indexes: generated label sets, and builds with or without scratch.

use std::cell::Cell;
use std::convert::Infallible;
use std::rc::Rc;

use siltstone::Labels;
use siltstone::index::{BuiltIndex, IndexBuilder, Spill};
use siltstone::sys::{Bytes, ReadFile, ReadMode, Vfs, WriteFile};
use siltstone::types::DecodeError;
use siltstone_testing::tsbs::tags;

/// An encoded index.
pub struct IndexParts {
    /// The blocks, back to back.
    pub blocks: Vec<u8>,
    /// The top level.
    pub top: Vec<u8>,
}

/// Scratch in a file, which goes when it does.
pub struct SpillFile {
    write: Box<dyn WriteFile>,
    read: std::sync::Arc<dyn ReadFile>,
    /// The bytes written.
    pub bytes: Rc<Cell<u64>>,
    _dir: tempfile::TempDir,
}

impl SpillFile {
    /// In the temporary directory.
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("scratch");
        let write = siltstone::sys::DiskFs.create_new(&path).unwrap();
        let read = siltstone::sys::DiskFs.open_read(&path).unwrap();
        Self { write, read, bytes: Rc::default(), _dir: dir }
    }
}

impl Spill for SpillFile {
    type Error = Infallible;

    fn append(&mut self, bytes: &[u8]) -> Result<(), Infallible> {
        self.write.append(bytes).unwrap();
        self.bytes.set(self.write.len());
        Ok(())
    }

    fn read(&self, offset: u64, len: usize) -> Result<Bytes, Infallible> {
        Ok(self.read.read(offset, len, ReadMode::Pread).unwrap())
    }

    fn damaged(&self, offset: u64, e: DecodeError) -> Infallible {
        panic!("scratch at {offset}: {e}")
    }
}

/// Builds the index of `series` with a budget of bytes.
pub fn build<'a>(series: impl Iterator<Item = &'a Labels>, budget: usize) -> BuiltIndex<SpillFile> {
    let mut builder = IndexBuilder::new(budget, SpillFile::new());
    for labels in series {
        let Ok(_) = builder.push(labels);
    }
    let Ok(built) = builder.finish();
    built
}

/// Builds the index of `series` in memory.
pub fn build_in_memory(series: &[Labels]) -> IndexParts {
    let built = build(series.iter(), usize::MAX);
    let mut blocks = Vec::new();
    let Ok(()) = built.write_blocks(|bytes| {
        blocks.extend_from_slice(bytes);
        Ok(())
    });
    IndexParts { blocks, top: built.top().to_vec() }
}

/// Label sets in label order, the same in every run.
pub fn tsbs_like(hosts: u32, metrics: u32) -> Vec<Labels> {
    let mut random = 0x9e37_79b9_7f4a_7c15u64;
    let mut pick = |n: u64| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random % n
    };
    let mut all = Vec::new();
    for host in 0..hosts {
        let tags = tags(u64::from(host), &mut pick);
        for metric in 0..metrics {
            let name = [("__name__", format!("cpu_usage_{metric}"))];
            let labels = Labels::from_pairs(name.into_iter().chain(tags.clone()));
            all.push(labels.expect("labels within the limits"));
        }
    }
    all.sort();
    all
}
