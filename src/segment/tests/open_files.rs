//! How many segments are open at a time.

use super::*;

/// A segment stays open until others take its place, is opened again when it is read, and is closed
/// with its last reader.
#[test]
fn as_many_segments_are_open_as_may_be() {
    const OPEN_MAX: usize = 4;
    let (_, vfs, dir) = sim();
    let model = Model::from([(labels(&[("a", "b")]), vec![vec![(1, 2)]])]);
    let cache = Arc::new(BlockCache::new(1 << 20).with_open_files_max(OPEN_MAX));
    let mut segments: Vec<_> = (1..=10)
        .map(|number| {
            let meta = write(&vfs, &dir, number, &model).unwrap();
            Segment::open(&vfs, &dir, &UUID.into(), &meta, ReadMode::Map, Arc::clone(&cache))
                .unwrap()
        })
        .collect();
    assert_eq!(cache.stats().open_files, 0, "opening a store opens no segment");
    for round in 0..3 {
        for (at, segment) in segments.iter().enumerate() {
            assert_eq!(read_all(segment).unwrap(), model);
            let open = cache.stats().open_files as usize;
            assert!(open <= OPEN_MAX && (round > 0 || open == OPEN_MAX.min(at + 1)), "{open}");
        }
    }
    // What is used between all others stays; what is pinned can be read without its file.
    let pin = segments[0].pin().unwrap();
    for segment in &segments[1..] {
        let first = segments[0].loaded().unwrap();
        read_all(segment).unwrap();
        assert!(Arc::ptr_eq(&first, &segments[0].loaded().unwrap()));
    }
    vfs.remove(segments[0].path()).unwrap();
    segments[1..].iter().for_each(|segment| drop(read_all(segment).unwrap()));
    assert_eq!(read_all(&segments[0]).unwrap(), model);
    drop(pin);
    // Segments that nobody has any more are not kept open: their space is free.
    assert_eq!(cache.stats().open_files as usize, OPEN_MAX);
    segments.clear();
    assert_eq!(cache.stats().open_files, 0);
}
