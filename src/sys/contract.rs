//! The contract suite of [`Vfs`]: what a caller may rely on, run over every implementation.

use std::io::ErrorKind;
use std::path::Path;

use super::{DiskFs, ReadMode, SimFs, SyncPoint, Vfs};

const MODES: [ReadMode; 2] = [ReadMode::Map, ReadMode::Pread];

#[test]
fn the_real_disk_keeps_the_contract() {
    let dir = tempfile::tempdir().unwrap();
    contract(&DiskFs, dir.path());
}

#[test]
fn the_simulated_disk_keeps_the_contract() {
    contract(&SimFs::new(), Path::new("/"));
}

#[test]
fn the_simulated_disk_keeps_the_contract_with_short_writes() {
    let fs = SimFs::new();
    fs.set_write_bytes_max(1);
    contract(&fs, Path::new("/deep/down"));
}

/// Runs every clause in a directory of its own below `root`.
fn contract(fs: &dyn Vfs, root: &Path) {
    type Clause = fn(&dyn Vfs, &Path);
    let clauses: &[(&str, Clause)] = &[
        ("appends", appends),
        ("create_new", create_new),
        ("directories", directories),
        ("growth", growth),
        ("identities", identities),
        ("links", links),
        ("list", list),
        ("locks", locks),
        ("preallocation", preallocation),
        ("read_bounds", read_bounds),
        ("removal", removal),
        ("renames", renames),
        ("space", space),
        ("truncation", truncation),
    ];
    for (name, clause) in clauses {
        let dir = root.join(name);
        fs.create_dir_all(&dir).unwrap();
        clause(fs, &dir);
    }
}

/// The whole of a file, equal in both modes.
fn contents(fs: &dyn Vfs, path: &Path) -> Vec<u8> {
    let file = fs.open_read(path).unwrap();
    let len = file.len().unwrap() as usize;
    let [mapped, copied] = MODES.map(|mode| file.read(0, len, mode).unwrap());
    assert_eq!(mapped, copied);
    copied.to_vec()
}

fn put(fs: &dyn Vfs, path: &Path, bytes: &[u8]) {
    fs.create_new(path).unwrap().append(bytes).unwrap();
}

fn appends(fs: &dyn Vfs, dir: &Path) {
    let path = dir.join("a");
    let mut file = fs.create_new(&path).unwrap();
    assert!(file.is_empty());
    file.append(b"one ").unwrap();
    file.append(b"").unwrap();
    file.append_vectored(&[b"", b"two ", b"", b"three", b""]).unwrap();
    file.append_vectored(&[]).unwrap();
    assert_eq!(file.len(), 13);
    assert_eq!(contents(fs, &path), b"one two three");
    file.sync_data(SyncPoint::WalFrames).unwrap();
    file.append(b"!").unwrap();
    assert_eq!(contents(fs, &path), b"one two three!");

    let parts: Vec<[u8; 3]> = (0..3000u32).map(|i| [i as u8, (i >> 8) as u8, 7]).collect();
    let slices: Vec<&[u8]> = parts.iter().map(|part| &part[..]).collect();
    let mut many = fs.create_new(&dir.join("many")).unwrap();
    many.append_vectored(&slices).unwrap(); // more parts than the system takes at once
    assert_eq!(many.len(), 9000);
    assert_eq!(contents(fs, &dir.join("many")), parts.concat());
}

fn create_new(fs: &dyn Vfs, dir: &Path) {
    put(fs, &dir.join("a"), b"kept");
    let again = fs.create_new(&dir.join("a")).unwrap_err();
    assert_eq!(again.kind(), ErrorKind::AlreadyExists);
    assert_eq!(contents(fs, &dir.join("a")), b"kept");
    let missing = fs.create_new(&dir.join("no/a")).unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::NotFound);
    let below_file = fs.create_new(&dir.join("a/b")).unwrap_err();
    assert_eq!(below_file.kind(), ErrorKind::NotADirectory);
}

