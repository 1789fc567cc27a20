//! The manifest under crashes: at every operation of a script of creating, appending, rolling and
//! opening, whatever the disk keeps, the store opens with every acknowledged edit, and with no other
//! than the one under way.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::files::manifest_numbers;
use super::tests::add;
use super::*;
use crate::sys::{CrashPlan, SimFs};

const UUID: [u8; 16] = [3; 16];
const OPTIONS: StoreOptions = StoreOptions { ticks_per_second: 1_000 };
const DIR: &str = "/store";

/// What the script was told before the crash.
#[derive(Debug, Default, Clone, Copy)]
struct Told {
    created: bool,
    /// Segments acknowledged.
    acknowledged: u64,
    /// Segments whose addition was begun.
    begun: u64,
}

fn disk() -> SimFs {
    let sim = SimFs::new();
    sim.create_dir_all(Path::new(DIR)).unwrap();
    sim.sync_dir(Path::new("/"), SyncPoint::StoreDirectory).unwrap();
    sim
}

/// Creates a store, adds segments, rolls, opens again, adds more; stops at the first error.
fn script(sim: &SimFs, told: &mut Told) -> Result<()> {
    let vfs: Arc<dyn Vfs> = Arc::new(sim.clone());
    let dir = PathBuf::from(DIR);
    let mut manifest = Manifest::create(&vfs, &dir, UUID, OPTIONS)?;
    told.created = true;
    let mut grow = |manifest: &mut Manifest| {
        told.begun += 1;
        manifest.append(&add(told.begun))?;
        told.acknowledged += 1;
        Ok(())
    };
    grow(&mut manifest)?;
    grow(&mut manifest)?;
    manifest.roll()?;
    grow(&mut manifest)?;
    drop(manifest);
    let (mut manifest, _) = Manifest::open(&vfs, &dir)?;
    grow(&mut manifest)?;
    manifest.roll()?;
    grow(&mut manifest)
}

/// Opens what a crash left and compares it with what the script was told.
fn check(after: &SimFs, told: Told) -> std::result::Result<(), String> {
    let vfs: Arc<dyn Vfs> = Arc::new(after.clone());
    let dir = PathBuf::from(DIR);
    if !Manifest::exists(after, &dir).map_err(|e| e.to_string())? {
        if told.created {
            return Err("the store is gone".into());
        }
        return Manifest::create(&vfs, &dir, UUID, OPTIONS).map(drop).map_err(|e| e.to_string());
    }
    for _ in 0..2 {
        let (mut manifest, _) = Manifest::open(&vfs, &dir).map_err(|e| e.to_string())?;
        let found = manifest.version().segments().len() as u64;
        if found < told.acknowledged || found > told.begun {
            return Err(format!("{found} segments after {told:?}"));
        }
        // What is left can be built on.
        let edit = VersionEdit { last_seq: Some(1000), ..VersionEdit::default() };
        manifest.append(&edit).map_err(|e| e.to_string())?;
    }
    Ok(())
}

/// Runs the script with a crash at every operation and every survival; the first failure.
fn enumerate(ignored: Option<SyncPoint>) -> std::result::Result<u64, String> {
    let prepare = || {
        let sim = disk();
        if let Some(point) = ignored {
            sim.ignore_sync(point);
        }
        sim
    };
    let sim = prepare();
    let first = sim.ops();
    script(&sim, &mut Told::default()).map_err(|e| e.to_string())?;
    let mut states = 0;
    for op in first..=sim.ops() {
        let sim = prepare();
        sim.crash_at(op);
        let mut told = Told::default();
        let outcome = script(&sim, &mut told);
        assert_eq!(outcome.is_err(), sim.has_crashed(), "only the crash makes the script fail");
        for plan in CrashPlan::spread(op * 1000, 4) {
            check(&sim.crash(plan), told).map_err(|e| format!("op {op}, {plan:?}: {e}"))?;
            states += 1;
        }
    }
    Ok(states)
}

#[test]
fn every_crash_keeps_what_was_acknowledged() {
    let states = enumerate(None).unwrap();
    assert!(states > 300, "{states} states");
}

#[test]
fn every_sync_is_needed() {
    for point in [
        SyncPoint::ManifestEdit,
        SyncPoint::ManifestFile,
        SyncPoint::ManifestDirectory,
        SyncPoint::CurrentData,
        SyncPoint::CurrentDirectory,
    ] {
        assert!(enumerate(Some(point)).is_err(), "nothing noticed that {point:?} was ignored");
    }
}

