//! `siltstone compact`: merges segments now, or says what would be merged.

use std::ops::ControlFlow;
use std::time::Duration;

use clap::Args as ClapArgs;
use indicatif::ProgressBar;
use serde::Deserialize as _;
use serde_json::{Value, json};
use siltstone::{CompactionPlan, Options, ReadOnlyDb};
use siltstone_server::reports::{CompactAnswer, ProgressAnswer};
use siltstone_server::time::{TimeScale, format_time};

use crate::failure::{Failure, Outcome, Result};
use crate::interrupt::Interrupt;
use crate::selection_flags::RangeFlags;
use crate::server_client::{ServerUrl, report};
use crate::store_flags::read_only;
use crate::table::{Align, Table};
use crate::target::{self, TargetFlags};
use crate::times::{ms_text, parse_duration, parse_time};
use crate::{messages, output, progress, units};

const EXAMPLES: &str = "\
Examples:
  siltstone compact --plan
  siltstone compact
  siltstone compact --range 2026-01-01..2026-02-01
  siltstone compact --url http://127.0.0.1:7480

It flushes first. Afterwards each window of time is one dense segment, and
what was deleted or has expired is gone from every file. Ctrl-C stops it: what
is merged stays, the merge under way is given up. A server stops when its
client goes. --plan changes nothing and works on a store in use; it leaves out
what is in the log alone.";

/// Merge segments, and free what was deleted
#[derive(Debug, ClapArgs)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Print what would be merged, why, and the bytes
    #[arg(long, conflicts_with = "url")]
    plan: bool,
    /// Segments with samples from START to END, both included; either may be left out
    #[arg(long, value_name = "START..END", value_parser = parse_range,
        conflicts_with_all = ["start", "end"], allow_hyphen_values = true)]
    range: Option<RangeFlags>,
    #[command(flatten)]
    bounds: RangeFlags,
    /// The window of time of one segment, at the least
    #[arg(long, value_name = "TIME", default_value = "1d", value_parser = parse_duration,
        conflicts_with = "url")]
    window: Duration,
    #[command(flatten)]
    target: TargetFlags,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

fn parse_range(text: &str) -> std::result::Result<RangeFlags, String> {
    let wrong =
        || format!("{text:?} is not a range such as 2026-01-01..2026-02-01, -7d.. or ..now-1h");
    let (start, end) = text.split_once("..").ok_or_else(wrong)?;
    let time = |text: &str| {
        if text.is_empty() { Ok(None) } else { parse_time(text).map(Some) }
    };
    Ok(RangeFlags { start: time(start)?, end: time(end)? })
}

pub(crate) fn run(args: &Args) -> Result {
    let range = args.range.unwrap_or(args.bounds);
    range.check()?;
    if args.plan {
        return plan(args, range);
    }
    let (report, found) = match &args.target.url {
        Some(url) => (ask(url, range)?, Outcome::Good),
        None => compact(args, range)?,
    };
    print(&report, args.json)?;
    if report.cancelled {
        return Err(Failure::interrupted("stopped; what was merged stays"));
    }
    let is_whole = report.damaged_samples == 0 && report.findings.is_empty();
    Ok(if is_whole { found } else { Outcome::Found })
}

