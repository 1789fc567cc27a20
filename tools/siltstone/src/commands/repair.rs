//! `siltstone repair`: what a damaged store has lost, and accepting that.

use std::ops::ControlFlow;

use clap::Args as ClapArgs;
use serde_json::{Value, json};
use siltstone::{Finding, LostSamples, Options, Verify};

use crate::failure::{Failure, Outcome, Result};
use crate::interrupt::Interrupt;
use crate::lost_text::lost_json;
use crate::store_flags::{DataFlag, read_only};
use crate::{messages, output, progress, target, units};

const EXAMPLES: &str = "\
Examples:
  siltstone repair
  siltstone repair --accept

Without --accept it changes nothing, and works on a store in use: it says which
samples are lost. A query that needs them fails until they are accepted.

With --accept they count as never written: queries succeed without them, what
is older at the same times stays hidden, and what is written there later
counts. The damaged files go to quarantine/, each with a list of what was lost
in it. Writing the samples again, from a copy, heals a loss as well. It can be
stopped and run again.

A segment whose index is damaged cannot be accepted: which series it holds is
not known. It is named and stays as it is, and queries of its time fail.

The exit code is 0 if nothing is lost or damaged, and 1 otherwise, also if it
was accepted.";

/// Say what a damaged store has lost, and accept it
#[derive(Debug, ClapArgs)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Accept what is lost, so that queries succeed without it
    #[arg(long)]
    accept: bool,
    #[command(flatten)]
    data: DataFlag,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What was found or done.
#[derive(Default)]
struct Report {
    lost: Vec<LostSamples>,
    samples: u64,
    segments: u64,
    findings: Vec<Finding>,
}

pub(crate) fn run(args: &Args) -> Result {
    let report = if args.accept { accept(args)? } else { look(args)? };
    print(args, &report)?;
    let is_whole = report.lost.is_empty() && report.findings.is_empty();
    Ok(if is_whole { Outcome::Good } else { Outcome::Found })
}

/// Reads every byte.
fn look(args: &Args) -> Result<Report> {
    let bar = progress::of_bytes("reading", Some(0));
    let mut report = Report::default();
    let verified = Verify::new(&args.data.data)
        .options(read_only())
        .on_progress(|done, total| {
            bar.set_length(total);
            bar.set_position(done);
        })
        .on_finding(|finding| {
            report.lost.extend(finding.lost.iter().cloned());
            if finding.lost.is_empty() {
                let (path, message) = (finding.path.clone(), finding.message.clone());
                report.findings.push(Finding::new(path, message));
            }
        })
        .run();
    bar.finish_and_clear();
    verified?;
    report.samples = report.lost.iter().map(|lost| lost.samples).sum();
    Ok(report)
}

fn accept(args: &Args) -> Result<Report> {
    let interrupt = Interrupt::watch()?;
    let (report, _) = target::with_own(&args.data.data, Options::default(), |db| {
        Ok(db.accept_losses(|_, _| match interrupt.is_requested() {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        })?)
    })?;
    if report.cancelled {
        return Err(Failure::interrupted("stopped; what was accepted stays so"));
    }
    Ok(Report {
        lost: report.accepted,
        samples: report.accepted_samples,
        segments: report.segments,
        findings: report.findings,
    })
}

fn print(args: &Args, report: &Report) -> Result<()> {
    if args.json {
        let lost: Vec<Value> = report.lost.iter().map(lost_json).collect();
        let findings: Vec<String> = report.findings.iter().map(ToString::to_string).collect();
        return output::print_json(&json!({
            "accepted": args.accept,
            "lost_samples": report.samples,
            "segments": report.segments,
            "lost": lost,
            "findings": findings,
        }));
    }
    report.lost.iter().for_each(|lost| messages::warning(&lost.to_string()));
    report.findings.iter().for_each(|finding| messages::warning(&finding.to_string()));
    let samples = units::grouped(report.samples);
    let mut text = match (report.samples, args.accept) {
        (0, _) if !report.findings.is_empty() => String::new(),
        (0, _) => "no samples are lost\n".to_owned(),
        (_, false) => {
            format!("{samples} samples are lost; with --accept queries succeed without them\n")
        }
        (_, true) => format!(
            "{samples} lost samples are accepted; {} segments were written anew\n",
            units::grouped(report.segments)
        ),
    };
    if !report.findings.is_empty() {
        let count = units::grouped(report.findings.len() as u64);
        text.push_str(&format!("{count} damaged places are not mended by this command\n"));
    }
    output::print(&text)
}
