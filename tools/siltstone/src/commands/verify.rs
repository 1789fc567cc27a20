//! `siltstone verify`: every byte of a store against its checksums.

use clap::Args as ClapArgs;
use serde_json::json;
use siltstone::{LossCounts, Verify};

use crate::failure::{Outcome, Result};
use crate::lost_text::lost_json;
use crate::store_flags::{DataFlag, read_only};
use crate::{messages, output, progress, units};

const EXAMPLES: &str = "\
Examples:
  siltstone verify
  siltstone verify --data /backup/siltstone --json
  siltstone verify --deep

Every block is decoded and every number compared with what it counts. With --deep
everything is read several times more, as queries read it, and where two ways
of reading answer differently, that is said.

The exit code is 1 if anything is damaged or lost; siltstone repair says what to do. It changes nothing and works on a store in use.";

/// Check every byte of a store
#[derive(Debug, ClapArgs)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(flatten)]
    data: DataFlag,
    /// Read everything as queries do, too, and compare the answers
    #[arg(long)]
    deep: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args) -> Result {
    let bar = progress::of_bytes("verifying", Some(0));
    let (mut findings, mut warnings, mut lost) = (Vec::new(), Vec::new(), Vec::new());
    let mut bytes = 0;
    let result = Verify::new(&args.data.data)
        .options(read_only())
        .deep(args.deep)
        .on_progress(|done, total| {
            bytes = done;
            bar.set_length(total);
            bar.set_position(done);
        })
        .on_finding(|finding| {
            findings.push(finding.to_string());
            lost.extend(finding.lost.iter().map(lost_json));
        })
        .on_warning(|warning| warnings.push(warning.to_string()))
        .run();
    bar.finish_and_clear();
    if !args.json {
        findings.iter().chain(&warnings).for_each(|finding| messages::warning(finding));
    }
    let report = result?;
    let count = findings.len() as u64;
    if args.json {
        output::print_json(&json!({
            "bytes": bytes,
            "damaged": count,
            "findings": findings,
            "warnings": warnings,
            "lost_samples": report.lost_samples,
            "accepted_samples": report.accepted_samples,
            "lost": lost,
            "lifetime_lost_samples": report.lifetime.lost,
            "lifetime_accepted_samples": report.lifetime.accepted,
        }))?;
    } else {
        let verdict = match count {
            0 => "no damage found".to_owned(),
            1 => "1 place is damaged".to_owned(),
            n => format!("{} places are damaged", units::grouped(n)),
        };
        output::print(&format!("{} checked: {verdict}\n", units::bytes(bytes)))?;
        if report.lifetime != LossCounts::default() {
            output::print(&format!(
                "since it was made, the store has lost {}, of which {} accepted\n",
                units::counted(report.lifetime.lost, "sample"),
                units::grouped(report.lifetime.accepted)
            ))?;
        }
    }
    Ok(if count == 0 { Outcome::Good } else { Outcome::Found })
}