#[test]
fn a_crash_while_opening_loses_nothing() {
    let sim = disk();
    let mut told = Told::default();
    script(&sim, &mut told).unwrap();
    let found = sim.crash(CrashPlan::ALL_LOST);
    let recovery = found.fork();
    let vfs: Arc<dyn Vfs> = Arc::new(recovery.clone());
    let first = recovery.ops();
    Manifest::open(&vfs, Path::new(DIR)).unwrap();
    for op in first..recovery.ops() {
        let again = found.fork();
        again.crash_at(op);
        let vfs: Arc<dyn Vfs> = Arc::new(again.clone());
        // Only the removal of the old manifest may fail without a word.
        drop(Manifest::open(&vfs, Path::new(DIR)));
        assert!(again.has_crashed());
        for plan in CrashPlan::spread(op, 4) {
            check(&again.crash(plan), told).unwrap();
        }
    }
}

#[test]
fn a_failed_append_poisons_until_a_roll() {
    for fault in ["sync", "full"] {
        let sim = disk();
        let vfs: Arc<dyn Vfs> = Arc::new(sim.clone());
        let dir = PathBuf::from(DIR);
        let mut manifest = Manifest::create(&vfs, &dir, UUID, OPTIONS).unwrap();
        manifest.append(&add(1)).unwrap();
        match fault {
            "sync" => sim.fail_sync(SyncPoint::ManifestEdit, 0, io::ErrorKind::Other),
            _ => sim.fail_op(sim.ops(), io::ErrorKind::StorageFull),
        }
        let failed = manifest.append(&add(2));
        assert!(matches!(failed, Err(Error::Io { .. } | Error::DiskFull { .. })), "{failed:?}");
        assert!(manifest.is_poisoned());
        assert_eq!(manifest.version().segments().len(), 1);
        assert!(matches!(manifest.append(&add(2)), Err(Error::FileClosed { .. })));
        // A roll that fails leaves it poisoned, one that succeeds disowns the edit.
        sim.fail_sync(SyncPoint::ManifestFile, 0, io::ErrorKind::Other);
        manifest.roll().unwrap_err();
        assert!(manifest.is_poisoned());
        manifest.roll().unwrap();
        manifest.append(&add(3)).unwrap();
        let after = sim.crash(CrashPlan::ALL_LOST);
        let loaded = load(&after, &dir).unwrap();
        let numbers: Vec<u64> =
            loaded.version.segments().iter().map(|meta| meta.file_number).collect();
        assert_eq!(numbers, [1, 3], "after a fault of {fault}");
    }
}

#[test]
fn rolls_that_fail_leave_nothing_unless_current_may_name_it() {
    let sim = disk();
    let vfs: Arc<dyn Vfs> = Arc::new(sim.clone());
    let dir = PathBuf::from(DIR);
    let mut manifest = Manifest::create(&vfs, &dir, UUID, OPTIONS).unwrap();
    let before = sim.files();
    for point in [SyncPoint::ManifestFile, SyncPoint::ManifestDirectory, SyncPoint::CurrentData] {
        for _ in 0..3 {
            sim.fail_sync(point, 0, io::ErrorKind::StorageFull);
            manifest.roll().unwrap_err();
            assert_eq!(sim.files(), before, "after {point:?} failed");
        }
    }
    sim.fail_sync(SyncPoint::CurrentDirectory, 0, io::ErrorKind::Other);
    manifest.roll().unwrap_err();
    sim.fail_sync(SyncPoint::ManifestFile, 0, io::ErrorKind::Other);
    manifest.roll().unwrap_err();
    assert_eq!(manifest_numbers(&sim, &dir).unwrap(), [1, 2], "CURRENT may name either");
    manifest.roll().unwrap();
    assert_eq!(manifest_numbers(&sim, &dir).unwrap(), [3]);
}

#[test]
fn a_fault_at_any_operation_of_a_roll_leaves_what_current_names() {
    let start = || {
        let sim = disk();
        let vfs: Arc<dyn Vfs> = Arc::new(sim.clone());
        let mut manifest = Manifest::create(&vfs, Path::new(DIR), UUID, OPTIONS).unwrap();
        manifest.append(&add(1)).unwrap();
        (sim, manifest)
    };
    let (sim, mut manifest) = start();
    let first = sim.ops();
    manifest.roll().unwrap();
    let told = Told { created: true, acknowledged: 1, begun: 1 };
    for op in first..sim.ops() {
        let (sim, mut manifest) = start();
        sim.fail_op(op, io::ErrorKind::StorageFull);
        let _ = manifest.roll();
        let survivors = CrashPlan::spread(op * 1000, 8).into_iter().map(|p| sim.fork().crash(p));
        for after in survivors.chain([sim.fork()]) {
            check(&after, told).unwrap_or_else(|e| panic!("op {op}: {e}"));
        }
    }
}
