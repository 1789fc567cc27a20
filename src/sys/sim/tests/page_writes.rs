//! Page writes that are lost or land elsewhere, and operations that take time.

use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::sys::{Clock, ReadMode, SimClock};

const PAGE: usize = 4096;

fn visible(fs: &SimFs, path: &str) -> Vec<u8> {
    fs.read_file(path).unwrap()
}

/// Three pages of `byte`, the last one not full.
fn three(byte: u8) -> Vec<u8> {
    vec![byte; 2 * PAGE + 100]
}

#[test]
fn a_lost_page_write_succeeds_and_is_seen_until_the_cache_is_dropped() {
    let fs = SimFs::new();
    let mut file = durable(&fs, "/a", &[1; PAGE + 10]);
    assert_eq!(fs.page_writes(), 2);
    fs.fail_page_write(2, PageFault::Lost);
    file.append(&[2; 20]).unwrap();
    file.sync_data(POINT).unwrap();
    assert_eq!(fs.page_writes(), 3, "only the page that was changed");
    let expected = [vec![1; PAGE + 10], vec![2; 20]].concat();
    assert_eq!(visible(&fs, "/a"), expected);
    assert_eq!(visible(&fs.fork(), "/a"), expected, "the death of a process drops no cache");
    // The length is there, the bytes are not.
    let left = [vec![1; PAGE + 10], vec![0; 20]].concat();
    assert_eq!(after(&fs, CrashPlan::ALL_KEPT, "/a").unwrap(), left);
    let fs = fs.fork();
    fs.drop_caches();
    let read = fs.open_read(Path::new("/a")).unwrap().read(0, PAGE + 30, ReadMode::Pread);
    assert_eq!(&read.unwrap()[..], left);
}

#[test]
fn only_the_page_that_is_lost_keeps_its_old_bytes() {
    for lost in 0..3 {
        let fs = SimFs::new();
        fs.fail_page_write(lost, PageFault::Lost);
        durable(&fs, "/a", &three(7));
        let mut expected = three(7);
        let (start, len) = (lost as usize * PAGE, expected.len());
        expected[start..(start + PAGE).min(len)].fill(0);
        assert_eq!(after(&fs, CrashPlan::ALL_LOST, "/a").unwrap(), expected);
        let bad = fs.bad_page_writes();
        assert_eq!((bad.len(), bad[0].number, bad[0].page), (1, lost, lost));
        assert_eq!((&bad[0].path, &bad[0].landed), (&PathBuf::from("/a"), &None));
        assert_eq!(fs.trace()[bad[0].op as usize].kind, OpKind::SyncData(POINT));
    }
}

#[test]
fn the_next_write_of_a_lost_page_carries_all_of_it() {
    for unsynced in [false, true] {
        let fs = SimFs::new();
        fs.fail_page_write(0, PageFault::Lost);
        let mut file = durable(&fs, "/a", b"lost, ");
        file.append(b"and found").unwrap();
        let plan = if unsynced { CrashPlan::ALL_KEPT } else { CrashPlan::ALL_LOST };
        if !unsynced {
            file.sync_data(POINT).unwrap();
        }
        assert_eq!(after(&fs, plan, "/a").unwrap(), b"lost, and found");
    }
}

#[test]
fn what_was_not_synced_outlives_the_cache() {
    let fs = SimFs::new();
    let mut file = durable(&fs, "/a", b"1");
    file.append(b"2").unwrap();
    fs.drop_caches();
    assert_eq!(visible(&fs, "/a"), b"12");
    file.sync_data(POINT).unwrap();
    fs.drop_caches();
    assert_eq!(visible(&fs, "/a"), b"12");
}

#[test]
fn a_misdirected_page_write_lands_on_one_other_page() {
    let (mut same, mut other) = (0, 0);
    for seed in 0..40 {
        let fs = SimFs::new();
        durable(&fs, "/b", &three(8));
        let mut file = durable(&fs, "/a", &three(7));
        fs.create_dir_all(Path::new("/d")).unwrap();
        durable(&fs, "/d/c", &three(9));
        fs.sync_dir(Path::new("/d"), DIR_POINT).unwrap();
        fs.fail_page_write(fs.page_writes(), PageFault::Misdirected { seed });
        file.append(&[6; 50]).unwrap();
        file.sync_data(POINT).unwrap();
        let expected = [three(7), vec![6; 50]].concat();
        assert_eq!(visible(&fs, "/a"), expected);
        assert_eq!(visible(&fs, "/b"), three(8), "the cache has it");
        let (path, page) = fs.bad_page_writes()[0].landed.clone().unwrap();
        // As a disk writes a page: what is behind the end of the file is zeros.
        let mut written = expected[2 * PAGE..].to_vec();
        written.resize(PAGE, 0);
        let mut disk = [("/a", [three(7), vec![0; 50]].concat()), ("/b", three(8))];
        for (name, bytes) in &mut disk {
            if path == Path::new(name) {
                let start = page as usize * PAGE;
                let len = PAGE.min(bytes.len() - start);
                bytes[start..start + len].copy_from_slice(&written[..len]);
            }
            assert_eq!(&after(&fs, CrashPlan::ALL_LOST, name).unwrap(), bytes, "seed {seed}");
        }
        assert_eq!(after(&fs, CrashPlan::ALL_LOST, "/d/c").unwrap(), three(9));
        assert_eq!(path == Path::new("/a"), seed % 2 == 0);
        assert!((path.clone(), page) != ("/a".into(), 2), "not its own place");
        if path == Path::new("/a") { same |= 1 << page } else { other |= 1 << page }
    }
    assert_eq!((same, other), (0b11, 0b111), "each page is chosen");
}

#[test]
fn a_misdirected_page_write_of_the_only_page_is_lost() {
    let fs = SimFs::new();
    fs.fail_page_write(0, PageFault::Misdirected { seed: 1 });
    durable(&fs, "/a", b"x");
    assert_eq!(fs.bad_page_writes()[0].landed, None);
    assert_eq!(after(&fs, CrashPlan::ALL_LOST, "/a").unwrap(), b"\0");
}

#[test]
fn operations_take_time_on_their_clock_and_others_none() {
    let (fs, clock) = (SimFs::new(), Arc::new(SimClock::new(0)));
    fs.delay_syncs(&clock, Duration::from_secs(30));
    let mut file = create(&fs, "/a");
    file.append(b"x").unwrap();
    assert_eq!(clock.wall_ms(), 0);
    file.sync_data(POINT).unwrap();
    sync_root(&fs);
    assert_eq!(clock.wall_ms(), 60_000);
    fs.delay_op(fs.ops() + 1, &clock, Duration::from_secs(1));
    (0..3).for_each(|_| file.append(b"y").unwrap());
    file.sync_data(POINT).unwrap();
    assert_eq!(clock.wall_ms(), 61_000);
    fs.heal();
    fs.delay_syncs(&clock, Duration::from_secs(1));
    fs.heal();
    file.sync_data(POINT).unwrap();
    assert_eq!(clock.wall_ms(), 61_000);
}
