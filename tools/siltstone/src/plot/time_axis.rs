//! The axis of times: moments at which clocks and calendars turn, in UTC.

use jiff::Timestamp as Moment;
use jiff::civil::{Date, date};
use jiff::tz::TimeZone;
use siltstone::Timestamp;
use siltstone_server::time::format_time;

use crate::times::{DAY, MINUTE, ROUND_STEPS, SECOND};

/// Distances of ticks that are longer than [`ROUND_STEPS`], in months.
const MONTHS: [i64; 13] = [1, 2, 3, 6, 12, 24, 60, 120, 240, 600, 1200, 6000, 12_000];
/// The shortest that so many months may be.
const MONTH_DAYS_MIN: i64 = 28;
/// The first Monday after the epoch, in milliseconds: weeks begin there.
const MONDAY: i64 = 4 * DAY;
/// Blanks between two labels, at least.
const GAP: usize = 2;

/// From one moment to another.
#[derive(Debug)]
pub(super) struct TimeAxis {
    start: Timestamp,
    end: Timestamp,
    /// Where each tick stands between start (0) and end (1), and how it is written.
    pub(super) ticks: Vec<(f64, String)>,
    /// The days from start to end.
    pub(super) days: String,
}

/// How far ticks are apart.
#[derive(Debug, Clone, Copy)]
enum Step {
    Ms(i64),
    Months(i64),
}

impl TimeAxis {
    /// An axis whose labels fit in `room` characters.
    pub(super) fn new((start, end): (Timestamp, Timestamp), room: usize) -> Self {
        let axis = Self { start, end, ticks: Vec::new(), days: days(start, end) };
        let ticks = calendar(start, end)
            .map_or_else(Vec::new, |_| step(start, end, room).ticks(start, end));
        let placed = ticks.into_iter().map(|(time, label)| (axis.fraction(time), label)).collect();
        Self { ticks: placed, ..axis }
    }

    /// Where `time` stands between the start (0) and the end (1); in the middle where they are one.
    pub(super) fn fraction(&self, time: Timestamp) -> f64 {
        let distance = |to: i64| (i128::from(to) - i128::from(self.start)) as f64;
        let length = distance(self.end);
        if length <= 0.0 { 0.5 } else { (distance(time) / length).clamp(0.0, 1.0) }
    }
}

/// The first and the last day, where the calendar has them.
fn calendar(start: Timestamp, end: Timestamp) -> Option<(Date, Date)> {
    let day = |ms| Some(Moment::from_millisecond(ms).ok()?.to_zoned(TimeZone::UTC).date());
    Some((day(start)?, day(end)?))
}

fn days(start: Timestamp, end: Timestamp) -> String {
    match calendar(start, end) {
        Some((first, last)) if first == last => format!("{first} UTC"),
        Some((first, last)) => format!("{first} to {last} UTC"),
        None => format!("{} to {}", format_time(start), format_time(end)),
    }
}

/// The shortest step whose ticks fit.
fn step(start: Timestamp, end: Timestamp, room: usize) -> Step {
    // Within the calendar a difference does not overflow.
    let length = end - start;
    let steps = ROUND_STEPS.into_iter().map(Step::Ms).chain(MONTHS.into_iter().map(Step::Months));
    let fits = |step: &Step| {
        let most = (room / (step.label_width() + GAP)).max(1);
        length / step.ms() < most as i64
    };
    steps.into_iter().find(fits).unwrap_or(Step::Months(MONTHS[MONTHS.len() - 1]))
}

impl Step {
    /// At least.
    fn ms(self) -> i64 {
        match self {
            Self::Ms(ms) => ms,
            Self::Months(months) => months * MONTH_DAYS_MIN * DAY,
        }
    }

    /// How a tick is written, for `strftime`, and the columns that it takes.
    fn format(self) -> (&'static str, usize) {
        match self {
            Self::Ms(..SECOND) => ("%H:%M:%S%.3f", 12),
            Self::Ms(SECOND..MINUTE) => ("%H:%M:%S", 8),
            // At midnight the day is written, which has six columns.
            Self::Ms(MINUTE..DAY) => ("%H:%M", 6),
            Self::Ms(_) => ("%b %-d", 6),
            Self::Months(..12) => ("%Y-%m", 7),
            Self::Months(_) => ("%Y", 5),
        }
    }

    fn label_width(self) -> usize {
        self.format().1
    }

    /// The moments from start to end, with their labels.
    fn ticks(self, start: Timestamp, end: Timestamp) -> Vec<(Timestamp, String)> {
        let times = match self {
            Self::Ms(ms) => {
                let origin = if ms > DAY { MONDAY } else { 0 };
                let past = (start - origin).rem_euclid(ms);
                let first = if past == 0 { start } else { start - past + ms };
                (first..=end).step_by(usize::try_from(ms).unwrap_or(usize::MAX)).collect()
            }
            Self::Months(months) => month_starts(months, start, end),
        };
        let label = |ms: Timestamp| {
            let (format, _) = self.format();
            let is_midnight = matches!(self, Self::Ms(MINUTE..DAY)) && ms % DAY == 0;
            let format = if is_midnight { "%b %-d" } else { format };
            Moment::from_millisecond(ms)
                .map_or_else(|_| String::new(), |m| m.strftime(format).to_string())
        };
        times.into_iter().map(|ms| (ms, label(ms))).collect()
    }
}

