//! The simulated disk does lose what POSIX may lose, and nothing else.

use std::collections::BTreeSet;
use std::io::{self, ErrorKind};
use std::path::Path;

use proptest::prelude::*;

use super::*;
use crate::sys::{ReadMode, Vfs, WriteFile};

const POINT: SyncPoint = SyncPoint::WalFrames;
const DIR_POINT: SyncPoint = SyncPoint::WalDirectory;
const NAMES_KEPT: DirectorySurvival = DirectorySurvival::Kept;

fn create(fs: &SimFs, path: &str) -> Box<dyn WriteFile> {
    fs.create_new(Path::new(path)).unwrap()
}

fn sync_root(fs: &SimFs) {
    fs.sync_dir(Path::new("/"), DIR_POINT).unwrap();
}

/// A file with a durable name and these durable bytes.
fn durable(fs: &SimFs, path: &str, bytes: &[u8]) -> Box<dyn WriteFile> {
    let mut file = create(fs, path);
    file.append(bytes).unwrap();
    file.sync_data(POINT).unwrap();
    sync_root(fs);
    file
}

/// The file on the disk that a crash leaves, or `None` if its name is gone.
fn after(fs: &SimFs, plan: CrashPlan, path: &str) -> Option<Vec<u8>> {
    fs.crash(plan).read_file(path).ok()
}

fn names_kept(data: DataSurvival) -> CrashPlan {
    CrashPlan { data, directories: NAMES_KEPT }
}

// Power cuts.

#[test]
fn unsynced_bytes_are_lost_and_synced_ones_kept() {
    let fs = SimFs::new();
    let mut file = durable(&fs, "/a", b"synced");
    file.append(b", unsynced").unwrap();
    assert_eq!(after(&fs, CrashPlan::ALL_LOST, "/a").unwrap(), b"synced");
    assert_eq!(after(&fs, CrashPlan::ALL_KEPT, "/a").unwrap(), b"synced, unsynced");
}

#[test]
fn an_unsynced_truncation_may_be_undone() {
    let fs = SimFs::new();
    let mut file = durable(&fs, "/a", b"good, bad");
    file.truncate(4).unwrap();
    file.append(b"!").unwrap();
    assert_eq!(after(&fs, CrashPlan::ALL_LOST, "/a").unwrap(), b"good, bad");
    assert_eq!(after(&fs, CrashPlan::ALL_KEPT, "/a").unwrap(), b"good!");
}

#[test]
fn a_synced_file_without_a_synced_name_is_lost() {
    let fs = SimFs::new();
    create(&fs, "/a").sync_data(POINT).unwrap();
    assert_eq!(after(&fs, CrashPlan::ALL_LOST, "/a"), None);
}

#[test]
fn a_synced_name_without_synced_bytes_is_an_empty_file() {
    let fs = SimFs::new();
    create(&fs, "/a").append(b"bytes").unwrap();
    sync_root(&fs);
    assert_eq!(after(&fs, CrashPlan::ALL_LOST, "/a").unwrap(), b"");
}

#[test]
fn a_new_directory_is_lost_with_all_in_it_unless_its_parent_was_synced() {
    let fs = SimFs::new();
    fs.create_dir_all(Path::new("/store/deep")).unwrap();
    create(&fs, "/store/deep/a").sync_data(POINT).unwrap();
    fs.sync_dir(Path::new("/store/deep"), DIR_POINT).unwrap();
    fs.sync_dir(Path::new("/store"), DIR_POINT).unwrap();
    assert!(fs.crash(CrashPlan::ALL_LOST).files().is_empty());

    let fs = fs.fork();
    sync_root(&fs);
    assert_eq!(fs.crash(CrashPlan::ALL_LOST).files(), [Path::new("/store/deep/a")]);
}

