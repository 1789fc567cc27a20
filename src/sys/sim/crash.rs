//! What a power cut leaves: which of the unsynced changes survive.
//!
//! Pure: durable state and changes in, surviving state out. Bytes and names survive independently
//! of each other, as POSIX allows; a caller who wants a journal's behaviour asks for `Before`.

use super::directory::{Directory, Names};
use super::inode::{Inode, PAGE_BYTES};

/// The unit that a disk writes whole or not at all.
const SECTOR_BYTES: usize = 512;

/// Which unsynced changes survive a crash. What was synced always does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CrashPlan {
    /// Bytes and lengths of files.
    pub data: DataSurvival,
    /// Creations, renames and removals of names.
    pub directories: DirectorySurvival,
}

/// Which unsynced bytes of files survive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DataSurvival {
    /// None.
    Lost,
    /// All.
    Kept,
    /// Those of operations with a number below this one.
    Before(u64),
    /// Lengths but no bytes: what a file grew by reads as zeros.
    LengthOnly,
    /// Bytes but no lengths: what a file grew by is cut off.
    BytesOnly,
    /// For each 4 KiB page any one of its states since the last sync, for the length likewise and
    /// apart from them, and one page torn at a multiple of 512 bytes; the same for the same seed.
    Torn {
        /// Chooses the states.
        seed: u64,
    },
    /// The lengths, and of the 4 KiB pages any subset: the others are as they were at the last sync, which is
    /// zeros where the file grew. So later writes survive earlier ones; the same for the same seed. An
    /// even seed loses just one page of each file.
    Holes {
        /// Chooses the pages.
        seed: u64,
    },
}

/// Which unsynced changes of directories survive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DirectorySurvival {
    /// None.
    Lost,
    /// All.
    Kept,
    /// Those of operations with a number below this one.
    Before(u64),
    /// Any, each independently of the others; the same for the same seed.
    Subset {
        /// Chooses them.
        seed: u64,
    },
}

impl CrashPlan {
    /// Only what was synced survives.
    pub const ALL_LOST: Self =
        Self { data: DataSurvival::Lost, directories: DirectorySurvival::Lost };
    /// Everything survives, as after the death of the process alone.
    pub const ALL_KEPT: Self =
        Self { data: DataSurvival::Kept, directories: DirectorySurvival::Kept };

    /// What was synced survives, and of the rest what was done before operation `op`: a file system
    /// that writes everything in order.
    #[must_use]
    pub fn before(op: u64) -> Self {
        Self { data: DataSurvival::Before(op), directories: DirectorySurvival::Before(op) }
    }

    /// Pages, lengths and names survive as the seed will have it.
    #[must_use]
    pub fn torn(seed: u64) -> Self {
        Self {
            data: DataSurvival::Torn { seed },
            directories: DirectorySurvival::Subset { seed: seed.rotate_left(32) },
        }
    }

    /// All names survive, all lengths, and any subset of the pages: see [`DataSurvival::Holes`].
    #[must_use]
    pub fn holes(seed: u64) -> Self {
        Self { data: DataSurvival::Holes { seed }, directories: DirectorySurvival::Kept }
    }

    /// The plans that an enumerator tries at one crash point: the extremes, each alone for data and
    /// for names, and `torn` seeds from `seed` on.
    #[must_use]
    pub fn spread(seed: u64, torn: u64) -> Vec<Self> {
        let (data_kept, names_kept) = (DataSurvival::Kept, DirectorySurvival::Kept);
        let mut plans = vec![
            Self::ALL_LOST,
            Self::ALL_KEPT,
            Self { data: DataSurvival::Lost, directories: names_kept },
            Self { data: data_kept, directories: DirectorySurvival::Lost },
            Self { data: DataSurvival::LengthOnly, directories: names_kept },
            Self { data: DataSurvival::BytesOnly, directories: names_kept },
        ];
        for i in 0..torn {
            let data = DataSurvival::Torn { seed: seed.wrapping_add(i) };
            plans.push(Self { data, directories: names_kept });
            plans.push(Self::torn(seed.wrapping_add(i)));
        }
        plans
    }
}

/// The bytes of a file after a crash. `id` tells files apart under one seed.
pub(super) fn surviving_bytes(inode: &Inode, id: u64, survival: DataSurvival) -> Vec<u8> {
    let before = |op: u64| {
        let mut bytes = inode.durable.to_vec();
        for data in inode.unsynced.iter().filter(|data| data.op < op) {
            data.change.apply(&mut bytes);
        }
        bytes
    };
    match survival {
        DataSurvival::Lost => inode.durable.to_vec(),
        DataSurvival::Kept => before(u64::MAX),
        DataSurvival::Before(op) => before(op),
        DataSurvival::LengthOnly => {
            let mut bytes = inode.durable.to_vec();
            bytes.resize(before(u64::MAX).len(), 0);
            bytes
        }
        DataSurvival::BytesOnly => {
            let mut bytes = before(u64::MAX);
            bytes.resize(inode.durable.len(), 0);
            bytes
        }
        DataSurvival::Torn { .. } if inode.unsynced.is_empty() => inode.durable.to_vec(),
        DataSurvival::Torn { seed } => torn_bytes(inode, &mut Random::new(seed, id)),
        DataSurvival::Holes { seed } => {
            let random = &mut Random::new(seed, id);
            bytes_with_holes(inode, before(u64::MAX), seed.is_multiple_of(2), random)
        }
    }
}

