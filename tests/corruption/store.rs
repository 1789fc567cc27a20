//! The small store that is damaged: two segments, a log with batches and a SYNC frame, a manifest.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use siltstone::sys::SimFs;
use siltstone::sys::checksum::crc32c;
use siltstone::{Db, Labels, ReadOnlyDb, WriteBatch};
use siltstone_testing::answers::{STORE, labels, sim_clock, sim_options};

pub(crate) struct Store {
    pub(crate) fs: SimFs,
    /// Everything that was ever written at a place, in order; the last one counts.
    history: BTreeMap<(Labels, i64), Vec<u64>>,
    /// Where the log's last frame that holds a batch ends.
    log_bytes: usize,
}

impl Store {
    pub(crate) fn new() -> Self {
        let (fs, clock) = (SimFs::new(), sim_clock());
        let db = Db::open(STORE, sim_options(&fs, &clock)).unwrap();
        let mut store = Self { fs, history: BTreeMap::new(), log_bytes: 0 };
        for part in 0..2 {
            store.write(&db, part);
            db.flush().unwrap();
        }
        store.write(&db, 2);
        store.write(&db, 3);
        store.log_bytes = store.bytes(&store.log()).len();
        clock.advance(Duration::from_secs(1));
        db.tick().unwrap();
        assert_eq!(store.bytes(&store.log()).len(), store.log_bytes + 40, "a SYNC frame");
        // As a kill leaves it.
        store.fs = store.fs.fork();
        store
    }

    /// Some series of each part overlap in time with the part before, and replace samples of it.
    fn write(&mut self, db: &Db, part: i64) {
        let series = [
            labels(&[("__name__", "up"), ("job", "node")]),
            labels(&[("__name__", "دما"), ("شهر", "می\u{200c}دان")]),
            labels(&[("__name__", "part"), ("n", &part.to_string())]),
        ];
        let mut batch = WriteBatch::new();
        for (i, labels) in (0i64..).zip(&series) {
            let handle = db.series(labels).unwrap();
            for row in 0..60 {
                let timestamp = (part * 40 + row) * 15_000 + if row % 7 == i { 3 } else { 0 };
                let bits = match row {
                    5 => 0x7ff0_0000_0000_0002,
                    9 => (-0.0f64).to_bits(),
                    _ => ((part * 1000 + row * row + i) as f64 / 10.0).to_bits(),
                };
                batch.push_bits(handle, timestamp, bits).unwrap();
                self.history.entry((labels.clone(), timestamp)).or_default().push(bits);
            }
        }
        db.write(&batch).unwrap();
    }

    /// Every value written there, in order.
    pub(crate) fn written(&self, labels: &Labels, timestamp: i64) -> &[u64] {
        self.history.get(&(labels.clone(), timestamp)).map_or(&[], Vec::as_slice)
    }

    /// The number of samples, without those that were replaced.
    pub(crate) fn samples(&self) -> usize {
        self.history.len()
    }

    /// The names of the store's files.
    pub(crate) fn files(&self) -> Vec<String> {
        let paths = self.fs.files();
        let names: Vec<String> =
            paths.iter().map(|p| p.file_name().unwrap().to_string_lossy().into_owned()).collect();
        for kind in ["LOCK", "CURRENT", "MANIFEST", "wal", "seg"] {
            assert!(names.iter().any(|name| self.kind(name) == kind), "no {kind} in {names:?}");
        }
        names
    }

    pub(crate) fn path(&self, file: &str) -> PathBuf {
        PathBuf::from(STORE).join(file)
    }

    pub(crate) fn bytes(&self, file: &str) -> Vec<u8> {
        self.fs.read_file(self.path(file)).unwrap()
    }

