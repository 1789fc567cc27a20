//! Parts of dates, by counting days from 1970 on.

use siltstone_promql::functions::Function;

const DAY: i64 = 86_400;

/// A part of the date at `seconds` since the epoch in UTC; none for functions of other things.
pub(crate) fn date_part(function: Function, seconds: i64) -> Option<i64> {
    use Function as F;
    let (days, second) = (seconds.div_euclid(DAY), seconds.rem_euclid(DAY));
    if matches!(function, F::Hour | F::Minute | F::DayOfWeek) {
        return Some(match function {
            F::Hour => second / 3600,
            F::Minute => second / 60 % 60,
            // The first day was a Thursday.
            _ => (days + 4).rem_euclid(7),
        });
    }
    let (mut year, mut day_of_year) = (1970, days);
    while day_of_year < 0 {
        year -= 1;
        day_of_year += year_length(year);
    }
    while day_of_year >= year_length(year) {
        day_of_year -= year_length(year);
        year += 1;
    }
    let (mut month, mut day) = (1, day_of_year);
    while day >= month_length(year, month) {
        day -= month_length(year, month);
        month += 1;
    }
    match function {
        F::Year => Some(year),
        F::Month => Some(month),
        F::DayOfMonth => Some(day + 1),
        F::DayOfYear => Some(day_of_year + 1),
        F::DaysInMonth => Some(month_length(year, month)),
        _ => None,
    }
}

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn year_length(year: i64) -> i64 {
    365 + i64::from(is_leap(year))
}

fn month_length(year: i64, month: i64) -> i64 {
    match month {
        2 => 28 + i64::from(is_leap(year)),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}