/// The names in a directory after a crash. `id` tells directories apart under one seed.
pub(super) fn surviving_names(dir: &Directory, id: u64, survival: DirectorySurvival) -> Names {
    let mut random = match survival {
        DirectorySurvival::Subset { seed } => Random::new(seed, id),
        _ => Random::new(0, id),
    };
    let mut names = dir.durable.clone();
    for change in &dir.unsynced {
        let survives = match survival {
            DirectorySurvival::Lost => false,
            DirectorySurvival::Kept => true,
            DirectorySurvival::Before(op) => change.op < op,
            DirectorySurvival::Subset { .. } => random.below(2) == 0,
        };
        if survives {
            change.apply(&mut names);
        }
    }
    names
}

/// How far write-back had come with the pages of a file. A *state* is a count of applied changes.
enum WriteBack {
    /// With each page wholly or not at all.
    Subset,
    /// With each page to any state that it ever had.
    AnyState,
    /// With the pages below this one, in order.
    Pages(usize),
    /// With all.
    Everything,
}

fn torn_bytes(inode: &Inode, random: &mut Random) -> Vec<u8> {
    let states = inode.unsynced.len();
    let lengths = lengths(inode);
    let longest = lengths.iter().copied().max().unwrap_or(0);
    let pages = longest.div_ceil(PAGE_BYTES);
    let len = lengths[match random.below(4) {
        0 => 0,
        1 => random.below(states + 1),
        _ => states,
    }];
    let write_back = match random.below(4) {
        0 => WriteBack::Subset,
        1 => WriteBack::AnyState,
        2 => WriteBack::Pages(random.below(pages + 1)),
        _ => WriteBack::Everything,
    };
    // The page under the write head when the power went: often the last one.
    let torn_page = if random.below(2) == 0 { len / PAGE_BYTES } else { random.below(pages + 1) };
    let mut bytes = Vec::with_capacity(pages * PAGE_BYTES);
    for page in 0..pages {
        let state = match write_back {
            WriteBack::Subset => random.below(2) * states,
            WriteBack::AnyState => random.below(states + 1),
            WriteBack::Pages(done) => usize::from(page < done) * states,
            WriteBack::Everything => states,
        };
        let mut content = page_at(inode, page, state);
        if page == torn_page {
            let sectors = random.below(PAGE_BYTES / SECTOR_BYTES + 1);
            let older = page_at(inode, page, random.below(state + 1));
            content[sectors * SECTOR_BYTES..].copy_from_slice(&older[sectors * SECTOR_BYTES..]);
        }
        bytes.extend_from_slice(&content);
    }
    bytes.resize(len, 0);
    bytes
}

/// `bytes`, of which some unsynced pages, or `one` of them, are as they were at the last sync.
fn bytes_with_holes(inode: &Inode, mut bytes: Vec<u8>, one: bool, random: &mut Random) -> Vec<u8> {
    let is_unsynced =
        |page: usize| page_at(inode, page, inode.unsynced.len()) != page_at(inode, page, 0);
    let mut pages: Vec<usize> = (0..bytes.len().div_ceil(PAGE_BYTES)).collect();
    pages.retain(|page| is_unsynced(*page));
    if pages.is_empty() {
        return bytes;
    }
    match one {
        true => pages = vec![pages[random.below(pages.len())]],
        false => pages.retain(|_| random.below(2) == 0),
    }
    for page in pages {
        let start = page * PAGE_BYTES;
        let end = (start + PAGE_BYTES).min(bytes.len());
        bytes[start..end].copy_from_slice(&page_at(inode, page, 0)[..end - start]);
    }
    bytes
}

/// The lengths that a file has had since its last sync, one more than its changes.
fn lengths(inode: &Inode) -> Vec<usize> {
    let mut lengths = vec![inode.durable.len()];
    let mut len = inode.durable.len();
    for data in &inode.unsynced {
        len = data.change.len_after(len);
        lengths.push(len);
    }
    lengths
}

/// A page of the file after the first `state` of its changes.
fn page_at(inode: &Inode, page: usize, state: usize) -> Vec<u8> {
    let start = page * PAGE_BYTES;
    let durable = inode.durable.get(start..).unwrap_or_default();
    let mut content = durable[..durable.len().min(PAGE_BYTES)].to_vec();
    content.resize(PAGE_BYTES, 0);
    for data in &inode.unsynced[..state] {
        data.change.apply_to_page(start, &mut content);
    }
    content
}

/// SplitMix64: small, seeded, the same on every machine.
struct Random(u64);

impl Random {
    fn new(seed: u64, stream: u64) -> Self {
        let mut random = Self(seed ^ stream.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        random.next();
        random
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`, which is small and not 0.
    fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }
}
