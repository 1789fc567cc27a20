//! Each kind of damage is seen, and only it.

use super::*;

const SERIES: u32 = 3;
const REQUESTS: usize = 8;

/// A part of eight requests: the last two were not answered.
fn part() -> Part {
    let mut part = Part::new(1, 0, SERIES, 1_795_000_000_000);
    for request in 0..REQUESTS {
        part.sent();
        if request < REQUESTS - 2 {
            part.acknowledged();
        }
    }
    part
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

/// The export of a store that has the first `requests` requests.
fn export(part: &Part, requests: usize) -> Exported {
    (0..SERIES)
        .map(|series| {
            let mut samples: Vec<Sample> = (0..requests as u64)
                .map(|request| part.timestamp(request))
                .map(|timestamp| (timestamp, part.value(series, timestamp)))
                .collect();
            samples.sort_unstable();
            (labels(part, series), samples)
        })
        .collect()
}

fn check(part: &mut Part, exported: &Exported) -> Damage {
    let mut check = Check::new(std::slice::from_mut(part));
    for (labels, samples) in exported {
        check.line(labels, samples);
    }
    check.finish()
}

#[test]
fn everything_acknowledged_is_enough_and_settles_the_doubt() {
    let mut one = part();
    let exported = export(&one, REQUESTS - 1);
    assert_eq!(check(&mut one, &exported), Damage::default());
    assert_eq!(one.outcomes[REQUESTS - 2], Outcome::Present);
    assert_eq!(one.outcomes[REQUESTS - 1], Outcome::Absent);
    let counted = tally([&one]);
    assert_eq!((counted.acknowledged, counted.present, counted.absent), (6, 1, 1));
    assert_eq!(counted.acknowledged_samples, 18);

    let found = check(&mut one.clone(), &export(&one, REQUESTS - 2));
    assert_eq!((found.lost, found.risen), (3, 0), "what was present once must stay");
    let found = check(&mut one, &export(&part(), REQUESTS));
    assert_eq!((found.lost, found.risen), (0, 3), "what was absent once must not appear");
}

#[test]
fn a_lost_sample_and_a_lost_series_are_found() {
    let mut one = part();
    let mut exported = export(&one, REQUESTS);
    exported[2].1.remove(0);
    let found = check(&mut one.clone(), &exported);
    assert_eq!(Damage { described: Vec::new(), ..found }, Damage { lost: 1, ..Damage::default() });
    exported.truncate(2);
    let found = check(&mut one, &exported);
    assert_eq!((found.lost, found.torn_requests), (6, 2));
    assert!(!found.is_none());
}

#[test]
fn a_torn_request_is_found() {
    let mut one = part();
    let mut exported = export(&one, REQUESTS - 1);
    let last = one.timestamp(REQUESTS as u64 - 1);
    let value = one.value(0, last);
    exported[0].1.push((last, value));
    exported[0].1.sort_unstable();
    let found = check(&mut one, &exported);
    assert_eq!((found.torn_requests, found.lost), (1, 0));
    assert!(!found.is_none());
}

#[test]
fn every_flipped_bit_is_found() {
    for bit in 0..64 {
        let mut one = part();
        let mut exported = export(&one, REQUESTS);
        exported[1].1[4].1 ^= 1 << bit;
        let found = check(&mut one, &exported);
        assert_eq!((found.different, found.lost), (1, 0), "bit {bit}");
        assert!(!found.is_none());
    }
}

#[test]
fn a_sample_of_another_series_or_time_is_found() {
    let mut one = part();
    let mut exported = export(&one, REQUESTS);
    let (a, b) = (exported[0].1[0].1, exported[1].1[0].1);
    exported[0].1[0].1 = b;
    exported[1].1[0].1 = a;
    assert_eq!(check(&mut one.clone(), &exported).different, 2);

    let mut exported = export(&one, REQUESTS);
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
    let mut exported = export(&one, REQUESTS);
    let again = exported[0].1[7];
    exported.push((labels(&one, 0), vec![again]));
    let found = check(&mut one, &exported);
    assert_eq!((found.disordered, found.lost), (1, 0));
    assert!(!found.is_none());
}

#[test]
fn the_request_holds_what_the_check_expects() {
    use siltstone_rig::wire::Fields;
    let mut one = part();
    one.sent();
    let mut template = one.template();
    // `fill` prepares the request after those that were sent.
    one.outcomes.pop();
    one.fill(&mut template);
    let timestamp = one.timestamp(REQUESTS as u64);
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
                assert_eq!(value.fixed64(), Ok(one.value(series, timestamp)));
                series += 1;
            }
        }
    }
    assert_eq!(series, SERIES);
}

#[test]
fn arrival_is_out_of_order_and_every_time_is_used_once() {
    let part = part();
    let times: Vec<i64> = (0..REQUESTS as u64).map(|n| part.timestamp(n)).collect();
    assert!(!times.is_sorted());
    for (request, &time) in times.iter().enumerate() {
        assert_eq!(part.request(time), Some(request));
    }
    assert_eq!(part.request(part.first_ms - 1), None);
    assert_eq!(part.request(i64::MIN), None);
    assert_eq!(part.request(i64::MAX), None);
}

#[test]
fn what_was_deleted_is_gone_and_what_came_later_is_not() {
    let mut one = part();
    one.erase(|series| series == 1);
    one.sent();
    one.acknowledged();
    let without = |requests: usize| -> Exported {
        let mut exported = export(&one, REQUESTS + 1);
        let kept = |series: u32, request: usize| series != 1 || request >= requests;
        for (series, (_, samples)) in exported.iter_mut().enumerate() {
            let numbers = |timestamp| one.request(timestamp).unwrap();
            samples.retain(|&(timestamp, _)| kept(series as u32, numbers(timestamp)));
        }
        exported
    };
    let (right, short, long) = (without(REQUESTS), without(REQUESTS - 1), without(REQUESTS + 1));
    assert_eq!(check(&mut one.clone(), &right), Damage::default());
    assert_eq!(one.erased_samples(), REQUESTS as u64 - 2);
    assert_eq!(check(&mut one.clone(), &short).risen, 1, "one that was deleted is there");
    assert_eq!(check(&mut one.clone(), &long).lost, 1, "one that came later is not there");
    check(&mut one, &right);
    assert_eq!(one.outcomes[REQUESTS - 1], Outcome::Present);
    assert_eq!(one.erased_samples(), REQUESTS as u64);
}
