//! Each kind of damage is seen, and only it.

use std::collections::BTreeMap;

use super::*;
use crate::compare::{Sample, SeriesLabels};

const SERIES: u32 = 3;
const WRITES: usize = 8;

/// A part of eight writes: the last two were not answered.
fn part() -> Part {
    let mut part = Part::new(1, 0, SERIES, 1_795_000_000_000);
    for write in 0..WRITES {
        part.sent(part.next());
        if write < WRITES - 2 {
            part.acknowledged();
        }
    }
    part
}

/// What a store holds in which some operations were carried out: by series and slot, the last write.
type Held = BTreeMap<(u32, u64), u32>;

fn carried_out(part: &Part, is_done: impl Fn(usize) -> bool) -> Held {
    let mut held = Held::new();
    for (number, (op, _)) in part.ops.iter().enumerate().filter(|(number, _)| is_done(*number)) {
        match op {
            Op::Write(slot) => {
                held.extend((0..part.series).map(|series| ((series, *slot), number as u32)));
            }
            Op::Delete { series, slots } => {
                held.retain(|(s, slot), _| !(series[*s as usize] && slots.contains(slot)));
            }
        }
    }
    held
}

type Exported = Vec<(SeriesLabels, Vec<Sample>)>;

fn labels(part: &Part, series: u32) -> SeriesLabels {
    let label = |name: &str, value: String| (name.to_owned(), value);
    SeriesLabels::new([
        label("__name__", METRIC.into()),
        label("epoch", part.epoch.to_string()),
        label("writer", part.writer.to_string()),
        label("series", series.to_string()),
    ])
}

fn export_of(part: &Part, held: &Held) -> Exported {
    let of_series = |series: u32| {
        let own = held.iter().filter(|((s, _), _)| *s == series);
        let mut samples: Vec<Sample> = own
            .map(|((_, slot), number)| {
                let timestamp = part.timestamp(*slot);
                (timestamp, part.value(series, timestamp, *number))
            })
            .collect();
        samples.sort_unstable();
        (labels(part, series), samples)
    };
    (0..part.series).map(of_series).collect()
}

/// The export of a store that has the first `ops` operations.
fn export(part: &Part, ops: usize) -> Exported {
    export_of(part, &carried_out(part, |number| number < ops))
}

fn seen(part: &Part, exported: &Exported) -> super::check::Seen {
    let mut check = Check::new(std::slice::from_ref(part));
    for (labels, samples) in exported {
        check.line(labels, samples);
    }
    check.end()
}

fn check(part: &mut Part, exported: &Exported) -> Damage {
    seen(part, exported).settle(std::slice::from_mut(part))
}

fn only(found: Damage, expected: Damage) {
    assert!(!found.is_none());
    assert_eq!(Damage { described: Vec::new(), ..found }, expected);
}

#[test]
fn everything_acknowledged_is_enough_and_settles_the_doubt() {
    let mut one = part();
    let exported = export(&one, WRITES - 1);
    assert_eq!(check(&mut one, &exported), Damage::default());
    assert_eq!(one.ops[WRITES - 2].1, Outcome::Present);
    assert_eq!(one.ops[WRITES - 1].1, Outcome::Absent);
    let counted = tally([&one]);
    assert_eq!((counted.acknowledged, counted.present, counted.absent), (6, 1, 1));
    assert_eq!(counted.acknowledged_samples, 18);

    let found = check(&mut one.clone(), &export(&one, WRITES - 2));
    only(found, Damage { lost: 3, ..Damage::default() });
    let found = check(&mut one, &export(&part(), WRITES));
    only(found, Damage { risen: 3, ..Damage::default() });
}

#[test]
fn a_lost_sample_and_a_lost_series_are_found() {
    let mut one = part();
    let mut exported = export(&one, WRITES);
    exported[2].1.remove(0);
    only(check(&mut one.clone(), &exported), Damage { lost: 1, ..Damage::default() });
    exported.truncate(2);
    let found = check(&mut one, &exported);
    assert_eq!((found.lost, found.torn), (6, 2));
}

#[test]
fn a_torn_write_is_found() {
    let mut one = part();
    let mut exported = export(&one, WRITES - 1);
    let last = one.timestamp(WRITES as u64 - 1);
    let value = one.value(0, last, WRITES as u32 - 1);
    exported[0].1.push((last, value));
    exported[0].1.sort_unstable();
    only(check(&mut one, &exported), Damage { torn: 1, ..Damage::default() });
}

#[test]
fn every_flipped_bit_is_found() {
    for bit in 0..64 {
        let mut one = part();
        let mut exported = export(&one, WRITES);
        exported[1].1[4].1 ^= 1 << bit;
        only(check(&mut one, &exported), Damage { different: 1, ..Damage::default() });
    }
}

#[test]
fn a_sample_of_another_series_or_time_is_found() {
    let mut one = part();
    let mut exported = export(&one, WRITES);
    let (a, b) = (exported[0].1[0].1, exported[1].1[0].1);
    exported[0].1[0].1 = b;
    exported[1].1[0].1 = a;
    assert_eq!(check(&mut one.clone(), &exported).different, 2);

    let mut exported = export(&one, WRITES);
    exported[0].1.push((one.first_ms + 100, 0));
    assert_eq!(check(&mut one.clone(), &exported).foreign, 1);
    exported.push((SeriesLabels::new([("a".into(), "b".into())]), vec![(1, 1), (2, 2)]));
    assert_eq!(check(&mut one.clone(), &exported).foreign, 3);
    exported.push((labels(&one, SERIES), vec![(one.first_ms, 1)]));
    assert_eq!(check(&mut one, &exported).foreign, 4, "a series beyond the part's");
}

