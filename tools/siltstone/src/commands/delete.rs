//! `siltstone delete`: samples by selector and range, with a receipt.

use clap::Args as ClapArgs;
use serde_json::json;
use siltstone::{Db, Options};
use siltstone_server::reports::DeleteAnswer;
use siltstone_server::selected_series::unlimited;

use crate::failure::{Failure, Outcome, Result};
use crate::selection_flags::{RangeFlags, selection};
use crate::server_client::{ServerUrl, report};
use crate::table::{Align, Table, printable};
use crate::target::{self, TargetFlags};
use crate::times::ms_text;
use crate::{messages, output, units};

const EXAMPLES: &str = "\
Examples:
  siltstone delete --match 'up{job=\"old\"}' --dry-run
  siltstone delete --match 'up{job=\"old\"}'
  siltstone delete --match 'node_cpu_seconds_total' --end 2025-12-31T23:59:59Z
  siltstone delete --match 'up{job=\"old\"}' --url http://127.0.0.1:7480

What is deleted is gone from every answer at once. Its bytes are freed when
its segments are merged: by the server as time goes by, or by siltstone compact
now. What is written later stays, whatever its time. Several --match are
several deletes. A selector of every series needs --all.";

/// Delete samples
#[derive(Debug, ClapArgs)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Series to delete from, such as up{job="old"}; may be given several times
    #[arg(long = "match", value_name = "SELECTOR")]
    selectors: Vec<String>,
    #[command(flatten)]
    range: RangeFlags,
    /// Allow a selector that selects every series
    #[arg(long)]
    all: bool,
    /// Only say what would be deleted
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    target: TargetFlags,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args) -> Result {
    if args.selectors.is_empty() {
        let message = "a delete needs --match SELECTOR, such as --match 'up{job=\"old\"}'; \
                       siltstone delete --help shows more";
        return Err(Failure::usage(message));
    }
    args.range.check()?;
    let (receipts, found) = match &args.target.url {
        Some(url) => (ask(args, url)?, Outcome::Good),
        None => target::with(&args.target.data.data, Options::default(), |db| delete(args, db))?,
    };
    let counted = print(args, &receipts)?;
    Ok(if counted == Outcome::Good { found } else { counted })
}

/// Deletes from an open store.
fn delete(args: &Args, db: &Db) -> Result<Vec<DeleteAnswer>> {
    let range = args.range.ticks(db.ticks_per_second())?;
    let selection = selection("--match", &args.selectors, range)?;
    if !args.all
        && let Some(selector) = selection.of_everything(&db.snapshot()?, &unlimited())?
    {
        let message =
            format!("{selector} selects every series of the store; add --all if you mean it");
        return Err(Failure::usage(message));
    }
    let mut receipts = Vec::new();
    for (text, matchers) in args.selectors.iter().zip(selection.selectors()) {
        let receipt = if args.dry_run {
            db.preview_delete(matchers, range)?
        } else {
            db.delete(matchers, range)?
        };
        receipts.push(DeleteAnswer::new(text, &receipt));
    }
    Ok(receipts)
}

/// Asks a server.
fn ask(args: &Args, url: &ServerUrl) -> Result<Vec<DeleteAnswer>> {
    let mut form: Vec<(&str, String)> =
        args.selectors.iter().map(|selector| ("match[]", selector.clone())).collect();
    form.extend(args.range.start.map(|ms| ("start", ms_text(ms))));
    form.extend(args.range.end.map(|ms| ("end", ms_text(ms))));
    form.push(("receipt", "true".to_owned()));
    form.push(("all", args.all.to_string()));
    form.push(("dry_run", args.dry_run.to_string()));
    let mut data = url.admin("delete_series", &form)?.data()?;
    report(data["receipts"].take())
}

fn print(args: &Args, receipts: &[DeleteAnswer]) -> Result {
    let is_complete = receipts.iter().all(|receipt| receipt.complete);
    if !is_complete {
        messages::warning("damage was in the way of counting: there may be more");
    }
    if args.json {
        output::print_json(&json!({ "dry_run": args.dry_run, "receipts": receipts }))?;
    } else {
        let text: String = receipts.iter().map(|receipt| as_text(receipt, args.dry_run)).collect();
        output::print(&text)?;
    }
    Ok(if is_complete { Outcome::Good } else { Outcome::Found })
}

fn as_text(receipt: &DeleteAnswer, dry_run: bool) -> String {
    let does = if dry_run { "would hide" } else { "hides" };
    let mut text = format!(
        "{} {does} {} of {} series\n",
        printable(&receipt.selector),
        units::counted(receipt.samples, "sample"),
        units::grouped(receipt.series),
    );
    if receipt.memtable_samples > 0 {
        text += &format!("{} of them are in memory\n", units::grouped(receipt.memtable_samples));
    }
    if receipt.segments.is_empty() {
        return text;
    }
    text += &format!(
        "about {} are freed by merging {}\n\n",
        units::bytes(receipt.bytes),
        units::counted(receipt.segments.len() as u64, "segment")
    );
    let mut table =
        Table::new(&[("SEGMENT", Align::Left), ("SAMPLES", Align::Right), ("SIZE", Align::Right)]);
    for share in &receipt.segments {
        table.row([
            format!("{}.seg", share.file_number),
            units::grouped(share.samples),
            units::bytes(share.bytes),
        ]);
    }
    text + &table.page()
}