#[test]
fn an_unsynced_rename_is_undone_and_the_replaced_file_is_back() {
    let fs = SimFs::new();
    durable(&fs, "/CURRENT", b"old");
    durable(&fs, "/CURRENT.tmp", b"new");
    fs.rename(Path::new("/CURRENT.tmp"), Path::new("/CURRENT")).unwrap();
    let lost = fs.crash(CrashPlan::ALL_LOST);
    assert_eq!(lost.read_file("/CURRENT").unwrap(), b"old");
    assert_eq!(lost.read_file("/CURRENT.tmp").unwrap(), b"new");
    let kept = fs.crash(CrashPlan::ALL_KEPT);
    assert_eq!(kept.read_file("/CURRENT").unwrap(), b"new");
    assert_eq!(kept.files().len(), 1);
}

#[test]
fn a_rename_survives_its_bytes_if_only_the_directory_was_synced() {
    let fs = SimFs::new();
    durable(&fs, "/CURRENT", b"old");
    create(&fs, "/CURRENT.tmp").append(b"new").unwrap();
    fs.rename(Path::new("/CURRENT.tmp"), Path::new("/CURRENT")).unwrap();
    sync_root(&fs);
    assert_eq!(after(&fs, CrashPlan::ALL_LOST, "/CURRENT").unwrap(), b"");
    assert_eq!(after(&fs, names_kept(DataSurvival::LengthOnly), "/CURRENT").unwrap(), [0; 3]);
}

#[test]
fn an_unsynced_removal_is_undone() {
    let fs = SimFs::new();
    drop(durable(&fs, "/1.wal", b"frames"));
    fs.remove(Path::new("/1.wal")).unwrap();
    fs.create_dir_all(Path::new("/other")).unwrap();
    fs.sync_dir(Path::new("/other"), DIR_POINT).unwrap(); // of another directory
    assert_eq!(after(&fs, CrashPlan::ALL_LOST, "/1.wal").unwrap(), b"frames");
    assert_eq!(after(&fs, CrashPlan::ALL_KEPT, "/1.wal"), None);

    let fs = fs.fork();
    sync_root(&fs);
    assert_eq!(after(&fs, CrashPlan::ALL_LOST, "/1.wal"), None);
}

#[test]
fn a_rename_between_directories_needs_both_synced() {
    let fs = SimFs::new();
    fs.create_dir_all(Path::new("/q")).unwrap();
    durable(&fs, "/a", b"bytes");
    fs.rename(Path::new("/a"), Path::new("/q/a")).unwrap();
    let fork = fs.fork();
    fork.sync_dir(Path::new("/q"), DIR_POINT).unwrap();
    let files = fork.crash(CrashPlan::ALL_LOST).files();
    assert_eq!(files, [Path::new("/a"), Path::new("/q/a")]);
    sync_root(&fs);
    assert!(fs.crash(CrashPlan::ALL_LOST).files().is_empty());
}

#[test]
fn before_keeps_a_prefix_of_the_operations_across_files() {
    let fs = SimFs::new();
    let mut a = durable(&fs, "/a", b"");
    let mut b = durable(&fs, "/b", b"");
    let first = fs.ops();
    a.append(b"1").unwrap();
    b.append(b"2").unwrap();
    a.append(b"3").unwrap();
    create(&fs, "/c");
    for (ops, expected) in [
        (0, (&b""[..], &b""[..], false)),
        (1, (b"1", b"", false)),
        (2, (b"1", b"2", false)),
        (3, (b"13", b"2", false)),
        (4, (b"13", b"2", true)),
    ] {
        let survivor = fs.crash(CrashPlan::before(first + ops));
        let seen = (
            &survivor.read_file("/a").unwrap()[..],
            &survivor.read_file("/b").unwrap()[..],
            survivor.read_file("/c").is_ok(),
        );
        assert_eq!(seen, expected, "{ops}");
    }
}

#[test]
fn lengths_and_bytes_survive_apart() {
    let fs = SimFs::new();
    let mut file = durable(&fs, "/a", b"1234");
    file.truncate(2).unwrap();
    file.append(b"abcd").unwrap();
    let survives = |data| after(&fs, names_kept(data), "/a").unwrap();
    assert_eq!(survives(DataSurvival::LengthOnly), b"1234\0\0");
    assert_eq!(survives(DataSurvival::BytesOnly), b"12ab");
}

