//! What each plan leaves after a crash.

use std::collections::BTreeSet;

use super::*;
use crate::sys::ReadMode;

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
fn a_link_is_a_name_like_another_and_needs_its_directory_synced() {
    let fs = SimFs::new();
    fs.create_dir(Path::new("/copy")).unwrap();
    durable(&fs, "/a", b"bytes");
    fs.hard_link(Path::new("/a"), Path::new("/copy/a")).unwrap();
    assert_eq!(fs.fork().crash(CrashPlan::ALL_LOST).files(), [Path::new("/a")]);
    fs.sync_dir(Path::new("/copy"), DIR_POINT).unwrap();
    fs.remove(Path::new("/a")).unwrap();
    sync_root(&fs);
    let survivor = fs.crash(CrashPlan::ALL_LOST);
    assert_eq!(survivor.files(), [Path::new("/copy/a")]);
    assert_eq!(survivor.read_file("/copy/a").unwrap(), b"bytes");
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
    let expected = ["cut", "hole", "later page alone", "torn page", "whole", "zeros to the end"];
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
    let pages: Vec<&[bool]> = good.chunks_exact(4096).skip(1).collect(); // the first was synced
    let lost = pages.iter().position(|page| page.iter().all(|good| !good));
    if lost.is_some_and(|lost| pages[lost..].iter().any(|page| page.iter().all(|good| *good))) {
        kinds.push("later page alone");
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
    fs.remove(Path::new("/a")).unwrap();
    sync_root(&fs);
    assert_eq!(fs.state().inodes.len(), 1, "the file is open here");
    assert_eq!(fs.fork().state().inodes.len(), 0, "and not there");
    assert!(!fs.has_crashed());
}
