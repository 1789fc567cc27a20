//! What a repair of the manifest does, in words and as JSON.

use serde_json::{Value, json};
use siltstone::{Fate, RepairPlan, RepairSegment};

use super::Args;
use crate::failure::Result;
use crate::{messages, output, units};

/// The plan as JSON; `is_done`: it was carried out.
pub(super) fn json(plan: &RepairPlan, is_done: bool) -> Value {
    let texts = |findings: &[siltstone::Finding]| -> Vec<String> {
        findings.iter().map(ToString::to_string).collect()
    };
    let segments: Vec<Value> = plan.segments.iter().map(segment_json).collect();
    let files: Vec<String> =
        plan.tombstone_files.iter().map(|path| path.display().to_string()).collect();
    json!({
        "damage": texts(&plan.damage),
        "repaired": is_done && plan.is_needed(),
        "exact": plan.is_exact,
        "segments": segments,
        "deletes": plan.deletes,
        "tombstone_files": files,
        "lost_samples": plan.lost_samples,
        "warnings": texts(&plan.warnings),
    })
}

fn segment_json(segment: &RepairSegment) -> Value {
    let fate = match segment.fate {
        Fate::Kept => "kept",
        Fate::Unreadable => "unreadable",
        Fate::Removed => "removed",
        Fate::Replaced => "replaced",
        Fate::Unpublished => "unpublished",
        Fate::InLog => "in_log",
        _ => "other",
    };
    json!({
        "path": segment.path.display().to_string(),
        "fate": fate,
        "samples": segment.samples,
        "series": segment.series,
        "first": segment.first,
        "last": segment.last,
    })
}

/// Prints the plan, or what was done.
pub(super) fn print(plan: &RepairPlan, args: &Args) -> Result<()> {
    if args.json {
        return output::print_json(&json!({ "manifest": json(plan, args.apply) }));
    }
    plan.damage.iter().chain(&plan.warnings).for_each(|f| messages::warning(&f.to_string()));
    let others = plan.segments.iter().filter(|segment| segment.fate != Fate::Kept);
    others.for_each(|segment| messages::warning(&segment.to_string()));
    output::print(&summary(plan, args.apply))
}

fn summary(plan: &RepairPlan, is_done: bool) -> String {
    let mut text = match plan.is_exact {
        true => "what the manifest said is known exactly: ".to_owned(),
        false => "the manifest is made again from what the other files say: ".to_owned(),
    };
    let kept = plan.kept().count() as u64;
    let samples = plan.kept().map(|segment| segment.samples).sum();
    let (segments, samples) = (units::counted(kept, "segment"), units::counted(samples, "sample"));
    text.push_str(&format!(
        "{segments} with {samples}, {}",
        units::counted(plan.deletes, "delete")
    ));
    if let (Some(first), Some(last)) = (
        plan.kept().map(|segment| segment.first).min(),
        plan.kept().map(|segment| segment.last).max(),
    ) {
        text.push_str(&format!(", from {first} to {last}"));
    }
    text.push_str("; and what the log holds\n");
    if !plan.tombstone_files.is_empty() {
        let files = units::counted(plan.tombstone_files.len() as u64, "tombstone file");
        let verb = if is_done { "written" } else { "to be written" };
        text.push_str(&format!("{files} {verb} anew from the manifest\n"));
    }
    if plan.lost_samples > 0 {
        let lost = units::counted(plan.lost_samples, "sample");
        text.push_str(&format!("at most {lost} lost, in segments that cannot be read\n"));
    }
    text.push_str(match is_done {
        true => "done: the store can be opened; quarantine/ has what was replaced\n",
        false => "nothing was changed: --apply does it\n",
    });
    text
}
