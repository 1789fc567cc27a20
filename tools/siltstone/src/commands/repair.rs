//! `siltstone repair`: a store that does not open is made to, and what a damaged one has lost is said and accepted.

mod plan_text;

use std::ops::ControlFlow;

use clap::Args as ClapArgs;
use serde_json::{Value, json};
use siltstone::{AcceptOptions, Finding, LostSamples, Options, Repair, RepairPlan, Verify};

use crate::failure::{Failure, Outcome, Result};
use crate::interrupt::Interrupt;
use crate::lost_text::lost_json;
use crate::store_flags::{DataFlag, read_only};
use crate::{messages, output, progress, target, units};

const EXAMPLES: &str = "\
Examples:
  siltstone repair
  siltstone repair --apply
  siltstone repair --accept

Without --apply and --accept it changes nothing, and works on a store in use.

It first looks at the manifest, the list of the files that make up the store.
If that, or CURRENT, is damaged or gone, the store does not open, although its
samples are there. The command says what it would do with each segment, and
what is lost; --apply does it: the list is made again from what can be read of
it and from what segments, tombstone files and the log say of themselves.
Copies of the damaged files, and segments that are not listed since others or the
log have what is in them, go to quarantine/. If it is stopped or fails, run it
again. Files of deletes that are damaged are written anew.

Then it reads every segment and says which samples are lost. A query that needs
them fails until they are accepted: with --accept they count as never written,
queries succeed without them, what is older at the same times stays hidden, and
what is written there later counts. The damaged files go to quarantine/, each
with a list of what was lost in it. Writing the samples again, from a copy,
heals a loss as well. It can be stopped and run again.

Of a segment whose file is gone or whose index is damaged it is not known which
series it had. It is named and stays as it is, and queries of its time fail. With
--give-up-unreadable none of its samples counts any more, and what is older in
its range of time stays hidden, of all series: any of it may have been replaced.

The exit code is 0 if nothing is lost or damaged, and 1 otherwise, also if it
was repaired or accepted.";

/// Make a store open again, say what it has lost, and accept that
#[derive(Debug, ClapArgs)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Make the manifest, and files of deletes, again, if they are damaged
    #[arg(long)]
    apply: bool,
    /// Accept what is lost, so that queries succeed without it
    #[arg(long)]
    accept: bool,
    /// With --accept: give up segments of which it is not known what is lost, whole
    #[arg(long, requires = "accept")]
    give_up_unreadable: bool,
    /// The time scale of the store: only if no manifest can be read that says it
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    ticks_per_second: Option<u64>,
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
    given_up: u64,
    findings: Vec<Finding>,
}

pub(crate) fn run(args: &Args) -> Result {
    let plan = manifest(args)?;
    // A store that does not open has no losses that could be looked for.
    if plan.is_needed() && !args.apply {
        plan_text::print(&plan, args)?;
        return Ok(Outcome::Found);
    }
    let report = if args.accept { accept(args)? } else { look(args)? };
    print(args, &plan, &report)?;
    let is_whole = report.lost.is_empty() && report.findings.is_empty();
    Ok(if is_whole && !plan.is_needed() { Outcome::Good } else { Outcome::Found })
}

/// What is to be done about the manifest, or was.
fn manifest(args: &Args) -> Result<RepairPlan> {
    let mut repair = Repair::new(&args.data.data).options(read_only());
    if let Some(ticks_per_second) = args.ticks_per_second {
        repair = repair.ticks_per_second(ticks_per_second);
    }
    Ok(if args.apply { repair.apply() } else { repair.plan() }?)
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
        let options = AcceptOptions { give_up_unreadable: args.give_up_unreadable };
        Ok(db.accept_losses(options, |_, _| match interrupt.is_requested() {
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
        given_up: report.given_up,
        findings: report.findings,
    })
}

fn print(args: &Args, plan: &RepairPlan, report: &Report) -> Result<()> {
    if args.json {
        let lost: Vec<Value> = report.lost.iter().map(lost_json).collect();
        let findings: Vec<String> = report.findings.iter().map(ToString::to_string).collect();
        return output::print_json(&json!({
            "manifest": plan_text::json(plan, true),
            "accepted": args.accept,
            "lost_samples": report.samples,
            "segments": report.segments,
            "given_up": report.given_up,
            "lost": lost,
            "findings": findings,
        }));
    }
    if plan.is_needed() {
        plan_text::print(plan, args)?;
    }
    report.lost.iter().for_each(|lost| messages::warning(&lost.to_string()));
    report.findings.iter().for_each(|finding| messages::warning(&finding.to_string()));
    let is = |n: u64, what: &str| {
        format!("{} {}", units::counted(n, what), if n == 1 { "is" } else { "are" })
    };
    let mut text = match (report.samples, args.accept) {
        (0, _) if !report.findings.is_empty() || plan.is_needed() => String::new(),
        (0, _) => "no samples are lost\n".to_owned(),
        (n, false) => {
            format!("{} lost; with --accept queries succeed without them\n", is(n, "sample"))
        }
        (n, true) => format!(
            "{} accepted; written anew: {}; given up: {}\n",
            is(n, "lost sample"),
            units::counted(report.segments, "segment"),
            units::counted(report.given_up, "segment"),
        ),
    };
    if !report.findings.is_empty() {
        let places = is(report.findings.len() as u64, "damaged place");
        text.push_str(&format!("{places} not mended by this command\n"));
    }
    output::print(&text)
}
