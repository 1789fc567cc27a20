//! Segments whose label index outgrows its memory: the same bytes, no scratch left, and errors where
//! the scratch fails.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::*;
use crate::error::{Error, Result};
use crate::sys::{CrashPlan, ReadMode, SimFs, Vfs};
use crate::types::{FileName, Labels, SegmentMeta};

const DIR: &str = "/store";

fn sim() -> (SimFs, Arc<dyn Vfs>) {
    let sim = SimFs::new();
    let vfs: Arc<dyn Vfs> = Arc::new(sim.clone());
    vfs.create_dir_all(Path::new(DIR)).unwrap();
    (sim, vfs)
}

fn scratch() -> PathBuf {
    Path::new(DIR).join(FileName::Segment(7).scratch())
}

fn series() -> Vec<Labels> {
    let of = |i: u32| {
        let (host, rack) = (format!("host_{i:05}"), format!("{}", i % 7));
        Labels::from_pairs([("host", &host[..]), ("rack", &rack[..])]).unwrap()
    };
    (0..600).map(of).collect()
}

fn write(vfs: &Arc<dyn Vfs>, index_bytes_max: Option<usize>) -> Result<SegmentMeta> {
    let info = SegmentInfo { min_seq: 1, max_seq: 1, ..SegmentInfo::default() };
    let mut writer = SegmentWriter::create(vfs, Path::new(DIR), 7, info)?;
    if let Some(bytes) = index_bytes_max {
        writer = writer.with_index_bytes_max(bytes);
    }
    let written = series().iter().enumerate().try_for_each(|(i, labels)| {
        writer.begin_series(labels)?;
        writer.chunk(&[1, 2 + i as i64], &[i as f64, 0.5])
    });
    match written {
        Ok(()) => writer.finish(),
        Err(e) => {
            writer.abort()?;
            Err(e)
        }
    }
}

fn bytes_of_segment(sim: &SimFs) -> Vec<u8> {
    sim.read_file(Path::new(DIR).join(FileName::Segment(7).to_string())).unwrap()
}

#[test]
fn a_spilled_index_makes_the_same_file_and_leaves_no_scratch() {
    let (plain, vfs) = sim();
    let meta = write(&vfs, None).unwrap();
    let made = |sim: &SimFs| sim.trace().iter().any(|op| format!("{op:?}").contains(".index.tmp"));
    assert!(!made(&plain), "nothing is spilled without need");
    let (spilled, vfs) = sim();
    assert_eq!(write(&vfs, Some(20_000)).unwrap(), meta);
    assert!(made(&spilled), "{:?}", spilled.trace().last());
    assert_eq!(bytes_of_segment(&spilled), bytes_of_segment(&plain));
    assert_eq!(spilled.files().len(), 1, "{:?}", spilled.files());
    let cache = Arc::new(BlockCache::new(1 << 20));
    let dir = Path::new(DIR);
    let segment = Segment::open(&vfs, dir, &[0; 16].into(), &meta, ReadMode::Pread, cache).unwrap();
    let report = segment.verify(&mut |finding| panic!("{finding:?}")).unwrap();
    assert_eq!(report.series, 600);
}

#[test]
fn scratch_of_an_attempt_before_is_replaced() {
    let (sim, vfs) = sim();
    sim.write_file(scratch(), b"left by an attempt before").unwrap();
    let meta = write(&vfs, Some(20_000)).unwrap();
    assert_eq!((meta.series, sim.files().len()), (600, 1));
}

#[test]
fn damaged_scratch_fails_the_segment_and_names_the_file() {
    let (sim, vfs) = sim();
    let info = SegmentInfo { min_seq: 1, max_seq: 1, ..SegmentInfo::default() };
    let mut writer =
        SegmentWriter::create(&vfs, Path::new(DIR), 7, info).unwrap().with_index_bytes_max(20_000);
    for labels in series() {
        writer.begin_series(&labels).unwrap();
        writer.chunk(&[1], &[1.0]).unwrap();
    }
    sim.flip(scratch(), 5000, 4).unwrap();
    match writer.finish() {
        Err(Error::Corrupt { path, section: "spilled index", offset: 4096, .. }) => {
            assert_eq!(path, scratch());
        }
        other => panic!("{other:?}"),
    }
    assert!(sim.files().is_empty(), "{:?}", sim.files());
}

/// Every operation fails once: nothing is left but, where a removal failed, temporary files.
#[test]
fn no_failure_leaves_files_behind() {
    let (sim_, vfs) = sim();
    let first = sim_.ops();
    write(&vfs, Some(20_000)).unwrap();
    let operations = sim_.ops() - first;
    assert!(operations > 20);
    for op in first..first + operations {
        let (sim, vfs) = sim();
        sim.fail_op(op, std::io::ErrorKind::StorageFull);
        let written = write(&vfs, Some(20_000));
        let files = sim.files();
        let temporary = |path: &PathBuf| path.extension().is_some_and(|ext| ext == "tmp");
        match written {
            // Only the removal of the scratch may fail unseen.
            Ok(_) => assert!(files.iter().filter(|path| temporary(path)).count() <= 1),
            Err(Error::DiskFull { .. }) => {
                assert!(files.len() <= 1, "operation {op}: {files:?}");
            }
            Err(other) => panic!("operation {op}: {other:?}"),
        }
    }
}

#[test]
fn a_full_disk_is_said_and_gives_back_what_was_taken() {
    let (unbounded, vfs) = sim();
    write(&vfs, Some(20_000)).unwrap();
    let needed = bytes_of_segment(&unbounded).len() as u64;
    let mut failed = 0;
    for capacity in (0..needed).step_by(1500) {
        let (sim, vfs) = sim();
        sim.set_capacity(capacity);
        let error = write(&vfs, Some(20_000)).unwrap_err();
        assert!(matches!(error, Error::DiskFull { .. }), "{capacity} bytes: {error:?}");
        assert!(sim.files().is_empty(), "{capacity} bytes: {:?}", sim.files());
        failed += 1;
    }
    assert!(failed > 10);
}

/// After a crash at any operation, what is there beside a whole segment is recognised as temporary.
#[test]
fn a_crash_leaves_only_what_the_next_open_removes() {
    let (sim_, vfs) = sim();
    let first = sim_.ops();
    let meta = write(&vfs, Some(20_000)).unwrap();
    let mut scratch_left = 0;
    for op in first..=sim_.ops() {
        let (sim, vfs) = sim();
        sim.crash_at(op);
        drop(write(&vfs, Some(20_000)));
        for plan in CrashPlan::spread(op, 2) {
            let after = sim.crash(plan);
            for path in after.files() {
                let name = path.file_name().unwrap().to_str().unwrap().to_owned();
                scratch_left += usize::from(path == scratch());
                let whole = name == FileName::Segment(7).to_string()
                    && after.read_file(&path).unwrap().len() as u64 == meta.file_bytes;
                assert!(whole || name.ends_with(crate::types::TEMPORARY_SUFFIX), "{name}");
            }
        }
    }
    assert!(scratch_left > 0);
}
