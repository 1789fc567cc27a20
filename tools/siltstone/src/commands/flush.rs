//! `siltstone flush`: everything in memory and in the log, as segments.

use clap::Args as ClapArgs;

use crate::failure::{Outcome, Result};
use crate::output;
use crate::target::{self, TargetFlags};

const EXAMPLES: &str = "\
Examples:
  siltstone flush
  siltstone flush --url http://127.0.0.1:7480

Opening a store flushes what its log holds; a server does it by itself when
memory or log are full.";

/// Turn what is in memory and in the log into segments
#[derive(Debug, ClapArgs)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(flatten)]
    target: TargetFlags,
}

pub(crate) fn run(args: &Args) -> Result {
    if let Some(url) = &args.target.url {
        url.admin("flush", &[])?.data()?;
    } else {
        target::with(&target::open(&args.target.data.data)?, |db| Ok(db.flush()?))?;
    }
    output::print("flushed\n")?;
    Ok(Outcome::Good)
}
