//! `siltstone digest`: what a store holds, in one number to compare.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use clap::Args as ClapArgs;
use serde_json::{Value, json};
use siltstone::{ContentDigest, ReadOnlyDb};
use siltstone_server::selected_series::unlimited;

use crate::failure::{Outcome, Result};
use crate::selection_flags::{RangeFlags, selection};
use crate::store_flags::{DataFlag, read_only};
use crate::{output, progress, units};

const EXAMPLES: &str = "\
Examples:
  siltstone digest
  siltstone digest --match 'up{job=\"node\"}' --start 2026-01-01T00:00:00Z --json
  siltstone digest --data siltstone-data --compare /backup/siltstone && echo equal

Equal content has an equal digest however it is laid out: in the log, flushed,
compacted, exported and imported. It is the sum modulo 2^128 of XXH3-128 over
(series id, timestamp, value bits) of each sample. With --compare the exit code
is 1 if the two stores differ.";

/// Digest the content of a store, whatever its layout
#[derive(Debug, ClapArgs)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Series to digest, such as up{job="node"}; may be given several times [default: all]
    #[arg(long = "match", value_name = "SELECTOR")]
    selectors: Vec<String>,
    #[command(flatten)]
    range: RangeFlags,
    /// Another store to compare with
    #[arg(long, value_name = "DIR")]
    compare: Option<PathBuf>,
    #[command(flatten)]
    data: DataFlag,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What was found in one store.
struct Digested {
    content: ContentDigest,
    ticks_per_second: u64,
    outcome: Outcome,
}

pub(crate) fn run(args: &Args) -> Result {
    args.range.check()?;
    let one = digest(args, &args.data.data)?;
    let Some(path) = &args.compare else {
        if args.json {
            output::print_json(&one.as_json())?;
        } else {
            output::print(&one.as_text())?;
        }
        return Ok(one.outcome);
    };
    let other = digest(args, path)?;
    let equal = (one.content, one.ticks_per_second) == (other.content, other.ticks_per_second);
    if args.json {
        let both = json!({ "equal": equal, "stores": [one.as_json(), other.as_json()] });
        output::print_json(&both)?;
    } else {
        let names = [args.data.data.display(), path.display()];
        let verdict = if equal { "equal" } else { "different" };
        output::print(&format!(
            "{}\n{}\n{}\n{}\n{verdict}\n",
            names[0],
            one.as_text(),
            names[1],
            other.as_text()
        ))?;
    }
    let outcomes = [one.outcome, other.outcome];
    Ok(if equal && outcomes == [Outcome::Good; 2] { Outcome::Good } else { Outcome::Found })
}

fn digest(args: &Args, dir: &Path) -> Result<Digested> {
    let mut db = ReadOnlyDb::open(dir, read_only())?;
    let ticks_per_second = db.ticks_per_second();
    let selection = selection("--match", &args.selectors, args.range.ticks(ticks_per_second)?)?;
    let outcome = output::report_findings(db.open_report());
    let bar = progress::of_samples("digesting");
    // Starts over where a server has replaced what it reads.
    let content = db.read(|snapshot| {
        bar.reset();
        let mut content = ContentDigest::default();
        selection.scan(snapshot, &unlimited(), |labels, columns| {
            content.add(labels, columns);
            bar.inc(columns.len() as u64);
            ControlFlow::Continue(())
        })?;
        Ok(content)
    });
    bar.finish_and_clear();
    Ok(Digested { content: content?, ticks_per_second, outcome })
}

impl Digested {
    fn as_text(&self) -> String {
        format!(
            "digest   {}\nseries   {}\nsamples  {}\n",
            self.content,
            units::grouped(self.content.series()),
            units::grouped(self.content.samples()),
        )
    }

    fn as_json(&self) -> Value {
        json!({
            "digest": self.content.to_string(),
            "series": self.content.series(),
            "samples": self.content.samples(),
            "ticks_per_second": self.ticks_per_second,
        })
    }
}
