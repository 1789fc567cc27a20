//! Damage of stores with segments of other stores, expired rows, files set aside, losses that were accepted,
//! and of a copy: at each step the same answer, or somebody says what is wrong and where.
//!
//! `SILTSTONE_DAMAGE_STRIDE=1` damages every byte instead of every seventh.

mod history;
mod sequence;
mod stores;

use crate::{from_env, mask};
use sequence::{Answers, Case, Outcome};
use stores::{Wide, kind};

/// A store with its answers, and how often its damage was reported.
struct Suite {
    store: Wide,
    expected: Answers,
    cases: u64,
    reported: u64,
}

impl Suite {
    fn new(store: Wide) -> Self {
        store.check_whole();
        let fs = store.fs.fork();
        let what = "is whole".to_owned();
        let case = Case { store: &store, fs, file: "CURRENT", what, torn: false };
        let Outcome { answers, reports, .. } = case.run(&Vec::new());
        assert!(reports.is_empty(), "{}: {reports:?}", store.name);
        Self { expected: answers, store, cases: 0, reported: 0 }
    }

    /// Damages a copy of the store, removes the file if the damage says so, and goes through all steps.
    fn case(&mut self, file: &str, what: String, torn: bool, bytes: Option<Vec<u8>>) -> bool {
        let fs = self.store.fs.fork();
        let path = std::path::Path::new(siltstone_testing::answers::STORE).join(file);
        match bytes {
            Some(bytes) => fs.write_file(&path, &bytes).unwrap(),
            None => siltstone::sys::Vfs::remove(&fs, &path).unwrap(),
        }
        let outcome = Case { store: &self.store, fs, file, what, torn }.run(&self.expected);
        self.cases += 1;
        self.reported += u64::from(outcome.noticed);
        outcome.noticed
    }

    fn damage(&mut self, file: &str) {
        let path = std::path::Path::new(siltstone_testing::answers::STORE).join(file);
        let whole = self.store.fs.read_file(path).unwrap();
        let stride = from_env("SILTSTONE_DAMAGE_STRIDE", 7) as usize;
        // Another first byte in each file and for each seed.
        let first = mask(whole.len() as u64) as usize % stride;
        for offset in (first..whole.len()).step_by(stride) {
            let mut bytes = whole.clone();
            bytes[offset] ^= mask(offset as u64);
            self.case(file, format!("byte {offset} flipped"), false, Some(bytes));
        }
        // Behind the headers of a log.
        let torn = |from: usize| kind(file) == "wal" && from >= 128;
        for start in (0..whole.len()).step_by(512 * stride.div_ceil(3)) {
            let mut bytes = whole.clone();
            let end = (start + 512).min(bytes.len());
            bytes[start..end].fill(0);
            self.case(file, format!("{start}..{end} zeroed"), torn(start), Some(bytes));
        }
        for cut in (0..whole.len()).step_by(whole.len() / (35 / stride).max(2) + 1) {
            let bytes = whole[..cut].to_vec();
            self.case(file, format!("cut to {cut}"), torn(cut), Some(bytes));
        }
        self.case(file, "gone".into(), false, None);
        for twin in self.store.twins(file) {
            let bytes = self.store.fs.read_file(&twin).unwrap();
            let same = bytes == whole;
            let noticed = self.case(file, format!("is {}", twin.display()), false, Some(bytes));
            let matters = !file.starts_with("quarantine/") && kind(file) != "LOCK";
            assert!(noticed || same || !matters, "{file} is {}", twin.display());
        }
    }

    fn run(mut self) {
        for file in self.store.files() {
            self.damage(&file);
        }
        println!("{}: {} cases, {} reported", self.store.name, self.cases, self.reported);
        assert!(self.cases > 100 && self.reported * 3 > self.cases, "{} cases", self.cases);
    }
}

#[test]
fn damage_of_a_store_with_segments_of_another_is_noticed_or_harmless() {
    Suite::new(Wide::attached()).run();
}

#[test]
fn damage_of_a_store_that_expires_is_noticed_or_harmless() {
    Suite::new(Wide::expiring()).run();
}

#[test]
fn damage_beside_files_that_were_set_aside_is_noticed_or_harmless() {
    Suite::new(Wide::quarantined()).run();
}

#[test]
fn damage_of_a_store_with_accepted_losses_is_noticed_or_harmless() {
    Suite::new(Wide::accepted()).run();
}

#[test]
fn damage_of_a_copy_is_noticed_or_harmless() {
    Suite::new(Wide::copied()).run();
}
