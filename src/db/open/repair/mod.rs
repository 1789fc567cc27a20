//! Repair of a store that does not open, because its manifest or `CURRENT` is damaged or gone; and of tombstone
//! files, which a manifest that is lost one day would be rebuilt from.
//!
//! Called by the `repair` command and by whoever embeds the engine: [`Repair`]. Opening never repairs: what it
//! would have to guess, somebody is to see first.
//!
//! 1. Given a directory whose manifest cannot be read, or has lost edits that were durable, everything that
//!    can still be read is collected (`evidence`): the frames of the manifests, the footers of segments,
//!    tombstone files, which seqs the log has.
//! 2. Where nothing but `CURRENT` or single bits of the manifest was wrong, the version is known exactly.
//!    Otherwise it is put together from what the files say of themselves (`rebuild`), and the plan says of every
//!    segment file what becomes of it and why.
//! 3. Told to, it is done (`apply`), under the lock of the store: copies of the damaged files go to
//!    `quarantine/`, segments that the new manifest will not list are set aside there, tombstone files that are
//!    missing or damaged are written from what the manifest lists, and a new manifest is begun as at any opening.
//!    Until `CURRENT` names it, nothing that was listed has changed; a crash, at any point, only means that it is
//!    done again, and the plan is the same then.
//! 4. The next opening replays the log as always.
//!
//! # Invariants
//!
//! - Nothing is removed but the manifests that were copied. What is not listed lies in `quarantine/`, unless it was
//!   removed before by an edit, which the next opening carries out, or is another store's.
//! - No sample that was acknowledged is left out while a readable file has it: a segment is left out only if
//!   an edit removed it, others hold its samples, or the log does.
//! - A segment that a readable edit lists stays listed even if its file is gone or damaged: queries of its time
//!   fail, as they do in any store, instead of showing what is older.
//! - No delete that can still be read is left out: a tombstone that has been carried out hides nothing that
//!   anybody wants.
//!
//! # Limits
//!
//! - A delete is lost if the edit that listed it, its `.tomb` file and its log file are all gone or damaged.
//! - If the edit that published a merge is lost, its inputs are all there still, and it cannot be told that all
//!   of its outputs are, the inputs are listed: what was deleted before that merge, and whose tombstone is gone,
//!   is back. The plan says so ([`Fate::Unpublished`]).
//! - What retention has dropped is back until the next time, if the file is still there.
//! - The time scale is known to manifests alone: without any header of one it must be given.
//! - Which stores a copy was made of is known to the snapshot of its manifest alone. Without that, segments of other
//!   stores are taken for those of its origins: left out, all that it held would be lost. The plan names them.

mod apply;
mod evidence;
mod make;
mod plan;
mod rebuild;

use std::path::Path;

pub use plan::{Fate, RepairPlan, RepairSegment};

use crate::db::env::options::Options;
use crate::error::Result;

/// Makes a store open again whose manifest or `CURRENT` is damaged or gone: says what would be done, and
/// does it. Damage in segments, which costs samples, is found by [`Verify`](crate::Verify) and accepted with
/// [`Db::accept_losses`](crate::Db::accept_losses).
///
/// ```
/// # use siltstone::{Db, Options, Repair};
/// # let dir = tempfile::tempdir()?;
/// # Db::open(dir.path(), Options::default())?.close()?;
/// std::fs::write(dir.path().join("CURRENT"), [0; 38])?;
/// assert!(Db::open(dir.path(), Options::default()).is_err());
///
/// let plan = Repair::new(dir.path()).plan()?;
/// assert!(plan.is_needed());
/// for damage in &plan.damage {
///     println!("{damage}");
/// }
/// Repair::new(dir.path()).apply()?;
/// Db::open(dir.path(), Options::default())?.close()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Repair<'a> {
    dir: &'a Path,
    options: Options,
    ticks_per_second: Option<u64>,
}

impl<'a> Repair<'a> {
    /// Of the store in `dir`.
    #[must_use]
    pub fn new(dir: &'a Path) -> Self {
        Self { dir, options: Options::default(), ticks_per_second: None }
    }

    /// Of these options the file system counts.
    #[must_use]
    pub fn options(self, options: Options) -> Self {
        Self { options, ..self }
    }

    /// The time scale of the store, for the case that no manifest can be read that says it. Where one can,
    /// that counts.
    #[must_use]
    pub fn ticks_per_second(self, ticks_per_second: u64) -> Self {
        Self { ticks_per_second: Some(ticks_per_second), ..self }
    }

    /// What [`apply`](Self::apply) would do. Writes nothing and takes no lock.
    ///
    /// # Errors
    /// [`Error::NotAStore`](crate::Error::NotAStore) if there are no files of a store;
    /// [`Error::InvalidArgument`](crate::Error::InvalidArgument) if the files are of several stores or
    /// contradict each other, or if nothing says the time scale;
    /// [`Error::UnsupportedVersion`](crate::Error::UnsupportedVersion) if a newer build wrote them; I/O errors.
    pub fn plan(&self) -> Result<RepairPlan> {
        Ok(make::make(&*self.options.vfs, self.dir, self.ticks_per_second)?.plan)
    }

    /// Does what is to be done, and says what that was. Where nothing is, it changes nothing.
    ///
    /// # Errors
    /// Those of [`plan`](Self::plan); [`Error::Locked`](crate::Error::Locked) if a process has the store open.
    /// After an error it can be run again.
    pub fn apply(&self) -> Result<RepairPlan> {
        apply::apply(&self.options.vfs, self.dir, self.ticks_per_second)
    }
}