#[test]
fn a_sample_twice_is_found() {
    let mut one = part();
    let mut exported = export(&one, WRITES);
    let again = exported[0].1[7];
    exported.push((labels(&one, 0), vec![again]));
    only(check(&mut one, &exported), Damage { disordered: 1, ..Damage::default() });
}

#[test]
fn the_request_holds_what_the_check_expects() {
    use siltstone_rig::wire::Fields;
    let one = part();
    let mut template = one.template();
    let slot = WRITES as u64;
    one.fill(slot, &mut template);
    let timestamp = one.timestamp(slot);
    let mut request = Fields::new(template.message());
    let mut series = 0;
    while let Some((_, message)) = request.next_field().unwrap() {
        let mut fields = Fields::new(message.bytes().unwrap());
        while let Some((number, field)) = fields.next_field().unwrap() {
            if number == 2 {
                let mut sample = Fields::new(field.bytes().unwrap());
                let (_, value) = sample.next_field().unwrap().unwrap();
                let (_, time) = sample.next_field().unwrap().unwrap();
                assert_eq!(time.integer(), Ok(timestamp.cast_unsigned()));
                assert_eq!(value.fixed64(), Ok(one.value(series, timestamp, WRITES as u32)));
                series += 1;
            }
        }
    }
    assert_eq!(series, SERIES);
}

#[test]
fn arrival_is_out_of_order_and_a_time_has_one_slot() {
    let part = part();
    let times: Vec<i64> = (0..WRITES as u64).map(|slot| part.timestamp(slot)).collect();
    assert!(!times.is_sorted());
    for (slot, &time) in times.iter().enumerate() {
        assert_eq!(part.slot(time), Some(slot));
    }
    assert_eq!(part.slot(part.first_ms - 1), None);
    assert_eq!(part.slot(i64::MIN), None);
    assert_eq!(part.slot(i64::MAX), None);
}

#[test]
fn what_was_deleted_is_gone_and_what_came_later_is_not() {
    let mut one = part();
    one.erase(|series| series == 1);
    one.sent(one.next());
    one.acknowledged();
    let (deleted, later) = (WRITES, WRITES + 1);
    let right = export(&one, later + 1);
    assert_eq!(check(&mut one.clone(), &right), Damage::default());
    assert_eq!(one.erased_samples(), WRITES as u64 - 2);
    let risen = export_of(&one, &carried_out(&one, |number| number != deleted));
    assert_eq!(check(&mut one.clone(), &risen).risen, WRITES as u64, "what was deleted is there");
    let lost = export_of(&one, &carried_out(&one, |number| number != later));
    assert_eq!(check(&mut one.clone(), &lost).lost, 3, "what came later is not there");
    check(&mut one, &right);
    assert_eq!(one.ops[WRITES - 1].1, Outcome::Present);
    assert_eq!(one.erased_samples(), WRITES as u64);
}

/// A part that overwrites and deletes, all acknowledged but for the last operation.
fn lively(ops: usize) -> Part {
    let mut part = Part::new(2, 1, SERIES, 1_795_000_000_000).lively();
    for number in 0..ops {
        part.sent(part.next());
        if number + 1 < ops {
            part.acknowledged();
        }
    }
    part
}

#[test]
fn the_last_value_counts_and_the_operation_in_doubt_is_settled() {
    let (mut deletes, mut overwrites) = (0, 0);
    for ops in 20..250 {
        let one = lively(ops);
        let is_delete = matches!(one.ops[ops - 1].0, Op::Delete { .. });
        deletes += usize::from(is_delete);
        let with = export(&one, ops);
        let mut found = one.clone();
        assert_eq!(check(&mut found, &with), Damage::default(), "{ops} operations");
        let held = found.ops[ops - 1].1;
        let without = export(&one, ops - 1);
        let mut missed = one.clone();
        assert_eq!(check(&mut missed, &without), Damage::default(), "{ops} operations");
        if with == without {
            assert_eq!((held, missed.ops[ops - 1].1), (Outcome::InDoubt, Outcome::InDoubt));
            continue;
        }
        assert_eq!((held, missed.ops[ops - 1].1), (Outcome::Present, Outcome::Absent), "{ops}");
        // What was found stays, and what was not does not come.
        assert!(!check(&mut found, &without).is_none(), "{ops} operations");
        assert!(!check(&mut missed, &with).is_none(), "{ops} operations");
        // Every operation is needed.
        for left_out in (0..ops - 1).rev().take(60) {
            let lacking = export_of(&one, &carried_out(&one, |number| number != left_out));
            if lacking == with {
                continue;
            }
            let damage = check(&mut one.clone(), &lacking);
            assert!(!damage.is_none(), "{ops} operations without {left_out}");
            overwrites += damage.superseded;
        }
    }
    assert!(deletes >= 4 && overwrites > 100, "{deletes} {overwrites}");
}

#[test]
fn a_reader_may_see_what_is_under_way_and_nothing_older() {
    let ops = 120;
    let after = lively(ops);
    for begun in [40, 90, 119] {
        let mut before = lively(begun);
        before.acknowledged();
        for ended in begun..=ops {
            let exported = export(&after, ended);
            let parts = (std::slice::from_ref(&before), std::slice::from_ref(&after));
            let damage = seen(&after, &exported).beside_writers(parts.0, parts.1);
            assert_eq!(damage, Damage::default(), "{begun} {ended}");
        }
        let stale = export(&after, begun - 1);
        let parts = (std::slice::from_ref(&before), std::slice::from_ref(&after));
        let damage = seen(&after, &stale).beside_writers(parts.0, parts.1);
        assert_eq!(damage.is_none(), stale == export(&after, begun), "{begun}");
    }
}