/// The starts of every so many months, counted from the year 0.
fn month_starts(months: i64, start: Timestamp, end: Timestamp) -> Vec<Timestamp> {
    let Some((first, last)) = calendar(start, end) else { return Vec::new() };
    let number = |day: Date| i64::from(day.year()) * 12 + i64::from(day.month()) - 1;
    let numbers = number(first).div_euclid(months)..=number(last).div_euclid(months);
    let begins = |number: i64| {
        let (year, month) = (number.div_euclid(12), number.rem_euclid(12) + 1);
        // Both are those of a month between two dates, or shortly before.
        let (year, month) = (i16::try_from(year).ok()?, i8::try_from(month).ok()?);
        let day = (year >= -9999).then(|| date(year, month, 1))?;
        Some(day.to_zoned(TimeZone::UTC).ok()?.timestamp().as_millisecond())
    };
    numbers.filter_map(|n| begins(n * months)).filter(|ms| (start..=end).contains(ms)).collect()
}

#[cfg(test)]
mod tests {
    use siltstone_server::time::parse_time;

    use super::*;

    fn axis(start: &str, end: &str, room: usize) -> TimeAxis {
        TimeAxis::new((parse_time(start).unwrap(), parse_time(end).unwrap()), room)
    }

    fn labels(axis: &TimeAxis) -> Vec<&str> {
        axis.ticks.iter().map(|(_, label)| label.as_str()).collect()
    }

    #[test]
    fn ticks_are_where_clocks_turn() {
        let hour = axis("2026-11-27T21:05:12Z", "2026-11-27T22:05:12Z", 60);
        assert_eq!(labels(&hour), ["21:10", "21:20", "21:30", "21:40", "21:50", "22:00"]);
        assert_eq!(hour.days, "2026-11-27 UTC");
        assert!((hour.ticks[0].0 - 288.0 / 3600.0).abs() < 1e-12);
        let second = axis("2026-11-27T21:05:12Z", "2026-11-27T21:05:13Z", 60);
        assert_eq!(labels(&second)[..2], ["21:05:12.000", "21:05:12.500"]);
        let minute = axis("2026-11-27T21:05:12Z", "2026-11-27T21:06:12Z", 50);
        assert_eq!(labels(&minute), ["21:05:15", "21:05:30", "21:05:45", "21:06:00"]);
        let night = axis("2026-11-27T20:30:00Z", "2026-11-28T04:00:00Z", 60);
        assert!(labels(&night).contains(&"Nov 28"), "{night:?}");
        assert_eq!(night.days, "2026-11-27 to 2026-11-28 UTC");
    }

    #[test]
    fn ticks_are_where_the_calendar_turns() {
        let weeks = axis("2026-11-01T00:00:00Z", "2026-12-31T00:00:00Z", 80);
        assert_eq!(labels(&weeks)[..3], ["Nov 2", "Nov 9", "Nov 16"], "Mondays");
        let months = axis("2026-01-15T00:00:00Z", "2026-07-15T00:00:00Z", 80);
        assert_eq!(
            labels(&months),
            ["2026-02", "2026-03", "2026-04", "2026-05", "2026-06", "2026-07"]
        );
        let decades = axis("1951-01-15T00:00:00Z", "2026-07-15T00:00:00Z", 80);
        assert_eq!(labels(&decades), ["1960", "1970", "1980", "1990", "2000", "2010", "2020"]);
        let before = axis("-002000-06-01T00:00:00Z", "2026-07-15T00:00:00Z", 60);
        assert!(labels(&before).contains(&"1000"), "{before:?}");
    }

    #[test]
    fn labels_fit_in_their_room() {
        for start in [0, 1_795_817_112_345, -5_000_000_000_123] {
            for length in (0..45).map(|power| 3i64.saturating_pow(power)).filter(|l| *l < 1 << 44) {
                for room in [10, 40, 72, 200] {
                    let axis = TimeAxis::new((start, start + length), room);
                    let width: usize = axis.ticks.iter().map(|(_, label)| label.len() + GAP).sum();
                    let one = axis.ticks.len() <= 1;
                    assert!(one || width <= room + GAP, "{length} {room}: {axis:?}");
                    let many = room < 40 || !axis.ticks.is_empty();
                    assert!(many, "{length} {room}: {axis:?}");
                    assert!(axis.ticks.windows(2).all(|pair| pair[0].0 < pair[1].0), "{axis:?}");
                }
            }
        }
    }

    #[test]
    fn times_beyond_the_calendar_have_no_ticks() {
        let all = TimeAxis::new((i64::MIN, i64::MAX), 80);
        assert!(all.ticks.is_empty() && all.days.contains("ms to "), "{all:?}");
        assert_eq!((all.fraction(i64::MIN), all.fraction(i64::MAX)), (0.0, 1.0));
        assert!((all.fraction(0) - 0.5).abs() < 1e-9);
        let one = TimeAxis::new((7, 7), 80);
        assert_eq!(one.fraction(7), 0.5);
        assert_eq!(labels(&one), ["00:00:00.007"]);
    }
}
