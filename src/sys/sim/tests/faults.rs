//! Each fault strikes as asked, once or lastingly, and nothing else does.

use super::*;
use crate::sys::ReadMode;

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