    pub(crate) fn kind<'a>(&self, file: &'a str) -> &'a str {
        match file.split_once('.') {
            Some((_, kind)) => kind,
            None => file.split('-').next().unwrap(),
        }
    }

    /// The first file of the same kind.
    pub(crate) fn same_kind(&self, file: &str) -> String {
        let files = self.files();
        files.iter().find(|other| self.kind(other) == self.kind(file)).unwrap().clone()
    }

    fn log(&self) -> String {
        let paths = self.fs.files();
        let log = paths.iter().find(|path| path.extension().is_some_and(|e| e == "wal")).unwrap();
        log.file_name().unwrap().to_string_lossy().into_owned()
    }

    /// Whether a byte belongs to a frame of the log that nothing valid follows: damage there looks
    /// like a write that a crash cut short. Of the manifest's last frame the log says that it was durable.
    pub(crate) fn is_last_frame(&self, file: &str, offset: u64) -> bool {
        self.is_torn_write(file, offset as usize) && offset as usize >= self.log_bytes
    }

    /// Whether damage of everything from `offset` on looks like a write that a crash cut short.
    pub(crate) fn is_torn_write(&self, file: &str, offset: usize) -> bool {
        match self.kind(file) {
            // Behind the first of its two headers.
            "wal" => offset >= 128,
            _ => false,
        }
    }

    /// The bytes of each segment's timestamp blocks: those in the data, and their twins.
    pub(crate) fn timestamp_blocks(&self) -> Vec<(String, Vec<usize>)> {
        let reader = ReadOnlyDb::open(STORE, sim_options(&self.fs, &sim_clock())).unwrap();
        let mut found = Vec::new();
        for meta in reader.segments() {
            let description = reader.segment(meta.file_number).unwrap();
            let file = format!("{:06}.seg", meta.file_number);
            let bytes = self.bytes(&file);
            let section = description.sections.iter().find(|s| s.name == "timestamp twins");
            let section = section.expect("a segment has timestamp twins");
            let (start, end) = (section.offset as usize, (section.offset + section.bytes) as usize);
            let twins = &bytes[start..end];
            // One block here: the store is small. Without its padding.
            let last = twins.iter().rposition(|&b| b != 0).unwrap();
            let block = &twins[..=last];
            let first = bytes.windows(block.len()).position(|w| w == block).unwrap();
            assert!(first < start, "the block is there twice");
            let (first, twin) = (first..first + block.len(), start..start + block.len());
            found.push((file, first.chain(twin).collect()));
        }
        found
    }

    /// The file as a later version of the format would start; empty for files without a version.
    pub(crate) fn newer(&self, file: &str) -> Vec<u8> {
        let mut bytes = self.bytes(file);
        let seal = |bytes: &mut [u8], from: usize, crc: usize| {
            bytes[from + 8] = 2;
            let sum = crc32c(0, &bytes[from..from + crc]);
            bytes[from + crc..from + crc + 4].copy_from_slice(&sum.to_le_bytes());
        };
        match self.kind(file) {
            "CURRENT" => {
                let line = String::from_utf8(bytes).unwrap();
                let text =
                    line.rsplit_once(' ').unwrap().0.replacen("siltstone 1", "siltstone 2", 1);
                return format!("{text} {:08x}\n", crc32c(0, text.as_bytes())).into_bytes();
            }
            "MANIFEST" => seal(&mut bytes, 0, 52),
            "wal" => [0, 128].into_iter().for_each(|from| seal(&mut bytes, from, 124)),
            // A segment's version is in its footer, which only the right manifest leads to.
            _ => bytes.clear(),
        }
        bytes
    }

    /// The manifest as it would be if its last segment needed a feature that this build lacks.
    pub(crate) fn with_segment_feature(&self) -> Vec<u8> {
        let mut bytes = self.bytes(&self.same_kind("MANIFEST-"));
        let seed = crc32c(crc32c(0, &bytes[16..32]), &bytes[32..40]);
        let frame = bytes.windows(4).rposition(|w| w == b"EDIT").unwrap();
        let length = u32::from_le_bytes(bytes[frame + 4..frame + 8].try_into().unwrap()) as usize;
        let payload = frame + 24..frame + 24 + length;
        assert_eq!(bytes[payload.start], 1, "the edit starts with an added segment");
        bytes[payload.start + 8 + 79] |= 0x80; // the last of the 32 features
        let sum = crc32c(seed, &bytes[payload]);
        bytes[frame + 16..frame + 20].copy_from_slice(&sum.to_le_bytes());
        let sum = crc32c(seed, &bytes[frame..frame + 20]);
        bytes[frame + 20..frame + 24].copy_from_slice(&sum.to_le_bytes());
        bytes
    }
}
