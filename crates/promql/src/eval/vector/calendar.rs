//! The civil calendar in UTC, for `year()`, `month()`, `day_of_month()` and the like.
//!
//! The proleptic Gregorian calendar without leap seconds, by the algorithms `days_from_civil` and
//! `civil_from_days` of Howard Hinnant ("chrono-Compatible Low-Level Date Algorithms",
//! <https://howardhinnant.github.io/date_algorithms.html>): a year is taken to begin on the first of
//! March, so that the leap day is its last, and 400 years are always 146,097 days.

use crate::functions::Function;

const SECONDS_PER_DAY: i64 = 86_400;
/// Days of 400 years.
const ERA_DAYS: i64 = 146_097;
/// Days from 0000-03-01 to 1970-01-01.
const EPOCH_DAYS: i64 = 719_468;

/// Go's calendar starts at this second, the first of March of the year -292277022400; what is
/// earlier comes out as if it were 2^64 seconds later.
const FIRST_SECOND: i64 = -9_223_372_028_741_760_000;

/// A function of a time.
pub(super) type DateFunction = fn(Moment) -> i64;

/// The function of a time that `function` is; `None` for all other functions.
///
/// | name | value |
/// |---|---|
/// | `year` | the year; negative or zero before year 1 |
/// | `month` | 1 to 12 |
/// | `day_of_month` | 1 to 31 |
/// | `day_of_week` | 0 (Sunday) to 6 |
/// | `day_of_year` | 1 to 366 |
/// | `days_in_month` | 28 to 31 |
/// | `hour` | 0 to 23 |
/// | `minute` | 0 to 59 |
pub(super) fn date_function(function: Function) -> Option<DateFunction> {
    Some(match function {
        Function::Year => |moment| moment.date().year,
        Function::Month => |moment| moment.date().month,
        Function::DayOfMonth => |moment| moment.date().day,
        Function::DayOfWeek => Moment::day_of_week,
        Function::DayOfYear => Moment::day_of_year,
        Function::DaysInMonth => Moment::days_in_month,
        Function::Hour => |moment| moment.second_of_day / 3600,
        Function::Minute => |moment| moment.second_of_day / 60 % 60,
        _ => return None,
    })
}

/// A second of the calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Moment {
    /// Days since 1970-01-01.
    days: i64,
    second_of_day: i64,
}

/// A day of the calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Date {
    year: i64,
    /// 1 to 12.
    month: i64,
    /// 1 to 31.
    day: i64,
}

impl Moment {
    /// The moment `seconds` after the epoch. Any number is one.
    pub(super) fn from_seconds(seconds: i64) -> Self {
        let (mut days, mut second_of_day) =
            (seconds.div_euclid(SECONDS_PER_DAY), seconds.rem_euclid(SECONDS_PER_DAY));
        if seconds < FIRST_SECOND {
            // 2^64 seconds in days and seconds: the sum itself would not fit.
            let (turn_days, turn_seconds) = (
                (1i128 << 64) / i128::from(SECONDS_PER_DAY),
                (1i128 << 64) % i128::from(SECONDS_PER_DAY),
            );
            second_of_day += i64::try_from(turn_seconds).expect("below 86,400");
            days += i64::try_from(turn_days).expect("2^64 seconds are below 2^48 days")
                + second_of_day / SECONDS_PER_DAY;
            second_of_day %= SECONDS_PER_DAY;
        }
        Self { days, second_of_day }
    }

    /// The moment of a sample's value, in seconds, cut towards zero as Go converts a float to an
    /// `int64` on x86-64: NaN and values outside of 64 bits become the smallest integer. Its year
    /// comes out as 292277026596.
    pub(super) fn from_value(value: f64) -> Self {
        const LIMIT: f64 = 9_223_372_036_854_775_808.0;
        let inside = (-LIMIT..LIMIT).contains(&value);
        Self::from_seconds(if inside { value as i64 } else { i64::MIN })
    }

