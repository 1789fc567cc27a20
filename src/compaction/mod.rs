//! Compaction (stub header, replaced by the picker's).

mod closed_set;
mod damage;
mod input;
mod merge;
mod outputs;
mod proof;
mod series;
mod windows;

pub use closed_set::{ClosedSet, NotClosed};
pub use damage::DamagedRange;
pub use merge::{Erase, MergeInputs, MergeJob, Merged, NothingErased, Progress, Step};
pub use proof::{Account, Digest};
pub use windows::{Cuts, Grid, Survey, Window};