/// Compacts the directory.
fn compact(args: &Args, range: RangeFlags) -> Result<(CompactAnswer, Outcome)> {
    let interrupt = Interrupt::watch()?;
    let options = Options { window: args.window, ..Options::default() };
    let mut bar = Bar::default();
    let (report, found) = target::with(&args.target.data.data, options, |db| {
        let range = range.ticks(db.ticks_per_second())?;
        let report = db.compact(range, &mut |now| {
            bar.show(&ProgressAnswer::from(now));
            if interrupt.is_requested() {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        });
        bar.end();
        Ok(report?)
    })?;
    Ok((CompactAnswer::from(&report), found))
}

/// Asks a server, and shows how far it is.
fn ask(url: &ServerUrl, range: RangeFlags) -> Result<CompactAnswer> {
    let mut form = vec![("progress", "true".to_owned())];
    let mut bound = |name, ms: Option<i64>| form.extend(ms.map(|ms| (name, ms_text(ms))));
    bound("start", range.start);
    bound("end", range.end);
    let mut bar = Bar::default();
    let answer = url.admin("compact", &form)?.last_of_lines(|line| {
        // A line that cannot be read is no reason to stop: the last one decides.
        bar.show(&ProgressAnswer::deserialize(&line["progress"]).unwrap_or_default());
    });
    bar.end();
    report(answer?)
}

/// The progress of one merge after the other.
#[derive(Default)]
struct Bar {
    merge: Option<(u64, ProgressBar)>,
}

impl Bar {
    fn show(&mut self, now: &ProgressAnswer) {
        if self.merge.as_ref().is_none_or(|(number, _)| *number != now.merges) {
            self.end();
            let what = format!("merge {} ({})", now.merges + 1, now.reason);
            self.merge = Some((now.merges, progress::of_samples_until(&what, now.samples_total)));
        }
        if let Some((_, bar)) = &self.merge {
            bar.set_length(now.samples_total);
            bar.set_position(now.samples_read);
        }
    }

    fn end(&mut self) {
        if let Some((_, bar)) = self.merge.take() {
            bar.finish_and_clear();
        }
    }
}

fn print(report: &CompactAnswer, as_json: bool) -> Result<()> {
    for finding in &report.findings {
        messages::warning(finding);
    }
    for damage in &report.damage {
        messages::warning(&format!("left out as damaged, kept in quarantine: {}", json!(damage)));
    }
    if as_json {
        return output::print_json(&json!(report));
    }
    let mut text = format!(
        "{}: {} of {} became {} of {} in {:.1} s\n",
        units::counted(report.merges, "merge"),
        units::counted(report.segments_in, "segment"),
        units::bytes(report.bytes_in),
        units::grouped(report.segments_out),
        units::bytes(report.bytes_out),
        report.seconds,
    );
    let left_out = [
        (report.superseded, "replaced by later writes"),
        (report.deleted, "deleted"),
        (report.expired, "expired"),
        (report.damaged_samples, "damaged, kept in quarantine"),
    ];
    for (samples, why) in left_out {
        if samples > 0 {
            text += &format!("{} left out: {why}\n", units::counted(samples, "sample"));
        }
    }
    output::print(&text)
}

fn plan(args: &Args, range: RangeFlags) -> Result {
    let options = Options { window: args.window, ..read_only() };
    let db = ReadOnlyDb::open(&args.target.data.data, options)?;
    let plan = db.compaction_plan(range.ticks(db.ticks_per_second())?);
    if args.json {
        output::print_json(&plan_json(&plan))?;
    } else {
        output::print(&plan_text(&plan, TimeScale::new(db.ticks_per_second())))?;
    }
    Ok(output::report_findings(db.open_report()))
}

fn plan_text(plan: &CompactionPlan, scale: TimeScale) -> String {
    if plan.merges.is_empty() {
        return "nothing to merge\n".to_owned();
    }
    let mut table = Table::new(&[
        ("MERGE", Align::Right),
        ("SEGMENTS", Align::Right),
        ("SIZE", Align::Right),
        ("BECOME", Align::Right),
        ("OF ABOUT", Align::Right),
        ("FIRST", Align::Left),
        ("LAST", Align::Left),
        ("WHY", Align::Left),
    ]);
    for (number, merge) in (1..).zip(&plan.merges) {
        let first = merge.inputs.iter().map(|input| input.min_timestamp).min().unwrap_or(0);
        let last = merge.inputs.iter().map(|input| input.max_timestamp).max().unwrap_or(0);
        table.row([
            number.to_string(),
            merge.inputs.len().to_string(),
            units::bytes(merge.bytes_in),
            merge.outputs.to_string(),
            units::bytes(merge.bytes_out),
            format_time(scale.to_ms(first)),
            format_time(scale.to_ms(last)),
            merge.why.clone(),
        ]);
    }
    let total = |bytes: fn(&siltstone::PlannedMerge) -> u64| {
        units::bytes(plan.merges.iter().map(bytes).sum())
    };
    let (read, written) = (total(|merge| merge.bytes_in), total(|merge| merge.bytes_out));
    let more = if plan.truncated { "; more merges would follow" } else { "" };
    format!("{}\nreads {read}, writes about {written}{more}\n", table.page())
}

fn plan_json(plan: &CompactionPlan) -> Value {
    let input = |input: &siltstone::PlannedInput| {
        json!({
            "file_number": input.file_number,
            "level": input.level,
            "bytes": input.bytes,
            "min_timestamp": input.min_timestamp,
            "max_timestamp": input.max_timestamp,
        })
    };
    let merge = |merge: &siltstone::PlannedMerge| {
        json!({
            "reason": merge.reason.as_str(),
            "why": merge.why,
            "bytes_in": merge.bytes_in,
            "bytes_out": merge.bytes_out,
            "outputs": merge.outputs,
            "inputs": merge.inputs.iter().map(input).collect::<Vec<_>>(),
        })
    };
    json!({
        "merges": plan.merges.iter().map(merge).collect::<Vec<_>>(),
        "truncated": plan.truncated,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges() {
        let of = |text: &str| parse_range(text).map(|range| (range.start, range.end));
        assert_eq!(of("1..2.5"), Ok((Some(1000), Some(2500))));
        assert_eq!(of("..1970-01-01T00:00:05Z"), Ok((None, Some(5000))));
        assert_eq!(of("-5.."), Ok((Some(-5000), None)));
        assert_eq!(of(".."), Ok((None, None)));
        for bad in ["", "5", "1-2", "a..b", "1..2..3"] {
            assert!(of(bad).is_err(), "{bad}");
        }
    }
}