    fn date(self) -> Date {
        let shifted = self.days + EPOCH_DAYS;
        let (era, day_of_era) = (shifted.div_euclid(ERA_DAYS), shifted.rem_euclid(ERA_DAYS));
        let year_of_era =
            (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month_from_march = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
        let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
        Date { year: year_of_era + era * 400 + i64::from(month <= 2), month, day }
    }

    /// The first day of 1970 was a Thursday.
    fn day_of_week(self) -> i64 {
        (self.days + 4).rem_euclid(7)
    }

    fn day_of_year(self) -> i64 {
        let year = self.date().year;
        self.days - days_from_civil(Date { year, month: 1, day: 1 }) + 1
    }

    fn days_in_month(self) -> i64 {
        let first = Date { day: 1, ..self.date() };
        let next = match first.month {
            12 => Date { year: first.year + 1, month: 1, day: 1 },
            month => Date { month: month + 1, ..first },
        };
        days_from_civil(next) - days_from_civil(first)
    }
}

/// Days from 1970-01-01 to `date`.
fn days_from_civil(date: Date) -> i64 {
    let year = if date.month <= 2 { date.year - 1 } else { date.year };
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let month_from_march = if date.month > 2 { date.month - 3 } else { date.month + 9 };
    let day_of_year = (153 * month_from_march + 2) / 5 + date.day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * ERA_DAYS + day_of_era - EPOCH_DAYS
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn field(function: Function, seconds: i64) -> i64 {
        date_function(function).expect("a function of a time")(Moment::from_seconds(seconds))
    }

    fn is_leap(year: i64) -> bool {
        year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
    }

    fn month_days(year: i64, month: i64) -> i64 {
        match month {
            2 => 28 + i64::from(is_leap(year)),
            4 | 6 | 9 | 11 => 30,
            _ => 31,
        }
    }

    /// The date by counting years and months from 1970, and its day of the year.
    fn naive(mut days: i64) -> (Date, i64) {
        let mut year = 1970;
        while days < 0 {
            year -= 1;
            days += 365 + i64::from(is_leap(year));
        }
        while days >= 365 + i64::from(is_leap(year)) {
            days -= 365 + i64::from(is_leap(year));
            year += 1;
        }
        let day_of_year = days + 1;
        let mut month = 1;
        while days >= month_days(year, month) {
            days -= month_days(year, month);
            month += 1;
        }
        (Date { year, month, day: days + 1 }, day_of_year)
    }

    proptest! {
        #[test]
        fn dates_are_those_of_a_naive_counter(days in -800_000i64..800_000, second in 0i64..86_400) {
            let (date, day_of_year) = naive(days);
            let seconds = days * SECONDS_PER_DAY + second;
            prop_assert_eq!(Moment::from_seconds(seconds).date(), date);
            prop_assert_eq!(days_from_civil(date), days);
            prop_assert_eq!(field(Function::DayOfYear, seconds), day_of_year);
            prop_assert_eq!(
                field(Function::DaysInMonth, seconds),
                month_days(date.year, date.month)
            );
            prop_assert_eq!(field(Function::Hour, seconds), second / 3600);
            prop_assert_eq!(field(Function::Minute, seconds), second % 3600 / 60);
        }

        #[test]
        fn any_second_has_a_date(seconds in any::<i64>()) {
            let moment = Moment::from_seconds(seconds);
            let date = moment.date();
            prop_assert_eq!(days_from_civil(date), moment.days);
            prop_assert!((1..=12).contains(&date.month));
            prop_assert!((0..7).contains(&moment.day_of_week()));
        }
    }

    #[test]
    fn known_moments() {
        assert_eq!(field(Function::DayOfWeek, 0), 4);
        assert_eq!(field(Function::DayOfWeek, -1), 3);
        assert_eq!(field(Function::DayOfWeek, 1_136_239_445), 1);
        assert_eq!(field(Function::Year, 1_230_767_999), 2008);
        assert_eq!(field(Function::Year, 1_230_768_000), 2009);
        assert_eq!(field(Function::DayOfYear, 1_483_191_420), 366);
        assert_eq!(field(Function::Year, -62_167_219_201), -1);
    }

    #[test]
    fn the_ends_of_64_bits_are_go_s() {
        // time.Unix(math.MaxInt64, 0) is 292277026596-12-04 15:30:07, one second before
        // time.Unix(math.MinInt64, 0).
        let date = Date { year: 292_277_026_596, month: 12, day: 4 };
        let last = Moment::from_seconds(i64::MAX);
        assert_eq!((last.date(), last.second_of_day), (date, 15 * 3600 + 30 * 60 + 7));
        let first = Moment::from_seconds(i64::MIN);
        assert_eq!((first.date(), first.second_of_day), (date, 15 * 3600 + 30 * 60 + 8));
        let start = Moment::from_seconds(FIRST_SECOND);
        assert_eq!(start.date(), Date { year: -292_277_022_400, month: 3, day: 1 });
        assert_eq!(start.second_of_day, 0);
    }

    #[test]
    fn values_that_are_no_times_are_the_smallest_integer() {
        for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e30, 9.3e18] {
            assert_eq!(Moment::from_value(value), Moment::from_seconds(i64::MIN), "{value}");
        }
        assert_eq!(Moment::from_value(-1.9), Moment::from_seconds(-1));
        assert_eq!(Moment::from_value(59.99), Moment::from_seconds(59));
    }
}