#[test]
fn torn_plans_reach_every_kind_of_damage() {
    let fs = SimFs::new();
    let mut file = durable(&fs, "/a", &[1; 1000]);
    for fill in [2, 3, 4] {
        file.append(&[fill; 5000]).unwrap();
    }
    let full = fs.read_file("/a").unwrap();
    let mut seen = BTreeSet::new();
    for seed in 0..500 {
        let bytes = after(&fs, names_kept(DataSurvival::Torn { seed }), "/a").unwrap();
        let again = after(&fs, names_kept(DataSurvival::Torn { seed }), "/a").unwrap();
        assert_eq!(bytes, again, "a seed is a crash");
        assert_eq!(&bytes[..1000], &full[..1000], "synced bytes survive");
        assert!([1000, 6000, 11000, 16000].contains(&bytes.len()), "{}", bytes.len());
        seen.extend(kinds_of_damage(&bytes, &full));
    }
    let expected = ["cut", "hole", "torn page", "whole", "zeros to the end"];
    assert_eq!(seen, BTreeSet::from(expected));
}

fn kinds_of_damage(bytes: &[u8], full: &[u8]) -> Vec<&'static str> {
    let mut kinds = Vec::new();
    let good: Vec<bool> = bytes.iter().zip(full).map(|(a, b)| a == b).collect();
    assert!(bytes.iter().zip(&good).all(|(b, good)| *good || *b == 0), "lost bytes are zeros");
    let damaged = good.iter().position(|good| !good);
    match damaged {
        None if bytes.len() == full.len() => kinds.push("whole"),
        None => kinds.push("cut"),
        Some(first) if good[first..].iter().all(|good| !good) => kinds.push("zeros to the end"),
        Some(first) => {
            kinds.push("hole");
            assert!(good[first..].iter().any(|good| *good));
        }
    }
    for edge in (1..good.len()).filter(|&i| good[i] != good[i - 1]) {
        if [1000, 6000, 11000].contains(&edge) {
            continue; // the edge of a write
        }
        assert_eq!(edge % 512, 0, "sectors are written whole");
        if edge % 4096 != 0 {
            kinds.push("torn page");
        }
    }
    kinds
}

#[test]
fn subsets_of_names_survive_in_every_combination() {
    let fs = SimFs::new();
    durable(&fs, "/old", b"");
    create(&fs, "/a");
    fs.rename(Path::new("/old"), Path::new("/new")).unwrap();
    let mut seen = BTreeSet::new();
    for seed in 0..64 {
        let directories = DirectorySurvival::Subset { seed };
        seen.insert(fs.crash(CrashPlan { directories, ..CrashPlan::ALL_LOST }).files());
    }
    let sets = [&["/a", "/new"][..], &["/a", "/old"], &["/new"], &["/old"]];
    assert_eq!(seen, sets.map(|set| set.iter().map(PathBuf::from).collect()).into());
}

#[test]
fn after_a_crash_old_handles_are_dead_and_the_survivor_is_not() {
    let fs = SimFs::new();
    let mut file = durable(&fs, "/a", b"bytes");
    let reader = fs.open_read(Path::new("/a")).unwrap();
    let guard = fs.lock(Path::new("/LOCK")).unwrap();
    let survivor = fs.crash(CrashPlan::ALL_KEPT);
    assert!(is_crash(&file.append(b"x").unwrap_err()));
    assert!(is_crash(&file.sync_data(POINT).unwrap_err()));
    assert!(is_crash(&reader.read(0, 1, ReadMode::Map).unwrap_err()));
    assert!(is_crash(&reader.len().unwrap_err()));
    assert!(is_crash(&fs.create_new(Path::new("/b")).unwrap_err()));
    assert!(is_crash(&fs.list(Path::new("/")).unwrap_err()));
    assert!(!is_crash(&survivor.file_len(Path::new("/b")).unwrap_err()));
    assert_eq!((survivor.ops(), survivor.reads()), (0, 1));
    survivor.lock(Path::new("/LOCK")).unwrap();
    drop(guard);
    assert_eq!(survivor.read_file("/a").unwrap(), b"bytes");
}

