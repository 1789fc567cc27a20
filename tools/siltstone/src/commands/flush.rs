//! `siltstone flush`: everything in memory and in the log, as segments.

use clap::Args as ClapArgs;
use siltstone::Options;

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
    let found = if let Some(url) = &args.target.url {
        url.admin("flush", &[])?.data()?;
        Outcome::Good
    } else {
        target::with(&args.target.data.data, Options::default(), |db| Ok(db.flush()?))?.1
    };
    output::print("flushed\n")?;
    Ok(found)
}