fn directories(fs: &dyn Vfs, dir: &Path) {
    fs.create_dir_all(&dir.join("a/b/c")).unwrap();
    fs.create_dir_all(&dir.join("a/b")).unwrap();
    assert!(fs.list(&dir.join("a/b/c")).unwrap().is_empty());
    assert_eq!(fs.list(&dir.join("x")).unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(fs.open_read(&dir.join("a")).unwrap_err().kind(), ErrorKind::IsADirectory);
    assert_eq!(fs.file_len(&dir.join("a")).unwrap_err().kind(), ErrorKind::IsADirectory);
    fs.sync_dir(dir, SyncPoint::StoreDirectory).unwrap();
    let missing = fs.sync_dir(&dir.join("x"), SyncPoint::StoreDirectory).unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::NotFound);
    let new = dir.join("a/b/c/d");
    fs.create_dir(&new).unwrap();
    assert_eq!(fs.create_dir(&new).unwrap_err().kind(), ErrorKind::AlreadyExists);
    assert_eq!(fs.create_dir(&dir.join("x/y")).unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(fs.remove_dir(&dir.join("a")).unwrap_err().kind(), ErrorKind::DirectoryNotEmpty);
    fs.remove_dir(&new).unwrap();
    assert_eq!(fs.remove_dir(&new).unwrap_err().kind(), ErrorKind::NotFound);
    put(fs, &dir.join("file"), b"");
    assert_eq!(fs.remove_dir(&dir.join("file")).unwrap_err().kind(), ErrorKind::NotADirectory);
    assert_eq!(fs.create_dir(&dir.join("file")).unwrap_err().kind(), ErrorKind::AlreadyExists);
    assert_eq!(fs.create_dir_all(&dir.join("file")).unwrap_err().kind(), ErrorKind::AlreadyExists);
}

/// A file that grows under an open handle: pread sees it, a map is refused or stays as it was.
fn growth(fs: &dyn Vfs, dir: &Path) {
    let mut file = fs.create_new(&dir.join("a")).unwrap();
    file.append(b"12345678").unwrap();
    let reader = fs.open_read(&dir.join("a")).unwrap();
    file.append(b"9").unwrap();
    assert_eq!(reader.len().unwrap(), 9);
    assert_eq!(&reader.read(6, 3, ReadMode::Pread).unwrap()[..], b"789");
    let refused = reader.read(0, 8, ReadMode::Map).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::InvalidData);
    file.truncate(4).unwrap();
    assert_eq!(reader.read(0, 8, ReadMode::Map).unwrap_err().kind(), ErrorKind::InvalidData);
    assert_eq!(reader.read(0, 8, ReadMode::Pread).unwrap_err().kind(), ErrorKind::UnexpectedEof);
}

/// Two names of one file: neither is the first.
fn links(fs: &dyn Vfs, dir: &Path) {
    let (a, b) = (dir.join("a"), dir.join("copy/b"));
    let mut file = fs.create_new(&a).unwrap();
    file.append(b"one").unwrap();
    assert_eq!(fs.hard_link(&a, &b).unwrap_err().kind(), ErrorKind::NotFound);
    fs.create_dir(&dir.join("copy")).unwrap();
    fs.hard_link(&a, &b).unwrap();
    fs.sync_dir(&dir.join("copy"), SyncPoint::StoreDirectory).unwrap();
    file.append(b" two").unwrap();
    assert_eq!(contents(fs, &b), b"one two", "no copy");
    fs.remove(&a).unwrap();
    fs.sync_dir(dir, SyncPoint::StoreDirectory).unwrap();
    drop(file);
    assert_eq!(contents(fs, &b), b"one two", "the bytes live as long as a name");
    assert_eq!(fs.hard_link(&a, &b).unwrap_err().kind(), ErrorKind::NotFound);
    put(fs, &a, b"new");
    assert_eq!(fs.hard_link(&a, &b).unwrap_err().kind(), ErrorKind::AlreadyExists);
    assert_eq!(fs.hard_link(&b, &b).unwrap_err().kind(), ErrorKind::AlreadyExists);
    let taken = fs.hard_link(&a, &dir.join("copy")).unwrap_err();
    assert_eq!(taken.kind(), ErrorKind::AlreadyExists);
    assert_eq!((contents(fs, &a), contents(fs, &b)), (b"new".to_vec(), b"one two".to_vec()));
    let directory = fs.hard_link(&dir.join("copy"), &dir.join("c")).unwrap_err();
    assert_eq!(directory.kind(), ErrorKind::IsADirectory);
}