#[test]
fn crash_at_lets_everything_before_the_operation_happen_and_nothing_after() {
    let run = |fs: &SimFs| -> io::Result<()> {
        let mut file = fs.create_new(Path::new("/a"))?;
        for _ in 0..3 {
            file.append(b"x")?;
            fs.file_len(Path::new("/a"))?; // reads are not operations
        }
        fs.rename(Path::new("/a"), Path::new("/b"))
    };
    let fs = SimFs::new();
    run(&fs).unwrap();
    assert_eq!(fs.ops(), 5);
    for op in 0..5 {
        let fs = SimFs::new();
        fs.crash_at(op);
        assert!(is_crash(&run(&fs).unwrap_err()));
        assert!(fs.has_crashed());
        assert_eq!((fs.ops(), fs.trace().len() as u64), (op, op));
        let bytes = after(&fs, CrashPlan::ALL_KEPT, "/a");
        assert_eq!(bytes.map(|bytes| bytes.len() as u64), op.checked_sub(1));
    }
}

#[test]
fn a_fork_has_the_unsynced_bytes_and_may_still_lose_them() {
    let fs = SimFs::new();
    let mut file = durable(&fs, "/a", b"synced");
    file.append(b"+").unwrap();
    let killed = fs.fork();
    file.append(b"+").unwrap();
    assert_eq!(killed.read_file("/a").unwrap(), b"synced+");
    assert_eq!(after(&killed, CrashPlan::ALL_LOST, "/a").unwrap(), b"synced");
    assert_eq!(fs.read_file("/a").unwrap(), b"synced++");
    assert!(!fs.has_crashed());
}

// Faults.

#[test]
fn a_failed_operation_has_no_effect_and_the_next_one_succeeds() {
    let fs = SimFs::new();
    let mut file = create(&fs, "/a");
    fs.fail_op(1, ErrorKind::Other);
    fs.fail_op(3, ErrorKind::PermissionDenied);
    assert_eq!(file.append(b"x").unwrap_err().kind(), ErrorKind::Other);
    assert_eq!(file.len(), 0);
    file.append(b"y").unwrap();
    let refused = fs.rename(Path::new("/a"), Path::new("/b")).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::PermissionDenied);
    assert_eq!(fs.read_file("/a").unwrap(), b"y");
    let errors: Vec<_> = fs.trace().into_iter().map(|op| op.error).collect();
    let (other, denied) = (Some(ErrorKind::Other), Some(ErrorKind::PermissionDenied));
    assert_eq!(errors, [None, other, None, denied]);
}

#[test]
fn a_failed_sync_drops_the_dirty_pages_and_the_next_one_says_ok() {
    let fs = SimFs::new();
    let mut file = durable(&fs, "/a", b"1");
    file.append(b"2").unwrap();
    fs.fail_sync(POINT, 0, ErrorKind::Other);
    assert_eq!(file.sync_data(POINT).unwrap_err().kind(), ErrorKind::Other);
    file.sync_data(POINT).unwrap();
    assert_eq!(fs.read_file("/a").unwrap(), b"12", "still visible");
    assert_eq!(after(&fs, CrashPlan::ALL_LOST, "/a").unwrap(), b"1");
    let fs = fs.fork();
    assert_eq!(after(&fs, CrashPlan::ALL_KEPT, "/a").unwrap(), b"1");
}

#[test]
fn what_follows_a_failed_sync_leaves_a_hole_of_zeros() {
    let fs = SimFs::new();
    let mut file = durable(&fs, "/a", b"1");
    file.append(b"22").unwrap();
    fs.fail_op(fs.ops(), ErrorKind::Other);
    file.sync_data(POINT).unwrap_err();
    file.append(b"3").unwrap();
    file.sync_data(POINT).unwrap();
    assert_eq!(after(&fs, CrashPlan::ALL_LOST, "/a").unwrap(), b"1\0\x003");
}

