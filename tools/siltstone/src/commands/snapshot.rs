//! `siltstone snapshot`: the whole store once more, by hard links.

use std::path::PathBuf;

use clap::Args as ClapArgs;
use serde_json::json;
use siltstone::Options;

use crate::failure::{Failure, Outcome, Result};
use crate::target::{self, TargetFlags};
use crate::{output, units};

const EXAMPLES: &str = "\
Examples:
  siltstone snapshot /var/lib/siltstone-monday
  siltstone snapshot --url http://127.0.0.1:7480

A snapshot is a store of its own: every command works on it, and siltstone verify
--data DIR checks it. It takes no time, and no space but for what the store removes
later, so it must be on the same file system; copy it elsewhere from there. A
server makes it within its own directory, under snapshots/ and a name that is
printed.";

/// Make a copy of the store as it is now, by hard links
#[derive(Debug, ClapArgs)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// New directory for it; a server chooses its own
    #[arg(value_name = "DIR", required_unless_present = "url", conflicts_with = "url")]
    dir: Option<PathBuf>,
    #[command(flatten)]
    target: TargetFlags,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args) -> Result {
    if let Some(url) = &args.target.url {
        let data = url.admin("snapshot", &[])?.data()?;
        let name = data["name"].as_str().unwrap_or_default();
        if args.json {
            output::print_json(&json!({ "name": name }))?;
        } else {
            output::print(&format!("snapshots/{name} in the directory of the server\n"))?;
        }
        return Ok(Outcome::Good);
    }
    let dir = args.dir.as_ref().ok_or_else(|| Failure::usage("give the new directory"))?;
    let data = &args.target.data.data;
    let (report, found) = target::with(data, Options::default(), |db| Ok(db.checkpoint(dir)?))?;
    if args.json {
        output::print_json(&json!({
            "directory": dir.display().to_string(),
            "segments": report.segments,
            "bytes_linked": report.bytes_linked,
            "seq": report.seq,
        }))?;
    } else {
        output::print(&format!(
            "{}: {}, {} shared with the store, up to seq {}\n",
            dir.display(),
            units::counted(report.segments, "segment"),
            units::bytes(report.bytes_linked),
            report.seq
        ))?;
    }
    Ok(found)
}