fn list(fs: &dyn Vfs, dir: &Path) {
    for (name, bytes) in [("b", "four"), ("a", "1"), ("\u{e9}", ""), ("B", "22"), ("a.tmp", "3")] {
        put(fs, &dir.join(name), bytes.as_bytes());
    }
    fs.create_dir_all(&dir.join("aa")).unwrap();
    let entries = fs.list(dir).unwrap();
    let seen: Vec<_> = entries
        .iter()
        .map(|entry| (entry.name.to_str().unwrap(), entry.len, entry.is_dir))
        .collect();
    let expected = [
        ("B", 2, false),
        ("a", 1, false),
        ("a.tmp", 1, false),
        ("aa", 0, true),
        ("b", 4, false),
        ("\u{e9}", 0, false),
    ];
    assert_eq!(seen, expected);
}

fn locks(fs: &dyn Vfs, dir: &Path) {
    let path = dir.join("LOCK");
    let guard = fs.lock(&path).unwrap();
    assert_eq!(fs.lock(&path).unwrap_err().kind(), ErrorKind::WouldBlock);
    fs.lock(&dir.join("other")).unwrap();
    assert_eq!(guard.id().unwrap(), fs.file_id(&path).unwrap());
    let of_dir = fs.lock_dir(dir).unwrap();
    assert_eq!(fs.lock_dir(dir).unwrap_err().kind(), ErrorKind::WouldBlock);
    assert_eq!(of_dir.id().unwrap(), fs.file_id(dir).unwrap());
    drop(of_dir);
    drop(fs.lock_dir(dir).unwrap());
    fs.remove(&path).unwrap();
    let other = fs.lock(&path).unwrap();
    assert_ne!(guard.id().unwrap(), other.id().unwrap(), "a name is no identity");
    drop((guard, other));
    let guard = fs.lock(&path).unwrap();
    assert_eq!(fs.lock(&path).unwrap_err().kind(), ErrorKind::WouldBlock);
    drop(guard);
    put(fs, &dir.join("full"), b"not ours to judge");
    fs.lock(&dir.join("full")).unwrap();
    assert_eq!(contents(fs, &dir.join("full")), b"not ours to judge");
    assert_eq!(fs.lock(&dir.join("no/LOCK")).unwrap_err().kind(), ErrorKind::NotFound);
}

fn preallocation(fs: &dyn Vfs, dir: &Path) {
    let path = dir.join("a");
    let mut file = fs.create_new(&path).unwrap();
    file.append(b"abc").unwrap();
    file.preallocate(1 << 20).unwrap();
    file.preallocate(0).unwrap();
    assert_eq!(file.len(), 3);
    assert_eq!(fs.file_len(&path).unwrap(), 3);
    file.append(b"def").unwrap();
    assert_eq!(contents(fs, &path), b"abcdef");
    file.truncate(6).unwrap();
    assert_eq!(contents(fs, &path), b"abcdef");
}

fn read_bounds(fs: &dyn Vfs, dir: &Path) {
    let bytes: Vec<u8> = (0..10_000u32).map(|i| (i % 251) as u8).collect();
    put(fs, &dir.join("a"), &bytes);
    put(fs, &dir.join("empty"), b"");
    let file = fs.open_read(&dir.join("a")).unwrap();
    let empty = fs.open_read(&dir.join("empty")).unwrap();
    assert!(empty.is_empty().unwrap() && !file.is_empty().unwrap());
    for mode in MODES {
        for (offset, len) in [(0, 10_000), (0, 0), (10_000, 0), (9_999, 1), (4095, 2), (17, 5000)] {
            let read = file.read(offset, len, mode).unwrap();
            assert_eq!(&read[..], &bytes[offset as usize..][..len], "{mode:?} {offset} {len}");
        }
        let beyond =
            [(0, 10_001), (10_000, 1), (10_001, 0), (u64::MAX, 1), (1, usize::MAX), (1 << 40, 1)];
        for (offset, len) in beyond {
            let refused = file.read(offset, len, mode).unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::UnexpectedEof, "{mode:?} {offset} {len}");
        }
        assert!(empty.read(0, 0, mode).unwrap().is_empty());
        assert_eq!(empty.read(0, 1, mode).unwrap_err().kind(), ErrorKind::UnexpectedEof);
    }
    assert_eq!(fs.open_read(&dir.join("no")).unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(fs.file_len(&dir.join("no")).unwrap_err().kind(), ErrorKind::NotFound);
}