#[test]
fn a_failed_directory_sync_drops_the_names() {
    let fs = SimFs::new();
    create(&fs, "/a").sync_data(POINT).unwrap();
    fs.fail_sync(DIR_POINT, 0, ErrorKind::Other);
    fs.sync_dir(Path::new("/"), DIR_POINT).unwrap_err();
    sync_root(&fs);
    assert!(fs.read_file("/a").is_ok());
    assert_eq!(after(&fs, CrashPlan::ALL_LOST, "/a"), None);
}

#[test]
fn fail_sync_counts_the_syncs_of_its_point_from_now() {
    let fs = SimFs::new();
    let mut file = durable(&fs, "/a", b"1");
    fs.fail_sync(POINT, 1, ErrorKind::Other);
    file.sync_data(POINT).unwrap();
    file.sync_data(SyncPoint::WalEnd).unwrap();
    file.sync_data(POINT).unwrap_err();
    file.sync_data(POINT).unwrap();
}

#[test]
fn an_ignored_sync_point_does_nothing_and_others_still_work() {
    for point in [POINT, DIR_POINT] {
        let fs = SimFs::new();
        fs.ignore_sync(point);
        durable(&fs, "/a", b"1");
        let expected = if point == POINT { Some(Vec::new()) } else { None };
        assert_eq!(after(&fs, CrashPlan::ALL_LOST, "/a"), expected);
        let synced = fs.trace().iter().any(|op| op.kind.sync_point() == Some(point));
        assert!(synced, "it is in the trace all the same");
    }
}

#[test]
fn a_lying_disk_syncs_nothing_until_it_stops() {
    let fs = SimFs::new();
    fs.set_lying(true);
    let mut file = durable(&fs, "/a", b"1");
    assert!(fs.fork().crash(CrashPlan::ALL_LOST).files().is_empty());
    fs.set_lying(false);
    file.sync_data(POINT).unwrap();
    sync_root(&fs);
    assert_eq!(after(&fs, CrashPlan::ALL_LOST, "/a").unwrap(), b"1");
}

#[test]
fn a_full_disk_takes_what_fits_and_works_again_with_more_room() {
    let fs = SimFs::new();
    fs.set_capacity(10);
    let mut file = create(&fs, "/a");
    file.append(b"12345678").unwrap();
    assert_eq!(file.append(b"abcd").unwrap_err().kind(), ErrorKind::StorageFull);
    assert_eq!((file.len(), &fs.read_file("/a").unwrap()[..]), (10, &b"12345678ab"[..]));
    assert_eq!(file.append(b"x").unwrap_err().kind(), ErrorKind::StorageFull);
    file.truncate(8).unwrap();
    assert_eq!(fs.free_space(Path::new("/")).unwrap().available, 2);
    fs.set_capacity(12);
    file.append(b"abcd").unwrap();
    assert_eq!(fs.read_file("/a").unwrap(), b"12345678abcd");
}

#[test]
fn preallocated_space_is_its_files_own_until_cut_or_removed() {
    let fs = SimFs::new();
    let available = || fs.free_space(Path::new("/")).unwrap().available;
    fs.set_capacity(100);
    let mut reserve = create(&fs, "/RESERVE");
    reserve.preallocate(60).unwrap();
    let mut file = create(&fs, "/a");
    assert_eq!(file.preallocate(41).unwrap_err().kind(), ErrorKind::StorageFull);
    file.append(&[1; 40]).unwrap();
    assert_eq!(file.append(b"x").unwrap_err().kind(), ErrorKind::StorageFull);
    reserve.append(&[2; 50]).unwrap();
    assert_eq!(available(), 0);
    reserve.truncate(50).unwrap();
    assert_eq!(available(), 10);
    fs.remove(Path::new("/RESERVE")).unwrap();
    assert_eq!(available(), 10, "it is open");
    drop(reserve);
    assert_eq!(available(), 60);
}

