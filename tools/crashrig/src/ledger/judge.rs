//! One series at one time: whether what is there can be, and what it says of operations in doubt. Pure.
//!
//! Of the operations that concern the place, the last that holds for sure is its *base*: what is there is the
//! base's effect or that of a later one in doubt. Operations that were found to be absent have no effect.

use super::{Op, Part};

/// What is wrong at a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    Lost,
    Different,
    Superseded,
    Risen,
}

/// What a place says of operations in doubt.
#[derive(Debug, Default)]
pub(super) struct Evidence {
    /// Those whose effect is there.
    pub(super) held: Vec<u32>,
    /// Those whose effect would be there and is not.
    pub(super) missing: Vec<u32>,
}

/// Judges the bits found of a series at a slot, `None` for no sample. `is_sure` says which operations hold,
/// `is_possible` which may besides.
///
/// # Errors
/// What is wrong.
pub(super) fn judge(
    part: &Part,
    (series, slot): (u32, usize),
    found: Option<u64>,
    is_sure: &dyn Fn(u32) -> bool,
    is_possible: &dyn Fn(u32) -> bool,
) -> Result<Evidence, Fault> {
    let events = part.events(series, slot);
    let is_write = |number: u32| matches!(part.ops[number as usize].0, Op::Write(_));
    let base = events.iter().rposition(|&number| is_sure(number));
    let later = &events[base.map_or(0, |at| at + 1)..];
    let doubted = || later.iter().copied().filter(|&number| is_possible(number));
    let mut evidence = Evidence::default();
    let Some(bits) = found else {
        match doubted().rfind(|&number| !is_write(number)) {
            // Which of several it was cannot be told; what was written behind it would be there.
            Some(delete) => {
                let deletes = doubted().filter(|&number| !is_write(number)).count();
                if base.is_some_and(|at| is_write(events[at])) && deletes == 1 {
                    evidence.held.push(delete);
                }
                evidence.missing.extend(doubted().filter(|&number| number > delete));
            }
            None if base.is_some_and(|at| is_write(events[at])) => return Err(Fault::Lost),
            None => evidence.missing.extend(doubted()),
        }
        return Ok(evidence);
    };
    let timestamp = part.timestamp(slot as u64);
    let has_bits =
        |&&number: &&u32| is_write(number) && part.value(series, timestamp, number) == bits;
    let Some(&number) = events.iter().rev().find(has_bits) else { return Err(Fault::Different) };
    match base.map(|at| events[at]) {
        Some(base) if number == base => evidence.missing.extend(doubted()),
        Some(base) if number < base => {
            return Err(if is_write(base) { Fault::Superseded } else { Fault::Risen });
        }
        _ if is_possible(number) => {
            evidence.held.push(number);
            evidence.missing.extend(doubted().filter(|&later| later > number));
        }
        _ => return Err(Fault::Risen),
    }
    Ok(evidence)
}
