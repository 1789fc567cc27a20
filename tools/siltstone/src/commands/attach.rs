//! `siltstone attach`: what another store holds joins this one as one write.

use std::path::PathBuf;

use clap::Args as ClapArgs;
use serde_json::json;
use siltstone::{AttachOptions, Error, Options};

use crate::failure::{Failure, Result};
use crate::store_flags::DataFlag;
use crate::{output, target, units};

const EXAMPLES: &str = "\
Examples:
  siltstone attach /var/lib/old-server
  siltstone attach /backup/000012.seg --data /var/lib/siltstone

It is one write that happens now: where both stores have a sample of a series at
the same time, the attached one is kept. The other store is only read; what it
holds in its log alone must be flushed first, by siltstone flush. All of it is
attached or, if anything is damaged or the disk is full, nothing.

A store is not attached to itself. A copy of it, such as a snapshot or a backup,
the store that it is a copy of, or another copy of that needs --allow-copy: what is still here would be written a second time, and what
was replaced or deleted since the copy was made would come back.

A segment file without its store's manifest beside it does not tell its ticks per
second, nor what was deleted from it and is still in it: that is up to you.";

/// Add what another store or a segment file holds
#[derive(Debug, ClapArgs)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Directory of the other store, or one of its .seg files
    #[arg(value_name = "PATH")]
    path: PathBuf,
    /// Attach a copy of this same store, although it brings back what was replaced or deleted since
    #[arg(long)]
    allow_copy: bool,
    #[command(flatten)]
    data: DataFlag,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args) -> Result {
    let options = AttachOptions { allow_copy: args.allow_copy };
    let (report, found) = target::with_own(&args.data.data, Options::default(), |db| {
        db.attach_with(&args.path, options).map_err(|error| match error {
            // The advice for these is about the store itself.
            Error::NotAStore { .. } | Error::InvalidArgument(_) => {
                Failure::usage(error.to_string())
            }
            error => error.into(),
        })
    })?;
    if args.json {
        output::print_json(&json!({
            "path": args.path.display().to_string(),
            "seq": report.seq,
            "segments_in": report.segments_in,
            "segments_out": report.segments_out,
            "samples": report.samples,
            "superseded": report.superseded,
            "deleted": report.deleted,
            "bytes_in": report.bytes_in,
            "bytes_out": report.bytes_out,
            "elapsed_ms": report.elapsed.as_millis() as u64,
        }))?;
        return Ok(found);
    }
    let left_out = report.superseded + report.deleted;
    let mut text = format!(
        "attached {} of {}, {} in {}\n",
        units::counted(report.samples, "sample"),
        units::counted(report.segments_in, "segment"),
        units::bytes(report.bytes_out),
        units::counted(report.segments_out, "segment"),
    );
    if left_out > 0 {
        text +=
            &format!("left out: {} superseded, {} deleted\n", report.superseded, report.deleted);
    }
    output::print(&text)?;
    Ok(found)
}