#[test]
fn short_writes_are_operations_of_their_own() {
    let fs = SimFs::new();
    fs.set_write_bytes_max(3);
    let mut file = durable(&fs, "/a", b"");
    let before = fs.ops();
    file.append_vectored(&[b"ab", b"cdefg"]).unwrap();
    assert_eq!(fs.ops() - before, 3);
    assert_eq!(after(&fs.fork(), CrashPlan::before(before + 2), "/a").unwrap(), b"abcdef");
    fs.fail_op(fs.ops() + 1, ErrorKind::Other);
    file.append(b"hijkl").unwrap_err();
    assert_eq!(file.len(), 10);
    assert_eq!(fs.read_file("/a").unwrap(), b"abcdefghij");
}

#[test]
fn reads_fail_by_number_and_by_place() {
    let fs = SimFs::new();
    fs.write_file("/a", b"0123456789").unwrap();
    let file = fs.open_read(Path::new("/a")).unwrap();
    fs.fail_read(fs.reads() + 1, ErrorKind::Other);
    file.len().unwrap();
    assert_eq!(file.read(0, 1, ReadMode::Pread).unwrap_err().kind(), ErrorKind::Other);
    file.read(0, 1, ReadMode::Pread).unwrap();

    fs.make_unreadable("a", 4..6, ErrorKind::Other);
    for mode in [ReadMode::Map, ReadMode::Pread] {
        file.read(0, 4, mode).unwrap();
        file.read(6, 4, mode).unwrap();
        file.read(3, 2, mode).unwrap_err();
        file.read(5, 1, mode).unwrap_err();
    }
    fs.heal();
    file.read(0, 10, ReadMode::Map).unwrap();
    assert_eq!(fs.ops(), 0);
}

#[test]
fn damage_shows_under_open_handles_and_lasts() {
    let fs = SimFs::new();
    let mut writer = durable(&fs, "/a", b"abc");
    let file = fs.open_read(Path::new("/a")).unwrap();
    let earlier = file.read(0, 3, ReadMode::Map).unwrap();
    fs.flip("/a", 1, 0x20).unwrap();
    fs.flip("/a", 9, 0x20).unwrap();
    assert_eq!(&file.read(0, 3, ReadMode::Map).unwrap()[..], b"aBc");
    assert_eq!(&earlier[..], b"abc");
    writer.append(b"d").unwrap();
    fs.flip("/a", 3, 0x20).unwrap();
    assert_eq!(fs.read_file("/a").unwrap(), b"aBcD");
    assert_eq!(after(&fs, CrashPlan::ALL_LOST, "/a").unwrap(), b"aBc");
}

#[test]
fn files_written_raw_are_durable_whatever_was_to_become_of_the_name() {
    let fs = SimFs::new();
    fs.create_dir_all(Path::new("/d")).unwrap();
    sync_root(&fs);
    durable(&fs, "/a", b"1");
    fs.remove(Path::new("/a")).unwrap();
    fs.write_file("/a", b"2").unwrap();
    fs.write_file("/d/b", b"3").unwrap();
    sync_root(&fs);
    assert_eq!(fs.files(), [Path::new("/a"), Path::new("/d/b")]);
    let fs = fs.crash(CrashPlan::ALL_LOST);
    assert_eq!(fs.read_file("/a").unwrap(), b"2");
    assert_eq!(fs.read_file("/d/b").unwrap(), b"3");
    assert!(fs.write_file("/no/c", b"").is_err());
}

#[test]
fn files_that_nobody_can_reach_are_forgotten() {
    let fs = SimFs::new();
    for i in 0..10 {
        let path = format!("/{i}");
        durable(&fs, &path, &[0; 100]);
        fs.remove(Path::new(&path)).unwrap();
    }
    sync_root(&fs);
    assert_eq!(fs.state().inodes.len(), 0);
}

