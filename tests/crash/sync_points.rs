//! Every sync of the engine is needed: without it the enumeration turns red. Those that are not
//! stand in a list with the reason, and without them it stays green.

use siltstone::Durability;
use siltstone::sys::SyncPoint;

use crate::enumerate::Enumeration;
use crate::workload::Script;

/// Syncs that nothing acknowledged depends on.
const HARMLESS: &[(SyncPoint, &str)] = &[
    (
        SyncPoint::WalRemoved,
        "a log file that comes back is covered by the manifest: replay skips it, opening removes it",
    ),
    (
        SyncPoint::SetAsideSource,
        "a file that comes back is in quarantine/ too, and the next opening sets it aside again",
    ),
];

/// Syncs that the scripts do not come to, and the test in which the store breaks without them.
const ELSEWHERE: &[(SyncPoint, &str)] = &[
    (SyncPoint::SetAside, "leftovers.rs: setting_aside_needs_its_syncs"),
    (SyncPoint::QuarantineName, "leftovers.rs: setting_aside_needs_its_syncs"),
    (
        SyncPoint::DamageReport,
        "tests/engine/compaction.rs: damage_is_remembered_through_a_power_cut",
    ),
    (
        SyncPoint::DamageDirectory,
        "tests/engine/compaction.rs: damage_is_remembered_through_a_power_cut",
    ),
];

/// What a point is tried with until something breaks.
const SCRIPTS: &[Script] = &[
    Script { seed: 1, steps: 40, durability: Durability::Always },
    Script { seed: 2001, steps: 40, durability: Durability::Never },
];

fn without(point: SyncPoint, script: Script) -> Result<(), String> {
    Enumeration { script, ignored: Some(point), torn: 3, holes: 0, deep: 0 }.run().map(|_| ())
}

#[test]
fn the_store_breaks_without_any_of_its_syncs() {
    let harmless =
        |point: &SyncPoint| HARMLESS.iter().chain(ELSEWHERE).any(|(listed, _)| listed == point);
    let mut unnoticed = Vec::new();
    for point in SyncPoint::ALL.iter().filter(|point| !harmless(point)) {
        match SCRIPTS.iter().find_map(|&script| without(*point, script).err()) {
            Some(violation) => println!("without {point:?}: {violation}"),
            None => unnoticed.push(*point),
        }
    }
    assert!(unnoticed.is_empty(), "useless or untested: {unnoticed:?}");
}

#[test]
fn the_store_does_without_the_harmless_ones() {
    for &(point, reason) in HARMLESS {
        for &script in SCRIPTS {
            let green = without(point, script);
            green.unwrap_or_else(|e| panic!("{point:?} is not harmless ({reason}): {e}"));
        }
    }
}