fn identities(fs: &dyn Vfs, dir: &Path) {
    let (a, b, c) = (dir.join("a"), dir.join("b"), dir.join("c"));
    put(fs, &a, b"same");
    put(fs, &b, b"same");
    fs.hard_link(&a, &c).unwrap();
    let id = |path: &Path| fs.file_id(path).unwrap();
    assert_eq!(id(&a), id(&c));
    assert_ne!(id(&a), id(&b));
    let before = id(&b);
    fs.rename(&b, &dir.join("d")).unwrap();
    assert_eq!(id(&dir.join("d")), before);
    fs.create_dir(&dir.join("deep")).unwrap();
    assert_eq!(id(dir), id(&dir.join("deep/..")));
    let all = [id(dir), id(&dir.join("deep")), id(&a), id(&dir.join("d"))];
    assert_eq!(all.iter().collect::<std::collections::HashSet<_>>().len(), 4);
    assert_eq!(fs.file_id(&b).unwrap_err().kind(), ErrorKind::NotFound);
}

fn removal(fs: &dyn Vfs, dir: &Path) {
    let path = dir.join("a");
    put(fs, &path, b"first");
    let reader = fs.open_read(&path).unwrap();
    let map = reader.read(0, 5, ReadMode::Map).unwrap();
    fs.remove(&path).unwrap();
    assert_eq!(fs.remove(&path).unwrap_err().kind(), ErrorKind::NotFound);
    put(fs, &path, b"second");
    fs.sync_dir(dir, SyncPoint::WalRemoved).unwrap();
    for mode in MODES {
        assert_eq!(&reader.read(0, 5, mode).unwrap()[..], b"first");
    }
    drop(reader);
    assert_eq!(&map[..], b"first", "bytes outlive their file and its handle");
    assert_eq!(contents(fs, &path), b"second");
}

fn renames(fs: &dyn Vfs, dir: &Path) {
    let (a, b) = (dir.join("a"), dir.join("b"));
    put(fs, &b, b"old");
    let old = fs.open_read(&b).unwrap();
    let mut file = fs.create_new(&a).unwrap();
    file.append(b"ne").unwrap();
    fs.rename(&a, &b).unwrap();
    assert_eq!(fs.file_len(&a).unwrap_err().kind(), ErrorKind::NotFound);
    file.append(b"w").unwrap(); // the handle follows the file
    assert_eq!(contents(fs, &b), b"new");
    assert_eq!(&old.read(0, 3, ReadMode::Pread).unwrap()[..], b"old");
    fs.rename(&b, &b).unwrap();
    assert_eq!(contents(fs, &b), b"new");
    assert_eq!(fs.rename(&a, &b).unwrap_err().kind(), ErrorKind::NotFound);

    fs.create_dir_all(&dir.join("quarantine")).unwrap();
    fs.rename(&b, &dir.join("quarantine/b")).unwrap();
    assert_eq!(contents(fs, &dir.join("quarantine/b")), b"new");
    assert_eq!(fs.file_len(&b).unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(fs.list(dir).unwrap().len(), 1);
}

fn space(fs: &dyn Vfs, dir: &Path) {
    let space = fs.free_space(dir).unwrap();
    assert!(space.available > 0 && space.available <= space.total);
    assert_eq!(fs.free_space(&dir.join("no")).unwrap_err().kind(), ErrorKind::NotFound);
}

fn truncation(fs: &dyn Vfs, dir: &Path) {
    let path = dir.join("a");
    let mut file = fs.create_new(&path).unwrap();
    file.append(b"frame one, half of").unwrap();
    assert_eq!(file.truncate(19).unwrap_err().kind(), ErrorKind::InvalidInput);
    file.truncate(9).unwrap();
    assert_eq!((file.len(), fs.file_len(&path).unwrap()), (9, 9));
    file.append(b" two").unwrap();
    assert_eq!(contents(fs, &path), b"frame one two");
    file.truncate(0).unwrap();
    assert_eq!(fs.file_len(&path).unwrap(), 0);
    file.append(b"again").unwrap();
    assert_eq!(contents(fs, &path), b"again");
}