// Against a plain model.

#[derive(Debug, Clone)]
enum Step {
    Create(u8),
    Append(u8, usize),
    Truncate(u8, usize),
    Sync(u8),
    Rename(u8, u8),
    Remove(u8),
    SyncDir,
}

fn step() -> impl Strategy<Value = Step> {
    let file = 0..4u8;
    prop_oneof![
        2 => file.clone().prop_map(Step::Create),
        4 => (file.clone(), 1..9000usize).prop_map(|(f, n)| Step::Append(f, n)),
        1 => (file.clone(), 0..9000usize).prop_map(|(f, n)| Step::Truncate(f, n)),
        2 => file.clone().prop_map(Step::Sync),
        1 => (file.clone(), file.clone()).prop_map(|(a, b)| Step::Rename(a, b)),
        1 => file.prop_map(Step::Remove),
        1 => Just(Step::SyncDir),
    ]
}

fn name(file: u8) -> PathBuf {
    PathBuf::from(format!("/{file}"))
}

fn perform(fs: &SimFs, steps: &[Step]) -> io::Result<()> {
    let mut open: [Option<Box<dyn WriteFile>>; 4] = [None, None, None, None];
    for (i, step) in steps.iter().enumerate() {
        let done = match *step {
            Step::Create(f) => {
                fs.create_new(&name(f)).map(|file| open[usize::from(f)] = Some(file))
            }
            Step::Rename(a, b) => fs.rename(&name(a), &name(b)),
            Step::Remove(f) => fs.remove(&name(f)),
            Step::SyncDir => fs.sync_dir(Path::new("/"), DIR_POINT),
            Step::Append(f, _) | Step::Truncate(f, _) | Step::Sync(f) => {
                let Some(file) = &mut open[usize::from(f)] else { continue };
                match *step {
                    Step::Append(_, len) => file.append(&vec![i as u8 + 1; len]),
                    Step::Truncate(_, len) => file.truncate(file.len().min(len as u64)),
                    _ => file.sync_data(POINT),
                }
            }
        };
        match done {
            Err(e) if is_crash(&e) => return Err(e),
            _ => {} // a step that makes no sense here
        }
    }
    Ok(())
}

fn image(fs: &SimFs) -> Vec<(PathBuf, Vec<u8>)> {
    fs.files().into_iter().map(|path| (path.clone(), fs.read_file(path).unwrap())).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// A crash at operation k that keeps everything is the run cut at k; if everything was synced
    /// before the crash, every plan leaves the same disk.
    #[test]
    fn crashes_agree_with_runs_cut_short(
        steps in proptest::collection::vec(step(), 1..30),
        at in any::<prop::sample::Index>(),
        seed in any::<u64>(),
    ) {
        let whole = SimFs::new();
        perform(&whole, &steps).unwrap();
        let at = at.index(whole.ops() as usize + 1) as u64;
        let cut = SimFs::new();
        cut.crash_at(at);
        let _ = perform(&cut, &steps);
        prop_assert_eq!(&cut.trace()[..], &whole.trace()[..at as usize]);
        prop_assert_eq!(image(&cut.crash(CrashPlan::ALL_KEPT)), image(&cut));
        prop_assert_eq!(image(&cut.crash(CrashPlan::before(at))), image(&cut));
        prop_assert_eq!(
            image(&cut.crash(CrashPlan::before(0))),
            image(&cut.crash(CrashPlan::ALL_LOST))
        );

        let synced = cut.fork();
        for inode in synced.state().inodes.values_mut() {
            inode.sync();
        }
        sync_root(&synced);
        for plan in CrashPlan::spread(seed, 4) {
            prop_assert_eq!(image(&synced.crash(plan)), image(&cut));
            // A survivor has nothing left to lose.
            let survivor = cut.crash(plan);
            let again = survivor.crash(CrashPlan::ALL_LOST);
            prop_assert_eq!(image(&again), image(&survivor));
        }
    }
}
